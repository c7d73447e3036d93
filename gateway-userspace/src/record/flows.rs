//! The flows that are open, as last seen. The kernel holds the counters; this holds what is needed when they are gone.
//! Nothing here looks at all of them at once: there may be a million.

mod shelf;

use crate::dataplane::Monitor;
use crate::policy::SessionToken;
use gateway_common::KernelNanos;
use gateway_common::abi::{Flow, FlowCopy, FlowKey};
use shelf::Shelf;
use std::collections::HashMap;

/// A flow as last seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrackedFlow {
    /// Token, app, counters and times.
    pub copy: FlowCopy,
    /// The interface that it was opened on; 0 if that was not reported.
    pub interface: u32,
    /// How often it was recorded that it goes on.
    pub told: u32,
}

impl TrackedFlow {
    /// The number of its app.
    #[must_use]
    pub const fn app(&self) -> u32 {
        // The upper half holds flags.
        self.copy.app as u32
    }

    /// How it ended: closed, if it was over anyway.
    #[must_use]
    pub const fn outcome(&self, otherwise: &'static str) -> &'static str {
        if Flow::is_over(self.copy.ends) { "closed" } else { otherwise }
    }

    /// Whether the app opened it, not the client.
    #[must_use]
    pub const fn is_by_app(&self) -> bool {
        self.copy.ends & Flow::BY_APP != 0
    }
}

/// How a flow has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// A word from a closed list.
    pub outcome: &'static str,
    /// What it carried at last is not known: it gave way in the kernel, which has counted all of it as unrecorded.
    pub is_incomplete: bool,
}

impl End {
    /// One of which everything is known.
    #[must_use]
    pub const fn of(outcome: &'static str) -> Self {
        Self { outcome, is_incomplete: false }
    }
}

/// What a look at some flows has shown.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// Flows that are over, and how they have ended.
    pub over: Vec<(FlowKey, TrackedFlow, &'static str)>,
    /// Flows that go on, of which it is time to say so.
    pub going: Vec<(FlowKey, TrackedFlow)>,
}

/// How often it is recorded that a flow goes on, in nanoseconds; 0 for never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Period(pub u64);

impl Period {
    /// Whether a period of its life has passed since it was said last, and it was not silent all the time. Asked once.
    fn is_due(self, flow: &mut TrackedFlow, now: KernelNanos) -> bool {
        let age = now.since(KernelNanos(flow.copy.opened_at));
        let periods = age.checked_div(self.0).and_then(|periods| u32::try_from(periods).ok()).unwrap_or(0);
        let is_another = periods > flow.told;
        flow.told = flow.told.max(periods);
        is_another && now.since(KernelNanos(flow.copy.last_seen)) < self.0
    }
}

/// All flows that are open.
#[derive(Default)]
pub struct FlowTracker {
    shelf: Shelf,
    /// Where the next refresh goes on.
    refreshed: usize,
    /// Flows that are no longer in the kernel's table: it says so, but that was not read yet. With how often they were
    /// waited for.
    missing: HashMap<FlowKey, (TrackedFlow, u8)>,
}

impl FlowTracker {
    /// A flow was opened. Returns the one that had this key before, of whose end the kernel could not tell.
    pub fn opened(&mut self, key: FlowKey, flow: TrackedFlow) -> Option<TrackedFlow> {
        let before = self.shelf.take(&key).filter(|before| before.copy.opened_at != flow.copy.opened_at);
        self.shelf.put(key, flow);
        before
    }

    /// A flow gave way to another, the kernel says. It is forgotten.
    pub fn gave_way(&mut self, key: &FlowKey, flow: &TrackedFlow) {
        if self.missing.get(key).is_some_and(|(missing, _)| is_same(&missing.copy, &flow.copy)) {
            self.missing.remove(key);
        } else if self.shelf.get(key).is_some_and(|known| is_same(&known.copy, &flow.copy)) {
            self.shelf.take(key);
        }
    }

    /// Flows that have been missing for so long that the kernel could not tell of their end: each is named once. To be
    /// asked after everything that the kernel told was read.
    pub fn given_up(&mut self) -> Vec<(FlowKey, TrackedFlow)> {
        const PATIENCE: u8 = 2;
        let is_over = |_: &FlowKey, (_, waited): &mut (TrackedFlow, u8)| {
            *waited += 1;
            *waited > PATIENCE
        };
        self.missing.extract_if(is_over).map(|(key, (flow, _))| (key, flow)).collect()
    }

    /// Takes out the flows of a session, here and in the kernel, with their last counters.
    pub fn take(&mut self, token: SessionToken, monitor: Option<&Monitor>) -> Vec<(FlowKey, TrackedFlow)> {
        self.take_apps(token, |_| true, monitor)
    }

    /// Takes out the flows of a session to some of its apps in the same way.
    pub fn take_apps(
        &mut self,
        token: SessionToken,
        is_taken: impl Fn(u32) -> bool,
        monitor: Option<&Monitor>,
    ) -> Vec<(FlowKey, TrackedFlow)> {
        let meant = self.shelf.of(token.0).filter(|(_, flow)| is_taken(flow.app()));
        let meant: Vec<_> = meant.map(|(key, flow)| (*key, *flow)).collect();
        meant.into_iter().filter_map(|(key, flow)| self.end(key, flow, monitor)).collect()
    }

    /// Takes out those of some flows that are tracked and still the same, here and in the kernel.
    pub fn take_these(&mut self, flows: &[(FlowKey, TrackedFlow)], monitor: &Monitor) -> Vec<(FlowKey, TrackedFlow)> {
        let is_tracked =
            |(key, flow): &&(FlowKey, TrackedFlow)| self.shelf.get(key).is_some_and(|it| is_same(&it.copy, &flow.copy));
        let tracked: Vec<_> = flows.iter().filter(is_tracked).copied().collect();
        tracked.into_iter().filter_map(|(key, flow)| self.end(key, flow, Some(monitor))).collect()
    }

