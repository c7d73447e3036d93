//! Bundles are put in force, confirmed, and undone if nobody does.

use super::decide::{Asked, Keeper, RETRY};
use super::{Actor, CoreError, Done, Request};
use crate::policy::{App, Bundle, Difference, Drafted, Generation, HistoryEntry, Input, Refusal, Undo};
use crate::record::described;
use crate::store::Write;
use gateway_common::KernelNanos;
use std::time::Duration;

/// A bundle that is to be put in force.
#[derive(Debug)]
pub struct Apply {
    /// What is declared.
    pub bundle: Box<Bundle>,
    /// Refuse unless this generation is in force.
    pub if_match: Option<Generation>,
    /// Why, for the history.
    pub message: String,
    /// Undo it after so long unless it is confirmed.
    pub confirm_within: Option<Duration>,
    /// The generation that this goes back to. It may replace one that is not confirmed.
    pub back_to: Option<Generation>,
}

/// What is noted about a change, beside who made it.
#[derive(Clone, Debug, Default)]
pub(super) struct Note {
    pub message: String,
    pub confirm_within: Option<Duration>,
    pub back_to: Option<Generation>,
}

/// A generation that begins.
pub(super) struct Begun {
    /// What it goes back to, and when, unless it is confirmed.
    unless_confirmed: Option<(KernelNanos, Box<Bundle>)>,
    entry: HistoryEntry,
    /// How it differs from the one before.
    difference: Difference,
}

impl Keeper {
    pub(super) fn apply_bundle(&mut self, asked: &Asked<'_>, apply: Apply) -> Result<Done, CoreError> {
        let Apply { bundle, if_match, message, confirm_within, back_to } = apply;
        if back_to.is_none() && self.state.gateway.is_in_force(&bundle) {
            // Also what waits for being confirmed, which goes on waiting.
            self.state.gateway.expect(if_match)?;
            return Ok(Done::default());
        }
        let unconfirmed = self.state.history.unconfirmed().map(|entry| entry.generation);
        let replaces = |generation: &Generation| back_to.is_some_and(|back_to| back_to < *generation);
        if let Some(generation) = unconfirmed.filter(|generation| !replaces(generation)) {
            return Err(CoreError::Unconfirmed(generation));
        }
        let asked = asked.noting(Note { message, confirm_within, back_to });
        let done = self.change(&asked, Input::Apply { bundle, if_match }, self.confirmed(), None)?;
        if unconfirmed.is_some() {
            self.state.history.confirm_all_but(done.generation);
        }
        Ok(done)
    }

    /// The generation that waits for it stays.
    pub(super) fn confirm(&mut self, asked: &Asked<'_>, expected: Option<Generation>) -> Result<Done, CoreError> {
        let waiting = self.state.history.unconfirmed().map(|entry| entry.generation);
        let waiting = waiting.ok_or(CoreError::NothingToConfirm)?;
        if let Some(expected) = expected.filter(|expected| *expected != waiting) {
            return Err(Refusal::GenerationMismatch { expected, found: waiting }.into());
        }
        self.save(self.confirmed())?;
        self.state.history.confirm_all_but(None);
        self.recorder.admin(asked.actor, "generation_confirmed", &waiting.0.to_string());
        Ok(Done { generation: Some(waiting), ..Done::default() })
    }

    /// Refuses what would be lost if the generation that waits for being confirmed is undone, or would undo it in part. What
    /// is switched off is switched off at once.
    pub(super) fn unless_unconfirmed(&self, input: &Input) -> Result<(), CoreError> {
        let Some(entry) = self.state.history.unconfirmed() else { return Ok(()) };
        let may_be = match input {
            Input::PutApp(app) => {
                let before = self.state.gateway.app(&app.name).map(|(_, before)| before);
                !app.enabled && before.is_some_and(|before| *app == App { enabled: false, ..before.clone() })
            }
            Input::RemoveApp(_) | Input::PutPolicy { .. } | Input::Apply { .. } => false,
            _ => true,
        };
        if may_be { Ok(()) } else { Err(CoreError::Unconfirmed(entry.generation)) }
    }

