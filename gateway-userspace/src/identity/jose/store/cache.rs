//! When something that is kept is fetched anew, and when it is too old to be used. Pure.

use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// How often it is fetched, and how long it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// After a failure, not before this.
    pub retry: Duration,
    /// Because of something unknown, at most once in this.
    pub again: Duration,
    /// Whatever the other side says, it is fetched anew no more often than this.
    pub least: Duration,
    /// And no less often than this.
    pub most: Duration,
    /// When it is this old it is not used any more.
    pub limit: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            retry: Duration::from_secs(5),
            again: Duration::from_secs(30),
            least: Duration::from_secs(5 * 60),
            most: Duration::from_secs(24 * 60 * 60),
            limit: Duration::from_secs(48 * 60 * 60),
        }
    }
}

/// What is to be done before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// It may be used, and should be fetched meanwhile.
    Soon,
    /// There is nothing to use.
    Now,
}

#[derive(Debug)]
pub(super) struct Cache<T> {
    pace: Pace,
    kept: Option<Kept<T>>,
    /// When a fetch began last, and when one began because of something unknown.
    tried: Option<OffsetDateTime>,
    tried_again: Option<OffsetDateTime>,
}

#[derive(Debug)]
struct Kept<T> {
    item: Arc<T>,
    since: OffsetDateTime,
    /// How old it may get before it is fetched anew.
    fresh: Duration,
}

impl<T> Cache<T> {
    pub(super) const fn new(pace: Pace) -> Self {
        Self { pace, kept: None, tried: None, tried_again: None }
    }

    pub(super) fn current(&self, now: OffsetDateTime) -> Option<Arc<T>> {
        let kept = self.kept.as_ref()?;
        younger(kept.since, now, self.pace.limit).then(|| Arc::clone(&kept.item))
    }

    pub(super) fn need(&self, now: OffsetDateTime) -> Need {
        let usable = self.current(now).is_some();
        let fresh = self.kept.as_ref().is_some_and(|kept| younger(kept.since, now, kept.fresh));
        let waits = self.tried.is_some_and(|tried| younger(tried, now, self.pace.retry));
        match (fresh, usable) {
            (true, _) => Need::Nothing,
            (false, true) if waits => Need::Nothing,
            (false, true) => Need::Soon,
            // Even if it was tried just now: that fetch may be under way, and then it is worth waiting for.
            (false, false) => Need::Now,
        }
    }

    /// Whether a fetch is due; if so, it has begun.
    pub(super) fn begin(&mut self, now: OffsetDateTime, again: bool) -> bool {
        let due = if again {
            !self.tried_again.is_some_and(|tried| younger(tried, now, self.pace.again))
        } else {
            let waits = self.tried.is_some_and(|tried| younger(tried, now, self.pace.retry));
            !waits && self.need(now) != Need::Nothing
        };
        if due {
            self.tried = Some(now);
        }
        if due && again {
            self.tried_again = Some(now);
        }
        due
    }

    pub(super) fn keep(&mut self, item: T, max_age: Option<Duration>, now: OffsetDateTime) {
        let fresh = max_age.unwrap_or(self.pace.most).clamp(self.pace.least, self.pace.most.max(self.pace.least));
        self.kept = Some(Kept { item: Arc::new(item), since: now, fresh });
    }
}

/// Whoever waited for another's fetch looked at the clock before them.
const WAITED: time::Duration = time::Duration::seconds(60);

/// Whether less than `limit` lies between two times. A clock that was set back makes nothing young.
fn younger(since: OffsetDateTime, now: OffsetDateTime, limit: Duration) -> bool {
    let age = now - since;
    let age = if age.is_negative() && age >= -WAITED { time::Duration::ZERO } else { age };
    Duration::try_from(age).is_ok_and(|age| age < limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = time::macros::datetime!(2026-11-26 12:00 UTC);
    const HOUR: Duration = Duration::from_secs(3600);

    fn kept(max_age: Option<Duration>) -> Cache<u8> {
        let mut cache = Cache::new(Pace::default());
        assert!(cache.begin(START, false));
        cache.keep(1, max_age, START);
        cache
    }

    #[test]
    fn what_the_other_side_says_of_its_age_counts_between_five_minutes_and_a_day() {
        for (said, fresh) in [(Some(0), 300), (Some(600), 600), (Some(u64::MAX), 24 * 3600), (None, 24 * 3600)] {
            let cache = kept(said.map(Duration::from_secs));
            let end = START + Duration::from_secs(fresh);
            assert_eq!(cache.need(end - Duration::from_secs(1)), Need::Nothing, "{said:?}");
            assert_eq!(cache.need(end), Need::Soon, "{said:?}");
        }
    }

    #[test]
    fn what_is_too_old_is_not_used_and_a_failure_is_not_repeated_at_once() {
        let mut cache = kept(None);
        let (old, too_old) = (START + 47 * HOUR, START + 48 * HOUR);
        assert!(cache.current(old).is_some());
        assert!(cache.begin(old, false) && !cache.begin(old + Duration::from_secs(4), false));
        assert_eq!(cache.need(old + Duration::from_secs(4)), Need::Nothing);
        assert!(cache.begin(old + Duration::from_secs(5), false));
        assert!(cache.current(too_old).is_none());
        assert_eq!(cache.need(too_old), Need::Now);
    }

    #[test]
    fn something_unknown_is_looked_for_at_once_but_once_in_half_a_minute() {
        let mut cache = kept(None);
        assert!(cache.begin(START, true));
        assert!(!cache.begin(START + Duration::from_secs(29), true));
        assert!(cache.begin(START + Duration::from_secs(30), true));
    }

    #[test]
    fn whoever_waited_for_anothers_fetch_is_served_by_it() {
        let before = START - Duration::from_millis(700);
        let mut cache = kept(None);
        assert!(cache.current(before).is_some());
        assert_eq!(cache.need(before), Need::Nothing);
        assert!(cache.begin(START, true) && !cache.begin(before, true) && !cache.begin(before, false));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_young() {
        let cache = kept(None);
        assert!(cache.current(START - HOUR).is_none());
        assert_eq!(cache.need(START - HOUR), Need::Now);
    }
}
