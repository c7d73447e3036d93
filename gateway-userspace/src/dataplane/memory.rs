//! The in-memory twin: the same plans, the same law, ordinary maps. For tests and dry runs.

use super::slots::update;
use super::translate::length;
use super::{DataPlane, DataPlaneError, EndedSession, Seen};
use crate::policy::table::SessionEntry;
use crate::policy::{AppSetId, Capacities, Plan, SessionToken, Step, TableSet};
use gateway_common::abi::{
    self, AppEntry, AppKey, Budget, BudgetKey, Epoch, Explained, Flow, FlowCopy, FlowKey, FragmentKey, Fragments,
    Grant, GrantKey, Interface, ServiceKey, Session, SessionKey, Settings, SourceKey, VlanKey,
};
use gateway_common::rehearsal::{Copies, Rehearse};
use gateway_common::table::flows;
use gateway_common::{Address, KernelNanos, Tables, Word};
use ipnet::{IpNet, Ipv4Net};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Tables in memory, on a clock that stands still until it is set.
#[derive(Default)]
pub struct MemoryDataPlane {
    /// What plans have made of the tables.
    pub tables: TableSet,
    /// Guarded interfaces.
    pub interfaces: BTreeMap<u32, Interface>,
    /// VLANs that they carry.
    pub vlans: BTreeMap<VlanKey, Interface>,
    /// What holds for all interfaces.
    pub settings: Settings,
    /// The gateway's own addresses and services.
    pub services: BTreeMap<ServiceKey, u32>,
    /// Management prefixes.
    pub management: Vec<IpNet>,
    /// The time.
    pub clock: KernelNanos,
    /// Until when somebody watches the routes.
    pub watched_until: KernelNanos,
    /// Until when the daemon's word counts; for ever, at first.
    pub lease_until: KernelNanos,
    /// How long it counts when it is renewed, in nanoseconds.
    pub lease: u64,
    /// Grows with each step that may take access away, and with each way that may have become another one.
    epoch: Word,
    /// Flows that packets have opened.
    flows: RefCell<BTreeMap<FlowKey, Arc<Flow>>>,
    /// Fragmented packets.
    fragments: RefCell<BTreeMap<FragmentKey, Arc<Fragments>>>,
    /// Sources that have spoken to the gateway itself.
    sources: RefCell<BTreeMap<SourceKey, Arc<Word>>>,
    /// What sessions have used of budgets.
    budgets: RefCell<BTreeMap<BudgetKey, Arc<Budget>>>,
    sessions: BTreeMap<SessionKey, Box<Session>>,
    /// What dry runs write to.
    copies: Copies,
    capacities: Capacities,
}

impl MemoryDataPlane {
    /// Empty tables that hold so much.
    #[must_use]
    pub fn new(capacities: Capacities) -> Self {
        Self { capacities, lease: u64::MAX, lease_until: KernelNanos::NEVER, ..Self::default() }
    }

    /// Flows ask for their ways again.
    pub fn ways_have_changed(&self) {
        self.epoch.add(1);
    }

    /// The slot of a session.
    #[must_use]
    pub fn session_slot(&self, token: SessionToken) -> Option<&Session> {
        self.sessions.values().find(|session| session.token() == token.0).map(AsRef::as_ref)
    }

    /// Copies of the flows.
    #[must_use]
    pub fn flow_keys(&self) -> Vec<FlowKey> {
        self.flows.borrow().keys().copied().collect()
    }

    /// Keys of what is counted for budgets, with the bytes used.
    #[must_use]
    pub fn budgets(&self) -> Vec<(BudgetKey, u64)> {
        self.budgets.borrow().iter().map(|(key, budget)| (*key, budget.used.load())).collect()
    }

    /// What a dry run has to be told about the tables.
    pub(super) fn full(&self) -> u32 {
        if self.budgets.borrow().len() >= self.capacities.budgets { Explained::BUDGETS_FULL } else { 0 }
    }

    /// What the last dry run has answered.
    pub(super) fn answer(&self) -> Explained {
        Explained::from_words(self.copies.answer.each_ref().map(Word::load))
    }

    fn end(&mut self, token: SessionToken) -> Option<EndedSession> {
        let session = self
            .sessions
            .values()
            .find(|session| session.token() == token.0 && session.state.load() == Session::LIVE)?;
        let is_over = KernelNanos(session.deadline.load()).has_passed(self.clock);
        session.state.store(if is_over { Session::EXPIRED } else { Session::REVOKED });
        self.epoch.add(Epoch::ACCESS);
        let flows = self.flows.borrow();
        flows.values().filter(|flow| flow.token.load() == token.0).for_each(|flow| note(session, flow));
        let last_forwarded = Some(KernelNanos(session.last_forwarded.load())).filter(|at| at.0 != 0);
        Some(EndedSession { token, enforced_at: self.clock, last_forwarded })
    }

