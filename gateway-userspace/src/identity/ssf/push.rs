//! Push delivery (RFC 8935): what is accepted from a transmitter, and what it is answered. The route only hands over
//! what came and sends back what this says.

use super::intake::{Intake, IntakeError};
use super::order::Apply;
use super::refusal::{ErrorCode, SetError};
use super::stream::Published;
use crate::identity::SecretHash;
use crate::identity::jose::Source;
use std::sync::Arc;
use time::OffsetDateTime;

/// The media type of a security event token.
pub const MEDIA_TYPE: &str = "application/secevent+jwt";
/// As much as is read of a request.
pub const LARGEST: usize = 64 * 1024;

/// What came.
#[derive(Debug, Clone, Copy)]
pub struct Pushed<'r> {
    /// `Content-Type`.
    pub content_type: Option<&'r str>,
    /// `Authorization`, whole.
    pub authorization: Option<&'r str>,
    /// The body.
    pub body: &'r [u8],
}

/// Why a request is refused before its token is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PushRefusal {
    /// Not the value that the stream was configured with.
    #[error("the authorization header is not the one of this stream")]
    Unauthorized,
    /// Another media type.
    #[error("send a security event token as `application/secevent+jwt`")]
    MediaType,
    /// More than is read.
    #[error("the request is larger than 64 KiB")]
    TooLarge,
    /// Nothing, or bytes that are no text.
    #[error("the request has no token")]
    NoToken,
}

impl PushRefusal {
    /// Its word in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::MediaType => "media_type",
            Self::TooLarge => "too_large",
            Self::NoToken => "no_token",
        }
    }
}

/// What a transmitter is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 202 without a body: the event is in force.
    Accepted,
    /// 400, or 413, with an error document. Sending it again does not help.
    Refused {
        /// The status.
        status: u16,
        /// The document, as `application/json`.
        error: SetError,
    },
    /// 503: not the transmitter's fault. It sends the event again.
    TryAgain,
}

impl Answer {
    /// The status to answer with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Accepted => 202,
            Self::Refused { status, .. } => *status,
            Self::TryAgain => 503,
        }
    }
}

/// A stream that is pushed.
#[derive(Debug)]
pub struct Push<S: Source<Item = Published>, A> {
    /// What takes the tokens.
    pub intake: Arc<Intake<S, A>>,
    /// The hash of the whole `Authorization` header that the transmitter was given; `None` if it was given none.
    pub authorization: Option<SecretHash>,
}

impl<S: Source<Item = Published>, A: Apply> Push<S, A> {
    /// Answers a request. What it orders is in force before it is accepted.
    pub async fn answer(&self, pushed: Pushed<'_>, now: OffsetDateTime) -> Answer {
        let token = match admit(pushed, self.authorization.as_ref()) {
            Ok(token) => token,
            Err(refusal) => {
                tracing::warn!(reason = refusal.label(), %refusal, "pushed request refused");
                return refusal.into();
            }
        };
        match self.intake.take(token, None, now).await {
            Ok(_) => Answer::Accepted,
            Err(error) => error.into(),
        }
    }
}

/// The token of a request. `authorization` is the hash of the header that the stream was configured with.
///
/// # Errors
/// If there is none to be looked at.
pub fn admit<'r>(pushed: Pushed<'r>, authorization: Option<&SecretHash>) -> Result<&'r str, PushRefusal> {
    let presented = pushed.authorization.map(SecretHash::of);
    if authorization.is_some_and(|expected| presented.as_ref() != Some(expected)) {
        return Err(PushRefusal::Unauthorized);
    }
    let media_type = pushed.content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(MEDIA_TYPE)) {
        return Err(PushRefusal::MediaType);
    }
    if pushed.body.len() > LARGEST {
        return Err(PushRefusal::TooLarge);
    }
    let token = std::str::from_utf8(pushed.body.trim_ascii()).map_err(|_| PushRefusal::NoToken)?;
    if token.is_empty() { Err(PushRefusal::NoToken) } else { Ok(token) }
}

