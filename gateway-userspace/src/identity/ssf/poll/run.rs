//! Polling: the IO around the state machine.

use super::super::credential::Credential;
use super::super::http::{self, Failure};
use super::super::intake::Intake;
use super::super::order::{Apply, Note};
use super::super::stream::Published;
use super::{Delivery, PollMessage, PollRequest, Poller, Verdict};
use crate::identity::jose::Source;
use reqwest::Client;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use url::Url;

/// How long a request may take. Transmitters hold their answer for half a minute or a minute.
#[derive(Debug, Clone, Copy)]
pub struct PollPace {
    /// Until when the answer must be there.
    pub patience: Duration,
}

impl Default for PollPace {
    fn default() -> Self {
        Self { patience: Duration::from_secs(100) }
    }
}

/// A stream that is polled.
#[derive(Debug)]
pub struct Poll<S: Source<Item = Published>, A> {
    /// Who asks.
    pub client: Client,
    /// `endpoint_url` of the stream.
    pub endpoint: Url,
    /// What the gateway proves itself with.
    pub credential: Credential,
    /// How long a request may take.
    pub pace: PollPace,
    /// What takes the tokens.
    pub intake: Arc<Intake<S, A>>,
}

impl<S: Source<Item = Published>, A: Apply> Poll<S, A> {
    /// Polls until the transmitter has lost the stream. Returns how long to wait before it is set up again. Dropping it
    /// loses nothing: what was not acknowledged comes again.
    pub async fn run(&self, poller: &mut Poller) -> Duration {
        poller.begin();
        loop {
            match self.step(poller, OffsetDateTime::now_utc).await {
                ControlFlow::Continue(wait) => tokio::time::sleep(wait).await,
                ControlFlow::Break(wait) => return wait,
            }
        }
    }

    /// Asks once and deals with the answer. Returns how long to wait, and breaks if there is no such stream any more.
    /// The clock is read when the answer has come, because the transmitter may have held it.
    pub async fn step(
        &self,
        poller: &mut Poller,
        clock: impl Fn() -> OffsetDateTime,
    ) -> ControlFlow<Duration, Duration> {
        let request = poller.request();
        match self.ask(&request).await {
            Ok(message) => {
                poller.answered(&request);
                for Delivery { jti, token } in message.sets {
                    let verdict = self.take(&jti, &token, clock()).await;
                    poller.settle(jti, verdict);
                }
                ControlFlow::Continue(poller.wait(rand::random()))
            }
            Err(failure) => {
                let wait = poller.failed(&failure, rand::random());
                let (endpoint, reason) = (self.endpoint.as_str(), failure.label());
                tracing::warn!(endpoint, reason, failures = poller.failures(), %failure, "poll failed");
                if failure.is_gone() { ControlFlow::Break(wait) } else { ControlFlow::Continue(wait) }
            }
        }
    }

    async fn ask(&self, request: &PollRequest) -> Result<PollMessage, Failure> {
        let http = self.client.post(self.endpoint.clone()).json(request);
        let http = self.credential.present(http).await?;
        let body = http::send(http, self.pace.patience).await?;
        PollMessage::read(&body).ok_or(Failure::Malformed("a poll response of RFC 8936"))
    }

    async fn take(&self, jti: &str, token: &str, now: OffsetDateTime) -> Verdict {
        match self.intake.take(token, Some(jti), now).await {
            Ok(taken) if taken.done == Err(Note::Replayed) => Verdict::Repeated,
            Ok(_) => Verdict::Acknowledged,
            Err(error) => error.answer().map_or(Verdict::Later, Verdict::Refused),
        }
    }
}
