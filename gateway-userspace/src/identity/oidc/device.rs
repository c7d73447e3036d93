//! Device code (RFC 8628): for whoever has no browser at hand. Whoever polls keeps the time; nothing sleeps here.

use super::http::{Asking, Http};
use super::proven::{Demand, Evidence};
use super::provider::{Tokens, check_type, meant, refused};
use super::{Proven, Provider, Refusal};
use crate::identity::jose::Kind;
use crate::identity::span::signed;
use oauth2::{
    AsyncHttpClient, DeviceAuthorizationUrl, DeviceCodeErrorResponse, DeviceCodeErrorResponseType, HttpRequest,
    RequestTokenError, Scope, StandardDeviceAuthorizationResponse, TokenResponse as _,
};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use url::Url;

/// However long the provider says: a code that is shown is a code that can be stolen.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 60);
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
const LONGEST_CODE: usize = 64;

/// A login that somebody confirms elsewhere.
#[derive(Debug)]
pub struct DeviceStart {
    /// What the person types there.
    pub user_code: String,
    /// Where.
    pub verification_uri: Url,
    /// Where, with the code.
    pub verification_uri_complete: Option<Url>,
    /// From when on it is worth nothing.
    pub expires_at: OffsetDateTime,
    /// How long to wait before each poll.
    pub interval: Duration,
    /// What to poll with.
    pub pending: DevicePending,
}

/// What is kept of such a login.
pub struct DevicePending {
    details: StandardDeviceAuthorizationResponse,
    interval: Duration,
    next: OffsetDateTime,
    expires_at: OffsetDateTime,
    /// INVARIANT: once there was an answer that ends it, the provider is not asked again.
    over: bool,
}

impl fmt::Debug for DevicePending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevicePending").field("next", &self.next).field("over", &self.over).finish_non_exhaustive()
    }
}

/// What became of it.
#[derive(Debug)]
pub enum DevicePoll {
    /// Nobody has confirmed it yet.
    Pending {
        /// When to poll again. Who polls before is answered without asking the provider.
        next: OffsetDateTime,
    },
    /// The same, and the provider wants to be asked less often.
    SlowDown {
        /// When to poll again.
        next: OffsetDateTime,
    },
    /// Somebody has.
    Proven(Box<Proven>),
    /// Somebody refused.
    Denied,
    /// Too late, or it is over already.
    Expired,
}

/// What one question to the token endpoint brought.
enum Answer {
    Ended(Result<Tokens, RequestTokenError<Refusal, DeviceCodeErrorResponse>>),
    /// The library wants to wait so long before it asks again.
    Wait(Duration),
}

/// Keeps why asking failed, which the library takes for a reason to wait.
struct Noting<'a> {
    http: &'a Http,
    failure: Mutex<Option<Refusal>>,
}

