//! Everything that goes wrong, as a problem document.

use super::context::{SourceError, ViewError};
use crate::core::CoreError;
use crate::identity::{ServiceRefusal, VerifierError};
use crate::policy::{AppProblem, ReachError, Refusal};
use crate::record::SearchError;
use crate::wire::{FieldError, Invalid, Problem};
use axum::Json;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// Why a request was not done.
#[derive(Debug)]
pub(super) struct ApiError(Box<(Problem, Option<(HeaderName, HeaderValue)>)>);

impl ApiError {
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl ToString) -> Self {
        let problem = Problem {
            kind: format!("urn:portcullis:problem:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: Some(detail.to_string()).filter(|detail| !detail.is_empty()),
            instance: None,
            errors: Vec::new(),
        };
        Self(Box::new((problem, None)))
    }

    pub fn bad_request(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "the request cannot be read", detail)
    }

    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let title = "the request makes no sense";
        let detail = Invalid(errors.clone());
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title, detail).with_errors(errors)
    }

    /// Why a body was refused that names groups: one that does not exist is a mistake in it, and nothing that was asked for.
    pub fn in_the_body(error: CoreError) -> Self {
        match error {
            CoreError::Refused(refusal @ Refusal::UnknownGroup(_)) => {
                Self::invalid(vec![FieldError::at("groups", refusal)])
            }
            other => other.into(),
        }
    }

    pub fn unauthorized(detail: &str) -> Self {
        let error = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "who are you?", detail);
        error.with_header(WWW_AUTHENTICATE, "Bearer")
    }

    /// Whether nobody is known who asks.
    pub fn is_unauthorized(&self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED
    }

    pub fn forbidden(kind: &str, detail: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, kind, "not permitted", detail)
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "not found", "")
    }

    pub fn missing(detail: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "not found", detail)
    }

    pub fn conflict(kind: &str, detail: impl ToString) -> Self {
        Self::new(StatusCode::CONFLICT, kind, "not possible now", detail)
    }

    pub fn method_not_allowed(allowed: &str) -> Self {
        let detail = format!("use one of {allowed}");
        let title = "not a method of this resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", title, detail).with_header(ALLOW, allowed)
    }

    pub fn too_many(wait: Duration) -> Self {
        // Rounded up: whoever comes back then is let in.
        let seconds = wait.as_secs().saturating_add(1);
        let detail = format!("retry in {seconds} s");
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "too many attempts", detail);
        error.with_header(RETRY_AFTER, &seconds.to_string())
    }

    pub fn unavailable(detail: impl ToString) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not possible now", detail);
        error.with_header(RETRY_AFTER, "1")
    }

    pub fn timed_out() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the request took too long", "")
    }

    pub fn internal() -> Self {
        let detail = "this is a defect of the gateway; its log says more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the gateway failed", detail)
    }

    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.0.errors = errors;
        self
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Its status, and what it says to a person.
    pub fn into_words(self) -> (StatusCode, String) {
        let status = self.status();
        let (problem, _) = *self.0;
        (status, problem.detail.unwrap_or(problem.title))
    }

    fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.0.1 = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let (problem, header) = *self.0;
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(header);
        response
    }
}

impl From<CoreError> for ApiError {
    fn from(error: CoreError) -> Self {
        match error {
            CoreError::Refused(refusal) => refusal.into(),
            CoreError::UnknownApiToken(_) => Self::missing(error),
            CoreError::Service(refusal) => refusal.into(),
            CoreError::Arrival(_) => Self::forbidden("identity", error),
            CoreError::Unconfirmed(_) => Self::conflict("unconfirmed", error),
            CoreError::NothingToConfirm => Self::conflict("nothing-to-confirm", error),
            CoreError::Busy | CoreError::Stopped => Self::unavailable(error),
            other => {
                tracing::error!(error = %other, "a request failed");
                Self::unavailable("the gateway could not write its state; its log says why")
            }
        }
    }
}

