//! Whether apps answer: what was found at each of their addresses, and when each is to be tried next.
//!
//! It grants and denies nothing. Here are the book and its rules; who tries is in the daemon. Time is a parameter, and so
//! is chance.

mod book;
mod failure;

pub use book::{Attempt, Book, Turn, Wanted};
pub use failure::{Failure, FailureKind};

use crate::policy::{AppName, HealthCheck};
use gateway_common::KernelNanos;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How an app, or one of its addresses, is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// It answers: of an app, every address that has been tried often enough.
    Up,
    /// Some addresses of the app answer, and some do not.
    Partly,
    /// It does not answer: of an app, no address does.
    Down,
    /// That is not known yet, or there is nothing to try.
    Unknown,
}

impl State {
    /// The word in answers, records and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Partly => "partly",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }

    /// How an app is whose addresses are like this.
    fn of_all(addresses: impl Iterator<Item = Self> + Clone) -> Self {
        let has = |state: Self| addresses.clone().any(|one| one == state);
        match (has(Self::Up), has(Self::Down), has(Self::Unknown)) {
            (true, true, _) => Self::Partly,
            (true, false, _) => Self::Up,
            (false, true, false) => Self::Down,
            (false, ..) => Self::Unknown,
        }
    }
}

/// What was found of an app.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// How it is.
    pub state: State,
    /// Since when, on the boot clock; while it is down, since the first attempt that failed.
    pub since: Option<KernelNanos>,
    /// Its addresses that are tried, in their order.
    pub addresses: Vec<FoundAt>,
}

impl Found {
    /// Of an app that nobody has looked at.
    pub const NOTHING: Self = Self { state: State::Unknown, since: None, addresses: Vec::new() };

    /// What keeps connections to this address from being answered, as far as is known: that the address is down, or that the
    /// app is.
    #[must_use]
    pub fn outage(&self, address: IpAddr) -> Option<&FoundAt> {
        let is_down = |found: &&FoundAt| found.state == State::Down;
        let there = self.addresses.iter().find(|found| found.address == address);
        match there {
            Some(found) => Some(found).filter(is_down),
            None if self.state == State::Down => self.addresses.iter().find(is_down),
            None => None,
        }
    }
}

/// What was found at an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundAt {
    /// Where.
    pub address: IpAddr,
    /// Up, down or unknown.
    pub state: State,
    /// Since when, on the boot clock; while it is down, since the first attempt that failed.
    pub since: Option<KernelNanos>,
    /// When the last attempt began.
    pub tried_at: Option<KernelNanos>,
    /// How long the last answer took.
    pub took: Option<Duration>,
    /// Why the last attempt failed, if it did.
    pub failure: Option<Failure>,
}

/// The book, for whoever writes and whoever reads it. Clones are the same book.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Book>>);

impl Health {
    /// What was found of an app whose check is this one.
    #[must_use]
    pub fn of(&self, app: &AppName, check: &HealthCheck) -> Found {
        self.book(|book| book.found(app, check))
    }

    /// Looks at the book, or writes into it. Must be quick.
    pub fn book<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
