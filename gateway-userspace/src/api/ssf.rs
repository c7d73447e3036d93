//! Security events that transmitters push (RFC 8935).

use super::context::{Later, Shared};
use super::extract::Named;
use super::problem::ApiError;
use crate::identity::ssf::{Answer, Pushed};
use crate::policy::ProviderName;
use crate::wire::Problem;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use std::collections::BTreeMap;
use std::sync::Arc;
use time::OffsetDateTime;

/// Takes what the transmitter of one provider pushes.
pub trait SignalReceiver: Send + Sync {
    /// Answers a request. What it orders is in force before it is accepted.
    fn push<'a>(&'a self, pushed: Pushed<'a>, now: OffsetDateTime) -> Later<'a, Answer>;
}

/// All of them, by provider.
pub type Signals = BTreeMap<ProviderName, Arc<dyn SignalReceiver>>;

/// Push a security event. Answered when the kernel has been told.
#[utoipa::path(post, path = "/ssf/{name}", tag = "providers",
    params(("name" = String, Path, description = "The provider")),
    request_body(content = String, content_type = "application/secevent+jwt"),
    responses(
        (status = 202, description = "The event is in force"),
        (status = 400, description = "The event is refused: `err` and `description` of RFC 8935", body = String,
            content_type = "application/json"),
        (status = 404, description = "No such provider, or it sends no events", body = Problem,
            content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = String, content_type = "application/json"),
        (status = 503, description = "Not now: send it again"),
    )
)]
pub(super) async fn push(
    State(shared): State<Arc<Shared>>,
    Named(name): Named<ProviderName>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let receiver = shared.context.signals.get(&name).ok_or_else(ApiError::not_found)?;
    let text = |header| headers.get(header).and_then(|value| value.to_str().ok());
    let pushed = Pushed { content_type: text(CONTENT_TYPE), authorization: text(AUTHORIZATION), body: &body };
    let answer = receiver.push(pushed, shared.now().wall).await;
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(match answer {
        Answer::Accepted | Answer::TryAgain => status.into_response(),
        Answer::Refused { error, .. } => (status, axum::Json(error)).into_response(),
    })
}
