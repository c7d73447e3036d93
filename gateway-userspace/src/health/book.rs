//! The book: which apps are tried, what was found, and who is next.
//!
//! An address is up after one answer, and down after as many failures in a row as its check says. An attempt is planned
//! when the one before begins; as its timeout is less than the time between two, they do not overlap.

use super::{Failure, FailureKind, Found, FoundAt, State};
use crate::policy::{AppName, HealthCheck};
use gateway_common::KernelNanos;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Addresses that are new are tried at this rate: thousands do not go off together, and one goes off at once.
const FIRST: Duration = Duration::from_millis(5);
/// The time between two attempts varies by this part of it, up and down, so that what began together does not stay so.
const JITTER: f64 = 0.1;

/// An app that is to be tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// How.
    pub check: HealthCheck,
    /// Where.
    pub addresses: BTreeSet<IpAddr>,
}

/// Something to be tried now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Of which app.
    pub app: AppName,
    /// Where.
    pub address: IpAddr,
    /// How.
    pub check: Arc<HealthCheck>,
    /// When it begins.
    pub at: KernelNanos,
    /// Which watch it belongs to: a check that is changed begins another one.
    watch: u64,
}

/// An app has gone down, has come back, or answers in part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Which.
    pub app: AppName,
    /// How it was.
    pub was: State,
    /// How it is.
    pub state: State,
    /// Since when.
    pub since: KernelNanos,
    /// The address by which that was found.
    pub address: IpAddr,
    /// Why that does not answer, unless it does.
    pub failure: Option<Failure>,
}

/// What is known of all apps that have a check. Bounded by them, and by their addresses.
#[derive(Clone, Debug, Default)]
pub struct Book {
    apps: BTreeMap<AppName, Watched>,
    /// INVARIANT: each address of each app stands here once, at its `due`.
    queue: BTreeSet<(KernelNanos, AppName, IpAddr)>,
    /// Results so far; `None` is an answer.
    results: BTreeMap<Option<FailureKind>, u64>,
    watches: u64,
}

#[derive(Clone, Debug)]
struct Watched {
    check: Arc<HealthCheck>,
    watch: u64,
    state: State,
    since: Option<KernelNanos>,
    addresses: BTreeMap<IpAddr, Address>,
}

#[derive(Clone, Debug)]
struct Address {
    due: KernelNanos,
    state: State,
    since: Option<KernelNanos>,
    /// When the first of the failures in a row began, and how many there are.
    failing: Option<(KernelNanos, u8)>,
    tried_at: Option<KernelNanos>,
    took: Option<Duration>,
    failure: Option<Failure>,
}

impl Book {
    /// Tries these apps from now on, and no others. What is not changed goes on. `chance` draws from 0 to 1.
    pub fn follow(&mut self, wanted: BTreeMap<AppName, Wanted>, now: KernelNanos, mut chance: impl FnMut() -> f64) {
        let Self { apps, queue, .. } = self;
        apps.retain(|name, app| {
            let stays = wanted.get(name).is_some_and(|wanted| wanted.check == *app.check);
            app.addresses.retain(|address, kept| {
                let stays = stays && wanted.get(name).is_some_and(|wanted| wanted.addresses.contains(address));
                if !stays {
                    queue.remove(&(kept.due, name.clone(), *address));
                }
                stays
            });
            stays
        });
        let is_new = |(name, wanted): (&AppName, &Wanted)| {
            let known = self.apps.get(name).map_or(0, |app| app.addresses.len());
            wanted.addresses.len().saturating_sub(known)
        };
        let new = u32::try_from(wanted.iter().map(is_new).sum::<usize>()).unwrap_or(u32::MAX);
        for (name, Wanted { check, addresses }) in wanted {
            let spread = FIRST.saturating_mul(new).min(check.every);
            let app = self.apps.entry(name.clone()).or_insert_with(|| {
                self.watches = self.watches.saturating_add(1);
                Watched::new(check, self.watches)
            });
            for address in addresses.into_iter().take(HealthCheck::MOST_ADDRESSES) {
                app.addresses.entry(address).or_insert_with(|| {
                    let due = later(now, spread.mul_f64(chance().clamp(0.0, 1.0)));
                    self.queue.insert((due, name.clone(), address));
                    Address::new(due)
                });
            }
            // Addresses that have come or gone are no turn.
            app.settle();
        }
    }

    /// When the next attempt is due.
    #[must_use]
    pub fn next_due(&self) -> Option<KernelNanos> {
        self.queue.first().map(|(due, ..)| *due)
    }

