//! Who is in the world of the corpus, what they may reach, and what can be done to them.

use super::read::World;
use gateway_common::abi::{AppEntry, AppKey, Grant, GrantKey, ServiceKey, Vlan};
use gateway_common::{Address, KernelNanos, Packet};
use gateway_userspace::dataplane::attach::{GuardedInterface, GuardedVlan, XdpChoice};
use gateway_userspace::dataplane::{PlaneSettings, clock};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{AllowListId, AppSetId, BlockId, Capacities, SessionLimits, SessionToken, Step};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The client's hardware address, of all sessions but bob's.
pub const CLIENT_MAC: [u8; 6] = [2, 0x77, 0, 0, 0, 2];
/// bob's.
const BOB_MAC: [u8; 6] = [2, 0x77, 0, 0, 0, 3];
/// An interface that is not there.
const ELSEWHERE: u32 = 9_999;
const ZONE: u32 = 1;
/// The zones of VLANs 5 and 7.9.
const ZONE_OF_5: u32 = 2;
const ZONE_OF_7_9: u32 = 3;
const SECOND: u64 = 1_000_000_000;
/// How long a session that scans is held: longer than any case.
const QUARANTINE: u64 = 600 * SECOND;
/// An instant that has passed.
const LONG_AGO: KernelNanos = KernelNanos(1);
/// The session that tries destinations has this name: places of destinations depend on it.
const SCANNER: SessionToken = SessionToken(0x5ca9);

/// How much the tables hold: many sessions, because each case has its own, and two budgets, so that a third is refused.
pub const CAPACITIES: Capacities = Capacities {
    sessions: 16_384,
    flows: 1_024,
    app_prefixes: 256,
    app_ports: 256,
    grants: 64,
    apps: 64,
    budgets: 2,
    fragments: 1_024,
    sources: 1_024,
};

/// What can be done to the gateway between two packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// The sessions of somebody end, at these addresses.
    Revoke(&'static [Who]),
    /// The deadline of alice's sessions passes.
    Expire,
    /// alice's sessions end, and others begin at their addresses under this allow-list.
    Replace(AllowListId),
    /// alice's sessions are judged by this allow-list from now on.
    Judge(AllowListId),
    /// alice's sessions are judged by a set of apps without `web` from now on.
    RemoveWeb,
    /// alice's sessions begin anew, with these limits.
    Limit(SessionLimits),
    /// A source may send so many packets to the gateway itself in a second.
    LimitServices(u64),
    /// The interface loses its configuration.
    ForgetInterface,
}

impl Act {
    /// The act with this name.
    pub fn named(name: &str) -> Option<Self> {
        if let Some((what, limit)) = name.strip_prefix("limit ").and_then(|rest| rest.split_once(" to ")) {
            let limit: u32 = limit.parse().ok()?;
            let none = SessionLimits::default();
            return Some(match what {
                "new flows" => Self::Limit(SessionLimits { new_flows_per_second: limit, ..none }),
                "destinations" => Self::Limit(SessionLimits { destinations_per_second: limit, ..none }),
                "bandwidth" => Self::Limit(SessionLimits { bytes_per_second: limit.into(), ..none }),
                "services" => Self::LimitServices(limit.into()),
                _ => return None,
            });
        }
        Some(match name {
            "revoke alice" => Self::Revoke(&[Who::Alice, Who::Alice6]),
            "revoke alice over IPv4" => Self::Revoke(&[Who::Alice]),
            "revoke bob" => Self::Revoke(&[Who::Bob, Who::Bob6]),
            "expire alice" => Self::Expire,
            "replace alice" => Self::Replace(ALL),
            "replace alice by somebody without grants" => Self::Replace(NONE),
            "take web from alice" => Self::Judge(ALL_BUT_WEB),
            "take phone from alice" => Self::Judge(ALL_BUT_PHONE),
            "give web back to alice" => Self::Judge(ALL),
            "remove web" => Self::RemoveWeb,
            "forget the interface" => Self::ForgetInterface,
            _ => return None,
        })
    }
}

/// Sessions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Who {
    Alice,
    Alice6,
    Bob,
    Bob6,
    Carol,
    Carol6,
    Erin,
    Erin6,
    Frank,
    /// Nobody's: for the packets that say that all before them have arrived.
    Watch,
}

/// Where sessions are: address, zone, whether on the interface that is tested.
const SESSIONS: [(Who, &str, u32, bool); 10] = [
    (Who::Alice, "10.77.0.2", ZONE, true),
    (Who::Alice6, "fd77::2", ZONE, true),
    (Who::Bob, "10.77.0.3", ZONE, true),
    (Who::Bob6, "fd77::3", ZONE, true),
    (Who::Carol, "10.77.0.4", ZONE, false),
    (Who::Carol6, "fd77::4", ZONE, false),
    (Who::Erin, "10.75.0.2", ZONE_OF_5, true),
    (Who::Erin6, "fd75::2", ZONE_OF_5, true),
    (Who::Frank, "10.79.0.2", ZONE_OF_7_9, true),
    (Who::Watch, "10.77.0.200", ZONE, true),
];

