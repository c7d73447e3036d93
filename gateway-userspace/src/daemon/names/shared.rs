//! How the names stand, for whoever shows it.

use crate::api::NameLook;
use crate::names::{Schedule, Standing};
use crate::policy::DnsName;
use crate::record::Metrics;
use crate::wire::{LookupFailure, ResolvedName};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// How the names stand. Cheap to clone.
#[derive(Clone, Default)]
pub(in crate::daemon) struct NameStates(Arc<Mutex<BTreeMap<DnsName, ResolvedName>>>);

impl NameStates {
    /// What the schedule knows now, whose times are since `began`.
    pub(super) fn publish(&self, schedule: &Schedule, began: Instant, metrics: &Metrics) {
        let (wall, now) = (OffsetDateTime::now_utc(), began.elapsed());
        let at = |moment: Duration| {
            let at = wall.saturating_add(time::Duration::try_from(moment).unwrap_or_default());
            let at = at.saturating_sub(time::Duration::try_from(now).unwrap_or_default());
            // Of no use to anybody, and other each time.
            at.replace_nanosecond(0).unwrap_or(at)
        };
        let mut counts = BTreeMap::from(Standing::ALL.map(|standing| (standing, 0_usize)));
        let mut views = BTreeMap::new();
        for (name, state) in schedule.states() {
            *counts.entry(state.standing).or_default() += 1;
            let view = ResolvedName {
                name: name.to_string(),
                state: state.standing.label().to_owned(),
                addresses: state.addresses.iter().map(ToString::to_string).collect(),
                refused: Vec::new(),
                since: at(state.since),
                next_look: at(state.next),
                failure: state.failure.map(|(why, when)| LookupFailure { kind: why.label().to_owned(), at: at(when) }),
            };
            views.insert(name, view);
        }
        for (standing, count) in counts {
            metrics.names(standing.label(), count);
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = views;
    }

    /// For the API.
    pub(in crate::daemon) fn look(&self) -> NameLook {
        let states = Arc::clone(&self.0);
        Arc::new(move |name| states.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }
}
