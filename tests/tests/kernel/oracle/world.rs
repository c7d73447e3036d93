//! Random worlds: interfaces, tables, and changes to them.

use super::build::CLIENT_MAC;
use super::dice::Dice;
use super::link::Guard;
use super::tables::{Oracle, SECOND, Service};
use gateway_common::KernelNanos;
use gateway_common::abi::{AppEntry, AppKey, Grant, GrantKey};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{AllowListId, AppSetId, BlockId, SessionLimits, SessionToken, Step};
use std::net::IpAddr;

/// Where the clock comes from: it is set before each packet, or it runs by itself, and nothing may hang on an instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Set,
    Running,
}

/// Where a client may be.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub zone: u32,
    pub interface: u32,
    /// Number in the 802.1ad tag and in the 802.1Q tag, 0 where there is none.
    pub vlan: (u16, u16),
    pub address: &'static str,
}

const fn place(zone: u32, interface: u32, vlan: (u16, u16), address: &'static str) -> Place {
    Place { zone, interface, vlan, address }
}

pub const PLACES: [Place; 14] = [
    place(1, 1, (0, 0), "10.77.0.2"),
    place(1, 1, (0, 0), "10.77.0.3"),
    place(1, 1, (0, 0), "fd77::2"),
    place(1, 1, (0, 0), "fd77::3"),
    place(1, 1, (0, 0), "10.77.9.5"),
    place(3, 1, (0, 5), "10.77.0.2"),
    place(3, 1, (0, 5), "fd79::2"),
    place(4, 1, (100, 7), "10.77.0.2"),
    place(1, 2, (0, 0), "10.77.0.4"),
    place(2, 3, (0, 0), "10.77.0.2"),
    place(2, 3, (0, 0), "fd77::2"),
    place(1, 3, (0, 5), "fd77::4"),
    place(2, 4, (0, 0), "10.78.0.2"),
    place(2, 4, (0, 0), "fd78::2"),
];

/// Addresses of the gateway.
pub const OWN: [&str; 5] = ["10.77.0.1", "fd77::1", "fe80::1", "10.77.0.6", "fd77::6"];
/// Services of the gateway: protocol, port, and whether everybody may reach it.
pub const SERVICES: [(u8, u16, bool); 5] =
    [(6, 443, true), (6, 22, false), (17, 53, true), (1, 0, true), (58, 0, true)];
const PREFIXES: [&str; 13] = [
    "0.0.0.0/0",
    "10.20.0.10/32",
    "10.20.0.11/32",
    "10.20.0.0/24",
    "10.20.0.0/16",
    "10.0.0.0/8",
    "10.77.0.0/24",
    "fd20::10/128",
    "fd20::/64",
    "fd20::/32",
    "fd20::/121",
    "fd77::/64",
    "::/0",
];
/// What the daemon marks its resets with.
pub const RESET_MARK: u32 = 0x5e5e;
const PORTS: [u16; 4] = [0, 22, 53, 443];
/// Ports of clients.
pub const CLIENT_PORTS: [u16; 4] = [40_000, 40_001, 40_002, 443];
const PROTOCOLS: [u8; 9] = [6, 6, 6, 17, 17, 132, 1, 58, 47];
const APPS: usize = 6;

/// A world's tables as plans see them, to draw changes from.
pub struct World {
    pub dice: Dice,
    clock: Clock,
    sessions: Vec<(SessionToken, SessionEntry)>,
    /// Where clients may be in this world.
    pub places: Vec<Place>,
    /// Every how manieth session has limits.
    limited: u64,
}

impl World {
    /// The world of a seed, with clients on these interfaces.
    pub fn new(seed: u64, interfaces: &[u32], clock: Clock) -> Self {
        let mut dice = Dice(seed);
        let limited = dice.pick(&[1, 2, 4, 1000]);
        let places = PLACES.into_iter().filter(|place| interfaces.contains(&place.interface)).collect();
        Self { dice, clock, sessions: Vec::new(), places, limited }
    }