const ALL: AllowListId = AllowListId(1);
const ALL_BUT_WEB: AllowListId = AllowListId(2);
const ALL_BUT_PHONE: AllowListId = AllowListId(3);
const NONE: AllowListId = AllowListId(4);

/// Apps: their number, the last byte of their addresses, what they are reached by, what they may open.
type App = (u32, u8, &'static [(u8, u16)], &'static [(u8, u16)]);
const WEB: u32 = 1;
const VAULT: u32 = 2;
const PHONE: u32 = 5;
const PAGER: u32 = 6;
const BAIT: u32 = 7;
const LAPSED: u32 = 8;
const STRICT: u32 = 9;
const LEDGER: u32 = 10;
const SHUT: u32 = 12;
const GRE: u8 = 47;
const APPS: [App; 12] = [
    (WEB, 10, &[(Packet::TCP, 443), (Packet::ICMP, 0), (Packet::ICMPV6, 0)], &[]),
    (VAULT, 11, &[(Packet::TCP, 22)], &[]),
    (3, 12, &[(Packet::SCTP, 2905)], &[]),
    (4, 13, &[(GRE, 0)], &[]),
    (
        PHONE,
        14,
        &[],
        &[(Packet::UDP, 5060), (Packet::TCP, 7000), (Packet::SCTP, 2905), (Packet::ICMP, 0), (Packet::ICMPV6, 0)],
    ),
    (PAGER, 15, &[], &[(Packet::TCP, 7000)]),
    (BAIT, 16, &[(Packet::TCP, 23)], &[]),
    (LAPSED, 17, &[(Packet::TCP, 443)], &[]),
    (STRICT, 18, &[(Packet::TCP, 443)], &[]),
    (LEDGER, 19, &[(Packet::TCP, 443)], &[]),
    (11, 20, &[(Packet::UDP, 0)], &[]),
    (SHUT, 21, &[(Packet::TCP, 443)], &[(Packet::TCP, 7000)]),
];

/// The tables of apps and grants, which no case changes.
pub fn apps() -> Vec<Step> {
    let mut steps = Vec::new();
    for set in [1, 2] {
        // The second set is the first without `web`.
        for (app, last, reached, opens) in APPS.iter().filter(|(app, ..)| set == 1 || *app != WEB) {
            let block = set * 100 + app;
            let sides = [(AppKey::SERVICE, reached), (AppKey::OPENS, opens)];
            for (side, (protocol, port)) in
                sides.iter().flat_map(|(side, ports)| ports.iter().map(|port| (*side, *port)))
            {
                let key = AppKey { block, port: port.to_be_bytes(), protocol, side };
                steps.push(Step::PutApp(key, AppEntry::new(*app, *app == BAIT)));
            }
            // fd20::10 is written as people count, so its last byte is 0x10.
            let prefixes = [format!("10.20.0.{last}/32"), format!("fd20::{last}/128")];
            let prefixes = prefixes.iter().map(|prefix| prefix.parse::<IpNet>().unwrap());
            steps.extend(prefixes.map(|prefix| Step::PutAppPrefix(AppSetId(set), prefix, BlockId(block))));
        }
    }
    for (list, without) in [(ALL, 0), (ALL_BUT_WEB, WEB), (ALL_BUT_PHONE, PHONE)] {
        for (app, ..) in APPS.iter().filter(|(app, ..)| ![without, VAULT, PAGER, BAIT].contains(app)) {
            let grant = match *app {
                LAPSED => Grant { deadline: LONG_AGO.0, ..Grant::UNLIMITED },
                STRICT => Grant { max_authentication_age: 1_000, ..Grant::UNLIMITED },
                LEDGER => Grant { budget: 100, ..Grant::UNLIMITED },
                SHUT => Grant::REFUSAL,
                _ => Grant::UNLIMITED,
            };
            steps.push(Step::PutGrant(GrantKey { allow_list: list.0, app: *app }, grant));
        }
    }
    steps
}

/// The gateway's own addresses and services.
pub fn services() -> BTreeMap<ServiceKey, u32> {
    let mut services = BTreeMap::new();
    for own in ["10.77.0.1", "fd77::1", "10.20.0.1", "fd20::1", "fe80::1"] {
        let address = Address::from(own.parse::<IpAddr>().unwrap());
        services.insert(ServiceKey::own(address), ServiceKey::OWN_ADDRESS);
        if own.contains("77") {
            services.insert(ServiceKey::new(address, Packet::TCP, 443), ServiceKey::OPEN);
            services.insert(ServiceKey::new(address, Packet::TCP, 22), ServiceKey::MANAGEMENT);
        }
    }
    services
}

