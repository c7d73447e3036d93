//! What the tables say of an address and a port, beside what the apps say, looked at one by one.

use super::*;
use proptest::prelude::*;
use std::cmp::Ordering;

/// They enclose each other, in both families; `::/0` encloses all of IPv4 as the kernel stores it.
const PREFIXES: [&str; 12] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "10.2.0.0/16",
    "::/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "2001:db8:1::3/128",
    "2001:db8:2::/48",
    "::/1",
];
const SERVICES: [&str; 12] =
    ["tcp", "tcp/1", "tcp/3", "tcp/1-3", "tcp/3-6", "tcp/2-2", "udp", "udp/1-6", "udp/4", "icmp", "47", "sctp/2-5"];
const ADDRESSES: [&str; 10] = [
    "10.1.2.3",
    "10.1.2.4",
    "10.1.3.1",
    "10.2.0.1",
    "10.3.0.1",
    "192.0.2.1",
    "2001:db8:1::3",
    "2001:db8:1::4",
    "2001:db8:2::1",
    "fd00::1",
];
const PROTOCOLS: [u8; 6] = [1, 6, 17, 47, 58, 132];

/// Prefixes, services, what it opens, and whether it is a trip-wire.
type Parts = (Vec<&'static str>, Vec<&'static str>, Vec<&'static str>, bool);

fn apps() -> impl Strategy<Value = Vec<App>> {
    let some = |all: &'static [&'static str], most| prop::collection::vec(prop::sample::select(all), 1..most);
    let parts = (some(&PREFIXES, 4), some(&SERVICES, 3), some(&SERVICES, 3), prop::bool::weighted(0.2));
    prop::collection::vec(parts, 1..6).prop_map(|drawn| {
        let built = |(at, (prefixes, services, opens, trip_wire)): (usize, Parts)| App {
            opens: opens.iter().skip(1).map(|text| service(text)).collect(),
            trip_wire,
            ..app(&format!("app-{at}"), &prefixes, &services)
        };
        drawn.into_iter().enumerate().map(built).collect()
    })
}

/// What an app claims: on a side, at a prefix, by a service.
struct Claim<'a> {
    app: u32,
    side: u8,
    prefix: &'a IpNet,
    service: &'a Service,
}

fn claims(apps: &[App]) -> Vec<Claim<'_>> {
    let mut claims = Vec::new();
    for (app, id) in apps.iter().zip(1..) {
        for (side, services) in [(AppKey::SERVICE, &app.services), (AppKey::OPENS, &app.opens)] {
            for prefix in &app.prefixes {
                claims.extend(services.iter().map(|service| Claim { app: id, side, prefix, service }));
            }
        }
    }
    claims
}

impl Claim<'_> {
    fn protocol(&self) -> u8 {
        match (self.service.protocol, self.prefix) {
            (Protocol::Tcp, _) => 6,
            (Protocol::Udp, _) => 17,
            (Protocol::Sctp, _) => 132,
            (Protocol::Icmp, IpNet::V4(_)) => 1,
            (Protocol::Icmp, IpNet::V6(_)) => 58,
            (Protocol::Ip(number), _) => number,
        }
    }

    fn covers(&self, address: IpAddr, (side, protocol, port): (u8, u8, u16)) -> bool {
        let ports = self.service.ports;
        self.side == side
            && self.protocol() == protocol
            && self.prefix.contains(&address)
            && ports.is_none_or(|(first, last)| (first..=last).contains(&port))
    }

    /// How narrow it is: the longer prefix, then the single port, then the range.
    fn narrowness(&self) -> (u8, u8) {
        let width = match self.service.ports {
            None => 0,
            Some((first, last)) if first < last => 1,
            Some(_) => 2,
        };
        (self.prefix.prefix_len(), width)
    }

    /// Whether neither gives way to the other where both are claimed.
    fn contradicts(&self, other: &Self) -> bool {
        let overlap = match (self.service.ports, other.service.ports) {
            (Some((first, last)), Some((from, to))) => first <= to && from <= last,
            _ => true,
        };
        let place = |claim: &Self| (claim.side, claim.protocol(), *claim.prefix, claim.narrowness());
        self.app != other.app && place(self).cmp(&place(other)) == Ordering::Equal && overlap
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The narrowest claim wins, and claims that are equally narrow are refused, wherever the apps lie. Apps that have
    /// prefixes of one family only are thereby nowhere in the other.
    #[test]
    fn flattened_tables_say_what_the_narrowest_claim_says(apps in apps()) {
        let (numbered, claims) = (apps.iter().zip(1..).map(|(app, id)| (AppId(id), app)), claims(&apps));
        let is_refused = claims.iter().any(|one| claims.iter().any(|other| one.contradicts(other)));
        let compiled = compile(numbered, AppSetId(1), 1);
        prop_assert_eq!(compiled.is_err(), is_refused, "{:?}", compiled);
        let Ok(tables) = compiled else { return Ok(()) };
        for text in ADDRESSES {
            let address: IpAddr = text.parse().unwrap();
            for side in [AppKey::SERVICE, AppKey::OPENS] {
                for (protocol, port) in PROTOCOLS.iter().flat_map(|protocol| (0..8).map(|port| (*protocol, port))) {
                    let asked = (side, protocol, port);
                    let there = claims.iter().filter(|claim| claim.covers(address, asked));
                    let expected = there.max_by_key(|claim| claim.narrowness()).map(|claim| claim.app);
                    let found = entry_at(&tables, text, asked);
                    prop_assert_eq!(found.map(AppEntry::app), expected, "{} {:?}", text, asked);
                    let is_trap = expected.is_some_and(|app| apps[app as usize - 1].trip_wire);
                    prop_assert_eq!(found.is_some_and(AppEntry::is_trip_wire), is_trap);
                }
            }
        }
    }
}