    /// Tables without plans, for the oracle: interfaces with random settings, and the gateway's own services.
    pub fn oracle(&mut self) -> Oracle {
        let mut guards: Vec<Guard> = Vec::new();
        for Place { zone, interface, vlan, .. } in self.places.clone() {
            if !guards.iter().any(|guard| guard.index == interface) {
                let mut flag = |n: u64| !self.dice.one_in(n);
                guards.push(Guard {
                    index: interface,
                    zone,
                    has_link: interface != 4,
                    rejects: flag(2),
                    observes: !flag(8),
                    tracks_fragments: flag(4),
                    admits_options: flag(3),
                    admits_extensions: flag(3),
                    ..Guard::default()
                });
            }
            if let Some(guard) = guards.iter_mut().find(|guard| guard.index == interface)
                && vlan != (0, 0)
            {
                guard.vlans.insert(vlan, zone);
            }
        }
        let own = OWN.map(|own| own.parse().unwrap());
        let services = own.iter().flat_map(|address| {
            SERVICES.map(|(protocol, port, is_open)| Service { address: *address, protocol, port, is_open })
        });
        let service_rate = self.dice.pick(&[0, 1, 3, 200]);
        Oracle {
            guards,
            services: services.collect(),
            own: own.to_vec(),
            management: vec!["10.77.9.0/24".parse().unwrap(), "fd77::3/128".parse().unwrap()],
            service_interval: SECOND.checked_div(service_rate).unwrap_or(0),
            reset_mark: self.dice.pick(&[0, RESET_MARK, RESET_MARK]),
            lease_until: u64::MAX,
            quarantine: self.dice.pick(&[1, 30, 1_000]) * SECOND,
            most_flows: if self.dice.one_in(4) { 12 } else { 200 },
            most_accounts: if self.dice.one_in(3) { 3 } else { 50 },
            ..Oracle::default()
        }
    }

