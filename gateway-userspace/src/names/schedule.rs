//! What is asked when, and which addresses count until when.
//!
//! An address that an answer names counts until another answer comes. If none comes, because all servers fail, it counts
//! for as long as stale answers are kept (RFC 8767). An address that is gone from an answer counts until twice the answer's
//! time to live have passed since it was last seen: somebody may have got it from another cache just before the change, and
//! that is how long they may use it. That a name does not exist, or has no such address, is an answer as well.

use super::{Failure, Family, Outcome};
use crate::policy::{Answers, DnsName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// A question: a name, and a family of addresses.
pub type Due = (DnsName, Family);

/// What is asked when, and what counts. All times are since one moment that whoever owns it chooses.
#[derive(Debug)]
pub struct Schedule {
    keep: Duration,
    /// INVARIANT: of each name there are both families.
    entries: BTreeMap<Due, Entry>,
    /// What is being asked; it may be of names that are gone.
    in_flight: BTreeSet<Due>,
}

#[derive(Debug)]
struct Entry {
    /// Those of the last answer.
    current: BTreeSet<IpAddr>,
    /// Those that are gone from it, and until when they count.
    leaving: BTreeMap<IpAddr, Duration>,
    /// When the last answer came, and for how long it holds; `None` if what is current was there before.
    answered: Option<(Duration, Duration)>,
    /// Until when `current` counts if nothing else comes.
    good_until: Duration,
    next: Duration,
    /// Failures since the last answer.
    failures: u32,
    failure: Option<(Failure, Duration)>,
    since: Duration,
    left_out: usize,
}

/// How a name stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// It has addresses, and they are fresh.
    Resolved,
    /// It has addresses, and the servers fail to confirm them.
    Stale,
    /// It has none.
    Unresolved,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Resolved, Self::Stale, Self::Unresolved];

    /// The word in metrics and in the API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Stale => "stale",
            Self::Unresolved => "unresolved",
        }
    }
}

/// What is known of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameState {
    /// How it stands.
    pub standing: Standing,
    /// The addresses that count.
    pub addresses: BTreeSet<IpAddr>,
    /// Since when it is these.
    pub since: Duration,
    /// When it is asked for next.
    pub next: Duration,
    /// The last failure since the last answer, and when it was.
    pub failure: Option<(Failure, Duration)>,
}

impl Schedule {
    /// Answers hold no shorter than this, however short they say: nobody is to be asked all the time.
    pub const SHORTEST: Duration = Duration::from_secs(5);
    /// And no longer: what has moved is to be found again within the hour.
    pub const LONGEST: Duration = Duration::from_secs(3_600);
    /// How long it holds that there is nothing, if the answer does not say.
    pub const NOTHING: Duration = Duration::from_secs(60);
    /// How long it takes at most until somebody who failed is asked again.
    pub const MOST_PATIENCE: Duration = Duration::from_secs(60);
    /// How many questions are open at once.
    pub const MOST_IN_FLIGHT: usize = 16;
    /// How many addresses of a name and family count: the first in their order.
    pub const MOST_ADDRESSES: usize = 64;

    /// One that keeps answers for so long when the servers fail.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        Self { keep, entries: BTreeMap::new(), in_flight: BTreeSet::new() }
    }

    /// These names are asked for, and no others. What is `known` of new ones counts as an answer of unknown age.
    pub fn follow(&mut self, names: &BTreeSet<DnsName>, known: &Answers, now: Duration) {
        self.entries.retain(|(name, _), _| names.contains(name));
        for (name, family) in names.iter().flat_map(|name| Family::ALL.map(|family| (name, family))) {
            let known = known.get(name).into_iter().flatten().copied().filter(|address| family.has(*address));
            let good_until = now.saturating_add(self.keep);
            self.entries.entry((name.clone(), family)).or_insert_with(|| Entry::new(known.collect(), good_until, now));
        }
    }

    /// The questions to ask now. Each is open until its outcome is told.
    pub fn due(&mut self, now: Duration) -> Vec<Due> {
        let free = Self::MOST_IN_FLIGHT.saturating_sub(self.in_flight.len());
        let mut due: Vec<_> = self.waiting().filter(|(_, entry)| entry.next <= now).collect();
        due.sort_by_key(|(_, entry)| entry.next);
        let due: Vec<Due> = due.into_iter().take(free).map(|(due, _)| due.clone()).collect();
        self.in_flight.extend(due.iter().cloned());
        due
    }

    /// What came of a question. Returns how many addresses were too many, if that is news.
    pub fn learn(&mut self, due: &Due, outcome: Outcome, now: Duration) -> Option<usize> {
        self.in_flight.remove(due);
        let keep = self.keep;
        let entry = self.entries.get_mut(due)?;
        let before = entry.left_out;
        match outcome {
            Outcome::Answer { addresses, ttl } => {
                let addresses = addresses.into_iter().filter(|address| due.1.has(*address)).collect();
                entry.answer(addresses, clamped(ttl), keep, now);
            }
            Outcome::Nothing { ttl } => {
                entry.answer(BTreeSet::new(), clamped(ttl.unwrap_or(Self::NOTHING)), keep, now);
            }
            Outcome::Failure(failure) => entry.fail(failure, now),
        }
        (entry.left_out != before && entry.left_out > 0).then_some(entry.left_out)
    }

    /// Forgets what no longer counts, and returns what does: of each name, even if it is nothing.
    pub fn in_force(&mut self, now: Duration) -> Answers {
        let mut answers = Answers::new();
        for ((name, _), entry) in &mut self.entries {
            entry.forget(now);
            answers.entry(name.clone()).or_default().extend(entry.addresses());
        }
        answers
    }

    /// When there is something to do next; `None` if never. What is due and has no place waits for an outcome.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let is_full = self.in_flight.len() >= Self::MOST_IN_FLIGHT;
        let looks = self.waiting().filter(|_| !is_full).map(|(_, entry)| entry.next);
        looks.chain(self.entries.values().filter_map(Entry::ends)).min()
    }

    /// Why a question has no answer since the last one, if it has none.
    #[must_use]
    pub fn failure(&self, due: &Due) -> Option<Failure> {
        self.entries.get(due).and_then(|entry| entry.failure).map(|(failure, _)| failure)
    }

    /// Whether questions are open.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// All that is known. What no longer counts is gone after [`Self::in_force`].
    #[must_use]
    pub fn states(&self) -> BTreeMap<DnsName, NameState> {
        let mut states = BTreeMap::new();
        for ((name, _), entry) in &self.entries {
            let state = entry.state();
            match states.get_mut(name) {
                None => drop(states.insert(name.clone(), state)),
                Some(known) => merge(known, state),
            }
        }
        states
    }

    fn waiting(&self) -> impl Iterator<Item = (&Due, &Entry)> {
        self.entries.iter().filter(|(due, _)| !self.in_flight.contains(*due))
    }
}

