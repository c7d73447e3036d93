//! When tokens and services were last used, stored now and then: never where one is used, and seldom enough that a busy one
//! costs the disk nothing that matters.

use super::decide::Keeper;
use crate::store::Write;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(60);

impl Keeper {
    /// Stores what has been used long enough after it was last stored, if it is time to look.
    pub(super) fn store_uses(&mut self) {
        if self.uses_looked.elapsed() >= LOOK {
            self.uses_looked = Instant::now();
            let writes = self.uses(|stored, used| (used - stored) >= crate::identity::LastUsed::SELDOM);
            // What fails is said there, and the next use is stored.
            let _ = if writes.is_empty() { Ok(()) } else { self.save(writes) };
        }
    }

    /// What has to be stored of those whose use, after the one that is stored, is `due`.
    pub(super) fn uses(&self, due: impl Fn(OffsetDateTime, OffsetDateTime) -> bool) -> Vec<Write> {
        let accounts = &self.state.accounts;
        let tokens = accounts.tokens.values().filter(|token| token.last_used.take_unstored(&due));
        let services = accounts.services.iter().filter(|service| service.last_used.take_unstored(&due));
        let tokens = tokens.cloned().map(Write::PutApiToken);
        tokens.chain(services.cloned().map(Write::PutService)).collect()
    }
}