impl From<ServiceRefusal> for ApiError {
    fn from(refusal: ServiceRefusal) -> Self {
        match &refusal {
            ServiceRefusal::Unknown(_) => Self::missing(refusal),
            ServiceRefusal::IsPerson(_) | ServiceRefusal::NoPassword(_) => Self::conflict("service", refusal),
            ServiceRefusal::CertificateTaken { .. } | ServiceRefusal::ClientTaken { .. } => {
                Self::conflict("credential-taken", refusal)
            }
            ServiceRefusal::AddressBound { .. } => Self::conflict("source-taken", refusal),
            ServiceRefusal::NoProof(_) => Self::invalid(vec![FieldError::at("certificate", refusal)]),
            ServiceRefusal::NotAHost(_) => Self::invalid(vec![FieldError::at("binding.address", refusal)]),
            ServiceRefusal::NotAHardwareAddress => Self::invalid(vec![FieldError::at("binding.mac", refusal)]),
            ServiceRefusal::InvalidClient => Self::invalid(vec![FieldError::at("client.id", refusal)]),
            ServiceRefusal::NotProved(_) => Self::unauthorized("the service does not prove itself with this"),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match &refusal {
            Refusal::UnknownUser(_)
            | Refusal::UnknownGroup(_)
            | Refusal::UnknownApp(_)
            | Refusal::UnknownSession(_) => Self::missing(refusal),
            Refusal::UserDisabled(_) | Refusal::UserSuspended(_) => Self::forbidden("user-disabled", refusal),
            Refusal::Managed(..) => Self::conflict("managed", refusal),
            Refusal::SourceTaken { .. } => Self::conflict("source-taken", refusal),
            Refusal::App { problem, .. } => {
                let errors = vec![FieldError::at(field_of(problem), problem)];
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "app", "the app makes no sense", &refusal)
                    .with_errors(errors)
            }
            Refusal::Policy(errors) => {
                let places = errors.iter().map(FieldError::from).collect();
                let title = "the policy is not valid";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "policy", title, &refusal).with_errors(places)
            }
            Refusal::GenerationMismatch { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "generation", "changed meanwhile", refusal)
            }
            Refusal::TableFull { .. } => Self::conflict("table-full", refusal),
            Refusal::Name(error) => Self::invalid(vec![FieldError::at("name", error)]),
            _ => Self::conflict("refused", refusal),
        }
    }
}

const fn field_of(problem: &AppProblem) -> &'static str {
    match problem {
        AppProblem::NoPrefix
        | AppProblem::Ambiguous { .. }
        | AppProblem::HostBits { .. }
        | AppProblem::NotRoutable(_) => "prefixes",
        AppProblem::TooManyNames(_) => "names",
        AppProblem::WithinWithoutNames => "within",
        AppProblem::NoService
        | AppProblem::InvalidService(_)
        | AppProblem::NotGrantable(_)
        | AppProblem::RangeTooLong { .. } => "services",
    }
}

impl From<Invalid> for ApiError {
    fn from(Invalid(errors): Invalid) -> Self {
        Self::invalid(errors)
    }
}

impl From<VerifierError> for ApiError {
    fn from(error: VerifierError) -> Self {
        match error {
            VerifierError::Full => Self::too_many(Duration::from_millis(500)),
            VerifierError::Stopped => Self::unavailable(error),
            VerifierError::Password(problem) => Self::invalid(vec![FieldError::at("password", problem)]),
        }
    }
}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> Self {
        match &error {
            SourceError::NotGuarded(_) => Self::forbidden("not-guarded", error),
            SourceError::NoNeighbour(_) => Self::unavailable(error),
            SourceError::System(_) => {
                tracing::error!(%error, "a peer's source could not be found");
                Self::unavailable("the gateway could not find out where you are; its log says why")
            }
        }
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Busy => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", "too many searches at once", error)
                .with_header(RETRY_AFTER, "1"),
            SearchError::Off => Self::missing(error),
            SearchError::Closed | SearchError::Unreadable { .. } => Self::unavailable(error),
            SearchError::TooLong | SearchError::TooMany => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too-much", "too much to answer", error)
            }
        }
    }
}

impl From<ReachError> for ApiError {
    fn from(error: ReachError) -> Self {
        match error {
            ReachError::TooLong | ReachError::TooMany => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too-much", "too much to answer", error)
            }
        }
    }
}

impl From<ViewError> for ApiError {
    fn from(error: ViewError) -> Self {
        Self::unavailable(error)
    }
}
