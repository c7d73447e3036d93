//! The world as plain lists, and the tables that follow from them.

use crate::bytes::Bytes;
use gateway_common::abi::{AppEntry, AppKey, Grant, GrantKey, Interface, ServiceKey, Settings, Vlan, VlanKey};
use gateway_common::{Address, KernelNanos};
use gateway_userspace::dataplane::{DataPlane as _, MemoryDataPlane};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{AllowListId, AppSetId, BlockId, Capacities, Plan, SessionLimits, SessionToken, Step};
use std::net::IpAddr;

pub const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_000 * SECOND;
/// How long a session that scans is held.
pub const QUARANTINE: u64 = 30 * SECOND;
/// By which the daemon's own resets are known.
pub const RESET_MARK: u32 = 0x5eed;
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Which way a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Way {
    In,
    Out,
}

/// A guarded interface. The VLANs are numbers of the two tags, and the zone.
pub struct Guard {
    pub index: u32,
    pub zone: u32,
    pub flags: u32,
    pub vlans: &'static [(u16, u16, u32)],
}

const LINK: u32 = Interface::LINK_LAYER;
const ALL: u32 = Interface::TRACK_FRAGMENTS | Interface::ADMIT_OPTIONS | Interface::ADMIT_EXTENSIONS;

/// Numbers 0 and 7 are not configured.
pub const GUARDS: [Guard; 6] = [
    Guard { index: 1, zone: 1, flags: LINK, vlans: &[(0, 5, 3), (100, 7, 4)] },
    Guard { index: 2, zone: 1, flags: LINK | Interface::REJECT | ALL, vlans: &[] },
    Guard { index: 3, zone: 2, flags: LINK | Interface::REJECT | ALL, vlans: &[(0, 5, 1)] },
    Guard { index: 4, zone: 2, flags: Interface::REJECT | ALL, vlans: &[] },
    Guard { index: 5, zone: 5, flags: LINK | Interface::OBSERVE | Interface::TRACK_FRAGMENTS, vlans: &[] },
    Guard { index: 6, zone: 6, flags: 0, vlans: &[] },
];

/// A place where a client is: zone, interface, address, and whether the session is bound to [`CLIENT_MAC`].
pub const PLACES: [(u32, u32, &str, bool); 12] = [
    (1, 1, "10.77.0.2", true),
    (1, 1, "fd77::2", true),
    (3, 1, "10.77.0.2", false),
    (4, 1, "fd77::2", true),
    (1, 2, "10.77.0.4", false),
    (1, 2, "fd77::4", true),
    (2, 3, "10.77.0.2", true),
    (2, 3, "fd77::2", false),
    (1, 3, "fd77::6", false),
    (2, 4, "10.78.0.2", false),
    (2, 4, "fd78::2", false),
    (5, 5, "10.77.0.2", false),
];

/// What a session may do in a second, in the order of [`PLACES`], again and again.
const LIMITS: [SessionLimits; 4] = [
    SessionLimits { new_flows_per_second: 0, destinations_per_second: 0, bytes_per_second: 0 },
    SessionLimits { new_flows_per_second: 3, destinations_per_second: 0, bytes_per_second: 2_000 },
    SessionLimits { new_flows_per_second: 0, destinations_per_second: 3, bytes_per_second: 0 },
    SessionLimits { new_flows_per_second: 0, destinations_per_second: 0, bytes_per_second: 100_000 },
];

/// What stands at a port of a prefix; port 0 is any. Protocols without ports have port 0.
pub struct Rule {
    pub set: u32,
    pub prefix: &'static str,
    pub protocol: u8,
    pub port: u16,
    pub is_opens: bool,
    pub app: u32,
    pub is_trap: bool,
}

const fn rule(set: u32, prefix: &'static str, protocol: u8, port: u16, app: u32) -> Rule {
    Rule { set, prefix, protocol, port, is_opens: false, app, is_trap: false }
}

const fn opens(set: u32, prefix: &'static str, protocol: u8, port: u16, app: u32) -> Rule {
    Rule { is_opens: true, ..rule(set, prefix, protocol, port, app) }
}

const fn trap(set: u32, prefix: &'static str, protocol: u8, port: u16, app: u32) -> Rule {
    Rule { is_trap: true, ..rule(set, prefix, protocol, port, app) }
}

pub const WEB: u32 = 1;
pub const FILES: u32 = 2;
pub const VAULT: u32 = 3;
pub const PHONE: u32 = 4;
pub const METERED: u32 = 5;
const TRAP: u32 = 6;