/// From where the management services can be reached.
pub fn management() -> Vec<IpNet> {
    vec!["10.77.9.0/24".parse().unwrap()]
}

/// The interface in a world.
pub fn guarded(world: World, name: &str, index: u32, mode: XdpChoice) -> GuardedInterface {
    let vlan = |outer, inner, zone: u32| GuardedVlan { vlan: Vlan { outer, inner }, zone, zone_name: zone.to_string() };
    GuardedInterface {
        name: name.to_owned(),
        index,
        zone: ZONE,
        zone_name: ZONE.to_string(),
        has_link_layer: true,
        mode,
        settings: world.settings(),
        vlans: if world == World::Vlans { vec![vlan(0, 5, ZONE_OF_5), vlan(7, 9, ZONE_OF_7_9)] } else { Vec::new() },
    }
}

/// The sessions of a case.
pub struct Cast {
    interface: u32,
    last: u64,
    sessions: BTreeMap<Who, (SessionToken, SessionEntry)>,
}

impl Cast {
    /// Nobody yet, on this interface.
    pub fn new(interface: u32) -> Self {
        Self { interface, last: 0, sessions: BTreeMap::new() }
    }

    /// The steps after which a case can begin: whoever was there is gone, and everybody is there anew.
    pub fn enter(&mut self) -> Vec<Step> {
        let mut steps = self.end(&SESSIONS.map(|(who, ..)| who));
        for (who, ..) in SESSIONS {
            steps.push(self.open(who, ALL, SessionLimits::default()));
        }
        steps
    }

    /// The steps of an act that is about sessions.
    pub fn act(&mut self, act: Act) -> Vec<Step> {
        const ALICE: [Who; 2] = [Who::Alice, Who::Alice6];
        match act {
            Act::Revoke(who) => self.end(who),
            Act::Expire => self.update(|entry| entry.deadline = LONG_AGO),
            Act::Judge(list) => self.update(|entry| entry.allow_list = list),
            Act::RemoveWeb => self.update(|entry| entry.app_set = AppSetId(2)),
            Act::Replace(list) => {
                let mut steps = self.end(&ALICE);
                steps.extend(ALICE.map(|who| self.open(who, list, SessionLimits::default())));
                steps
            }
            Act::Limit(limits) => {
                let mut steps = self.end(&ALICE);
                steps.extend(ALICE.map(|who| self.open(who, ALL, limits)));
                steps
            }
            Act::LimitServices(_) | Act::ForgetInterface => Vec::new(),
        }
    }

    fn end(&mut self, who: &[Who]) -> Vec<Step> {
        who.iter().filter_map(|who| self.sessions.remove(who)).map(|(token, _)| Step::EndSession(token)).collect()
    }

    fn open(&mut self, who: Who, allow_list: AllowListId, limits: SessionLimits) -> Step {
        let (_, address, zone, is_here) = SESSIONS[who as usize];
        let entry = SessionEntry {
            address: address.parse().unwrap(),
            zone,
            interface: if is_here { self.interface } else { ELSEWHERE },
            mac: Some(if matches!(who, Who::Bob | Who::Bob6) { BOB_MAC } else { CLIENT_MAC }),
            deadline: clock::boot().after(3_600 * SECOND),
            authenticated_at: LONG_AGO,
            app_set: AppSetId(1),
            allow_list,
            limits,
        };
        self.last += 1;
        let scans = limits.destinations_per_second != 0 && who == Who::Alice6;
        let token = if scans { SCANNER } else { SessionToken(self.last) };
        self.sessions.insert(who, (token, entry.clone()));
        Step::OpenSession(token, entry)
    }

    fn update(&mut self, change: impl Fn(&mut SessionEntry)) -> Vec<Step> {
        let mut steps = Vec::new();
        for who in [Who::Alice, Who::Alice6] {
            if let Some((token, entry)) = self.sessions.get_mut(&who) {
                change(entry);
                steps.push(Step::UpdateSession(*token, entry.clone()));
            }
        }
        steps
    }
}

/// What the programs are told as a whole.
pub fn settings(services_per_second: u64) -> PlaneSettings {
    PlaneSettings {
        events_per_window: 1_000_000,
        answers_per_window: 0,
        service_interval: SECOND.checked_div(services_per_second).unwrap_or(0),
        quarantine: QUARANTINE,
        lease: u64::MAX,
        records: true,
    }
}
