//! Whether a stream is alive. No events may mean that all is well, or that none arrives any more; so the transmitter
//! is asked for a verification event from time to time, and one that does not come is reported.

use super::refusal::Refusal;
use super::signal::StreamStatus;
use crate::identity::random_text;
use std::collections::VecDeque;
use std::time::Duration;
use time::OffsetDateTime;

/// Verifications may be under way at the same time: they come in no particular order.
const ASKED: usize = 8;

/// How often a stream is verified.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// The time between two requests.
    pub every: Duration,
    /// How long the last verification counts.
    pub lasts: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { every: Duration::from_secs(3600), lasts: Duration::from_secs(4 * 3600) }
    }
}

impl Rhythm {
    /// One that asks no more often than the transmitter allows.
    #[must_use]
    pub fn within(self, min_verification_interval: Duration) -> Self {
        let every = self.every.max(min_verification_interval);
        Self { every, lasts: self.lasts.max(every.saturating_mul(2)) }
    }
}

/// How a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// A verification event came not long ago.
    Alive,
    /// None has come yet, and it is early.
    New,
    /// None came for too long.
    Silent,
    /// The transmitter says that it holds events back.
    Paused,
    /// The transmitter says that it sends nothing.
    Disabled,
}

impl Condition {
    /// Whether events arrive, as far as is known.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Alive | Self::New)
    }

    /// Its word in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::New => "new",
            Self::Silent => "silent",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

/// What is known of one stream.
#[derive(Debug)]
pub struct Liveness {
    rhythm: Rhythm,
    since: OffsetDateTime,
    asked: VecDeque<(String, OffsetDateTime)>,
    last_asked_at: Option<OffsetDateTime>,
    last_verified_at: Option<OffsetDateTime>,
    status: StreamStatus,
}

impl Liveness {
    /// A stream of which nothing is known yet.
    #[must_use]
    pub const fn new(rhythm: Rhythm, now: OffsetDateTime) -> Self {
        let status = StreamStatus::Enabled;
        Self { rhythm, since: now, asked: VecDeque::new(), last_asked_at: None, last_verified_at: None, status }
    }

    /// The stream is verified in another rhythm.
    pub const fn pace(&mut self, rhythm: Rhythm) {
        self.rhythm = rhythm;
    }

    /// The `state` to ask the transmitter with, if it is time to.
    pub fn due(&mut self, now: OffsetDateTime) -> Option<String> {
        if self.last_asked_at.is_some_and(|last| now - last < self.rhythm.every) {
            return None;
        }
        let state = random_text();
        if self.asked.len() >= ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back((state.clone(), now));
        self.last_asked_at = Some(now);
        Some(state)
    }

    /// A verification event came. Without a state the transmitter sent it of its own accord, which shows as well that
    /// its events arrive.
    ///
    /// # Errors
    /// If its state is not one that was asked with, or was used.
    pub fn verified(&mut self, state: Option<&str>, now: OffsetDateTime) -> Result<(), Refusal> {
        if let Some(state) = state {
            let place = self.asked.iter().position(|(asked, _)| asked == state).ok_or(Refusal::UnexpectedState)?;
            self.asked.remove(place);
        }
        self.last_verified_at = Some(now);
        Ok(())
    }

    /// The transmitter says what it does with the stream.
    pub const fn updated(&mut self, status: StreamStatus) {
        self.status = status;
    }

    /// The transmitter has lost the stream. What it said of it says nothing about the next one, which is verified as
    /// soon as it is there. Until then nobody knows whether events arrive, so the last verification goes on counting.
    pub const fn lost(&mut self) {
        self.status = StreamStatus::Enabled;
        self.last_asked_at = None;
    }