pub const RULES: [Rule; 28] = [
    rule(1, "10.20.0.10/32", 6, 443, WEB),
    rule(1, "10.20.0.10/32", 1, 0, WEB),
    rule(1, "10.20.0.10/32", 17, 0, FILES),
    opens(1, "10.20.0.10/32", 6, 40_001, WEB),
    opens(1, "10.20.0.10/32", 17, 0, WEB),
    opens(1, "10.20.0.10/32", 1, 0, WEB),
    rule(1, "10.20.0.11/32", 6, 22, VAULT),
    trap(1, "10.20.0.12/32", 6, 0, TRAP),
    rule(1, "10.20.0.0/24", 17, 0, FILES),
    rule(1, "10.20.0.0/24", 132, 0, PHONE),
    opens(1, "10.20.0.0/24", 132, 0, PHONE),
    rule(1, "10.20.0.0/24", 47, 0, PHONE),
    opens(1, "10.20.0.0/24", 47, 0, PHONE),
    rule(1, "10.21.0.0/16", 6, 0, METERED),
    rule(1, "fd20::10/128", 6, 443, WEB),
    rule(1, "fd20::10/128", 58, 0, WEB),
    opens(1, "fd20::10/128", 58, 0, WEB),
    opens(1, "fd20::10/128", 6, 0, WEB),
    rule(1, "fd20::/64", 17, 0, FILES),
    rule(1, "fd20::/64", 132, 0, PHONE),
    rule(1, "fd21::/64", 6, 0, METERED),
    opens(1, "fd21::/64", 17, 514, METERED),
    // What the gateway has itself is never an app, whatever the tables say.
    rule(1, "10.77.0.0/24", 6, 0, WEB),
    opens(1, "fd77::/64", 17, 0, WEB),
    rule(2, "10.20.0.0/16", 6, 443, METERED),
    rule(2, "10.20.0.0/16", 1, 0, WEB),
    rule(2, "fd20::/32", 6, 443, FILES),
    rule(2, "fd20::/32", 58, 0, WEB),
];

/// A grant: list, app, end, age of the login and bytes, the first two in seconds; 0 for none.
pub const GRANTS: [(u32, u32, u64, u64, u64); 10] = [
    (1, WEB, 0, 0, 0),
    (1, FILES, 0, 0, 0),
    (1, PHONE, 0, 0, 0),
    (1, METERED, 0, 0, 3_000),
    // Nobody grants a trip-wire; if somebody did, it would stay one.
    (1, TRAP, 0, 0, 0),
    (2, WEB, 1_100, 0, 0),
    (2, FILES, 0, 60, 0),
    (2, METERED, 0, 0, 3_000),
    (2, VAULT, 0, 0, 0),
    (2, PHONE, 1_000, 0, 0),
];

/// A refusal, which is no grant: list and app.
pub const REFUSAL: (u32, u32) = (1, VAULT);

/// Addresses of the gateway.
pub const OWN: [&str; 3] = ["10.77.0.1", "fd77::1", "fe80::1"];
/// Its services at all of them: protocol, port, and whether everybody may reach it.
pub const SERVICES: [(u8, u16, bool); 4] = [(6, 443, true), (6, 22, false), (17, 53, true), (1, 0, true)];
pub const MANAGEMENT: [&str; 2] = ["10.77.9.0/24", "fd77::6/128"];

/// A session, as the plane knows it.
#[derive(Clone, Debug)]
pub struct Live {
    pub token: u64,
    pub entry: SessionEntry,
}

/// The tables, and the sessions that were opened and not ended.
pub struct World {
    pub plane: MemoryDataPlane,
    /// At most one for each of [`PLACES`].
    pub sessions: [Option<Live>; PLACES.len()],
    next: u64,
}

impl World {
    pub fn new() -> Self {
        let capacities = Capacities { flows: 24, budgets: 3, ..Capacities::default() };
        let mut plane = MemoryDataPlane::new(capacities);
        plane.clock = KernelNanos(START);
        plane.settings = Settings {
            reset_mark: RESET_MARK,
            service_interval: SECOND / 4,
            quarantine: QUARANTINE,
            ..Settings::default()
        };
        for guard in &GUARDS {
            let row = Interface { zone: guard.zone, slot: guard.index, flags: guard.flags, reserved: 0 };
            plane.interfaces.insert(guard.index, row);
            for (outer, inner, zone) in guard.vlans {
                let key = VlanKey { interface: guard.index, vlan: Vlan { outer: *outer, inner: *inner } };
                plane.vlans.insert(key, Interface { zone: *zone, ..row });
            }
        }
        for own in OWN.map(address) {
            let own = Address::from(own);
            plane.services.insert(ServiceKey::own(own), ServiceKey::OWN_ADDRESS);
            for (protocol, port, is_open) in SERVICES {
                let access = if is_open { ServiceKey::OPEN } else { ServiceKey::MANAGEMENT };
                plane.services.insert(ServiceKey::new(own, protocol, port), access);
            }
        }
        plane.management = MANAGEMENT.iter().map(|prefix| prefix.parse().unwrap()).collect();
        let mut world = Self { plane, sessions: [const { None }; PLACES.len()], next: 1 };
        world.apply(tables());
        for place in 0..PLACES.len() {
            world.open(place, 1, 1, 3_600);
        }
        world
    }

