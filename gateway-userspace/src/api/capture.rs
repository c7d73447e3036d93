//! Denied packets, as they were. Their content is people's, so whoever wants to see it needs a scope of its own, and the audit trail
//! tells who did.

use super::context::Shared;
use super::extract::{Parameters, Segment as _};
use super::problem::ApiError;
use super::records::prefix;
use crate::core::Actor;
use crate::policy::{SessionToken, UserName};
use crate::record::{Asked, CaptureError, LONGEST_CAPTURE};
use crate::wire::{self, FieldError};
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use gateway_common::DropReason;
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use utoipa::IntoParams;

const USUAL_SECONDS: u32 = 30;
/// Less than a connection may last.
const MOST_SECONDS: u32 = 540;
const USUAL_RATE: u32 = 100;
const MOST_RATE: u32 = 10_000;
const USUAL_LENGTH: u32 = 2_048;
/// As long as the longest headers.
const LEAST_LENGTH: u32 = 64;
const MOST_COUNT: u64 = 1_000_000;

/// Which packets, how many and for how long.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CaptureQuery {
    /// On this interface.
    interface: Option<String>,
    /// Denied for this reason, or one of several with commas between them.
    reason: Option<String>,
    /// Of this user.
    user: Option<String>,
    /// Of this session.
    session: Option<String>,
    /// From or to this address, or an address of this prefix, of clients.
    client: Option<String>,
    /// Ends after so many packets: 1 to 1000000.
    count: Option<u64>,
    /// Ends after so many seconds: 1 to 540, usually 30.
    seconds: Option<u32>,
    /// So many packets a second at most: 1 to 10000, usually 100.
    rate: Option<u32>,
    /// So many bytes of each packet at most: 64 to 16383, usually 2048.
    snaplen: Option<u32>,
}

/// Capture denied packets: a pcapng file, as they are denied, with the reason in a comment on each. It says once a second how many
/// were not captured.
#[utoipa::path(get, path = "/v1/drops/capture", tag = "traffic", params(CaptureQuery), responses(
    (status = 200, description = "A pcapng file", content_type = "application/x-pcapng", body = [u8]),
    (status = 409, description = "Somebody captures already", body = wire::Problem,
        content_type = "application/problem+json"),
    (status = 422, description = "Not valid", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn capture(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Parameters(query): Parameters<CaptureQuery>,
) -> Result<Response, ApiError> {
    let pieces = shared.context.captures.begin(actor, query.read()?)?;
    let pieces = stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((Ok::<_, Infallible>(piece), pieces))
    });
    let headers =
        [(CONTENT_TYPE, "application/x-pcapng"), (CONTENT_DISPOSITION, "attachment; filename=\"drops.pcapng\"")];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

impl CaptureQuery {
    fn read(self) -> Result<Asked, ApiError> {
        let Self { interface, reason, user, session, client, count, seconds, rate, snaplen } = self;
        let mut errors = Vec::new();
        let mut within = |field: &str, value: Option<u64>, usual: u64, least: u64, most: u64| {
            let value = value.unwrap_or(usual);
            if !(least..=most).contains(&value) {
                errors.push(FieldError::at(field, format!("`{value}` is not within {least} and {most}")));
            }
            u32::try_from(value).unwrap_or(u32::MAX)
        };
        let seconds = within("seconds", seconds.map(u64::from), USUAL_SECONDS.into(), 1, MOST_SECONDS.into());
        let rate = within("rate", rate.map(u64::from), USUAL_RATE.into(), 1, MOST_RATE.into());
        let (least, most) = (LEAST_LENGTH.into(), LONGEST_CAPTURE.into());
        let length = within("snaplen", snaplen.map(u64::from), USUAL_LENGTH.into(), least, most);
        within("count", count, 1, 1, MOST_COUNT);
        let reasons = reason.iter().flat_map(|reasons| reasons.split(','));
        let reasons = reasons.filter_map(|label| {
            let found = DropReason::ALL.iter().copied().find(|reason| reason.label() == label);
            if found.is_none() {
                let message = format!("`{label}` is not a reason; the reference of records lists them");
                errors.push(FieldError::at("reason", message));
            }
            found
        });
        let reasons = reasons.collect();
        if !errors.is_empty() {
            return Err(ApiError::invalid(errors));
        }
        Ok(Asked {
            interface,
            reasons,
            user: user.as_deref().map(UserName::read).transpose()?,
            session: session.as_deref().map(SessionToken::read).transpose()?,
            client: client.as_deref().map(|text| prefix("client", text)).transpose()?,
            count,
            time: Duration::from_secs(seconds.into()),
            rate,
            length,
        })
    }
}

impl From<CaptureError> for ApiError {
    fn from(error: CaptureError) -> Self {
        match &error {
            CaptureError::Nowhere => Self::missing(error),
            CaptureError::Taken { .. } => Self::conflict("capture-taken", error),
            CaptureError::NoInterface { .. } => Self::invalid(vec![FieldError::at("interface", error)]),
            CaptureError::Thread(_) => {
                tracing::error!(%error, "a capture could not begin");
                Self::unavailable("the gateway could not begin to capture; its log says why")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_usual_and_what_is_too_much_is_named() {
        let asked = CaptureQuery::default().read().unwrap();
        assert_eq!((asked.time, asked.rate, asked.length), (Duration::from_secs(30), 100, 2_048));
        assert_eq!((asked.count, asked.reasons.len()), (None, 0));
        let named = |reason: &str| CaptureQuery { reason: Some(reason.into()), ..CaptureQuery::default() };
        let reasons = named("no_grant,no_session").read().unwrap().reasons;
        assert_eq!(reasons, [DropReason::NoGrant, DropReason::NoSession]);
        let too_much = CaptureQuery { count: Some(0), rate: Some(10_001), snaplen: Some(16_384), ..named("no_grant,") };
        let (status, said) = too_much.read().unwrap_err().into_words();
        assert_eq!(status, 422);
        for field in ["count", "rate", "snaplen", "reason"] {
            assert!(said.contains(field), "{field}: {said}");
        }
    }
}