    fn write(&mut self, step: &Step) -> Result<(), DataPlaneError> {
        match step {
            Step::OpenSession(token, entry) => {
                let key = SessionKey::new(entry.zone, Address::from(entry.address));
                let [high, low] = key.source.words();
                let session = Session {
                    state: Session::LIVE.into(),
                    token: token.0.into(),
                    source: [high.into(), low.into()],
                    place: abi::place(entry.zone, entry.interface).into(),
                    ..Session::default()
                };
                update(&session, entry);
                self.sessions.insert(key, Box::new(session));
                self.epoch.add(Epoch::ACCESS);
            }
            Step::UpdateSession(token, entry) => {
                let session = self.session_slot(*token).ok_or(DataPlaneError::UnknownSession(*token))?;
                update(session, entry);
                self.epoch.add(Epoch::ACCESS);
            }
            _ => {}
        }
        Ok(())
    }
}

impl DataPlane for MemoryDataPlane {
    fn apply(&mut self, plan: &Plan) -> Result<Vec<EndedSession>, DataPlaneError> {
        let mut ended = Vec::new();
        for step in &plan.steps {
            if let Step::EndSession(token) = step {
                ended.extend(self.end(*token));
            }
            self.write(step)?;
            self.tables.apply(step);
        }
        Ok(ended)
    }

    fn actual(&self) -> Result<TableSet, DataPlaneError> {
        Ok(self.tables.clone())
    }

    fn capacities(&self) -> Capacities {
        self.capacities
    }

    fn now(&self) -> KernelNanos {
        self.clock
    }

    fn forget_flows(&mut self, flows: &[FlowKey]) {
        self.flows.borrow_mut().retain(|key, flow| {
            let is_kept = !flows.contains(key);
            if let Some(session) = self.session_slot(SessionToken(flow.token.load())).filter(|_| !is_kept) {
                note(session, flow);
            }
            is_kept
        });
    }

    fn reset_flows(&mut self, _: &[(FlowKey, FlowCopy)]) {}

    fn rest(&mut self) {}

    fn sweep(&mut self) {}

    fn session(&self, token: SessionToken) -> Seen {
        match self.session_slot(token).map(|session| session.state.load()) {
            Some(Session::REVOKED) => Seen::Revoked,
            Some(_) => self.tables.sessions.get(&token).cloned().map_or(Seen::Nothing, Seen::Entry),
            None => Seen::Nothing,
        }
    }

    fn mend(&mut self, token: SessionToken, entry: &SessionEntry) -> Result<(), DataPlaneError> {
        let steps = vec![Step::EndSession(token), Step::OpenSession(token, entry.clone())];
        self.apply(&Plan { steps }).map(drop)
    }

    fn expel_strangers(&mut self, _: u32, _: usize) -> (usize, Option<u32>) {
        let is_strange = |session: &&Session| {
            let token = SessionToken(session.token());
            session.state.load() == Session::LIVE && !self.tables.sessions.contains_key(&token)
        };
        let strangers = self.sessions.values().map(AsRef::as_ref).filter(is_strange);
        (strangers.map(|session| session.state.store(Session::REVOKED)).count(), None)
    }

    fn grant(&self, key: &GrantKey) -> Option<Grant> {
        self.tables.grants.get(key).copied()
    }

    fn grants_from(&self, _: u32, _: usize) -> (Vec<GrantKey>, Option<u32>) {
        (self.tables.grants.keys().copied().collect(), None)
    }

    fn rules(&self) -> Result<TableSet, DataPlaneError> {
        let TableSet { app_prefixes, apps, .. } = self.tables.clone();
        Ok(TableSet { app_prefixes, apps, ..TableSet::default() })
    }

    fn forget_all_flows(&mut self) {
        self.flows.borrow_mut().clear();
    }

    fn renew_lease(&mut self) -> usize {
        self.lease_until = self.clock.after(self.lease);
        0
    }

    fn revoked_in_kernel(&self) -> Vec<SessionToken> {
        let revoked = self.sessions.values().filter(|session| session.state.load() == Session::REVOKED);
        let tokens = revoked.map(|session| SessionToken(session.token()));
        tokens.filter(|token| self.tables.sessions.contains_key(token)).collect()
    }
}

