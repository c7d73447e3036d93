//! For machines that watch the gateway: probes, metrics, and the description of this interface.

use super::context::{Readiness, Shared};
use super::problem::ApiError;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus::TextEncoder;
use std::sync::Arc;

/// The description of this interface.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "probes", responses(
    (status = 200, description = "OpenAPI 3.1", body = String, content_type = "application/json"),
))]
pub(super) async fn openapi(State(shared): State<Arc<Shared>>) -> Response {
    ([(CONTENT_TYPE, "application/json")], shared.document.clone()).into_response()
}

/// Whether the daemon answers.
#[utoipa::path(get, path = "/healthz", tag = "probes", responses((status = 200, body = String)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the gateway does its work.
#[utoipa::path(get, path = "/readyz", tag = "probes", responses(
    (status = 200, body = String),
    (status = 503, description = "Not now, and why", body = crate::wire::Problem,
        content_type = "application/problem+json"),
))]
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<&'static str, ApiError> {
    match &*shared.context.readiness.borrow() {
        Readiness::Ready => Ok("ready\n"),
        Readiness::NotReady(reason) => Err(ApiError::unavailable(reason)),
    }
}

/// The metrics, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "probes", responses((status = 200, body = String)))]
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    let registry = shared.context.metrics.clone();
    // Collectors read the tables of the kernel, which takes a while.
    let gathered = tokio::task::spawn_blocking(move || TextEncoder::new().encode_to_string(&registry.gather()));
    let text = gathered.await.map_err(|_| ApiError::internal())?.map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        ApiError::internal()
    })?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}
