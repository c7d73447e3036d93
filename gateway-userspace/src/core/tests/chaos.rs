//! A data plane that fails, dies and dawdles, and remembers all that it ever let through.

use super::*;
use gateway_common::abi::{AppKey, Session};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

/// What becomes of a plan, or of a look at the tables.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// All of it, late.
    Late,
    /// This part of its steps is taken, in 255ths, and then one fails.
    Fails(u8),
    /// The same, and the daemon with it.
    Dies(u8),
    /// All of it is taken, and once more.
    Twice,
    /// The tables cannot be read.
    Unread,
}

/// How long after a session began a late plan may be through.
const LATE: u64 = 20 * 60 * 1_000_000_000;

/// Who reaches what, until when and up to which budget.
pub type Permitted = BTreeMap<(SessionToken, IpAddr, &'static str), (u64, u64)>;

const DESTINATIONS: [&str; 7] = ["10.1.0.1", "10.1.1.1", "10.2.0.1", "10.3.0.1", "10.4.0.1", "10.9.0.1", "192.0.2.1"];

pub fn permitted(tables: &TableSet) -> Permitted {
    let mut all = Permitted::new();
    for (token, session) in &tables.sessions {
        for to in DESTINATIONS {
            all.extend(grant(tables, session, to).map(|most| ((*token, session.address, to), most)));
        }
    }
    all
}

fn grant(tables: &TableSet, session: &SessionEntry, to: &str) -> Option<(u64, u64)> {
    let to: IpAddr = to.parse().unwrap();
    let own = tables.app_prefixes.iter().filter(|((set, net), _)| *set == session.app_set && net.contains(&to));
    let (_, block) = own.max_by_key(|((_, net), _)| net.prefix_len())?;
    let key = AppKey { block: block.0, port: 443_u16.to_be_bytes(), protocol: 6, side: AppKey::SERVICE };
    let app = tables.apps.get(&key)?.app();
    let grant = tables.grants.get(&GrantKey { allow_list: session.allow_list.0, app })?;
    let fresh = session.authenticated_at.after(grant.max_authentication_age);
    Some((session.deadline.0.min(grant.deadline).min(fresh.0), grant.budget))
}

/// What is permitted beyond what one of these states permits.
pub fn beyond<'p>(permitted: &'p Permitted, lawful: &[Permitted]) -> Option<&'p (SessionToken, IpAddr, &'static str)> {
    let covers = |key, (until, budget): &(u64, u64)| {
        lawful.iter().filter_map(|state| state.get(key)).any(|most| most.0 >= *until && most.1 >= *budget)
    };
    permitted.iter().find(|(key, most)| !covers(*key, most)).map(|(key, _)| key)
}

/// What the test and the core share of it.
#[derive(Clone)]
pub struct Chaos(pub Arc<Mutex<Inside>>);

pub struct Inside {
    pub plane: MemoryDataPlane,
    pub fates: VecDeque<Fate>,
    pub is_dead: bool,
    /// What was let through after each step since this was last cleared.
    pub seen: Vec<Permitted>,
    /// How many steps were taken.
    pub steps: usize,
    /// Their end was acknowledged.
    pub revoked: BTreeSet<SessionToken>,
    /// Those of them that were found alive.
    pub risen: BTreeSet<SessionToken>,
}

impl Chaos {
    pub fn new(capacities: Capacities, now: KernelNanos) -> Self {
        let mut plane = MemoryDataPlane::new(capacities);
        plane.clock = now;
        let (fates, seen, revoked, risen) = Default::default();
        Self(Arc::new(Mutex::new(Inside { plane, fates, is_dead: false, seen, steps: 0, revoked, risen })))
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    pub fn tables(&self) -> TableSet {
        self.with(|inside| inside.plane.tables.clone())
    }
}

impl Inside {
    fn take(&mut self, steps: &[Step]) -> Result<Vec<EndedSession>, DataPlaneError> {
        let mut ended = Vec::new();
        for step in steps {
            self.has_room(step)?;
            ended.extend(self.plane.apply(&Plan { steps: vec![step.clone()] })?);
            self.steps += 1;
            self.look();
        }
        Ok(ended)
    }

