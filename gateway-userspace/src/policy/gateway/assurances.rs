//! What providers vouch for, kept once for all sessions of which it is the same.

use crate::policy::model::Assurance;
use std::collections::HashSet;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub(super) struct Assurances(HashSet<Arc<Assurance>>);

impl Assurances {
    /// Where hardly two are alike, those that are no longer in use have to go now and then.
    const MOST: usize = 1_024;

    /// The one that is equal to this.
    pub(super) fn share(&mut self, found: &Arc<Assurance>) -> Arc<Assurance> {
        if let Some(known) = self.0.get(&**found) {
            return Arc::clone(known);
        }
        if self.0.len() >= Self::MOST {
            self.0.retain(|known| Arc::strong_count(known) > 1);
        }
        if self.0.len() < Self::MOST {
            self.0.insert(Arc::clone(found));
        }
        Arc::clone(found)
    }
}