impl From<PushRefusal> for Answer {
    fn from(refusal: PushRefusal) -> Self {
        // RFC 8935, section 2.3: 400 also where the transmitter is not authenticated.
        let (status, err) = match refusal {
            PushRefusal::Unauthorized => (400, ErrorCode::AuthenticationFailed),
            PushRefusal::TooLarge => (413, ErrorCode::InvalidRequest),
            PushRefusal::MediaType | PushRefusal::NoToken => (400, ErrorCode::InvalidRequest),
        };
        Self::Refused { status, error: SetError { err, description: refusal.to_string() } }
    }
}

impl From<IntakeError> for Answer {
    fn from(error: IntakeError) -> Self {
        match error.answer() {
            Some(error) => Self::Refused { status: 400, error },
            None => Self::TryAgain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJ.eyJ.sig";

    fn pushed() -> Pushed<'static> {
        Pushed { content_type: Some(MEDIA_TYPE), authorization: Some("Bearer s3cret"), body: TOKEN.as_bytes() }
    }

    fn admitted(pushed: Pushed<'_>) -> Result<&str, PushRefusal> {
        admit(pushed, Some(&SecretHash::of("Bearer s3cret")))
    }

    #[test]
    fn a_token_with_the_streams_own_header_is_admitted() {
        assert_eq!(admitted(pushed()), Ok(TOKEN));
        let with_parameter = Some("Application/SecEvent+JWT; charset=utf-8");
        assert_eq!(admitted(Pushed { content_type: with_parameter, body: b" eyJ.eyJ.sig\r\n", ..pushed() }), Ok(TOKEN));
        assert_eq!(admit(Pushed { authorization: None, ..pushed() }, None), Ok(TOKEN));
    }

    #[test]
    fn another_header_or_none_is_refused_before_anything_else_is_looked_at() {
        for authorization in [None, Some(""), Some("Bearer s3cre"), Some("bearer s3cret"), Some("s3cret")] {
            let wrong = Pushed { authorization, content_type: None, body: b"" };
            assert_eq!(admitted(wrong), Err(PushRefusal::Unauthorized));
        }
    }

    #[test]
    fn what_is_no_token_is_refused_with_its_reason_and_an_error_document() {
        let huge = vec![b'a'; LARGEST + 1];
        let cases = [
            (Pushed { content_type: None, ..pushed() }, PushRefusal::MediaType, 400),
            (Pushed { content_type: Some("application/jwt"), ..pushed() }, PushRefusal::MediaType, 400),
            (Pushed { content_type: Some("application/json"), ..pushed() }, PushRefusal::MediaType, 400),
            (Pushed { body: &huge, ..pushed() }, PushRefusal::TooLarge, 413),
            (Pushed { body: b"", ..pushed() }, PushRefusal::NoToken, 400),
            (Pushed { body: b" \n", ..pushed() }, PushRefusal::NoToken, 400),
            (Pushed { body: b"\xff\xfe", ..pushed() }, PushRefusal::NoToken, 400),
        ];
        for (pushed, expected, expected_status) in cases {
            let refusal = admitted(pushed).unwrap_err();
            assert_eq!(refusal, expected);
            let Answer::Refused { status, error } = Answer::from(refusal) else { panic!("not refused") };
            assert_eq!((status, error.err), (expected_status, ErrorCode::InvalidRequest));
        }
    }

    #[test]
    fn an_error_document_is_as_rfc_8935_has_it() {
        let Answer::Refused { status, error } = Answer::from(PushRefusal::Unauthorized) else { panic!("not refused") };
        let expected =
            r#"{"err":"authentication_failed","description":"the authorization header is not the one of this stream"}"#;
        assert_eq!((status, serde_json::to_string(&error).unwrap().as_str()), (400, expected));
    }
}
