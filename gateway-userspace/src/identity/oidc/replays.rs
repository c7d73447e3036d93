//! Which tokens were used already. Bounded: when it is full of tokens that could still be replayed, nothing more is
//! admitted (fail closed).

use crate::identity::jose::TokenRefusal;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashSet};
use time::OffsetDateTime;

/// Remembers tokens by issuer and `jti` until they have expired.
#[derive(Debug)]
pub struct Replays {
    capacity: usize,
    seen: HashSet<[u8; 32]>,
    /// INVARIANT: the same tokens, by when they may be forgotten.
    order: BTreeSet<(OffsetDateTime, [u8; 32])>,
}

impl Replays {
    /// One that has seen nothing, and remembers so many.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, seen: HashSet::new(), order: BTreeSet::new() }
    }

    /// Notes that a token is used now.
    ///
    /// # Errors
    /// If it was used before, or cannot be remembered.
    pub fn admit(
        &mut self,
        issuer: &str,
        jti: &str,
        forget_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<(), TokenRefusal> {
        self.forget(now);
        // A hash, so that memory is bounded whatever the identifiers are. A URL has no NUL.
        let token: [u8; 32] = Sha256::digest(format!("{issuer}\0{jti}")).into();
        if self.seen.contains(&token) {
            return Err(TokenRefusal::Replayed);
        }
        if self.seen.len() >= self.capacity {
            return Err(TokenRefusal::ReplaysFull);
        }
        self.seen.insert(token);
        self.order.insert((forget_at, token));
        Ok(())
    }

    fn forget(&mut self, now: OffsetDateTime) {
        while let Some((forget_at, token)) = self.order.first().copied() {
            if forget_at > now {
                return;
            }
            self.order.pop_first();
            self.seen.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::jose::forge::NOW;
    use time::Duration;

    #[test]
    fn a_token_counts_once_until_it_is_worth_nothing_anyway() {
        let (mut replays, end) = (Replays::new(8), NOW + Duration::minutes(3));
        assert_eq!(replays.admit("a", "1", end, NOW), Ok(()));
        assert_eq!(replays.admit("a", "1", end, end - Duration::SECOND), Err(TokenRefusal::Replayed));
        assert_eq!(replays.admit("b", "1", end, NOW), Ok(()), "another issuer's");
        assert_eq!(replays.admit("a", "1", end, end), Ok(()));
    }

    #[test]
    fn when_it_is_full_nothing_is_admitted_until_something_expired() {
        let mut replays = Replays::new(2);
        for (jti, minutes) in [("1", 5), ("2", 1)] {
            replays.admit("a", jti, NOW + Duration::minutes(minutes), NOW).unwrap();
        }
        assert_eq!(replays.admit("a", "3", NOW + Duration::minutes(9), NOW), Err(TokenRefusal::ReplaysFull));
        assert_eq!(replays.admit("a", "1", NOW + Duration::minutes(9), NOW), Err(TokenRefusal::Replayed));
        let later = NOW + Duration::minutes(1);
        assert_eq!(replays.admit("a", "3", later + Duration::minutes(9), later), Ok(()));
        assert_eq!(replays.seen.len(), 2);
    }
}