    /// Undoes what nobody has confirmed in time.
    pub(super) fn undo_what_was_not_confirmed(&mut self) {
        let now = self.plane.now();
        if !self.state.history.undone_at().is_some_and(|until| until.has_passed(now)) {
            return;
        }
        let Some(generation) = self.state.history.unconfirmed().map(|entry| entry.generation) else { return };
        let undone = self.undo(generation);
        match undone {
            Ok(_) => tracing::warn!(generation = generation.0, "nobody has confirmed it in time, and it is undone"),
            Err(error) => {
                tracing::error!(%error, generation = generation.0, "nobody has confirmed it, and it cannot be undone yet");
                self.state.history.postpone(now.after(RETRY.as_nanos() as u64));
            }
        }
    }

    fn undo(&mut self, generation: Generation) -> Result<Done, CoreError> {
        let former = self.state.history.former(&self.state.gateway.bundle()).map_err(Refusal::Policy)?;
        let apply = Apply {
            bundle: Box::new(former),
            if_match: None,
            message: format!("generation {} was not confirmed in time", generation.0),
            confirm_within: None,
            back_to: Some(Generation(generation.0.saturating_sub(1))),
        };
        self.handle(&Actor::local(), Request::Apply(Box::new(apply)), Duration::ZERO)
    }

    /// What is to be stored so that nothing waits for being confirmed.
    fn confirmed(&self) -> Vec<Write> {
        let waiting = self.state.history.unconfirmed().cloned();
        waiting
            .map(|entry| Write::PutHistory(Box::new(HistoryEntry { confirm_until: None, ..entry })))
            .into_iter()
            .collect()
    }

    /// The entry of the history for a change that has not been adopted yet.
    pub(super) fn entry(&self, asked: &Asked<'_>, input: &Input, drafted: &Drafted) -> Option<HistoryEntry> {
        let generation = drafted.generation()?;
        let undo = Undo::of(&self.state.gateway, drafted.facts());
        let (action, object) = described(input).filter(|_| !undo.is_empty())?;
        let Note { message, confirm_within, back_to } = asked.note.clone();
        let (action, object) = match back_to {
            Some(back_to) => ("rolled_back", back_to.0.to_string()),
            None => (action, object),
        };
        let (at, author) = (asked.wall(), asked.actor.name.clone());
        let confirm_until = confirm_within.and_then(|within| at.checked_add(within.try_into().ok()?));
        Some(HistoryEntry { generation, at, author, message, action: action.to_owned(), object, confirm_until, undo })
    }

    /// The generation that a change begins which has not been adopted yet.
    pub(super) fn beginning(&self, asked: &Asked<'_>, entry: HistoryEntry, drafted: &Drafted) -> Begun {
        let unless_confirmed = self.unless_confirmed(asked, &entry);
        Begun { unless_confirmed, entry, difference: Difference::of(&self.state.gateway, drafted.facts()) }
    }

    /// What to go back to, and when, unless it is confirmed.
    fn unless_confirmed(&self, asked: &Asked<'_>, entry: &HistoryEntry) -> Option<(KernelNanos, Box<Bundle>)> {
        entry.confirm_until?;
        let within = asked.note.confirm_within?.as_nanos();
        Some((asked.at.after(u64::try_from(within).unwrap_or(u64::MAX)), Box::new(self.state.gateway.bundle())))
    }

    /// A generation has begun, if this is one.
    pub(super) fn begun(&mut self, asked: &Asked<'_>, begun: Option<Begun>) {
        if let Some(Begun { unless_confirmed, entry, difference }) = begun {
            self.recorder.generation_began(asked.actor, &entry, difference);
            self.state.history.begin(entry, unless_confirmed);
        }
    }

    /// What is to be stored of it.
    pub(super) fn noted(&self, entry: Option<&HistoryEntry>) -> Vec<Write> {
        let too_many = entry.map(|entry| self.state.history.too_many_with(entry)).unwrap_or_default();
        let forgotten = too_many.into_iter().map(Write::RemoveHistory);
        entry.cloned().map(|entry| Write::PutHistory(Box::new(entry))).into_iter().chain(forgotten).collect()
    }
}
