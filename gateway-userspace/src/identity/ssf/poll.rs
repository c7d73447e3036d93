//! Poll delivery (RFC 8936), as a state machine without IO: what is asked next, what is told of the events that came,
//! and how long to wait. An event is acknowledged only once its effect is in force, and until the transmitter has
//! heard so, it is told again.

mod message;
mod run;

pub use message::{Delivery, PollMessage, PollRequest};
pub use run::{Poll, PollPace};

use super::backoff::Backoff;
use super::http::Failure;
use super::refusal::SetError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// As many events as are asked for at once, and dealt with of one answer.
const MAX_EVENTS: usize = 64;
/// The wait after an answer that brought nothing new. A transmitter that does not hold back its answer until there are
/// events would otherwise be asked all the time.
const IDLE: Duration = Duration::from_secs(2);

/// What is told of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its effect is in force, or it has none.
    Acknowledged,
    /// It came again, though it was acknowledged.
    Repeated,
    /// It is refused.
    Refused(SetError),
    /// Nothing yet: it shall come again.
    Later,
}

/// Polls one stream.
#[derive(Debug, Default)]
pub struct Poller {
    acknowledged: BTreeSet<String>,
    refused: BTreeMap<String, SetError>,
    backoff: Backoff,
    /// Something was done about an event of the last answer.
    progress: bool,
    /// An event of the last answer has to wait.
    later: bool,
}

impl Poller {
    /// Another stream is polled: nothing is to be told of the events of the last one. How often it has failed stays.
    pub fn begin(&mut self) {
        *self = Self { backoff: self.backoff, ..Self::default() };
    }

    /// What is asked next, with all that is to be told.
    #[must_use]
    pub fn request(&self) -> PollRequest {
        PollRequest {
            max_events: MAX_EVENTS,
            return_immediately: false,
            ack: self.acknowledged.iter().cloned().collect(),
            set_errs: self.refused.clone(),
        }
    }

    /// The transmitter has answered, and so has heard what the request told.
    pub fn answered(&mut self, request: &PollRequest) {
        for jti in &request.ack {
            self.acknowledged.remove(jti);
        }
        for jti in request.set_errs.keys() {
            self.refused.remove(jti);
        }
        (self.progress, self.later) = (false, false);
    }

    /// What is told of an event of the answer.
    pub fn settle(&mut self, jti: String, verdict: Verdict) {
        match verdict {
            Verdict::Acknowledged => {
                self.progress = true;
                self.acknowledged.insert(jti);
            }
            Verdict::Repeated => {
                self.acknowledged.insert(jti);
            }
            Verdict::Refused(error) => {
                self.refused.insert(jti, error);
            }
            Verdict::Later => self.later = true,
        }
    }

    /// How long to wait after an answer, all of whose events were settled.
    pub fn wait(&mut self, random: u32) -> Duration {
        if self.later {
            return self.backoff.failed(random, None);
        }
        self.backoff.succeeded();
        if self.progress { Duration::ZERO } else { IDLE }
    }

    /// How long to wait after a request that was not answered as it should be.
    pub fn failed(&mut self, failure: &Failure, random: u32) -> Duration {
        match failure {
            // The transmitter held its answer for longer than we wait.
            Failure::TimedOut => IDLE,
            Failure::Status { status: 400 | 404 | 409 | 410 | 422, .. } => {
                // It may be what was told that it cannot take. Events that it still has come again, and are
                // acknowledged again.
                self.acknowledged.clear();
                self.refused.clear();
                self.backoff.failed(random, None)
            }
            Failure::Status { retry_after, .. } => self.backoff.failed(random, *retry_after),
            _ => self.backoff.failed(random, None),
        }
    }

    /// How often it has failed in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.backoff.failures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ssf::Refusal;

    const HALF: Duration = Duration::from_millis(500);

    fn answered(poller: &mut Poller, verdicts: &[(&str, Verdict)]) {
        let request = poller.request();
        poller.answered(&request);
        for (jti, verdict) in verdicts {
            poller.settle((*jti).to_owned(), verdict.clone());
        }
    }

    fn unreachable() -> Failure {
        Failure::Unreachable("connection refused".into())
    }