    /// The next attempt, if one is due. `chance` is from 0 to 1.
    pub fn take(&mut self, now: KernelNanos, chance: f64) -> Option<Attempt> {
        self.queue.first().filter(|(due, ..)| due.has_passed(now))?;
        let (_, name, address) = self.queue.pop_first()?;
        let app = self.apps.get_mut(&name)?;
        let check = Arc::clone(&app.check);
        let kept = app.addresses.get_mut(&address)?;
        let factor = 1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0);
        // Never before this attempt has to be over.
        kept.due = later(now, check.every.mul_f64(factor).max(check.timeout));
        kept.tried_at = Some(now);
        self.queue.insert((kept.due, name.clone(), address));
        Some(Attempt { app: name, address, check, at: now, watch: app.watch })
    }

    /// Notes what an attempt came to: how long the answer took, or why there was none. Nothing is noted of what is not to be
    /// tried any more.
    pub fn note(&mut self, attempt: &Attempt, result: Result<Duration, Failure>) -> Option<Turn> {
        let kind = result.as_ref().err().map(|failure| failure.kind);
        let count = self.results.entry(kind).or_default();
        *count = count.saturating_add(1);
        let app = self.apps.get_mut(&attempt.app).filter(|app| app.watch == attempt.watch)?;
        let most = app.check.failures;
        let address = app.addresses.get_mut(&attempt.address)?;
        address.note(attempt.at, result, most);
        let (since, failure) = (address.since.unwrap_or(attempt.at), address.failure.clone());
        let (was, state) = (app.state, app.judged());
        if was == state {
            return None;
        }
        (app.state, app.since) = (state, Some(since).filter(|_| state != State::Unknown));
        // That it answers when it is tried first is how it should be.
        let is_news = state != State::Unknown && (was, state) != (State::Unknown, State::Up);
        let Attempt { app, address, .. } = attempt.clone();
        is_news.then_some(Turn { app, was, state, since, address, failure })
    }

    /// What was found of an app whose check is this one; of another check, nothing yet.
    #[must_use]
    pub fn found(&self, name: &AppName, check: &HealthCheck) -> Found {
        self.apps.get(name).filter(|app| *app.check == *check).map_or(Found::NOTHING, Watched::found)
    }

    /// All apps that are tried, and what was found.
    pub fn all(&self) -> impl Iterator<Item = (&AppName, Found)> {
        self.apps.iter().map(|(name, app)| (name, app.found()))
    }

    /// How many apps are down.
    #[must_use]
    pub fn down(&self) -> usize {
        self.apps.values().filter(|app| app.state == State::Down).count()
    }

    /// How many attempts have come to what, since the daemon started; `None` is an answer.
    #[must_use]
    pub fn results(&self) -> &BTreeMap<Option<FailureKind>, u64> {
        &self.results
    }
}

impl Watched {
    fn new(check: HealthCheck, watch: u64) -> Self {
        Self { check: Arc::new(check), watch, state: State::Unknown, since: None, addresses: BTreeMap::new() }
    }

    fn judged(&self) -> State {
        State::of_all(self.addresses.values().map(|address| address.state))
    }

    /// After addresses have come or gone.
    fn settle(&mut self) {
        self.state = self.judged();
        let last = self.addresses.values().filter_map(|address| address.since).max();
        self.since = self.since.or(last).filter(|_| self.state != State::Unknown);
    }

    fn found(&self) -> Found {
        let at = |(address, kept): (&IpAddr, &Address)| {
            let Address { due: _, state, since, failing: _, tried_at, took, failure } = kept.clone();
            FoundAt { address: *address, state, since, tried_at, took, failure }
        };
        Found { state: self.state, since: self.since, addresses: self.addresses.iter().map(at).collect() }
    }
}

impl Address {
    const fn new(due: KernelNanos) -> Self {
        Self { due, state: State::Unknown, since: None, failing: None, tried_at: None, took: None, failure: None }
    }

    fn note(&mut self, at: KernelNanos, result: Result<Duration, Failure>, most: u8) {
        match result {
            Ok(took) => {
                (self.failing, self.failure, self.took) = (None, None, Some(took));
                if self.state != State::Up {
                    (self.state, self.since) = (State::Up, Some(at));
                }
            }
            Err(failure) => {
                let (first, before) = self.failing.unwrap_or((at, 0));
                let failures = before.saturating_add(1);
                (self.failing, self.failure) = (Some((first, failures)), Some(failure));
                if failures >= most && self.state != State::Down {
                    (self.state, self.since) = (State::Down, Some(first));
                }
            }
        }
    }
}

fn later(now: KernelNanos, by: Duration) -> KernelNanos {
    now.after(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
