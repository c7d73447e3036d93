//! How full the tables become while a plan is carried out.

use super::{Plan, Step};
use crate::policy::change::{Capacities, Refusal};
use crate::policy::table::TableSet;
use std::collections::HashMap;
use std::hash::Hash;

/// Entries at the worst moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// Sessions.
    pub sessions: usize,
    /// Prefixes of apps.
    pub app_prefixes: usize,
    /// Ports of apps.
    pub app_ports: usize,
    /// Grants.
    pub grants: usize,
}

impl Needs {
    /// Whether the tables are large enough.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn fit(&self, capacities: &Capacities) -> Result<(), Refusal> {
        let tables = [
            ("sessions", self.sessions, capacities.sessions),
            ("app_prefixes", self.app_prefixes, capacities.app_prefixes),
            ("app_ports", self.app_ports, capacities.app_ports),
            ("grants", self.grants, capacities.grants),
        ];
        match tables.into_iter().find(|(_, needed, capacity)| needed > capacity) {
            Some((table, needed, capacity)) => Err(Refusal::TableFull { table, needed, capacity }),
            None => Ok(()),
        }
    }
}

/// One table: its entries now, at most, and the keys that the plan has touched.
struct Tally<K> {
    now: usize,
    most: usize,
    touched: HashMap<K, bool>,
}

impl<K: Eq + Hash> Tally<K> {
    fn put(&mut self, key: K, was_there: bool) {
        if !self.touched.insert(key, true).unwrap_or(was_there) {
            self.add();
        }
    }

    fn remove(&mut self, key: K, was_there: bool) {
        if self.touched.insert(key, false).unwrap_or(was_there) {
            self.now = self.now.saturating_sub(1);
        }
    }
}

impl<K> Tally<K> {
    fn new(now: usize) -> Self {
        Self { now, most: now, touched: HashMap::new() }
    }

    fn add(&mut self) {
        self.now = self.now.saturating_add(1);
        self.most = self.most.max(self.now);
    }
}

/// A plan ends sessions that are there and opens such as are not, so these are only counted: `sessions` are there at the
/// beginning, whatever `from` says.
pub(super) fn of(plan: &Plan, from: &TableSet, sessions: usize) -> Needs {
    let mut sessions = Tally::<()>::new(sessions);
    let mut prefixes = Tally::new(from.app_prefixes.len());
    let mut ports = Tally::new(from.apps.len());
    let mut grants = Tally::new(from.grants.len());
    for step in &plan.steps {
        match step {
            Step::EndSession(_) => sessions.now = sessions.now.saturating_sub(1),
            Step::OpenSession(..) => sessions.add(),
            Step::UpdateSession(..) => {}
            Step::PutApp(key, _) => ports.put(*key, from.apps.contains_key(key)),
            Step::PutAppPrefix(set, prefix, _) => {
                prefixes.put((*set, *prefix), from.app_prefixes.contains_key(&(*set, *prefix)));
            }
            Step::PutGrant(key, _) => grants.put(*key, from.grants.contains_key(key)),
            Step::RemoveGrant(key) => grants.remove(*key, from.grants.contains_key(key)),
            Step::RemoveAppPrefix(set, prefix) => {
                prefixes.remove((*set, *prefix), from.app_prefixes.contains_key(&(*set, *prefix)));
            }
            Step::RemoveApp(key) => ports.remove(*key, from.apps.contains_key(key)),
        }
    }
    Needs { sessions: sessions.most, app_prefixes: prefixes.most, app_ports: ports.most, grants: grants.most }
}
