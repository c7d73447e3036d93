//! Denials, added up: one record for each source, destination and reason in a window, however many packets there were.

use gateway_common::Address;
use gateway_common::abi::Event;
use std::collections::HashMap;

/// How many different denials are kept apart in one window. Further ones are counted as lost records.
const KEPT: usize = 10_000;

/// What makes two denials the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct DenialKey {
    pub(super) source: Address,
    pub(super) destination: Address,
    pub(super) port: u16,
    pub(super) protocol: u8,
    pub(super) reason: u8,
    pub(super) direction: u8,
    pub(super) interface: u32,
    pub(super) token: u64,
    pub(super) app: u32,
    pub(super) mac: [u8; 6],
    /// The packet passed all the same.
    pub(super) observed: bool,
}

/// How many there were, and when, on the boot clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Denied {
    pub(super) packets: u64,
    /// Of them, those that were answered.
    pub(super) answered: u64,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// The denials of the window.
#[derive(Default)]
pub struct Denials {
    seen: HashMap<DenialKey, Denied>,
}

impl Denials {
    /// Adds one. False if there are too many different ones.
    #[must_use]
    pub(super) fn add(&mut self, event: &Event) -> bool {
        let key = DenialKey {
            source: event.source,
            destination: event.destination,
            port: event.destination_port,
            protocol: event.protocol,
            reason: event.what,
            direction: event.direction,
            interface: event.interface,
            token: event.token,
            app: event.app,
            mac: event.mac,
            observed: event.flags & Event::OBSERVED != 0,
        };
        if self.seen.len() >= KEPT && !self.seen.contains_key(&key) {
            return false;
        }
        let denied =
            self.seen.entry(key).or_insert(Denied { packets: 0, answered: 0, first: event.at, last: event.at });
        denied.packets += 1;
        denied.answered += u64::from(event.flags & Event::ANSWERED != 0);
        denied.last = event.at;
        true
    }

    /// Ends the window: what was seen, in a stable order.
    pub(super) fn drain(&mut self) -> Vec<(DenialKey, Denied)> {
        let mut drained: Vec<_> = self.seen.drain().collect();
        drained.sort_unstable_by_key(|(key, denied)| (denied.first, *key));
        drained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_denials_become_one_record_with_a_count() {
        let mut denials = Denials::default();
        for at in 1..=3 {
            assert!(denials.add(&Event { at, destination_port: 22, what: 20, ..Event::default() }));
        }
        assert!(denials.add(&Event { at: 2, destination_port: 23, what: 20, ..Event::default() }));
        let drained = denials.drain();
        let counts: Vec<_> = drained.iter().map(|(key, denied)| (key.port, denied.packets, denied.last)).collect();
        assert_eq!(counts, [(22, 3, 3), (23, 1, 2)]);
        assert!(denials.drain().is_empty());
    }

    #[test]
    fn what_was_only_observed_is_kept_apart_and_answers_are_counted() {
        let mut denials = Denials::default();
        for flags in [0, Event::ANSWERED, Event::ANSWERED, Event::OBSERVED] {
            assert!(denials.add(&Event { what: 20, flags, ..Event::default() }));
        }
        let drained = denials.drain();
        let counts: Vec<_> = drained.iter().map(|(key, it)| (key.observed, it.packets, it.answered)).collect();
        assert_eq!(counts, [(false, 3, 2), (true, 1, 0)]);
    }

    #[test]
    fn too_many_different_denials_are_refused_and_known_ones_still_counted() {
        let mut denials = Denials::default();
        let event = |token| Event { token, what: 20, ..Event::default() };
        for token in 0..KEPT as u64 {
            assert!(denials.add(&event(token)));
        }
        assert!(!denials.add(&event(u64::MAX)));
        assert!(denials.add(&event(0)));
    }
}