fn clamped(ttl: Duration) -> Duration {
    ttl.clamp(Schedule::SHORTEST, Schedule::LONGEST)
}

/// Of both families: what is not as it should be in one of them is told.
fn merge(known: &mut NameState, other: NameState) {
    known.standing = match (known.standing, other.standing) {
        (Standing::Stale, _) | (_, Standing::Stale) => Standing::Stale,
        (one, another) => one.min(another),
    };
    known.addresses.extend(other.addresses);
    known.since = known.since.max(other.since);
    known.next = known.next.min(other.next);
    known.failure = known.failure.into_iter().chain(other.failure).max_by_key(|(_, at)| *at);
}

impl Entry {
    fn new(current: BTreeSet<IpAddr>, good_until: Duration, now: Duration) -> Self {
        Self {
            current,
            leaving: BTreeMap::new(),
            answered: None,
            good_until,
            next: now,
            failures: 0,
            failure: None,
            since: now,
            left_out: 0,
        }
    }

    fn answer(&mut self, addresses: BTreeSet<IpAddr>, ttl: Duration, keep: Duration, now: Duration) {
        let before = self.addresses();
        self.left_out = addresses.len().saturating_sub(Schedule::MOST_ADDRESSES);
        let addresses: BTreeSet<IpAddr> = addresses.into_iter().take(Schedule::MOST_ADDRESSES).collect();
        // Of what was there before nobody knows when it was seen. As the answer says how long such answers hold here, it may
        // be used for so long.
        let leaves = self.answered.map_or(now.saturating_add(ttl), |(at, ttl)| at.saturating_add(2 * ttl));
        self.leaving.extend(self.current.iter().map(|address| (*address, leaves)));
        self.leaving.retain(|address, until| *until > now && !addresses.contains(address));
        self.make_room(addresses.len());
        self.current = addresses;
        self.answered = Some((now, ttl));
        self.good_until = now.saturating_add(ttl).saturating_add(keep);
        self.next = now.saturating_add(ttl);
        (self.failures, self.failure) = (0, None);
        if self.addresses() != before {
            self.since = now;
        }
    }

    /// Whoever answers with others each time has no more addresses thereby: those that leave first have to.
    fn make_room(&mut self, current: usize) {
        while self.leaving.len() > Schedule::MOST_ADDRESSES.saturating_sub(current) {
            let first = self.leaving.iter().min_by_key(|(_, until)| **until).map(|(address, _)| *address);
            first.map(|address| self.leaving.remove(&address));
        }
    }

    fn fail(&mut self, failure: Failure, now: Duration) {
        let patience = Schedule::SHORTEST.saturating_mul(1 << self.failures.min(8));
        self.failures = self.failures.saturating_add(1);
        self.failure = Some((failure, now));
        self.next = now.saturating_add(patience.min(Schedule::MOST_PATIENCE));
    }

    fn forget(&mut self, now: Duration) {
        let before = self.addresses();
        self.leaving.retain(|_, until| *until > now);
        if self.good_until <= now {
            self.current.clear();
        }
        if self.addresses() != before {
            self.since = now;
        }
    }

    fn addresses(&self) -> BTreeSet<IpAddr> {
        self.current.iter().chain(self.leaving.keys()).copied().collect()
    }

    /// When the next of its addresses no longer counts.
    fn ends(&self) -> Option<Duration> {
        let current = (!self.current.is_empty()).then_some(self.good_until);
        self.leaving.values().copied().chain(current).min()
    }

    fn state(&self) -> NameState {
        let is_fresh = self.answered.is_some() && self.failures == 0;
        let addresses = self.addresses();
        let standing = match (addresses.is_empty(), is_fresh) {
            (true, _) => Standing::Unresolved,
            (false, true) => Standing::Resolved,
            (false, false) => Standing::Stale,
        };
        NameState { standing, addresses, since: self.since, next: self.next, failure: self.failure }
    }
}

#[cfg(test)]
mod tests;
