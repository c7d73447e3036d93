//! The flows that are open, as last seen. The kernel holds the counters; this holds what is needed when they are gone.

use crate::dataplane::Monitor;
use crate::policy::SessionToken;
use gateway_common::KernelNanos;
use gateway_common::abi::{Flow, FlowCopy, FlowKey};
use std::collections::{HashMap, HashSet};

/// A flow as last seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrackedFlow {
    /// Token, app, counters and times.
    pub copy: FlowCopy,
    /// The interface that it was opened on; 0 if that was not reported.
    pub interface: u32,
}

impl TrackedFlow {
    /// The number of its app.
    #[must_use]
    pub const fn app(&self) -> u32 {
        // The upper half holds flags.
        self.copy.app as u32
    }

    /// Whether the app opened it, not the client.
    #[must_use]
    pub const fn is_by_app(&self) -> bool {
        self.copy.ends & Flow::BY_APP != 0
    }
}

/// All flows that are open.
#[derive(Default)]
pub struct FlowTracker {
    flows: HashMap<FlowKey, TrackedFlow>,
    by_session: HashMap<u64, HashSet<FlowKey>>,
}

impl FlowTracker {
    /// A flow was opened. Returns the one that had this key before, which is over.
    pub fn opened(&mut self, key: FlowKey, flow: TrackedFlow) -> Option<TrackedFlow> {
        let before = self.remove(&key).filter(|before| before.copy.opened_at != flow.copy.opened_at);
        self.by_session.entry(flow.copy.token).or_default().insert(key);
        self.flows.insert(key, flow);
        before
    }

    /// Takes out the flows of a session, with their last counters.
    pub fn take(&mut self, token: SessionToken, monitor: Option<&Monitor>) -> Vec<(FlowKey, TrackedFlow)> {
        let keys = self.by_session.remove(&token.0).unwrap_or_default();
        let taken = keys.into_iter().filter_map(|key| Some((key, self.flows.remove(&key)?)));
        taken.map(|(key, flow)| (key, refreshed(&key, flow, monitor))).collect()
    }

    /// Takes out the flows of a session to some of its apps, with their last counters.
    pub fn take_apps(
        &mut self,
        token: SessionToken,
        is_taken: impl Fn(u32) -> bool,
        monitor: Option<&Monitor>,
    ) -> Vec<(FlowKey, TrackedFlow)> {
        let keys: Vec<FlowKey> = self.by_session.get(&token.0).into_iter().flatten().copied().collect();
        let is_of_app = |key: &FlowKey| self.flows.get(key).is_some_and(|flow| is_taken(flow.app()));
        let keys: Vec<FlowKey> = keys.into_iter().filter(is_of_app).collect();
        let taken = keys.into_iter().filter_map(|key| Some((key, self.remove(&key)?)));
        taken.map(|(key, flow)| (key, refreshed(&key, flow, monitor))).collect()
    }

    /// Brings the counters up to date, and takes out what is over: closed, silent too long, or given way to others.
    pub fn refresh(&mut self, monitor: &Monitor, now: KernelNanos) -> Vec<(FlowKey, TrackedFlow, &'static str)> {
        let mut over = Vec::new();
        for (key, flow) in &mut self.flows {
            match monitor.flow(key).filter(|copy| is_same(copy, &flow.copy)) {
                Some(copy) => {
                    flow.copy = copy;
                    if !is_fresh(key, &copy, now) {
                        over.push((*key, *flow, if Flow::is_over(copy.ends) { "closed" } else { "idle" }));
                    }
                }
                None => over.push((*key, *flow, "evicted")),
            }
        }
        for (key, ..) in &over {
            self.remove(key);
        }
        over
    }

    /// Takes in flows whose opening was not reported.
    pub fn adopt(&mut self, monitor: &Monitor, now: KernelNanos) {
        for (key, copy) in monitor.flows() {
            if !self.flows.contains_key(&key) && is_fresh(&key, &copy, now) {
                self.opened(key, TrackedFlow { copy, interface: 0 });
            }
        }
    }

    /// Copies of all.
    #[must_use]
    pub fn all(&self) -> Vec<(FlowKey, TrackedFlow)> {
        self.flows.iter().map(|(key, flow)| (*key, *flow)).collect()
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.flows.len()
    }

    fn remove(&mut self, key: &FlowKey) -> Option<TrackedFlow> {
        let flow = self.flows.remove(key)?;
        if let Some(keys) = self.by_session.get_mut(&flow.copy.token) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_session.remove(&flow.copy.token);
            }
        }
        Some(flow)
    }
}

fn refreshed(key: &FlowKey, flow: TrackedFlow, monitor: Option<&Monitor>) -> TrackedFlow {
    let found = monitor.and_then(|monitor| monitor.flow(key)).filter(|copy| is_same(copy, &flow.copy));
    TrackedFlow { copy: found.unwrap_or(flow.copy), ..flow }
}

fn is_same(a: &FlowCopy, b: &FlowCopy) -> bool {
    a.token == b.token && a.opened_at == b.opened_at
}

fn is_fresh(key: &FlowKey, copy: &FlowCopy, now: KernelNanos) -> bool {
    now.since(KernelNanos(copy.last_seen)) < Flow::idle_limit(key.protocol, copy.ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(token: u64, opened_at: u64) -> TrackedFlow {
        TrackedFlow { copy: FlowCopy { token, opened_at, ..FlowCopy::default() }, interface: 1 }
    }

    fn key(port: u8) -> FlowKey {
        FlowKey { client_port: [1, port], ..FlowKey::default() }
    }

    #[test]
    fn flows_of_a_session_are_taken_together_and_only_once() {
        let mut tracker = FlowTracker::default();
        for port in 0..3 {
            assert_eq!(tracker.opened(key(port), flow(7, 1)), None);
        }
        tracker.opened(key(9), flow(8, 1));
        assert_eq!(tracker.take(SessionToken(7), None).len(), 3);
        assert_eq!(tracker.take(SessionToken(7), None).len(), 0);
        assert_eq!(tracker.count(), 1);
    }

    #[test]
    fn flags_beside_the_number_of_the_app_are_no_part_of_it() {
        let mut tracker = FlowTracker::default();
        let mut budgeted = flow(7, 1);
        budgeted.copy.app = Flow::BUDGETED | 3;
        budgeted.copy.ends = Flow::BY_APP;
        tracker.opened(key(1), budgeted);
        assert_eq!((budgeted.app(), budgeted.is_by_app(), flow(7, 1).is_by_app()), (3, true, false));
        assert_eq!(tracker.take_apps(SessionToken(7), |app| app == 3, None).len(), 1);
    }

    #[test]
    fn flow_that_takes_the_place_of_another_returns_it() {
        let mut tracker = FlowTracker::default();
        tracker.opened(key(1), flow(7, 1));
        assert_eq!(tracker.opened(key(1), flow(8, 2)), Some(flow(7, 1)));
        assert_eq!(tracker.opened(key(1), flow(8, 2)), None, "the same opening, seen twice");
        assert!(tracker.take(SessionToken(7), None).is_empty());
    }
}
