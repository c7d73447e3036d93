//! The data plane in memory, shared by the core that writes it and by the tests that look at it and set its clock.

use crate::dataplane::explain::{Explain, ExplainError, Explanation, Question};
use crate::dataplane::{DataPlane, DataPlaneError, EndedSession, MemoryDataPlane, Seen};
use crate::policy::table::SessionEntry;
use crate::policy::{Capacities, Plan, SessionToken, TableSet};
use gateway_common::KernelNanos;
use gateway_common::abi::{FlowCopy, FlowKey, Grant, GrantKey, Interface};
use std::sync::{Arc, Mutex, MutexGuard};

/// The twin. Interface 3 is that of the clients, in zone 1.
#[derive(Clone)]
pub struct Twin(Arc<Mutex<MemoryDataPlane>>);

impl Twin {
    pub fn new() -> Self {
        let mut plane = MemoryDataPlane::new(Capacities::default());
        plane.clock = KernelNanos(1_000_000_000);
        plane.interfaces.insert(3, Interface { zone: 1, flags: Interface::LINK_LAYER, ..Interface::default() });
        Self(Arc::new(Mutex::new(plane)))
    }

    pub fn plane(&self) -> MutexGuard<'_, MemoryDataPlane> {
        self.0.lock().unwrap()
    }

    pub fn pass(&self, nanos: u64) {
        let mut plane = self.plane();
        plane.clock = plane.clock.after(nanos);
    }
}

impl Explain for Twin {
    fn explain(&self, question: &Question) -> Result<Explanation, ExplainError> {
        self.plane().explain(question)
    }
}

impl DataPlane for Twin {
    fn apply(&mut self, plan: &Plan) -> Result<Vec<EndedSession>, DataPlaneError> {
        self.plane().apply(plan)
    }

    fn actual(&self) -> Result<TableSet, DataPlaneError> {
        self.plane().actual()
    }

    fn capacities(&self) -> Capacities {
        self.plane().capacities()
    }

    fn now(&self) -> KernelNanos {
        self.plane().clock
    }

    fn forget_flows(&mut self, flows: &[FlowKey]) {
        self.plane().forget_flows(flows);
    }

    fn reset_flows(&mut self, flows: &[(FlowKey, FlowCopy)]) {
        self.plane().reset_flows(flows);
    }

    fn rest(&mut self) {
        self.plane().rest();
    }

    fn sweep(&mut self) {
        self.plane().sweep();
    }

    fn session(&self, token: SessionToken) -> Seen {
        self.plane().session(token)
    }

    fn mend(&mut self, token: SessionToken, entry: &SessionEntry) -> Result<(), DataPlaneError> {
        self.plane().mend(token, entry)
    }

    fn expel_strangers(&mut self, from: u32, most: usize) -> (usize, Option<u32>) {
        self.plane().expel_strangers(from, most)
    }

    fn grant(&self, key: &GrantKey) -> Option<Grant> {
        self.plane().grant(key)
    }

    fn grants_from(&self, from: u32, most: usize) -> (Vec<GrantKey>, Option<u32>) {
        self.plane().grants_from(from, most)
    }

    fn rules(&self) -> Result<TableSet, DataPlaneError> {
        self.plane().rules()
    }

    fn forget_all_flows(&mut self) {
        self.plane().forget_all_flows();
    }

    fn renew_lease(&mut self) -> usize {
        self.plane().renew_lease()
    }

    fn revoked_in_kernel(&self) -> Vec<SessionToken> {
        self.plane().revoked_in_kernel()
    }
}
