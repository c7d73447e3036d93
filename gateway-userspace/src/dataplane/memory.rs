//! The in-memory twin: the same plans, the same law, ordinary maps. For tests and dry runs.

use super::slots::update;
use super::translate::length;
use super::{DataPlane, DataPlaneError, EndedSession};
use crate::policy::{AppSetId, Capacities, Plan, SessionToken, Step, TableSet};
use gateway_common::abi::{self, AppKey, Flow, FlowKey, Grant, GrantKey, Interface, ServiceKey, Session, SessionKey};
use gateway_common::{Address, KernelNanos, Tables};
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
    /// The gateway's own addresses and services.
    pub services: BTreeMap<ServiceKey, u32>,
    /// Management prefixes.
    pub management: Vec<IpNet>,
    /// The time.
    pub clock: KernelNanos,
    /// Flows that packets have opened.
    flows: RefCell<BTreeMap<FlowKey, Arc<Flow>>>,
    sessions: BTreeMap<SessionKey, Box<Session>>,
    capacities: Capacities,
}

impl MemoryDataPlane {
    /// Empty tables that hold so much.
    #[must_use]
    pub fn new(capacities: Capacities) -> Self {
        Self { capacities, ..Self::default() }
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

    fn end(&mut self, token: SessionToken) -> Option<EndedSession> {
        let session = self
            .sessions
            .values()
            .find(|session| session.token() == token.0 && session.state.load() == Session::LIVE)?;
        let is_over = KernelNanos(session.deadline.load()).has_passed(self.clock);
        session.state.store(if is_over { Session::EXPIRED } else { Session::REVOKED });
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
                    binding: entry.mac.map_or(0, Session::binding_to).into(),
                    ..Session::default()
                };
                update(&session, entry);
                self.sessions.insert(key, Box::new(session));
            }
            Step::UpdateSession(token, entry) => {
                let session = self.session_slot(*token).ok_or(DataPlaneError::UnknownSession(*token))?;
                update(session, entry);
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
        self.flows.borrow_mut().retain(|key, _| !flows.contains(key));
    }

    fn sweep(&mut self) {}
}

impl Tables for MemoryDataPlane {
    type FlowRef<'a> = Arc<Flow>;

    fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.get(&index)
    }

    fn session(&self, key: &SessionKey) -> Option<&Session> {
        self.sessions.get(key).map(AsRef::as_ref)
    }

    fn flow(&self, key: &FlowKey) -> Option<Arc<Flow>> {
        self.flows.borrow().get(key).cloned()
    }

    fn open_flow(&self, key: &FlowKey, begin: impl FnOnce(&mut Flow)) -> bool {
        let mut flows = self.flows.borrow_mut();
        if !flows.contains_key(key) && flows.len() >= self.capacities.flows {
            return false;
        }
        let mut flow = Flow::default();
        begin(&mut flow);
        flows.insert(*key, Arc::new(flow));
        true
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

    fn app(&self, key: &AppKey) -> Option<u32> {
        self.tables.apps.get(key).map(|app| app.0)
    }

    fn grant(&self, key: &GrantKey) -> Option<&Grant> {
        self.tables.grants.get(key)
    }

    fn service(&self, key: &ServiceKey) -> Option<u32> {
        self.services.get(key).copied()
    }

    fn is_management(&self, source: &Address) -> bool {
        let source = IpAddr::from(*source);
        self.management.iter().any(|prefix| prefix.contains(&source))
    }
}
