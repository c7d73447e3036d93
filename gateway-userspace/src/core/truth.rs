//! Whether the tables are as they should be: looked at all the time, a little at a time, and put right.
//!
//! Nobody but the daemon should write to them, and every write should take effect. What is found otherwise is repaired at
//! once, counted, and said; flows that may have been judged by it are judged anew. Sessions and grants lie in memory and are
//! looked at in slices that a revocation hardly waits for; the apps' tables have to be asked for entry by entry, and are
//! compared as a whole, as often as their size allows. What policy does not decide is looked at by whoever writes it: the
//! gateway's own addresses and services, the guarded interfaces, the settings (`daemon/watch.rs`).

use super::decide::Keeper;
use crate::dataplane::{DataPlaneError, Seen};
use crate::policy::{Plan, SessionToken, Step, TableSet};
use crate::record::Metrics;
use gateway_common::abi::GrantKey;
use std::time::{Duration, Instant};

/// How often all of it is looked at, if there is not more of it than can be.
const ROUND: Duration = Duration::from_millis(500);
/// How long one look takes: as long may a revocation have to wait for it.
const SLICE: Duration = Duration::from_micros(500);
/// Of the time, one part in so many is spent on looking, at most.
const SHARE: u32 = 20;
/// Entries between two looks at the clock.
const STEP: usize = 256;
/// The same for the apps' tables, which are compared as a whole.
const RULES_SHARE: u32 = 50;

/// How far the tables have been looked at.
pub(super) struct Truth {
    at: Place,
    /// When the present round began, and when to go on with it.
    began: Instant,
    next: Instant,
    /// When to compare the apps' tables.
    rules: Instant,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Place {
    /// The sessions after this one should be in the tables.
    Sessions(Option<SessionToken>),
    /// The slots from this one on should be nobody else's.
    Slots(u32),
    /// The grants after this one should be in the tables.
    Grants(Option<GrantKey>),
    /// And from this slot on no others.
    GrantSlots(u32),
}

impl Truth {
    /// Nothing has been looked at.
    pub(super) fn new(now: Instant) -> Self {
        Self { at: Place::Sessions(None), began: now, next: now, rules: now }
    }

    /// How long there is nothing to look at.
    pub(super) fn rests(&self) -> Duration {
        self.next.min(self.rules).saturating_duration_since(Instant::now())
    }
}

impl Keeper {
    /// Looks at some more of the tables, if it is time.
    pub(super) fn look(&mut self) {
        // Entry by entry, a session would name what is not there as a whole.
        if self.torn.is_some() {
            return;
        }
        let now = Instant::now();
        if now >= self.truth.next {
            self.look_further(now);
        }
        if now >= self.truth.rules {
            let began = Instant::now();
            let found = self.look_at_rules();
            note(self.recorder.metrics(), found);
            let took = began.elapsed();
            self.truth.rules = Instant::now() + ROUND.max(took * RULES_SHARE);
        }
    }

    fn look_further(&mut self, now: Instant) {
        while now.elapsed() < SLICE {
            let (found, next) = match self.truth.at {
                Place::Sessions(after) => self.look_at_sessions(after),
                Place::Slots(from) => self.look_at_slots(from),
                Place::Grants(after) => self.look_at_grants(after),
                Place::GrantSlots(from) => self.look_at_grant_slots(from),
            };
            note(self.recorder.metrics(), found);
            self.truth.at = next;
            if matches!(next, Place::Sessions(None)) {
                self.recorder.metrics().looked(self.truth.began.elapsed());
                let next = self.truth.began + ROUND;
                self.truth.next = next.max(Instant::now() + now.elapsed() * SHARE);
                self.truth.began = self.truth.next;
                return;
            }
        }
        self.truth.next = Instant::now() + now.elapsed() * SHARE;
    }

