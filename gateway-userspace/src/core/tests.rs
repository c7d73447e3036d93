//! The core with a store that fails: what gives access waits for the disk, what takes it away does not.

mod apply;
mod chaos;
mod histories;
mod moments;
mod provision;
mod service;
mod signal;

use super::{Actor, Core, CoreError, Login, Request, State, Who, start};
use crate::dataplane::{DataPlane, DataPlaneError, EndedSession, MemoryDataPlane, Seen};
use crate::identity::{Accounts, SecretHash};
use crate::policy::table::SessionEntry;
use crate::policy::{
    Capacities, EndCause, Factor, Gateway, GroupName, Input, Plan, Selector, SessionToken, Source, Step, TableSet,
    User, UserName,
};
use crate::record::{AccessLog, Metrics, Recorder, Sink};
use crate::store::{Store, StoreError, Stored, Write};
use gateway_common::KernelNanos;
use gateway_common::abi::{FlowCopy, FlowKey, Grant, GrantKey};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Remembers what it was given, or refuses.
#[derive(Clone, Default)]
struct Disk {
    is_full: Arc<AtomicBool>,
    /// Since the last commit that succeeded, one has failed.
    is_in_doubt: Arc<AtomicBool>,
    written: Arc<Mutex<Vec<Write>>>,
}

impl Disk {
    fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    fn holds(&self, is_it: impl Fn(&Write) -> bool) -> bool {
        self.written.lock().unwrap().iter().any(is_it)
    }
}

impl Store for Disk {
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        let is_full = self.is_full.load(Ordering::Relaxed);
        self.is_in_doubt.store(is_full, Ordering::Relaxed);
        if is_full {
            return Err(StoreError::DiskFull(PathBuf::from("state")));
        }
        self.written.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }

    fn load(&self) -> Result<Stored, StoreError> {
        Ok(histories::kept(&self.written.lock().unwrap()))
    }
}

/// A data plane that has room for no session while it is told so, whose sessions touch trip-wires when told to, and whose
/// clock is set.
struct Narrow {
    plane: MemoryDataPlane,
    /// Nanoseconds.
    clock: Arc<AtomicU64>,
    is_full: Arc<AtomicBool>,
    tripped: Arc<Mutex<Vec<SessionToken>>>,
}

impl Narrow {
    fn new() -> Self {
        let plane = MemoryDataPlane::new(Capacities::default());
        Self { plane, clock: Arc::default(), is_full: Arc::default(), tripped: Arc::default() }
    }
}

impl DataPlane for Narrow {
    fn apply(&mut self, plan: &Plan) -> Result<Vec<EndedSession>, DataPlaneError> {
        let opens = plan.steps.iter().any(|step| matches!(step, Step::OpenSession(..)));
        if opens && self.is_full.load(Ordering::Relaxed) {
            return Err(DataPlaneError::Full { table: "sessions", capacity: 0 });
        }
        self.plane.apply(plan)
    }

    fn actual(&self) -> Result<TableSet, DataPlaneError> {
        self.plane.actual()
    }

    fn capacities(&self) -> Capacities {
        self.plane.capacities()
    }

    fn now(&self) -> KernelNanos {
        KernelNanos(self.clock.load(Ordering::Relaxed))
    }

    fn forget_flows(&mut self, flows: &[FlowKey]) {
        self.plane.forget_flows(flows);
    }

    fn reset_flows(&mut self, flows: &[(FlowKey, FlowCopy)]) {
        self.plane.reset_flows(flows);
    }

    fn revoked_in_kernel(&self) -> Vec<SessionToken> {
        std::mem::take(&mut self.tripped.lock().unwrap())
    }

    fn rest(&mut self) {
        self.plane.rest();
    }

    fn sweep(&mut self) {
        self.plane.sweep();
    }

    fn renew_lease(&mut self) -> usize {
        self.plane.renew_lease()
    }

    fn session(&self, token: SessionToken) -> Seen {
        self.plane.session(token)
    }

    fn mend(&mut self, token: SessionToken, entry: &SessionEntry) -> Result<(), DataPlaneError> {
        self.plane.mend(token, entry)
    }

    fn expel_strangers(&mut self, from: u32, most: usize) -> (usize, Option<u32>) {
        self.plane.expel_strangers(from, most)
    }

    fn grant(&self, key: &GrantKey) -> Option<Grant> {
        self.plane.grant(key)
    }

    fn grants_from(&self, from: u32, most: usize) -> (Vec<GrantKey>, Option<u32>) {
        self.plane.grants_from(from, most)
    }

    fn rules(&self) -> Result<TableSet, DataPlaneError> {
        self.plane.rules()
    }

    fn forget_all_flows(&mut self) {
        self.plane.forget_all_flows();
    }
}

fn core(disk: &Disk) -> Core {
    core_on(disk, MemoryDataPlane::new(Capacities::default()))
}

fn core_on(disk: &Disk, plane: impl DataPlane + 'static) -> Core {
    let state = State {
        gateway: Gateway::new(Capacities::default()),
        accounts: Accounts::default(),
        directory: Default::default(),
        history: Default::default(),
    };
    core_of(state, disk, plane)
}

fn core_of(state: State, disk: &Disk, plane: impl DataPlane + 'static) -> Core {
    let recorder = Recorder::new(Metrics::new().unwrap(), AccessLog::start(Sink::Nowhere).unwrap(), None);
    start(state, Box::new(disk.clone()), Box::new(plane), recorder, "boot".into()).unwrap().0
}

fn alice(enabled: bool) -> Request {
    let groups = [GroupName::new("finance").unwrap()].into();
    let name = UserName::new("alice").unwrap();
    Request::Policy(Input::PutUser(User { groups, enabled, ..User::new(name) }))
}

