//! Why somebody reaches an app or does not: one sentence that a help desk can read aloud, and what to do next.
//!
//! Pure: what the gate and the policies said goes in, words come out. Where both were asked, the gate has the last word,
//! because packets follow it; that they contradict each other is said.

mod outage;
mod reason;
mod ruling;
mod told;
mod ways;
mod words;

use crate::dataplane::explain::Explanation;
use crate::health::Failure;
use crate::policy::{AppName, Destination, Opinion, UserName};
use time::OffsetDateTime;

pub use ways::{what_reaches, who_reaches};

/// What is asked, and what the gate and the policies said.
#[derive(Clone, Debug)]
pub struct Case<'c> {
    /// What people call them.
    pub who: &'c str,
    /// Who.
    pub user: &'c UserName,
    /// Where to.
    pub to: Destination,
    /// The app there, if there is one.
    pub app: Option<&'c AppName>,
    /// What it is about.
    pub footing: Footing,
    /// What policies say, if there is an app.
    pub opinion: Option<&'c Opinion>,
    /// What the gate says of a packet from there, if it was asked.
    pub gate: Option<&'c Explanation>,
    /// Why it could not be asked.
    pub trouble: Option<&'c str>,
    /// That the app does not answer there, if its health check has found that.
    pub outage: Option<&'c Outage>,
}

/// An app that does not answer: nothing that the gate does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outage {
    /// Since when.
    pub since: OffsetDateTime,
    /// Why the last attempt failed.
    pub failure: Failure,
    /// Who answers for the app; empty if nobody is named.
    pub owner: String,
}

/// What an answer is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Footing {
    /// A session that is live.
    Live,
    /// Somebody who is not logged in: as after a login with two factors.
    Absent,
    /// Somebody who is not logged in, at an address that belongs to a session of this user.
    Taken(UserName),
    /// A login that is assumed.
    Assumed,
    /// A session at a time when it will be over.
    Over,
}

/// Who has decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decider {
    /// The loaded law, over the tables in force.
    Gate,
    /// The policies alone.
    Policy,
}

impl Decider {
    /// The word in answers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Gate => "kernel",
            Self::Policy => "policy",
        }
    }
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Whether the connection is permitted.
    pub permitted: bool,
    /// Who says so.
    pub decider: Decider,
    /// Whether gate and policies contradict each other.
    pub disagree: bool,
    /// In one sentence, or two.
    pub sentence: String,
    /// What to do.
    pub next_step: String,
}

#[cfg(test)]
mod tests;