    /// The steps that fill empty tables.
    pub fn begin(&mut self, now: KernelNanos) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..160 {
            steps.push(self.app());
        }
        for _ in 0..22 {
            steps.push(self.prefix());
        }
        for _ in 0..20 {
            steps.push(self.grant(now));
        }
        for place in self.places.clone() {
            if !self.dice.one_in(8) {
                steps.push(self.open(place, now));
            }
        }
        steps
    }

    /// A change.
    pub fn change(&mut self, now: KernelNanos) -> Vec<Step> {
        match self.dice.below(20) {
            0 | 1 => vec![self.app()],
            2 => vec![self.prefix()],
            3 | 4 => vec![self.grant(now)],
            5 => vec![match self.app() {
                Step::PutApp(key, _) => Step::RemoveApp(key),
                step => step,
            }],
            6 => vec![match self.prefix() {
                Step::PutAppPrefix(set, prefix, _) => Step::RemoveAppPrefix(set, prefix),
                step => step,
            }],
            7 => vec![match self.grant(now) {
                Step::PutGrant(key, _) => Step::RemoveGrant(key),
                step => step,
            }],
            8 if !self.sessions.is_empty() => {
                let at = self.dice.below(self.sessions.len());
                vec![Step::EndSession(self.sessions.swap_remove(at).0)]
            }
            9..=15 => self.login(now),
            _ => self.update(now).into_iter().collect(),
        }
    }

    fn login(&mut self, now: KernelNanos) -> Vec<Step> {
        let place = self.dice.pick(&self.places);
        let address: IpAddr = place.address.parse().unwrap();
        let mut steps = Vec::new();
        if let Some(at) =
            self.sessions.iter().position(|(_, entry)| (entry.zone, entry.address) == (place.zone, address))
        {
            steps.push(Step::EndSession(self.sessions.swap_remove(at).0));
        }
        steps.push(self.open(place, now));
        steps
    }

    fn open(&mut self, place: Place, now: KernelNanos) -> Step {
        let mut entry = SessionEntry {
            address: place.address.parse().unwrap(),
            zone: place.zone,
            interface: if self.dice.one_in(16) { 2 } else { place.interface },
            mac: (!self.dice.one_in(3)).then_some(CLIENT_MAC),
            deadline: now,
            authenticated_at: now,
            app_set: AppSetId(1),
            allow_list: AllowListId(1),
            limits: self.limits(),
        };
        self.judge_anew(&mut entry, now);
        let token = SessionToken(self.dice.next() | 1);
        self.sessions.push((token, entry.clone()));
        Step::OpenSession(token, entry)
    }

    fn update(&mut self, now: KernelNanos) -> Option<Step> {
        if self.sessions.is_empty() {
            return None;
        }
        let at = self.dice.below(self.sessions.len());
        let (token, mut entry) = self.sessions[at].clone();
        self.judge_anew(&mut entry, now);
        if self.dice.one_in(4) {
            entry.limits = self.limits();
        }
        self.sessions[at].1 = entry.clone();
        Some(Step::UpdateSession(token, entry))
    }

    fn judge_anew(&mut self, entry: &mut SessionEntry, now: KernelNanos) {
        let is_near = self.clock == Clock::Set;
        if self.dice.one_in(2) {
            entry.app_set = AppSetId(1 + self.dice.below(3) as u32 / 2);
            entry.allow_list = AllowListId(1 + self.dice.below(4) as u32 / 2);
        }
        let ahead = if is_near { self.dice.pick(&[20, 300, 20_000, 20_000, 20_000, 20_000, 20_000]) } else { 36_000 };
        entry.deadline = now.after(ahead * SECOND);
        if self.dice.one_in(24) {
            entry.deadline = KernelNanos(1);
        }
        if self.dice.one_in(2) {
            entry.authenticated_at = now;
        }
    }

    fn limits(&mut self) -> SessionLimits {
        if !self.dice.one_in(self.limited) {
            return SessionLimits::default();
        }
        SessionLimits {
            new_flows_per_second: self.dice.pick(&[0, 0, 1, 3, 7, 50]),
            destinations_per_second: self.dice.pick(&[0, 0, 0, 1, 2, 5, 64]),
            bytes_per_second: self.dice.pick(&[0, 0, 1, 300, 1_000, 7_777, 100_000, 12_500_000_000]),
        }
    }

    fn app(&mut self) -> Step {
        let protocol = self.dice.pick(&PROTOCOLS);
        let side = if self.dice.one_in(3) { AppKey::OPENS } else { AppKey::SERVICE };
        let port = match (protocol, side) {
            (1 | 58 | 47, _) => 0,
            (_, AppKey::OPENS) => self.dice.pick(&[0, 40_000, 40_001, 443]),
            _ => self.dice.pick(&PORTS),
        };
        let key = AppKey { block: 1 + self.dice.below(8) as u32, port: port.to_be_bytes(), protocol, side };
        let is_trip_wire = self.dice.one_in(14);
        let entry = AppEntry::new(1 + self.dice.below(APPS) as u32, is_trip_wire);
        Step::PutApp(key, entry.outlasting(self.dice.one_in(3)))
    }

    fn prefix(&mut self) -> Step {
        // In the kernel `::/0` holds the mapped addresses of IPv4 too, which the compiler of policies provides for.
        let known = if self.clock == Clock::Set { &PREFIXES[..] } else { &PREFIXES[..PREFIXES.len() - 1] };
        let prefix = self.dice.pick(known).parse().unwrap();
        Step::PutAppPrefix(AppSetId(1 + self.dice.below(2) as u32), prefix, BlockId(1 + self.dice.below(8) as u32))
    }

    fn grant(&mut self, now: KernelNanos) -> Step {
        let key = GrantKey { allow_list: 1 + self.dice.below(2) as u32, app: 1 + self.dice.below(APPS) as u32 };
        let mut grant = Grant::UNLIMITED;
        if self.dice.one_in(8) {
            let ahead = if self.clock == Clock::Set { self.dice.pick(&[10, 60, 1_000]) } else { 36_000 };
            grant.deadline = now.after(ahead * SECOND).0;
        } else if self.dice.one_in(16) {
            grant.deadline = 1;
        }
        if self.dice.one_in(6) {
            let ages = if self.clock == Clock::Set { [5, 60, 600] } else { [0, 36_000, 36_000] };
            grant.max_authentication_age = self.dice.pick(&ages) * SECOND;
        }
        if self.dice.one_in(10) {
            return Step::PutGrant(key, Grant::REFUSAL);
        }
        // Every third app has a budget in one list or both.
        if (key.app + key.allow_list).is_multiple_of(3) {
            grant.budget = self.dice.pick(&[0, 100, 1_000, 20_000, 1_000_000]);
        }
        Step::PutGrant(key, grant)
    }
}