    fn status(status: u16) -> Failure {
        Failure::Status { status, retry_after: None }
    }

    #[test]
    fn an_event_is_acknowledged_with_the_next_request_and_the_transmitter_is_asked_at_once() {
        let mut poller = Poller::default();
        assert!(poller.request().ack.is_empty());
        let refused = Verdict::Refused(Refusal::NoSubject.into());
        answered(&mut poller, &[("1", Verdict::Acknowledged), ("2", refused), ("3", Verdict::Acknowledged)]);
        assert_eq!(poller.wait(0), Duration::ZERO);
        let request = poller.request();
        assert_eq!(request.ack, ["1", "3"]);
        assert_eq!(request.set_errs.keys().collect::<Vec<_>>(), ["2"]);
    }

    #[test]
    fn what_the_transmitter_has_not_heard_is_told_again() {
        let mut poller = Poller::default();
        answered(&mut poller, &[("1", Verdict::Acknowledged)]);
        for _ in 0..3 {
            assert_eq!(poller.request().ack, ["1"]);
            let _ = poller.failed(&unreachable(), 0);
        }
        answered(&mut poller, &[]);
        assert!(poller.request().ack.is_empty());
    }

    #[test]
    fn an_event_that_is_not_in_force_is_not_acknowledged_and_asked_for_again_after_a_while() {
        let mut poller = Poller::default();
        answered(&mut poller, &[("1", Verdict::Later), ("2", Verdict::Acknowledged)]);
        assert_eq!(poller.request().ack, ["2"]);
        assert_eq!(poller.wait(0), HALF);
        answered(&mut poller, &[("1", Verdict::Acknowledged)]);
        assert_eq!((poller.wait(0), poller.failures()), (Duration::ZERO, 0));
    }

    #[test]
    fn a_transmitter_that_brings_nothing_new_is_not_asked_all_the_time() {
        let mut poller = Poller::default();
        answered(&mut poller, &[]);
        assert_eq!(poller.wait(0), IDLE);
        answered(&mut poller, &[("1", Verdict::Repeated)]);
        assert_eq!((poller.wait(0), poller.request().ack), (IDLE, vec!["1".to_owned()]));
        answered(&mut poller, &[("2", Verdict::Refused(Refusal::NoSubject.into()))]);
        assert_eq!(poller.wait(0), IDLE);
    }

    #[test]
    fn outages_are_waited_out_longer_each_time_and_forgotten_when_it_answers() {
        let mut poller = Poller::default();
        let waits: Vec<Duration> = (0..3).map(|_| poller.failed(&unreachable(), 0)).collect();
        assert_eq!(waits, [HALF, 2 * HALF, 4 * HALF]);
        assert_eq!(poller.failed(&Failure::TimedOut, 0), IDLE);
        answered(&mut poller, &[]);
        let _ = poller.wait(0);
        assert_eq!(poller.failed(&status(500), 0), HALF);
    }

    #[test]
    fn another_stream_hears_nothing_of_the_last_ones_events_and_its_failures_count_on() {
        let mut poller = Poller::default();
        answered(&mut poller, &[("1", Verdict::Acknowledged), ("2", Verdict::Refused(Refusal::NoSubject.into()))]);
        assert_eq!(poller.failed(&unreachable(), 0), HALF);
        poller.begin();
        let request = poller.request();
        assert!(request.ack.is_empty() && request.set_errs.is_empty());
        assert_eq!(poller.failed(&status(404), 0), 2 * HALF);
    }

    #[test]
    fn a_transmitter_may_ask_to_be_left_alone_for_a_while() {
        let failure = Failure::Status { status: 429, retry_after: Some(Duration::from_secs(30)) };
        assert_eq!(Poller::default().failed(&failure, 0), Duration::from_secs(30));
    }

    #[test]
    fn an_acknowledgement_that_is_not_taken_does_not_block_the_stream() {
        let mut poller = Poller::default();
        answered(&mut poller, &[("1", Verdict::Acknowledged)]);
        let _ = poller.failed(&status(401), 0);
        assert_eq!(poller.request().ack, ["1"]);
        let _ = poller.failed(&status(400), 0);
        assert!(poller.request().ack.is_empty());
    }
}