    /// How the stream is.
    #[must_use]
    pub fn condition(&self, now: OffsetDateTime) -> Condition {
        let lasting = now - self.last_verified_at.unwrap_or(self.since) < self.rhythm.lasts;
        match (self.status, self.last_verified_at, lasting) {
            (StreamStatus::Disabled, ..) => Condition::Disabled,
            (StreamStatus::Paused, ..) => Condition::Paused,
            (StreamStatus::Enabled, _, false) => Condition::Silent,
            (StreamStatus::Enabled, Some(_), true) => Condition::Alive,
            (StreamStatus::Enabled, None, true) => Condition::New,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-26 12:00 UTC);
    const HOUR: Duration = Duration::from_secs(3600);

    fn stream() -> Liveness {
        Liveness::new(Rhythm { every: HOUR, lasts: 4 * HOUR }, NOW)
    }

    #[test]
    fn a_stream_is_alive_when_the_verification_comes_with_the_state_that_was_asked() {
        let mut stream = stream();
        let state = stream.due(NOW).unwrap();
        assert_eq!(stream.due(NOW + HOUR / 2), None);
        assert_eq!(stream.condition(NOW), Condition::New);
        assert_eq!(stream.verified(Some(&state), NOW), Ok(()));
        assert_eq!(stream.condition(NOW), Condition::Alive);
        assert_eq!(stream.condition(NOW + 4 * HOUR), Condition::Silent);
    }

    #[test]
    fn a_state_that_was_not_asked_or_was_used_verifies_nothing() {
        let mut stream = stream();
        assert_eq!(stream.verified(Some("guess"), NOW), Err(Refusal::UnexpectedState));
        assert_eq!(stream.verified(Some(""), NOW), Err(Refusal::UnexpectedState));
        let state = stream.due(NOW).unwrap();
        assert_eq!(stream.verified(Some(&state), NOW), Ok(()));
        assert_eq!(stream.verified(Some(&state), NOW + HOUR), Err(Refusal::UnexpectedState));
        assert_eq!(stream.last_verified_at, Some(NOW));
    }

    #[test]
    fn a_verification_that_comes_late_or_unasked_counts() {
        let mut stream = stream();
        let first = stream.due(NOW).unwrap();
        let second = stream.due(NOW + HOUR).unwrap();
        assert_eq!(stream.verified(Some(&second), NOW + HOUR), Ok(()));
        assert_eq!(stream.verified(Some(&first), NOW + HOUR), Ok(()));
        assert_eq!(stream.verified(None, NOW + 2 * HOUR), Ok(()));
    }

    #[test]
    fn a_stream_that_was_never_verified_falls_silent_and_one_that_is_stopped_says_so() {
        let mut stream = stream();
        assert_eq!(stream.condition(NOW + 4 * HOUR), Condition::Silent);
        stream.updated(StreamStatus::Paused);
        assert_eq!(stream.condition(NOW), Condition::Paused);
        stream.updated(StreamStatus::Disabled);
        assert_eq!(stream.condition(NOW), Condition::Disabled);
    }

    #[test]
    fn a_stream_that_was_lost_is_verified_at_once_and_what_was_said_of_it_does_not_count() {
        let mut stream = stream();
        let state = stream.due(NOW).unwrap();
        stream.updated(StreamStatus::Disabled);
        stream.lost();
        assert_eq!(stream.condition(NOW), Condition::New);
        assert!(stream.due(NOW).is_some_and(|next| next != state));
        // One that is lost again and again falls silent all the same.
        stream.lost();
        assert_eq!(stream.condition(NOW + 4 * HOUR), Condition::Silent);
    }

    #[test]
    fn unanswered_requests_take_bounded_memory_and_the_transmitter_sets_the_pace() {
        let mut stream = stream();
        for hour in 0..100 {
            assert!(stream.due(NOW + hour * HOUR).is_some());
        }
        assert_eq!(stream.asked.len(), ASKED);
        let slow = Rhythm::default().within(24 * HOUR);
        assert_eq!((slow.every, slow.lasts), (24 * HOUR, 48 * HOUR));
        stream.pace(Rhythm::default().within(Duration::MAX));
        assert_eq!((stream.due(NOW + 1000 * HOUR), stream.condition(NOW + 1000 * HOUR)), (None, Condition::New));
    }
}
