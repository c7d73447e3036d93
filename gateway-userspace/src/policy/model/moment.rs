//! A moment on the wall clock, in the time zone that policies mean.
//!
//! What the clock shows stays the same for a while: [`Moment::span`] says for how long. Between two changes of a time
//! zone's offset that is plain arithmetic, so a span never goes beyond one of them.

use super::Timezone;
pub use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

/// A moment on the wall clock, in a time zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moment {
    at: Timestamp,
    zone: Timezone,
    local: DateTime,
    /// How far the local time is ahead, in nanoseconds.
    ahead: i128,
}

/// How closely somebody looks at the clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Grain {
    /// At the day.
    Day,
    /// At the hour.
    Hour,
    /// At the minute.
    Minute,
}

/// From a moment on, and until before another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first moment of it.
    pub since: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl Grain {
    const fn nanos(self) -> i128 {
        match self {
            Self::Day => 86_400_000_000_000,
            Self::Hour => 3_600_000_000_000,
            Self::Minute => 60_000_000_000,
        }
    }
}

impl Span {
    /// All of time.
    pub const ALWAYS: Self = Self { since: Timestamp::MIN, until: Timestamp::MAX };

    /// Whether a moment lies in it.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since <= at && (at < self.until || self.until == Timestamp::MAX)
    }

    /// What lies in both.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self { since: self.since.max(other.since), until: self.until.min(other.until) }
    }
}

impl Moment {
    /// A moment, as clocks in a time zone show it.
    #[must_use]
    pub fn new(at: Timestamp, zone: &Timezone) -> Self {
        let offset = zone.rules().to_offset(at);
        let ahead = i128::from(offset.seconds()).saturating_mul(1_000_000_000);
        Self { at, zone: zone.clone(), local: offset.to_datetime(at), ahead }
    }

    /// The moment.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The time zone.
    #[must_use]
    pub const fn zone(&self) -> &Timezone {
        &self.zone
    }

    /// What clocks show there.
    #[must_use]
    pub const fn local(&self) -> DateTime {
        self.local
    }

    /// What day it is there.
    #[must_use]
    pub fn date(&self) -> Date {
        self.local.date()
    }

    /// Since when, and until when, clocks show the same there to somebody who looks that closely; or for less.
    #[must_use]
    pub fn span(&self, grain: Grain) -> Span {
        let (at, length) = (self.at.as_nanosecond(), grain.nanos());
        let gone = at.saturating_add(self.ahead).rem_euclid(length);
        let since = at.saturating_sub(gone);
        let whole = Span { since: held(since), until: held(since.saturating_add(length)) };
        whole.within(self.offset_span())
    }

    /// Since when, and until when, the time zone has the offset that it has.
    fn offset_span(&self) -> Span {
        let rules = self.zone.rules();
        // A change at this very moment has happened.
        let before = rules.preceding(held(self.at.as_nanosecond().saturating_add(1))).next();
        let after = rules.following(self.at).next();
        let Span { since, until } = Span::ALWAYS;
        Span { since: before.map_or(since, |it| it.timestamp()), until: after.map_or(until, |it| it.timestamp()) }
    }
}

/// A moment, held at the ends of the calendar.
fn held(nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanos).unwrap_or(if nanos < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

impl Default for Moment {
    fn default() -> Self {
        Self::new(Timestamp::UNIX_EPOCH, &Timezone::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(at: &str, zone: &str, grain: Grain) -> [String; 2] {
        let Span { since, until } = Moment::new(at.parse().unwrap(), &Timezone::new(zone).unwrap()).span(grain);
        [since.to_string(), until.to_string()]
    }

    #[test]
    fn a_span_is_what_clocks_show_there() {
        for (zone, grain, expected) in [
            ("UTC", Grain::Minute, ["2026-03-10T10:37:00Z", "2026-03-10T10:38:00Z"]),
            ("UTC", Grain::Day, ["2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z"]),
            ("Asia/Kolkata", Grain::Hour, ["2026-03-10T10:30:00Z", "2026-03-10T11:30:00Z"]),
            ("Asia/Kathmandu", Grain::Day, ["2026-03-09T18:15:00Z", "2026-03-10T18:15:00Z"]),
        ] {
            assert_eq!(span("2026-03-10T10:37:12.5Z", zone, grain), expected, "{zone} {grain:?}");
        }
        assert_eq!(span("1969-12-31T23:59:59Z", "UTC", Grain::Hour)[1], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_span_ends_where_clocks_are_set() {
        // At 2:00 they go to 3:00, and at 3:00 back to 2:00.
        let spring = span("2026-03-29T00:30:00Z", "Europe/Berlin", Grain::Day);
        assert_eq!(spring, ["2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"]);
        assert_eq!(span("2026-03-29T01:00:00Z", "Europe/Berlin", Grain::Day)[0], "2026-03-29T01:00:00Z");
        assert_eq!(span("2026-03-29T01:00:00Z", "Europe/Berlin", Grain::Day)[1], "2026-03-29T22:00:00Z");
        let autumn = span("2026-10-25T00:30:00Z", "Europe/Berlin", Grain::Hour);
        assert_eq!(autumn, ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"]);
        // Half an hour, so that an hour there has half of one.
        let howe = span("2026-04-04T14:45:00Z", "Australia/Lord_Howe", Grain::Hour);
        assert_eq!(howe, ["2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z"]);
    }

    #[test]
    fn all_of_a_span_shows_the_same_and_no_moment_is_left_out() {
        for (zone, start) in
            [("Europe/Berlin", "2026-10-24T20:00:00Z"), ("Australia/Lord_Howe", "2026-10-03T10:00:00Z")]
        {
            let zone = Timezone::new(zone).unwrap();
            let shown = |at: Timestamp| {
                let local = Moment::new(at, &zone).local();
                (local.date(), local.hour())
            };
            let mut at: Timestamp = start.parse().unwrap();
            for _ in 0..48 {
                let span = Moment::new(at, &zone).span(Grain::Hour);
                assert!(span.contains(at) && !span.contains(span.until));
                let last = held(span.until.as_nanosecond() - 1);
                assert_eq!((shown(span.since), shown(last)), (shown(at), shown(at)), "{at}");
                at = span.until;
            }
        }
    }

    #[test]
    fn the_ends_of_the_calendar_are_moments_too() {
        for at in [Timestamp::MIN, Timestamp::MAX] {
            for grain in [Grain::Day, Grain::Hour, Grain::Minute] {
                let zone = Timezone::new("Europe/Berlin").unwrap();
                assert!(Moment::new(at, &zone).span(grain).contains(at), "{at} {grain:?}");
            }
        }
    }
}
