//! Time passes: sessions are over, and policies that look at the clock see another time.

use super::Gateway;
use super::draft::{Draft, Drafted};
use super::judge::{Judge, World};
use super::moves::Pass;
use crate::policy::cedar::{PolicySet, SeenTime};
use crate::policy::change::{Input, Refusal};
use crate::policy::model::{Moment, Span, Timezone};
use gateway_common::KernelNanos;
use jiff::Timestamp;
use std::sync::Arc;

/// What time it is, and at which time, as policies see it, all sessions were decided.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub(super) now: Arc<Moment>,
    pub(super) decided: Decided,
    /// Whether some session may have been decided at another time than that, which came and may have gone again.
    pub(super) is_mixed: bool,
}

/// The time at which all sessions were decided.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    seen: Option<SeenTime>,
    /// For how long policies see the same.
    span: Span,
}

impl Decided {
    pub(super) fn under(policy: &PolicySet, moment: &Moment) -> Self {
        Self { seen: policy.seen_time(moment), span: policy.span(moment) }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self { now: Arc::default(), decided: Decided { seen: None, span: Span::ALWAYS }, is_mixed: false }
    }
}

impl Gateway {
    /// Says what time it is on the wall clock. That decides nothing: what follows from it comes with [`Input::Tick`].
    pub fn set_clock(&mut self, now: Timestamp) {
        self.clock.now = Arc::new(Moment::new(now, &self.settings.timezone));
        let Clock { now, decided, is_mixed } = &mut self.clock;
        *is_mixed |= !decided.span.contains(now.at()) && decided.seen != self.policy.seen_time(now);
    }

    /// What time it is, as far as the gateway was told.
    #[must_use]
    pub fn now(&self) -> &Moment {
        &self.clock.now
    }

    /// From when on sessions may have to be decided anew because policies look at the clock.
    #[must_use]
    pub fn next_look_at_the_clock(&self) -> Option<Timestamp> {
        Some(self.clock.decided.span.until).filter(|until| *until != Timestamp::MAX)
    }

    /// Whether it is time for that. The clock may have been set back, too.
    #[must_use]
    pub fn is_behind_the_clock(&self) -> bool {
        self.clock.is_mixed || !self.clock.decided.span.contains(self.clock.now.at())
    }

    /// The moment in another time zone.
    pub(super) fn now_in(&self, zone: &Timezone) -> Arc<Moment> {
        Arc::new(Moment::new(self.clock.now.at(), zone))
    }

    /// Ends what is past its deadline, and decides all sessions anew if policies see another time. Nobody can be told that
    /// the tables have no room for what they may reach from now on: then whoever would lose something loses all.
    pub(super) fn tick(&self, now: KernelNanos) -> Result<Drafted, Refusal> {
        if !self.is_behind_the_clock() {
            return self.finish(self.begin(&Input::Tick, now));
        }
        let cramped = match self.caught_up(now, false).and_then(|draft| self.finish(draft)) {
            Ok(drafted) => return Ok(drafted),
            Err(refusal) => refusal,
        };
        let mut draft = self.caught_up(now, true)?;
        draft.cramped = Some(cramped);
        self.finish(draft)
    }

    fn caught_up(&self, now: KernelNanos, is_cramped: bool) -> Result<Draft, Refusal> {
        let mut draft = self.begin(&Input::Tick, now);
        let decided = Decided::under(&self.policy, &self.clock.now);
        if self.clock.is_mixed || decided.seen != self.clock.decided.seen {
            let mut judge = Judge::default();
            let pass = Pass::new(&mut judge, self.world());
            self.draft_move_all(&mut draft, if is_cramped { pass.without_room() } else { pass })?;
            draft.judge = Some(judge);
        }
        draft.decided = Some(decided);
        Ok(draft)
    }

    /// What decisions depend on now.
    pub(super) fn world(&self) -> World<'_> {
        World { policy: &self.policy, apps: &self.apps, app_ids: &self.app_ids, now: &self.clock.now }
    }
}
