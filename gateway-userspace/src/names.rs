//! Names of apps in the DNS: what is asked when, and which answers count for how long.
//!
//! Pure: the time is a parameter, and nothing is asked here. Which of the answers an app may have is for `policy` to say;
//! the daemon's task of the same name moves the bytes.

mod chain;
mod schedule;

pub use chain::{Link, follow};
pub use schedule::{Due, NameState, Schedule, Standing};

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// A family of addresses: each is asked for by itself, and has an answer of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// IPv4, by records of type A.
    V4,
    /// IPv6, by records of type AAAA.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Whether an address is of this family.
    #[must_use]
    pub const fn has(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }
}

/// What came of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The name has these addresses.
    Answer {
        /// At least one.
        addresses: BTreeSet<IpAddr>,
        /// For how long, as the answer says.
        ttl: Duration,
    },
    /// The name does not exist, or has no address of this family: an answer, too.
    Nothing {
        /// For how long; `None` if the answer does not say.
        ttl: Option<Duration>,
    },
    /// Nobody knows.
    Failure(Failure),
}

impl Outcome {
    /// The word in metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Answer { .. } => "answer",
            Self::Nothing { .. } => "nothing",
            Self::Failure(failure) => failure.label(),
        }
    }
}

/// Why a question has no answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Failure {
    /// No server answered in time.
    Timeout,
    /// The servers do not answer such questions for this gateway (REFUSED).
    Refused,
    /// The servers could not find out (SERVFAIL and its like).
    Servfail,
    /// No server can be reached, or none is known.
    Unreachable,
    /// What came makes no sense.
    Malformed,
}

impl Failure {
    /// The word in metrics, in the API and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Servfail => "servfail",
            Self::Unreachable => "unreachable",
            Self::Malformed => "malformed",
        }
    }
}