fn login(token: u64) -> Request {
    let source = Source {
        address: [10, 0, 0, 2].into(),
        zone: 1,
        zone_name: "lan".into(),
        interface: 1,
        interface_name: "lan0".into(),
        country: Default::default(),
        mac: None,
    };
    Request::Login(Box::new(Login {
        token: SessionToken(token),
        secret: SecretHash::from_bytes([0; 32]),
        who: Who::Known(UserName::new("alice").unwrap()),
        source,
        proof: [Factor::Password].into(),
        deadline: KernelNanos(u64::MAX),
    }))
}

fn end(token: u64) -> Request {
    Request::Policy(Input::End { which: Selector::Session(SessionToken(token)), cause: EndCause::Revoked })
}

async fn ask(core: &Core, request: Request) -> Result<super::Done, CoreError> {
    core.change(Actor::local(), request).await
}

async fn with_alice(disk: &Disk) -> Core {
    introduce(core(disk)).await
}

async fn introduce(core: Core) -> Core {
    ask(&core, Request::Policy(Input::PutGroup(GroupName::new("finance").unwrap()))).await.unwrap();
    ask(&core, alice(true)).await.unwrap();
    core
}

async fn sessions(core: &Core) -> usize {
    core.read(|state| state.gateway.sessions().len()).await.unwrap()
}

#[tokio::test]
async fn login_is_refused_and_leaves_nothing_while_the_disk_is_full() {
    let disk = Disk::default();
    let core = with_alice(&disk).await;
    disk.fill(true);
    assert!(matches!(ask(&core, login(1)).await.unwrap_err(), CoreError::Store(StoreError::DiskFull(_))));
    assert_eq!(sessions(&core).await, 0);
    disk.fill(false);
    ask(&core, login(2)).await.unwrap();
    assert_eq!(sessions(&core).await, 1);
    assert!(!disk.holds(|write| matches!(write, Write::PutSession(stored) if stored.session.token.0 == 1)));
}

#[tokio::test]
async fn what_a_refused_login_may_have_left_is_undone_although_nobody_asks_for_anything_more() {
    let disk = Disk::default();
    let core = with_alice(&disk).await;
    disk.fill(true);
    ask(&core, login(1)).await.unwrap_err();
    assert!(disk.is_in_doubt.load(Ordering::Relaxed));
    disk.fill(false);
    let undone = async {
        while disk.is_in_doubt.load(Ordering::Relaxed) {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), undone).await.unwrap();
}

#[tokio::test]
async fn login_that_the_kernel_has_no_room_for_is_refused_and_leaves_nothing() {
    let (disk, plane) = (Disk::default(), Narrow::new());
    let is_full = Arc::clone(&plane.is_full);
    let core = introduce(core_on(&disk, plane)).await;
    is_full.store(true, Ordering::Relaxed);
    assert!(matches!(ask(&core, login(1)).await.unwrap_err(), CoreError::DataPlane(DataPlaneError::Full { .. })));
    assert_eq!(sessions(&core).await, 0);
    assert!(disk.holds(|write| matches!(write, Write::RemoveSession(SessionToken(1)))));
    is_full.store(false, Ordering::Relaxed);
    ask(&core, login(2)).await.unwrap();
    assert_eq!(sessions(&core).await, 1);
}

#[tokio::test]
async fn session_that_touched_a_trip_wire_ends_although_requests_never_cease() {
    let (disk, plane) = (Disk::default(), Narrow::new());
    let tripped = Arc::clone(&plane.tripped);
    let core = introduce(core_on(&disk, plane)).await;
    ask(&core, login(1)).await.unwrap();
    tripped.lock().unwrap().extend([SessionToken(1), SessionToken(9)]);
    let gone = async { while sessions(&core).await != 0 {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
    assert!(disk.holds(|write| matches!(write, Write::RemoveSession(SessionToken(1)))));
}

#[tokio::test]
async fn revocation_is_in_force_while_the_disk_is_full_and_stored_as_soon_as_it_is_not() {
    let disk = Disk::default();
    let core = with_alice(&disk).await;
    ask(&core, login(1)).await.unwrap();
    disk.fill(true);
    ask(&core, end(1)).await.unwrap_err();
    assert_eq!(sessions(&core).await, 0);
    disk.fill(false);
    ask(&core, login(2)).await.unwrap();
    assert!(disk.holds(|write| matches!(write, Write::RemoveSession(SessionToken(1)))));
}

#[tokio::test]
async fn user_without_a_session_who_is_disabled_while_the_disk_is_full_stays_disabled() {
    let disk = Disk::default();
    let core = with_alice(&disk).await;
    disk.fill(true);
    ask(&core, alice(false)).await.unwrap_err();
    ask(&core, login(1)).await.unwrap_err();
    disk.fill(false);
    ask(&core, Request::Policy(Input::PutGroup(GroupName::new("ops").unwrap()))).await.unwrap();
    assert!(disk.holds(|write| matches!(write, Write::PutUser(user) if !user.enabled)));
}

#[tokio::test]
async fn policy_that_cannot_be_stored_is_not_in_force() {
    let disk = Disk::default();
    let core = with_alice(&disk).await;
    let generation = core.read(|state| state.gateway.generation()).await.unwrap();
    disk.fill(true);
    let text = "permit (principal, action, resource);".to_owned();
    ask(&core, Request::Policy(Input::put_policy(&text, None).unwrap())).await.unwrap_err();
    let (now, text) = core.read(|state| (state.gateway.generation(), state.gateway.policy_text())).await.unwrap();
    assert_eq!((now, text.as_str()), (generation, ""));
}
