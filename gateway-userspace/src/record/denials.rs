//! Denials, added up: one record for each source, destination and reason in a window, however many packets there were.

use gateway_common::abi::DenialKey;
use gateway_common::table::denials::Taken;
use std::collections::HashMap;

/// How many different denials are kept apart in one window: a hundred bytes each. Of further ones the port is left out; and of
/// these a quarter as many more are kept. What then has no room is counted, and no more.
const KEPT: usize = 32_768;
const KEPT_WITHOUT_PORTS: usize = KEPT + KEPT / 4;

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
    /// Adds some of a kind. False if there are too many different ones.
    #[must_use]
    pub(super) fn add(&mut self, taken: &Taken) -> bool {
        let Taken { mut key, packets, answered, first, last } = *taken;
        if self.seen.len() >= KEPT && !self.seen.contains_key(&key) {
            key.port = 0;
        }
        if self.seen.len() >= KEPT_WITHOUT_PORTS && !self.seen.contains_key(&key) {
            return false;
        }
        let denied = self.seen.entry(key).or_insert(Denied { packets: 0, answered: 0, first, last });
        denied.packets += packets;
        denied.answered += answered;
        denied.first = denied.first.min(first);
        denied.last = denied.last.max(last);
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

    fn taken(port: u16, packets: u64, at: u64) -> Taken {
        let key = DenialKey { port, reason: 20, ..DenialKey::default() };
        Taken { key, packets, answered: 0, first: at, last: at + 1 }
    }

    #[test]
    fn equal_denials_become_one_record_with_a_count() {
        let mut denials = Denials::default();
        for found in [taken(22, 5, 10), taken(22, 2, 3), taken(23, 1, 4)] {
            assert!(denials.add(&found));
        }
        let drained = denials.drain();
        let counts: Vec<_> =
            drained.iter().map(|(key, denied)| (key.port, denied.packets, denied.first, denied.last)).collect();
        assert_eq!(counts, [(22, 7, 3, 11), (23, 1, 4, 5)]);
        assert!(denials.drain().is_empty());
    }

    #[test]
    fn what_was_only_observed_is_kept_apart_and_answers_are_counted() {
        let mut denials = Denials::default();
        let dropped = taken(22, 3, 1);
        assert!(denials.add(&Taken { answered: 2, ..dropped }));
        assert!(
            denials.add(&Taken { key: DenialKey { flags: DenialKey::OBSERVED, ..dropped.key }, ..taken(22, 1, 2) })
        );
        let drained = denials.drain();
        let counts: Vec<_> = drained.iter().map(|(key, it)| (key.flags, it.packets, it.answered)).collect();
        assert_eq!(counts, [(0, 3, 2), (DenialKey::OBSERVED, 1, 0)]);
    }

    #[test]
    fn too_many_different_denials_are_refused_and_known_ones_still_counted() {
        let mut denials = Denials::default();
        let of = |token| Taken { key: DenialKey { token, ..DenialKey::default() }, ..taken(22, 1, 1) };
        for token in 0..KEPT_WITHOUT_PORTS as u64 {
            assert!(denials.add(&of(token)));
        }
        assert!(!denials.add(&of(u64::MAX)));
        assert!(denials.add(&of(0)));
    }

    #[test]
    fn a_scan_of_all_ports_is_kept_whole_without_most_of_them() {
        let mut denials = Denials::default();
        assert!((0..=u16::MAX).all(|port| denials.add(&taken(port, 2, 1))));
        let drained = denials.drain();
        assert_eq!(drained.iter().map(|(_, denied)| denied.packets).sum::<u64>(), 2 * 65_536);
        assert_eq!(drained.len(), KEPT);
    }
}
