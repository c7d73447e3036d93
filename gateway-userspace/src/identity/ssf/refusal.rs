//! Why a security event token is refused, and what its transmitter is told: the codes of RFC 8935, which RFC 8936 uses
//! too, and `invalid_state` of the Shared Signals Framework.

use super::subject::Malformed;
use crate::identity::jose::TokenRefusal;
use serde::Serialize;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// It is not to be believed.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// `jti` is not the one that the token was delivered under.
    #[error("the `jti` of the token is not the one that it was delivered under")]
    OtherJti,
    /// There is a `sub`. The framework forbids it, so that no other token passes for an event.
    #[error("the token has a `sub`; name the subject in `sub_id`")]
    HasSub,
    /// More than one event.
    #[error("the token has more than one event; send one token for each")]
    SeveralEvents,
    /// The event names nobody.
    #[error("the event has no subject")]
    NoSubject,
    /// The subject cannot be read.
    #[error("the subject of the event cannot be read")]
    SubjectMalformed,
    /// `sub_id` and the event's own `subject` are not the same.
    #[error("`sub_id` and the event's `subject` are not the same")]
    SubjectsDisagree,
    /// `event_timestamp` is later than now.
    #[error("the event is in the future; compare the clocks")]
    EventInFuture,
    /// `event_timestamp` is no time of this century.
    #[error("`event_timestamp` is not a time in seconds")]
    EventTimeAbsurd,
    /// The `state` of a verification is not one that was asked with.
    #[error("the `state` of the verification is not one that was asked with")]
    UnexpectedState,
}

impl Refusal {
    /// Its word in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token(refusal) => refusal.label(),
            Self::OtherJti => "other_jti",
            Self::HasSub => "has_sub",
            Self::SeveralEvents => "several_events",
            Self::NoSubject => "no_subject",
            Self::SubjectMalformed => "subject_malformed",
            Self::SubjectsDisagree => "subjects_disagree",
            Self::EventInFuture => "event_in_future",
            Self::EventTimeAbsurd => "event_time_absurd",
            Self::UnexpectedState => "unexpected_state",
        }
    }

    /// What the transmitter is told: RFC 8935, section 2.4.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Token(TokenRefusal::IssuerWrong) => ErrorCode::InvalidIssuer,
            Self::Token(TokenRefusal::AudienceWrong) => ErrorCode::InvalidAudience,
            Self::Token(
                TokenRefusal::AlgorithmRefused
                | TokenRefusal::ForeignKey
                | TokenRefusal::KeyUnknown
                | TokenRefusal::KeyAmbiguous
                | TokenRefusal::KeyMismatch
                | TokenRefusal::SignatureWrong,
            ) => ErrorCode::InvalidKey,
            Self::UnexpectedState => ErrorCode::InvalidState,
            _ => ErrorCode::InvalidRequest,
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::SubjectMalformed
    }
}

/// The error codes of RFC 8935, section 2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request or the token is not what it should be.
    InvalidRequest,
    /// The key is not known, or the signature is not of it.
    InvalidKey,
    /// The issuer is not the one of this stream.
    InvalidIssuer,
    /// The token is for somebody else.
    InvalidAudience,
    /// The transmitter did not prove who it is.
    AuthenticationFailed,
    /// The transmitter may not do this.
    AccessDenied,
    /// A verification came with another state (SSF 1.0).
    InvalidState,
}

/// What a transmitter is answered about a token that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetError {
    /// The code.
    pub err: ErrorCode,
    /// For people.
    pub description: String,
}

impl From<Refusal> for SetError {
    fn from(refusal: Refusal) -> Self {
        Self { err: refusal.code(), description: refusal.to_string() }
    }
}
