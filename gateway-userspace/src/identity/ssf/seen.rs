//! Which events have been dealt with, so that one that comes again does nothing again.
//!
//! An event is noted only after its effect is in force: one that is interrupted is dealt with when it comes again.
//! Memory is bounded, and lost with the process; what an event does is such that doing it twice does no harm.

use sha2::{Digest as _, Sha256};
use std::collections::{HashSet, VecDeque};

/// A hash of issuer and `jti`: neither may make an entry large.
type Key = [u8; 32];

/// The events of the past.
#[derive(Debug)]
pub struct Seen {
    keys: HashSet<Key>,
    order: VecDeque<Key>,
    capacity: usize,
}

impl Seen {
    /// One that remembers this many.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { keys: HashSet::new(), order: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// Whether an event has been dealt with.
    #[must_use]
    pub fn contains(&self, issuer: &str, jti: &str) -> bool {
        self.keys.contains(&key(issuer, jti))
    }

    /// Notes an event. The oldest gives way.
    pub fn note(&mut self, issuer: &str, jti: &str) {
        let key = key(issuer, jti);
        if !self.keys.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }
}

fn key(issuer: &str, jti: &str) -> Key {
    let mut hash = Sha256::new();
    // The length keeps an issuer and a `jti` from being cut at another place.
    hash.update(u64::try_from(issuer.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(issuer);
    hash.update(jti);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_known_by_issuer_and_jti_together() {
        let mut seen = Seen::new(8);
        seen.note("https://a", "1");
        assert!(seen.contains("https://a", "1"));
        assert!(!seen.contains("https://b", "1"));
        assert!(!seen.contains("https://a", "2"));
        assert!(!seen.contains("https://a1", ""));
    }

    #[test]
    fn the_oldest_gives_way_and_noting_twice_takes_one_place() {
        let mut seen = Seen::new(2);
        for jti in ["1", "1", "1", "2"] {
            seen.note("i", jti);
        }
        assert!(seen.contains("i", "1") && seen.contains("i", "2"));
        seen.note("i", "3");
        assert!(!seen.contains("i", "1"));
        assert_eq!((seen.keys.len(), seen.order.len()), (2, 2));
    }
}