/// What took the short way stands in its flow.
fn note(session: &Session, flow: &Flow) {
    session.last_forwarded.store(session.last_forwarded.load().max(flow.last_seen.load()));
}

impl Tables for MemoryDataPlane {
    type Ref<'a, V: 'a> = Arc<V>;

    fn settings(&self) -> Settings {
        self.settings
    }

    fn epoch(&self) -> u64 {
        // 0 is no epoch.
        self.epoch.load() + Epoch::ACCESS
    }

    fn watched_until(&self) -> KernelNanos {
        self.watched_until
    }

    fn lease_until(&self) -> KernelNanos {
        self.lease_until
    }

    fn begin_epoch(&self) {
        self.epoch.add(Epoch::ACCESS);
    }

    fn interface(&self, index: u32) -> Option<Interface> {
        self.interfaces.get(&index).copied()
    }

    fn vlan(&self, key: &VlanKey) -> Option<&Interface> {
        self.vlans.get(key)
    }

    fn session(&self, key: &SessionKey) -> Option<&Session> {
        self.sessions.get(key).map(AsRef::as_ref)
    }

    fn flow(&self, key: &FlowKey) -> Option<Arc<Flow>> {
        self.flows.borrow().get(key).cloned()
    }

    fn flow_in_any_zone(&self, key: &FlowKey) -> Option<(Arc<Flow>, u64)> {
        let flows = self.flows.borrow();
        let flow = flows.values().find(|flow| flow.is_between(key.words()))?;
        Some((Arc::clone(flow), flow.state.load()))
    }

    fn open_flow(&self, key: &FlowKey, begin: impl Fn(&Flow)) -> bool {
        if !self.has_room_for_flow(key) {
            return false;
        }
        let flow = Flow { key: (*key.words()).map(Word::from), state: flows::LIVE.into(), ..Flow::default() };
        begin(&flow);
        self.flows.borrow_mut().insert(*key, Arc::new(flow));
        true
    }

    fn fragments(&self, key: &FragmentKey) -> Option<Arc<Fragments>> {
        self.fragments.borrow().get(key).cloned()
    }

    fn remember_fragments(&self, key: &FragmentKey, deadline: u64, first: u64) {
        let memory = Fragments { deadline: deadline.into(), first: first.into(), ..Fragments::default() };
        self.fragments.borrow_mut().insert(*key, Arc::new(memory));
    }

    fn source(&self, key: &SourceKey) -> Option<Arc<Word>> {
        Some(Arc::clone(self.sources.borrow_mut().entry(*key).or_default()))
    }

    fn budget(&self, key: &BudgetKey) -> Option<Arc<Budget>> {
        let mut budgets = self.budgets.borrow_mut();
        if !budgets.contains_key(key) && budgets.len() >= self.capacities.budgets {
            return None;
        }
        Some(Arc::clone(budgets.entry(*key).or_default()))
    }

    fn block(&self, app_set: u32, address: &Address) -> Option<u32> {
        let address = IpAddr::from(*address);
        let first = (AppSetId(app_set), IpNet::V4(Ipv4Net::default()));
        let blocks = self.tables.app_prefixes.range(first..);
        blocks
            .take_while(|((set, _), _)| set.0 == app_set)
            .filter(|((_, prefix), _)| prefix.contains(&address))
            .max_by_key(|((_, prefix), _)| length(prefix))
            .map(|(_, block)| block.0)
    }

    fn app(&self, key: &AppKey) -> Option<AppEntry> {
        self.tables.apps.get(key).copied()
    }

    fn grant(&self, key: &GrantKey) -> Option<Grant> {
        self.tables.grants.get(key).copied()
    }

    fn service(&self, key: &ServiceKey) -> Option<u32> {
        self.services.get(key).copied()
    }

    fn is_management(&self, source: &Address) -> bool {
        let source = IpAddr::from(*source);
        self.management.iter().any(|prefix| prefix.contains(&source))
    }
}

impl Rehearse for MemoryDataPlane {
    fn copies(&self) -> Option<&Copies> {
        Some(&self.copies)
    }

    fn has_room_for_flow(&self, key: &FlowKey) -> bool {
        let flows = self.flows.borrow();
        flows.contains_key(key) || flows.len() < self.capacities.flows
    }

    fn known_source(&self, key: &SourceKey) -> Option<Arc<Word>> {
        self.sources.borrow().get(key).cloned()
    }

    fn known_budget(&self, key: &BudgetKey) -> Option<Arc<Budget>> {
        self.budgets.borrow().get(key).cloned()
    }
}
