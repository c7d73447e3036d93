//! Ordered steps from one state of the tables to another.
//!
//! INVARIANT: applied up to any step, a plan permits nothing that neither the state before nor the state after
//! permits. New app sets and allow-lists are written while no session names them; then each session moves from the old
//! to the new in one word, losers first; what no session names any more is removed last. Sessions that end come first
//! of all. Ids are not used again, so this is enough for every plan of a gateway. Between a state that was *found* and
//! the one that should be, an id may mean two things: the sessions that name such an id are ended first and begin
//! anew at the end.

mod diff;
mod needs;

pub use needs::Needs;

use super::model::{AppSetId, BlockId, SessionToken};
use super::table::{SessionEntry, TableSet};
use gateway_common::abi::{AppEntry, AppKey, Grant, GrantKey};
use ipnet::IpNet;

/// One write to one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// End a session: from this step on it forwards nothing.
    EndSession(SessionToken),
    /// Write a port of a block.
    PutApp(AppKey, AppEntry),
    /// Write a prefix of an app set.
    PutAppPrefix(AppSetId, IpNet, BlockId),
    /// Write a grant.
    PutGrant(GrantKey, Grant),
    /// Begin a session.
    OpenSession(SessionToken, SessionEntry),
    /// Change a session in place: app set, allow-list, deadline, time of authentication, limits. Its source never
    /// changes.
    UpdateSession(SessionToken, SessionEntry),
    /// Remove a grant.
    RemoveGrant(GrantKey),
    /// Remove a prefix of an app set.
    RemoveAppPrefix(AppSetId, IpNet),
    /// Remove a port of a block.
    RemoveApp(AppKey),
}

/// Steps, in the order in which they are to be taken.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan that leads from one state to another.
    #[must_use]
    pub fn between(from: &TableSet, to: &TableSet) -> Self {
        diff::between(from, to)
    }

    /// The steps that end sessions: they only take away, whatever is in the tables.
    #[must_use]
    pub fn ends(&self) -> Self {
        Self { steps: self.steps.iter().filter(|step| matches!(step, Step::EndSession(_))).cloned().collect() }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many entries each table holds at the worst moment, if the plan starts at `from` and with so many sessions.
    #[must_use]
    pub fn needs(&self, from: &TableSet, sessions: usize) -> Needs {
        needs::of(self, from, sessions)
    }
}

#[cfg(test)]
mod tests;
