//! Random worlds: tables, and changes to them.

use super::frames::CLIENT_MAC;
use gateway_common::KernelNanos;
use gateway_common::abi::{AppKey, Grant, GrantKey};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{AllowListId, AppId, AppSetId, BlockId, SessionToken, Step};
use std::net::IpAddr;

const SECOND: u64 = 1_000_000_000;

/// Random numbers that are quick without optimization, too (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// How the deadlines of a world lie: seconds around its clock, or hours where the clock runs by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Deadlines {
    Near,
    Far,
}

/// Where clients may be: zone, interface, address.
pub const SOURCES: [(u32, u32, &str); 10] = [
    (1, 1, "10.77.0.2"),
    (1, 1, "10.77.0.3"),
    (1, 1, "fd77::2"),
    (1, 1, "fd77::3"),
    (1, 2, "10.77.0.4"),
    (1, 1, "10.77.9.5"),
    (2, 3, "10.77.0.2"),
    (2, 3, "fd77::2"),
    (2, 4, "10.78.0.2"),
    (2, 4, "fd78::2"),
];
const PREFIXES: [&str; 11] = [
    "0.0.0.0/0",
    "10.20.0.10/32",
    "10.20.0.11/32",
    "10.20.0.0/24",
    "10.20.0.0/16",
    "10.0.0.0/8",
    "fd20::10/128",
    "fd20::/64",
    "fd20::/32",
    "fd20::/121",
    "::/0",
];
const PORTS: [u16; 4] = [0, 22, 53, 443];

/// A world's tables as plans see them, to draw changes from.
pub struct World {
    pub dice: Dice,
    deadlines: Deadlines,
    sessions: Vec<(SessionToken, SessionEntry)>,
    pub zones: u32,
}

impl World {
    /// The world of a seed, whose sessions lie in so many of the zones.
    pub fn new(seed: u64, zones: u32, deadlines: Deadlines) -> Self {
        Self { dice: Dice(seed), deadlines, sessions: Vec::new(), zones }
    }

    /// The steps that fill empty tables.
    pub fn begin(&mut self, now: KernelNanos) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..60 {
            steps.push(self.app());
        }
        for _ in 0..20 {
            steps.push(self.prefix());
        }
        for _ in 0..16 {
            steps.push(self.grant(now));
        }
        for (zone, interface, address) in SOURCES {
            if zone <= self.zones && !self.dice.one_in(8) {
                steps.push(self.open(zone, interface, address, now));
            }
        }
        steps
    }

    /// A change.
    pub fn change(&mut self, now: KernelNanos) -> Vec<Step> {
        match self.dice.below(16) {
            0 => vec![self.app()],
            1 => vec![self.prefix()],
            2 | 3 => vec![self.grant(now)],
            4 => vec![match self.app() {
                Step::PutApp(key, _) => Step::RemoveApp(key),
                step => step,
            }],
            5 => vec![match self.prefix() {
                Step::PutAppPrefix(set, prefix, _) => Step::RemoveAppPrefix(set, prefix),
                step => step,
            }],
            6 => vec![match self.grant(now) {
                Step::PutGrant(key, _) => Step::RemoveGrant(key),
                step => step,
            }],
            7 if !self.sessions.is_empty() => {
                let at = self.dice.below(self.sessions.len());
                vec![Step::EndSession(self.sessions.swap_remove(at).0)]
            }
            8..=12 => self.login(now),
            _ => self.update(now).into_iter().collect(),
        }
    }

    fn login(&mut self, now: KernelNanos) -> Vec<Step> {
        let (zone, interface, address) = self.dice.pick(&SOURCES);
        if zone > self.zones {
            return Vec::new();
        }
        let parsed: IpAddr = address.parse().unwrap();
        let mut steps = Vec::new();
        if let Some(at) = self.sessions.iter().position(|(_, entry)| (entry.zone, entry.address) == (zone, parsed)) {
            steps.push(Step::EndSession(self.sessions.swap_remove(at).0));
        }
        steps.push(self.open(zone, interface, address, now));
        steps
    }

    fn open(&mut self, zone: u32, interface: u32, address: &str, now: KernelNanos) -> Step {
        let mut entry = SessionEntry {
            address: address.parse().unwrap(),
            zone,
            interface: if self.dice.one_in(16) { 2 } else { interface },
            mac: (!self.dice.one_in(3)).then_some(CLIENT_MAC),
            deadline: now,
            authenticated_at: now,
            app_set: AppSetId(1),
            allow_list: AllowListId(1),
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
        self.sessions[at].1 = entry.clone();
        Some(Step::UpdateSession(token, entry))
    }

    fn judge_anew(&mut self, entry: &mut SessionEntry, now: KernelNanos) {
        let is_near = self.deadlines == Deadlines::Near;
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

    fn app(&mut self) -> Step {
        let protocol = self.dice.pick(&[6, 6, 17, 1, 58]);
        let port = if matches!(protocol, 1 | 58) { 0 } else { self.dice.pick(&PORTS) };
        let key = AppKey { block: 1 + self.dice.below(8) as u32, port: port.to_be_bytes(), protocol, reserved: 0 };
        Step::PutApp(key, AppId(1 + self.dice.below(6) as u32))
    }

    fn prefix(&mut self) -> Step {
        // Known: in the kernel `::/0` holds the mapped addresses of IPv4 too, which the compiler of policies provides for.
        let known = if self.deadlines == Deadlines::Near { &PREFIXES[..] } else { &PREFIXES[..PREFIXES.len() - 1] };
        let prefix = self.dice.pick(known).parse().unwrap();
        Step::PutAppPrefix(AppSetId(1 + self.dice.below(2) as u32), prefix, BlockId(1 + self.dice.below(8) as u32))
    }

    fn grant(&mut self, now: KernelNanos) -> Step {
        let key = GrantKey { allow_list: 1 + self.dice.below(2) as u32, app: 1 + self.dice.below(6) as u32 };
        let mut grant = Grant::UNLIMITED;
        if self.dice.one_in(8) {
            let ahead = if self.deadlines == Deadlines::Near { self.dice.pick(&[10, 60, 1_000]) } else { 36_000 };
            grant.deadline = now.after(ahead * SECOND).0;
        } else if self.dice.one_in(16) {
            grant.deadline = 1;
        }
        if self.dice.one_in(6) {
            let ages = if self.deadlines == Deadlines::Near { [5, 60, 600] } else { [0, 36_000, 36_000] };
            grant.max_authentication_age = self.dice.pick(&ages) * SECOND;
        }
        Step::PutGrant(key, grant)
    }
}