    fn look_at_sessions(&mut self, after: Option<SessionToken>) -> (Result<usize, DataPlaneError>, Place) {
        let Self { state, plane, .. } = self;
        let (mut wrong, mut last) = (Vec::new(), None);
        for session in state.gateway.sessions_after(after).take(STEP) {
            last = Some(session.token);
            let wanted = state.gateway.entry(session);
            match plane.session(session.token) {
                // It touched a trip-wire, and will get its receipt.
                Seen::Revoked => {}
                Seen::Entry(entry) if entry == wanted => {}
                Seen::Entry(_) | Seen::Nothing => wrong.push((session.token, wanted)),
            }
        }
        let mended = wrong.iter().try_for_each(|(token, wanted)| plane.mend(*token, wanted));
        (mended.map(|()| wrong.len()), last.map_or(Place::Slots(0), |last| Place::Sessions(Some(last))))
    }

    fn look_at_slots(&mut self, from: u32) -> (Result<usize, DataPlaneError>, Place) {
        let (expelled, next) = self.plane.expel_strangers(from, STEP);
        (Ok(expelled), next.map_or(Place::Grants(None), Place::Slots))
    }

    fn look_at_grants(&mut self, after: Option<GrantKey>) -> (Result<usize, DataPlaneError>, Place) {
        let Self { state, plane, .. } = self;
        let (mut steps, mut last) = (Vec::new(), None);
        for (key, wanted) in state.gateway.rules().grants_after(after).take(STEP) {
            last = Some(*key);
            if plane.grant(key) != Some(*wanted) {
                steps.push(Step::PutGrant(*key, *wanted));
            }
        }
        (self.put_right(steps), last.map_or(Place::GrantSlots(0), |last| Place::Grants(Some(last))))
    }

    fn look_at_grant_slots(&mut self, from: u32) -> (Result<usize, DataPlaneError>, Place) {
        let (found, next) = self.plane.grants_from(from, STEP);
        let wanted = &self.state.gateway.rules().grants;
        let steps = found.into_iter().filter(|key| !wanted.contains_key(key)).map(Step::RemoveGrant).collect();
        (self.put_right(steps), next.map_or(Place::Sessions(None), Place::GrantSlots))
    }

    fn look_at_rules(&mut self) -> Result<usize, DataPlaneError> {
        let found = self.plane.rules()?;
        let steps = difference(&found, self.state.gateway.rules());
        self.put_right(steps)
    }

    /// Takes these steps; whatever flows were judged by what was there is judged anew.
    fn put_right(&mut self, steps: Vec<Step>) -> Result<usize, DataPlaneError> {
        let count = steps.len();
        if count > 0 {
            self.plane.apply(&Plan { steps })?;
            self.plane.forget_all_flows();
        }
        Ok(count)
    }
}

/// Says and counts what was found to be otherwise than it should be.
pub(crate) fn note(metrics: &Metrics, found: Result<usize, DataPlaneError>) {
    match found {
        Ok(0) => {}
        Ok(entries) => {
            tracing::error!(
                entries,
                "the kernel's tables were not as they should be, and have been put right; somebody else writes to them"
            );
            metrics.repaired(entries);
        }
        Err(error) => {
            tracing::error!(%error, "the kernel's tables are not as they should be, and could not be put right");
            metrics.data_plane_failed();
        }
    }
}

/// What leads from the prefixes and ports that were found to those that should be there: what is too much first.
fn difference(found: &TableSet, wanted: &TableSet) -> Vec<Step> {
    let stray = found.app_prefixes.keys().filter(|place| !wanted.app_prefixes.contains_key(place));
    let mut steps: Vec<Step> = stray.map(|(set, prefix)| Step::RemoveAppPrefix(*set, *prefix)).collect();
    let stray = found.apps.keys().filter(|key| !wanted.apps.contains_key(key));
    steps.extend(stray.map(|key| Step::RemoveApp(*key)));
    let missing = wanted.apps.iter().filter(|(key, app)| found.apps.get(key) != Some(app));
    steps.extend(missing.map(|(key, app)| Step::PutApp(*key, *app)));
    let missing = wanted.app_prefixes.iter().filter(|(place, block)| found.app_prefixes.get(place) != Some(block));
    steps.extend(missing.map(|((set, prefix), block)| Step::PutAppPrefix(*set, *prefix, *block)));
    steps
}