impl Noting<'_> {
    fn failure(&self) -> Option<Refusal> {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'c> AsyncHttpClient<'c> for Noting<'_> {
    type Error = Refusal;
    type Future = Asking<'c>;

    fn call(&'c self, request: HttpRequest) -> Asking<'c> {
        Box::pin(async move {
            let answer = self.http.ask(request).await;
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = answer.as_ref().err().copied();
            answer
        })
    }
}

impl Provider {
    /// Begins a login by device code.
    ///
    /// # Errors
    /// If the provider does not support it, cannot be asked, or answers what cannot be shown to anybody.
    pub async fn begin_device(&self, now: OffsetDateTime) -> Result<DeviceStart, Refusal> {
        let metadata = self.metadata(now).await?;
        let url = metadata.device.clone().ok_or(Refusal::DeviceUnsupported)?;
        let client = self.client(&metadata).set_device_authorization_url(DeviceAuthorizationUrl::from_url(url));
        let request = client.exchange_device_code().add_scopes(self.settings.scopes.iter().cloned().map(Scope::new));
        let details: StandardDeviceAuthorizationResponse =
            request.request_async(&self.http).await.map_err(|error| refused(&error))?;
        start(details, now)
    }

    /// Asks once what became of it.
    ///
    /// # Errors
    /// If the provider cannot be asked, which may be tried again, or what it says is not believed.
    pub async fn poll_device(&self, pending: &mut DevicePending, now: OffsetDateTime) -> Result<DevicePoll, Refusal> {
        if pending.over || now >= pending.expires_at {
            pending.over = true;
            return Ok(DevicePoll::Expired);
        }
        if now < pending.next {
            return Ok(DevicePoll::Pending { next: pending.next });
        }
        pending.next = later(now, pending.interval);
        let outcome = match self.ask_once(pending, now).await? {
            Answer::Ended(outcome) => outcome,
            Answer::Wait(interval) => return Ok(pending.wait(interval, now)),
        };
        pending.over = true;
        match outcome {
            Ok(tokens) => self.device_proven(&tokens, now).await.map(|proven| DevicePoll::Proven(Box::new(proven))),
            Err(RequestTokenError::ServerResponse(answer)) => match answer.error() {
                DeviceCodeErrorResponseType::AccessDenied => Ok(DevicePoll::Denied),
                DeviceCodeErrorResponseType::ExpiredToken => Ok(DevicePoll::Expired),
                DeviceCodeErrorResponseType::Basic(code) => Err(meant(code)),
                _ => Err(Refusal::RequestRefused),
            },
            Err(RequestTokenError::Request(refusal)) => Err(refusal),
            Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => Err(Refusal::AnswerMalformed),
        }
    }

    /// The library would sleep and ask again; it is left at its first sleep, which says what the answer was.
    async fn ask_once(&self, pending: &DevicePending, now: OffsetDateTime) -> Result<Answer, Refusal> {
        let metadata = self.metadata(now).await?;
        let http = Noting { http: &self.http, failure: Mutex::new(None) };
        let (wants, mut wanted) = tokio::sync::mpsc::unbounded_channel();
        let sleep = |interval| {
            wants.send(interval).ok();
            std::future::pending::<()>()
        };
        let client = self.client(&metadata);
        let request = client.exchange_device_access_token(&pending.details);
        let answer = tokio::select! {
            outcome = request.request_async(&http, sleep, None) => Answer::Ended(outcome),
            Some(interval) = wanted.recv() => Answer::Wait(interval),
        };
        http.failure().map_or(Ok(answer), Err)
    }

    /// There was no browser of ours, so there is no nonce; the code and the client's secret bind the answer.
    async fn device_proven(&self, tokens: &Tokens, now: OffsetDateTime) -> Result<Proven, Refusal> {
        check_type(tokens)?;
        let id_token = tokens.extra_fields().id_token.as_ref().ok_or(Refusal::IdTokenMissing)?;
        let access_token = Some(tokens.access_token().secret().as_str());
        let kind = Kind::IdToken { nonce: None, access_token, code: None };
        let claims = self.verify(id_token.secret(), &self.expect(kind), now).await?;
        let demand = Demand { max_age: self.settings.max_age, acr: Vec::new() };
        self.prove(Evidence { claims, tokens }, &demand, now)
    }
}

impl DevicePending {
    fn wait(&mut self, interval: Duration, now: OffsetDateTime) -> DevicePoll {
        let slower = interval > self.details.interval();
        if slower {
            self.interval = self.interval.saturating_add(Duration::from_secs(5));
        }
        let next = later(now, self.interval);
        self.next = next;
        if slower { DevicePoll::SlowDown { next } } else { DevicePoll::Pending { next } }
    }
}

fn start(details: StandardDeviceAuthorizationResponse, now: OffsetDateTime) -> Result<DeviceStart, Refusal> {
    let user_code = details.user_code().secret().clone();
    // It is printed on somebody's terminal.
    let sound =
        !user_code.is_empty() && user_code.len() <= LONGEST_CODE && user_code.bytes().all(|b| b.is_ascii_graphic());
    if !sound {
        return Err(Refusal::AnswerMalformed);
    }
    let verification_uri = https(details.verification_uri().as_str())?;
    let complete = details.verification_uri_complete().map(|complete| https(complete.secret())).transpose()?;
    let interval = details.interval().clamp(INTERVALS.0, INTERVALS.1);
    let expires_at = later(now, details.expires_in().min(LONGEST_LIFE));
    let pending = DevicePending { details, interval, next: later(now, interval), expires_at, over: false };
    Ok(DeviceStart { user_code, verification_uri, verification_uri_complete: complete, expires_at, interval, pending })
}

/// It may be on any host: people are sent to `microsoft.com/devicelogin` by `login.microsoftonline.com`.
fn https(text: &str) -> Result<Url, Refusal> {
    let url = Url::parse(text).map_err(|_| Refusal::EndpointInsecure)?;
    let plain = url.username().is_empty() && url.password().is_none();
    if url.scheme() == "https" && plain { Ok(url) } else { Err(Refusal::EndpointInsecure) }
}

fn later(now: OffsetDateTime, wait: Duration) -> OffsetDateTime {
    now.saturating_add(signed(wait))
}
