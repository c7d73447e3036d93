//! What a verified token says. There is no way to get at the claims of a token that is not verified.

use super::TokenRefusal;
use crate::identity::json::{Malformed, object};
use serde_json::{Map, Value};
use std::fmt;
use time::OffsetDateTime;

/// Until the end of the year 9999, which is as far as dates go.
const LATEST: i64 = 253_402_300_799;
/// In bytes (OpenID Connect Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;

/// The claims of a token.
#[derive(Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, TokenRefusal> {
        object(payload).map(Self).map_err(|malformed| match malformed {
            Malformed::Duplicate => TokenRefusal::DuplicateMember,
            Malformed::Syntax(_) | Malformed::NoObject => TokenRefusal::ClaimsMalformed,
        })
    }

    /// A claim as it stands.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A text.
    ///
    /// # Errors
    /// If it is something else.
    pub fn text(&self, name: &str) -> Result<Option<&str>, TokenRefusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(TokenRefusal::ClaimMalformed),
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// If it is something else.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, TokenRefusal> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let texts = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        texts.map(Some).ok_or(TokenRefusal::ClaimMalformed)
    }

    /// A time.
    ///
    /// # Errors
    /// If it is something else, or not between 1970 and 9999.
    pub fn time(&self, name: &str) -> Result<Option<OffsetDateTime>, TokenRefusal> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        // RFC 7519, section 2: a number of seconds need not be whole. Parts of a second count for nothing.
        let whole =
            value.as_f64().filter(|seconds| (0.0..=LATEST as f64).contains(seconds)).map(|seconds| seconds as i64);
        let seconds = value.as_i64().or(whole).filter(|seconds| (0..=LATEST).contains(seconds));
        let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        time.map(Some).ok_or(TokenRefusal::TimeMalformed)
    }

    /// Whom it is about.
    ///
    /// # Errors
    /// If there is a `sub` that cannot be one: empty, longer than 255 bytes, with control characters, not a text.
    pub fn subject(&self) -> Result<Option<&str>, TokenRefusal> {
        let Some(value) = self.0.get("sub") else { return Ok(None) };
        let sound =
            |text: &&str| !text.is_empty() && text.len() <= LONGEST_SUBJECT && !text.chars().any(char::is_control);
        value.as_str().filter(sound).map(Some).ok_or(TokenRefusal::SubjectMissing)
    }

    /// The session at the issuer (`sid`). An empty one names none.
    ///
    /// # Errors
    /// If it is not a text.
    pub fn session(&self) -> Result<Option<&str>, TokenRefusal> {
        Ok(self.text("sid")?.filter(|sid| !sid.is_empty()))
    }

    /// What tells this token from every other of its issuer.
    ///
    /// # Errors
    /// If there is none, or it is empty, longer than 255 bytes or not a text.
    pub fn identifier(&self) -> Result<&str, TokenRefusal> {
        let id = self.0.get("jti").and_then(Value::as_str);
        id.filter(|id| !id.is_empty() && id.len() <= LONGEST_SUBJECT).ok_or(TokenRefusal::IdentifierMissing)
    }

    /// The client that an access token was issued to: `client_id`, or `older` with a provider older than RFC 9068.
    ///
    /// # Errors
    /// If there is none, or it is empty or not a text.
    pub fn client(&self, older: Option<&str>) -> Result<&str, TokenRefusal> {
        let name = older.filter(|_| !self.has("client_id")).unwrap_or("client_id");
        let client = self.0.get(name).and_then(Value::as_str).filter(|client| !client.is_empty());
        client.ok_or(TokenRefusal::ClientMissing)
    }

    /// The events by their names: an object of objects, at least one.
    ///
    /// # Errors
    /// If it is something else.
    pub fn events(&self) -> Result<&Map<String, Value>, TokenRefusal> {
        let events = self.0.get("events").and_then(Value::as_object);
        let sound = |events: &&Map<String, Value>| !events.is_empty() && events.values().all(Value::is_object);
        events.filter(sound).ok_or(TokenRefusal::EventsMissing)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Names only: what they say is about people.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