    pub fn now(&self) -> KernelNanos {
        self.plane.clock
    }

    /// Time passes.
    pub fn wait(&mut self, bytes: &mut Bytes<'_>) {
        const MILLI: u64 = SECOND / 1_000;
        let step = bytes.pick(&[
            1,
            MILLI,
            100 * MILLI,
            250 * MILLI,
            SECOND,
            5 * SECOND,
            10 * SECOND,
            60 * SECOND,
            100 * SECOND,
            300 * SECOND,
            7_440 * SECOND,
        ]);
        self.plane.clock = self.plane.clock.after(step);
    }

    /// Something is administered. Returns the token of the session that is over, if one is.
    pub fn change(&mut self, bytes: &mut Bytes<'_>) -> Option<u64> {
        let (what, place) = (bytes.byte() % 4, usize::from(bytes.byte()) % PLACES.len());
        let policy = bytes.byte();
        let (set, list) = (1 + u32::from(policy & 1), u32::from(policy >> 1) % 3);
        match what {
            0 => self.end(place),
            1 => {
                let before = self.end(place);
                self.open(place, set, list, bytes.pick(&[3_600, 10, 0]));
                before
            }
            _ => {
                let now = self.now();
                let Some(live) = &mut self.sessions[place] else { return None };
                live.entry.app_set = AppSetId(set);
                live.entry.allow_list = AllowListId(list);
                if what == 3 {
                    live.entry.authenticated_at = now;
                    live.entry.deadline = now.after(3_600 * SECOND);
                }
                let step = Step::UpdateSession(SessionToken(live.token), live.entry.clone());
                self.apply(vec![step]);
                None
            }
        }
    }

    fn end(&mut self, place: usize) -> Option<u64> {
        let live = self.sessions[place].take()?;
        self.apply(vec![Step::EndSession(SessionToken(live.token))]);
        Some(live.token)
    }

    fn open(&mut self, place: usize, set: u32, list: u32, seconds: u64) {
        let (zone, interface, at, is_bound) = PLACES[place];
        let (token, now) = (self.next, self.now());
        self.next += 1;
        let entry = SessionEntry {
            address: address(at),
            zone,
            interface,
            mac: is_bound.then_some(CLIENT_MAC),
            deadline: now.after(seconds * SECOND),
            authenticated_at: now,
            app_set: AppSetId(set),
            allow_list: AllowListId(list),
            limits: LIMITS[place % LIMITS.len()],
        };
        self.apply(vec![Step::OpenSession(SessionToken(token), entry.clone())]);
        self.sessions[place] = Some(Live { token, entry });
    }

    fn apply(&mut self, steps: Vec<Step>) {
        self.plane.apply(&Plan { steps }).unwrap();
    }
}

pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tables() -> Vec<Step> {
    let mut steps = Vec::new();
    for rule in &RULES {
        // The first rule of a prefix gives its block the number.
        let block = RULES.iter().position(|first| (first.set, first.prefix) == (rule.set, rule.prefix)).unwrap();
        let block = u32::try_from(block).unwrap() + 1;
        let side = if rule.is_opens { AppKey::OPENS } else { AppKey::SERVICE };
        let key = AppKey { block, port: rule.port.to_be_bytes(), protocol: rule.protocol, side };
        steps.push(Step::PutApp(key, AppEntry::new(rule.app, rule.is_trap)));
        steps.push(Step::PutAppPrefix(AppSetId(rule.set), rule.prefix.parse().unwrap(), BlockId(block)));
    }
    for (allow_list, app, deadline, age, budget) in GRANTS {
        let or_never = |value: u64, unit: u64| if value == 0 { u64::MAX } else { value * unit };
        let grant = Grant {
            deadline: or_never(deadline, SECOND),
            max_authentication_age: or_never(age, SECOND),
            budget: or_never(budget, 1),
        };
        steps.push(Step::PutGrant(GrantKey { allow_list, app }, grant));
    }
    let (allow_list, app) = REFUSAL;
    steps.push(Step::PutGrant(GrantKey { allow_list, app }, Grant::REFUSAL));
    steps
}