    /// As much room as the kernel's tables have.
    fn has_room(&self, step: &Step) -> Result<(), DataPlaneError> {
        let (room, mut then) = (self.plane.capacities(), self.plane.tables.clone());
        then.apply(step);
        let tables = [
            ("sessions", then.sessions.len(), room.sessions),
            ("app_prefixes", then.app_prefixes.len(), room.app_prefixes * 2),
            ("app_ports", then.apps.len(), room.app_ports * 2),
            ("grants", then.grants.len(), room.grants * 2),
        ];
        match tables.into_iter().find(|(_, needed, room)| needed > room) {
            Some((table, _, capacity)) => Err(DataPlaneError::Full { table, capacity }),
            None => Ok(()),
        }
    }

    pub fn look(&mut self) {
        let tables = &self.plane.tables;
        self.seen.push(permitted(tables));
        let is_live = |token: &&SessionToken| {
            let slot = self.plane.session_slot(**token).map(|slot| slot.state.load());
            slot == Some(Session::LIVE) || tables.sessions.contains_key(token)
        };
        self.risen.extend(self.revoked.iter().filter(is_live));
    }
}

/// What a kernel might say.
fn refused() -> DataPlaneError {
    DataPlaneError::Table { table: "apps", source: aya::maps::MapError::KeyNotFound }
}

fn part(steps: &[Step], part: u8) -> &[Step] {
    &steps[..steps.len() * usize::from(part) / usize::from(u8::MAX)]
}

impl DataPlane for Chaos {
    fn apply(&mut self, plan: &Plan) -> Result<Vec<EndedSession>, DataPlaneError> {
        self.with(|inside| {
            if inside.is_dead {
                return Err(refused());
            }
            let fate = if plan.is_empty() { None } else { inside.fates.pop_front() };
            match fate {
                None | Some(Fate::Unread) => inside.take(&plan.steps),
                Some(Fate::Late) => {
                    inside.plane.clock = inside.plane.clock.after(LATE);
                    inside.take(&plan.steps)
                }
                Some(Fate::Twice) => {
                    let ended = inside.take(&plan.steps)?;
                    inside.take(&plan.steps).map(|_| ended)
                }
                Some(Fate::Fails(most)) => {
                    inside.take(part(&plan.steps, most))?;
                    Err(refused())
                }
                Some(Fate::Dies(most)) => {
                    inside.take(part(&plan.steps, most))?;
                    inside.is_dead = true;
                    Err(refused())
                }
            }
        })
    }

    fn actual(&self) -> Result<TableSet, DataPlaneError> {
        self.with(|inside| {
            let is_unread = inside.fates.pop_front_if(|fate| matches!(fate, Fate::Unread)).is_some();
            if is_unread || inside.is_dead { Err(refused()) } else { inside.plane.actual() }
        })
    }

    fn capacities(&self) -> Capacities {
        self.with(|inside| inside.plane.capacities())
    }

    fn now(&self) -> KernelNanos {
        self.with(|inside| inside.plane.now())
    }

    fn forget_flows(&mut self, flows: &[FlowKey]) {
        self.with(|inside| inside.plane.forget_flows(flows));
    }

    fn reset_flows(&mut self, flows: &[(FlowKey, FlowCopy)]) {
        self.with(|inside| inside.plane.reset_flows(flows));
    }

    fn rest(&mut self) {
        self.with(|inside| inside.plane.rest());
    }

    fn sweep(&mut self) {
        self.with(|inside| inside.plane.sweep());
    }

    fn session(&self, token: SessionToken) -> Seen {
        self.with(|inside| inside.plane.session(token))
    }

    fn mend(&mut self, token: SessionToken, entry: &SessionEntry) -> Result<(), DataPlaneError> {
        self.with(|inside| {
            let mended = inside.plane.mend(token, entry);
            inside.look();
            mended
        })
    }

    fn expel_strangers(&mut self, from: u32, most: usize) -> (usize, Option<u32>) {
        self.with(|inside| inside.plane.expel_strangers(from, most))
    }

    fn grant(&self, key: &GrantKey) -> Option<Grant> {
        self.with(|inside| inside.plane.grant(key))
    }

    fn grants_from(&self, from: u32, most: usize) -> (Vec<GrantKey>, Option<u32>) {
        self.with(|inside| inside.plane.grants_from(from, most))
    }

    fn rules(&self) -> Result<TableSet, DataPlaneError> {
        self.with(|inside| inside.plane.rules())
    }

    fn forget_all_flows(&mut self) {
        self.with(|inside| inside.plane.forget_all_flows());
    }

    fn renew_lease(&mut self) -> usize {
        self.with(|inside| inside.plane.renew_lease())
    }

    fn revoked_in_kernel(&self) -> Vec<SessionToken> {
        self.with(|inside| inside.plane.revoked_in_kernel())
    }
}
