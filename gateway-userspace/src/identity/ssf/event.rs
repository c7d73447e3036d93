//! A security event: the payload of a security event token (RFC 8417, profiled by the Shared Signals Framework 1.0)
//! whose signature and common claims (`typ`, `iss`, `aud`, `iat`, `jti`, no `exp`) have been verified before.

use super::refusal::Refusal;
use super::signal::{Signal, cut};
use super::subject::{Subject, SubjectId};
use crate::identity::jose::{Claims, TokenRefusal};
use serde_json::{Map, Value};
use std::time::Duration;
use time::OffsetDateTime;

/// The year 2000. No event is older than the protocol by that much.
const EARLIEST: i64 = 946_684_800;
/// In seconds, the year 5138; in milliseconds, 1973. Drafts of CAEP had milliseconds in their examples.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// When an event may have been issued.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// How much the clocks may differ.
    pub leeway: Duration,
    /// How old a token may be; `None` for any age.
    pub oldest: Option<Duration>,
}

impl Window {
    /// For push: a transmitter that was down for longer than a day has to verify its stream anew.
    pub const PUSH: Self = Self { leeway: Duration::from_secs(60), oldest: Some(Duration::from_secs(24 * 3600)) };
    /// For poll: events wait at the transmitter for as long as nobody fetches them.
    pub const POLL: Self = Self { leeway: Duration::from_secs(60), oldest: None };
}

/// Who caused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    /// An administrator.
    Admin,
    /// The person.
    User,
    /// A policy.
    Policy,
    /// The provider's system.
    System,
}

impl Initiator {
    /// CAEP's word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Policy => "policy",
            Self::System => "system",
        }
    }
}

/// A security event.
#[derive(Debug, Clone, PartialEq)]
pub struct SecurityEvent {
    /// Its name, unique at the transmitter.
    pub jti: String,
    /// When its token was issued.
    pub iat: OffsetDateTime,
    /// What it belongs to at the transmitter.
    pub txn: Option<String>,
    /// Whom it is about. Empty for events of the stream and unknown ones.
    pub subject: Subject,
    /// What it says.
    pub signal: Signal,
    /// When it happened, if the transmitter says.
    pub event_timestamp: Option<OffsetDateTime>,
    /// Who caused it.
    pub initiating_entity: Option<Initiator>,
    /// Why, for administrators.
    pub reason: Option<String>,
}

impl SecurityEvent {
    /// Reads the claims of a token that was verified.
    ///
    /// # Errors
    /// If it is not one event of one subject, of a time that is possible.
    pub fn read(claims: &Claims, leeway: Duration, now: OffsetDateTime) -> Result<Self, Refusal> {
        if claims.get("sub").is_some() {
            return Err(Refusal::HasSub);
        }
        let (uri, body) = the_event(claims)?;
        let signal = Signal::read(uri, body);
        Ok(Self {
            jti: claims.identifier()?.to_owned(),
            iat: claims.time("iat")?.ok_or(TokenRefusal::IssuedMissing)?,
            txn: txn(claims),
            subject: subject(claims, body, &signal)?,
            event_timestamp: event_timestamp(body, leeway, now)?,
            initiating_entity: initiator(body),
            reason: reason(body),
            signal,
        })
    }

    /// The time that counts: when it happened, or else when it was said.
    #[must_use]
    pub fn as_of(&self) -> OffsetDateTime {
        self.event_timestamp.unwrap_or(self.iat)
    }
}

/// A JSON number of seconds; a fraction is cut off.
fn seconds(value: &Value) -> Option<i64> {
    let whole = value.as_i64();
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked, and a fraction is to be cut off")]
    whole.or_else(|| value.as_f64().filter(|number| number.abs() < 1e15).map(|number| number as i64))
}

fn the_event(claims: &Claims) -> Result<(&str, &Map<String, Value>), Refusal> {
    let mut events = claims.events()?.iter();
    match (events.next(), events.next()) {
        (Some((uri, Value::Object(body))), None) => Ok((uri, body)),
        (_, Some(_)) => Err(Refusal::SeveralEvents),
        _ => Err(TokenRefusal::EventsMissing.into()),
    }
}

/// SSF 1.0 has `sub_id` in the token; older transmitters have `subject` in the event.
fn subject(claims: &Claims, body: &Map<String, Value>, signal: &Signal) -> Result<Subject, Refusal> {
    // The stream is nobody, and what is unknown is only counted.
    if signal.is_of_the_stream() || *signal == Signal::Unknown {
        return Ok(Subject::default());
    }
    let read = |value: Option<&Value>| value.map(SubjectId::read).transpose();
    let id = match (read(claims.get("sub_id"))?, read(body.get("subject"))?) {
        (Some(outer), Some(inner)) if outer != inner => return Err(Refusal::SubjectsDisagree),
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => return Err(Refusal::NoSubject),
    };
    Ok(id.in_role(signal.role()))
}

fn event_timestamp(
    body: &Map<String, Value>,
    leeway: Duration,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, Refusal> {
    let Some(value) = body.get("event_timestamp") else { return Ok(None) };
    let number = seconds(value).ok_or(Refusal::EventTimeAbsurd)?;
    let seconds = if number >= MILLISECONDS_FROM { number / 1000 } else { number };
    if seconds < EARLIEST {
        return Err(Refusal::EventTimeAbsurd);
    }
    let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| Refusal::EventTimeAbsurd)?;
    if time - leeway > now { Err(Refusal::EventInFuture) } else { Ok(Some(time)) }
}

/// A text; in the first drafts a number.
fn txn(claims: &Claims) -> Option<String> {
    match claims.get("txn")? {
        Value::String(text) => Some(cut(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn initiator(body: &Map<String, Value>) -> Option<Initiator> {
    match body.get("initiating_entity")?.as_str()? {
        "admin" => Some(Initiator::Admin),
        "user" => Some(Initiator::User),
        "policy" => Some(Initiator::Policy),
        "system" => Some(Initiator::System),
        _ => None,
    }
}

/// English if there is English; in the first drafts a text without a language.
fn reason(body: &Map<String, Value>) -> Option<String> {
    match body.get("reason_admin")? {
        Value::String(text) => Some(cut(text)),
        Value::Object(texts) => texts.get("en").or_else(|| texts.values().next())?.as_str().map(cut),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