    /// Takes a flow out, here and in the kernel. Nothing, if it is not there any more: then the kernel tells of its end.
    fn end(&mut self, key: FlowKey, flow: TrackedFlow, monitor: Option<&Monitor>) -> Option<(FlowKey, TrackedFlow)> {
        self.shelf.take(&key);
        let Some(monitor) = monitor else { return Some((key, flow)) };
        let last = monitor.take_flow(&key, &flow.copy);
        if last.is_none() {
            self.missing.insert(key, (flow, 0));
        }
        last.map(|copy| (key, TrackedFlow { copy, ..flow }))
    }

    /// How many slots a refresh has to look at for a `part`-th of all flows.
    #[must_use]
    pub fn part(&self, part: usize) -> usize {
        self.shelf.slots().div_ceil(part)
    }

    /// Brings the counters of some flows up to date, in turn, and takes out, here and in the kernel, what is over: closed,
    /// or silent too long. What goes on and has carried something is named once in each `period`.
    pub fn refresh(&mut self, monitor: &Monitor, now: KernelNanos, slots: usize, period: Period) -> Refreshed {
        let (mut over, mut going) = (Vec::new(), Vec::new());
        let next = self.shelf.show(self.refreshed, slots, |key, flow| {
            match monitor.flow(key).filter(|copy| is_same(copy, &flow.copy)) {
                Some(copy) => {
                    flow.copy = copy;
                    if !is_fresh(key, &copy, now) {
                        over.push((*key, *flow));
                    } else if period.is_due(flow, now) {
                        going.push((*key, *flow));
                    }
                }
                None => over.push((*key, *flow)),
            }
        });
        self.refreshed = next.unwrap_or(0);
        let ended = over.into_iter().filter_map(|(key, flow)| self.end(key, flow, Some(monitor)));
        Refreshed { over: ended.map(|(key, flow)| (key, flow, flow.outcome("idle"))).collect(), going }
    }

    /// Takes in flows whose opening was not reported; which they are.
    pub fn adopt(
        &mut self,
        found: &[(FlowKey, FlowCopy)],
        monitor: &Monitor,
        now: KernelNanos,
    ) -> Vec<(FlowKey, TrackedFlow)> {
        let mut adopted = Vec::new();
        for (key, copy) in found {
            let is_new = !self.shelf.contains(key) && !self.missing.contains_key(key) && is_fresh(key, copy, now);
            // It may have ended since it was found.
            if is_new && let Some(copy) = monitor.flow(key).filter(|now| is_same(now, copy)) {
                let flow = TrackedFlow { copy, interface: 0, told: 0 };
                self.shelf.put(*key, flow);
                adopted.push((*key, flow));
            }
        }
        adopted
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

fn is_same(a: &FlowCopy, b: &FlowCopy) -> bool {
    a.token == b.token && a.opened_at == b.opened_at
}

/// Whether a flow counts at `now`.
pub(super) fn is_fresh(key: &FlowKey, copy: &FlowCopy, now: KernelNanos) -> bool {
    now.since(KernelNanos(copy.last_seen)) < Flow::idle_limit(key.protocol, copy.ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(token: u64, opened_at: u64) -> TrackedFlow {
        TrackedFlow { copy: FlowCopy { token, opened_at, ..FlowCopy::default() }, interface: 1, told: 0 }
    }

    fn key(port: u8) -> FlowKey {
        FlowKey { client_port: [1, port], ..FlowKey::default() }
    }

    #[test]
    fn it_is_time_to_say_that_a_flow_goes_on_once_in_each_period_unless_it_is_silent() {
        let (period, mut going) = (Period(100), flow(7, 1_000));
        let due = |period: Period, flow: &mut TrackedFlow, now, last_seen| {
            flow.copy.last_seen = last_seen;
            period.is_due(flow, KernelNanos(now))
        };
        assert!(!due(period, &mut going, 1_099, 1_099));
        assert!(due(period, &mut going, 1_100, 1_099));
        assert!(!due(period, &mut going, 1_199, 1_199));
        // It was silent for two periods; then one is missing for good.
        assert!(!due(period, &mut going, 1_350, 1_199));
        assert!(!due(period, &mut going, 1_399, 1_399));
        assert!(due(period, &mut going, 1_401, 1_399));
        assert!(!due(Period(0), &mut flow(7, 0), 1_000_000, 1_000_000));
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
    fn a_flow_that_gave_way_is_named_once_by_whoever_comes_first() {
        let mut tracker = FlowTracker::default();
        // The kernel tells of it.
        tracker.opened(key(1), flow(7, 1));
        tracker.gave_way(&key(1), &flow(7, 1));
        assert_eq!((tracker.count(), tracker.given_up()), (0, vec![]));
        // It was missed before that: the kernel tells of it later.
        tracker.missing.insert(key(2), (flow(7, 1), 0));
        assert_eq!(tracker.given_up(), []);
        tracker.gave_way(&key(2), &flow(7, 1));
        assert!((0..5).all(|_| tracker.given_up().is_empty()));
        // The kernel could not tell of it.
        tracker.missing.insert(key(3), (flow(7, 1), 0));
        let given_up: Vec<_> = (0..5).flat_map(|_| tracker.given_up()).collect();
        assert_eq!(given_up, [(key(3), flow(7, 1))]);
        // Another one with the same key lives on.
        tracker.opened(key(4), flow(8, 2));
        tracker.gave_way(&key(4), &flow(7, 1));
        assert_eq!(tracker.count(), 1);
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
