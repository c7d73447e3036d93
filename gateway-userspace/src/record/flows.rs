//! The flows that are open, as last seen. The kernel holds the counters; this holds what is needed when they are gone.
//! Nothing here looks at all of them at once: there may be a million.

mod shelf;

use crate::dataplane::Monitor;
use crate::policy::SessionToken;
use gateway_common::KernelNanos;
use gateway_common::abi::{Flow, FlowCopy, FlowKey};
use shelf::Shelf;

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
    shelf: Shelf,
    /// Where the next refresh goes on.
    refreshed: usize,
}

impl FlowTracker {
    /// A flow was opened. Returns the one that had this key before, which is over.
    pub fn opened(&mut self, key: FlowKey, flow: TrackedFlow) -> Option<TrackedFlow> {
        let before = self.shelf.take(&key).filter(|before| before.copy.opened_at != flow.copy.opened_at);
        self.shelf.put(key, flow);
        before
    }

    /// Takes out the flows of a session, with their last counters.
    pub fn take(&mut self, token: SessionToken, monitor: Option<&Monitor>) -> Vec<(FlowKey, TrackedFlow)> {
        self.take_apps(token, |_| true, monitor)
    }

    /// Takes out the flows of a session to some of its apps, with their last counters.
    pub fn take_apps(
        &mut self,
        token: SessionToken,
        is_taken: impl Fn(u32) -> bool,
        monitor: Option<&Monitor>,
    ) -> Vec<(FlowKey, TrackedFlow)> {
        let taken = self.shelf.of(token.0).filter(|(_, flow)| is_taken(flow.app()));
        let taken: Vec<_> = taken.map(|(key, flow)| (*key, refreshed(key, *flow, monitor))).collect();
        for (key, _) in &taken {
            self.shelf.take(key);
        }
        taken
    }

    /// How many slots a refresh has to look at for a `part`-th of all flows.
    #[must_use]
    pub fn part(&self, part: usize) -> usize {
        self.shelf.slots().div_ceil(part)
    }

    /// Brings the counters of some flows up to date, in turn, and takes out what is over: closed, silent too long, or
    /// given way to others.
    pub fn refresh(
        &mut self,
        monitor: &Monitor,
        now: KernelNanos,
        slots: usize,
    ) -> Vec<(FlowKey, TrackedFlow, &'static str)> {
        let mut over = Vec::new();
        let next = self.shelf.show(self.refreshed, slots, |key, flow| {
            match monitor.flow(key).filter(|copy| is_same(copy, &flow.copy)) {
                Some(copy) => {
                    flow.copy = copy;
                    if !is_fresh(key, &copy, now) {
                        over.push((*key, *flow, if Flow::is_over(copy.ends) { "closed" } else { "idle" }));
                    }
                }
                None => over.push((*key, *flow, "evicted")),
            }
        });
        self.refreshed = next.unwrap_or(0);
        for (key, ..) in &over {
            self.shelf.take(key);
        }
        over
    }

    /// Takes in flows whose opening was not reported.
    pub fn adopt(&mut self, found: &[(FlowKey, FlowCopy)], now: KernelNanos) {
        for (key, copy) in found {
            if !self.shelf.contains(key) && is_fresh(key, copy, now) {
                self.shelf.put(*key, TrackedFlow { copy: *copy, interface: 0 });
            }
        }
    }

    /// Copies of those of a session.
    #[must_use]
    pub fn of(&self, token: SessionToken) -> Vec<(FlowKey, TrackedFlow)> {
        self.shelf.of(token.0).map(|(key, flow)| (*key, *flow)).collect()
    }

    /// Copies of those in some slots, and where to go on.
    pub fn some(&mut self, from: usize, slots: usize) -> (Vec<(FlowKey, TrackedFlow)>, Option<usize>) {
        let mut found = Vec::new();
        let next = self.shelf.show(from, slots, |key, flow| found.push((*key, *flow)));
        (found, next)
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shelf.len()
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
    fn all_flows_are_shown_some_at_a_time_and_those_of_a_session_stay_together_whatever_goes() {
        let mut tracker = FlowTracker::default();
        for port in 0..200 {
            tracker.opened(key(port), flow(u64::from(port % 3), 1));
        }
        for port in (0..200).step_by(2) {
            let replaced = tracker.opened(key(port), flow(u64::from(port % 5) + 10, 2));
            assert_eq!(replaced, Some(flow(u64::from(port % 3), 1)));
        }
        let (mut seen, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            let (some, after) = tracker.some(from, 7);
            assert!(some.len() <= 7);
            seen.extend(some.into_iter().map(|(key, _)| key));
            next = after;
        }
        seen.sort();
        assert_eq!(seen, (0..200).map(key).collect::<Vec<_>>());
        let of = |tracker: &FlowTracker, token| tracker.of(SessionToken(token)).len();
        assert_eq!([0, 1, 2, 10, 14].map(|token| of(&tracker, token)), [33, 34, 33, 20, 20]);
        assert_eq!(tracker.take(SessionToken(1), None).len(), 34);
        assert_eq!((of(&tracker, 1), of(&tracker, 0), tracker.count()), (0, 33, 166));
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
