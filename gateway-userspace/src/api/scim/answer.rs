//! Answers: SCIM, whatever they say.

use super::ROOT;
use crate::identity::scim::{Projection, Resource, ScimError, Shown, entity_tag, location};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

pub(super) const MEDIA_TYPE: &str = "application/scim+json";
/// Largest refusal of another layer that is read for what it says.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// An answer with a document, or without one. A document is written at once: where the answer is made there is time.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    document: Option<String>,
    headers: Vec<(HeaderName, String)>,
}

impl Answer {
    pub fn of(document: Value) -> Self {
        Self { status: StatusCode::OK, document: Some(document.to_string()), headers: Vec::new() }
    }

    pub fn empty(status: StatusCode) -> Self {
        Self { status, document: None, headers: Vec::new() }
    }

    /// A resource, with its version.
    pub fn resource(shown: &Shown, projection: &Projection, base: &str) -> Self {
        Self::of(shown.document(projection, base).into()).tagged(shown.resource())
    }

    /// That a resource has been created, and where.
    pub fn created(shown: &Shown, projection: &Projection, base: &str) -> Self {
        let resource = shown.resource();
        let place = location(resource.kind(), resource.id, base);
        let answer = Self::resource(shown, projection, base);
        Self { status: StatusCode::CREATED, ..answer }.with(LOCATION, place)
    }

    /// With the version of a resource.
    pub fn tagged(self, resource: &Resource) -> Self {
        self.with(ETAG, entity_tag(resource.version))
    }

    fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = match self.document {
            Some(document) => with_document(self.status, document),
            None => self.status.into_response(),
        };
        let headers = self.headers.into_iter().filter_map(|(name, value)| Some((name, value.parse().ok()?)));
        response.headers_mut().extend(headers.collect::<Vec<(HeaderName, HeaderValue)>>());
        response
    }
}

fn with_document(status: StatusCode, document: String) -> Response {
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))];
    (status, content_type, document).into_response()
}

/// A refusal.
#[derive(Debug)]
pub(super) struct Failure(pub ScimError);

impl From<ScimError> for Failure {
    fn from(error: ScimError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = with_document(status, self.0.document().to_string());
        let header = match status {
            StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        };
        response.headers_mut().extend(header);
        response
    }
}

/// Has the refusals of all layers below the root say what they say in SCIM.
pub async fn errors(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_scim = path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let response = next.run(request).await;
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let is_said = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE);
    if is_scim && is_error && !is_said { translated(response).await } else { response }
}

async fn translated(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, LARGEST_REFUSAL).await.unwrap_or_default();
    let said = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let said = ["detail", "title"].into_iter().find_map(|name| said.get(name)?.as_str().map(str::to_owned));
    let detail = said.unwrap_or_else(|| parts.status.canonical_reason().unwrap_or("refused").to_lowercase());
    let document = ScimError::status(parts.status.as_u16(), detail).document();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    Response::from_parts(parts, Body::from(document.to_string()))
}
