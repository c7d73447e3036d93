//! What handlers take from a request. Whatever cannot be taken is a refusal in SCIM.

use super::super::extract::media_type;
use super::answer::{Failure, MEDIA_TYPE};
use super::{ROOT, Scim, ScimClient};
use crate::identity::scim::{self, Parameters, Precondition, Projection, ResourceId, ScimError, ScimType};
use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{HOST, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Map, Value};

/// Who asks, where, and on which conditions.
#[derive(Debug)]
pub(super) struct Call {
    pub scim: Scim,
    pub client: ScimClient,
    /// Where the interface is, as the client knows it.
    pub base: String,
    /// In which version a resource has to be.
    pub precondition: Precondition,
    if_none_match: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Call
where
    Scim: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let client = parts.extensions.get::<ScimClient>().cloned();
        let client = client
            .ok_or_else(|| ScimError::status(401, "the provider's token is needed: `Authorization: Bearer …`"))?;
        let precondition = header(&parts.headers, &IF_MATCH)?.map(|text| Precondition::parse(&text)).transpose()?;
        Ok(Self {
            scim: Scim::from_ref(state),
            client,
            base: base(parts),
            precondition: precondition.unwrap_or_default(),
            if_none_match: header(&parts.headers, &IF_NONE_MATCH)?,
        })
    }
}

impl Call {
    /// Whether the client has this version already.
    pub fn knows(&self, version: u64) -> Result<bool, ScimError> {
        self.if_none_match.as_deref().map_or(Ok(false), |text| scim::is_known(text, version))
    }
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, ScimError> {
    let lines = headers.get_all(name).iter().map(|value| value.to_str());
    let lines = lines.collect::<Result<Vec<_>, _>>();
    let lines = lines.map_err(|_| invalid(format!("header `{name}` is no text")))?;
    Ok(Some(lines.join(",")).filter(|text| !text.is_empty()))
}

fn invalid(detail: String) -> ScimError {
    ScimError::of(ScimType::InvalidValue, detail)
}

/// The host is the client's word, and goes back to the client only.
fn base(parts: &Parts) -> String {
    let host = || parts.headers.get(HOST)?.to_str().ok()?.parse::<Authority>().ok();
    match parts.uri.authority().cloned().or_else(host) {
        Some(authority) => format!("https://{authority}{ROOT}"),
        None => ROOT.to_owned(),
    }
}

/// The resource that the path names. What cannot be an identifier is nobody's.
pub(super) struct Id(pub ResourceId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Name(text) = Name::from_request_parts(parts, state).await?;
        text.parse().map(Self).map_err(|_| Failure(ScimError::not_found(&text)))
    }
}

/// What the path names.
pub(super) struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|error| invalid(error.body_text()))?;
        Ok(Self(text))
    }
}

/// A JSON object.
pub(super) struct Body(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let media_type = media_type(request.headers()).unwrap_or_default();
        if ![MEDIA_TYPE, "application/json"].iter().any(|known| media_type.eq_ignore_ascii_case(known)) {
            return Err(ScimError::status(415, "send `Content-Type: application/scim+json`").into());
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ScimError::status(413, "the request is too large"),
            _ => ScimError::of(ScimType::InvalidSyntax, "the body ended early"),
        })?;
        Ok(Self(scim::object(&body)?))
    }
}

/// The parameters of a list, after `?`.
pub(super) struct Listing(pub Parameters);

impl<S: Send + Sync> FromRequestParts<S> for Listing {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self(parameters(parts.uri.query().unwrap_or_default())?))
    }
}

/// Which attributes are to be answered.
pub(super) struct Wanted(pub Projection);

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let parameters = parameters(parts.uri.query().unwrap_or_default())?;
        Ok(Self(Projection::of(parameters.attributes, parameters.excluded_attributes)?))
    }
}

fn parameters(query: &str) -> Result<Parameters, ScimError> {
    let mut read = Parameters::default();
    let mut seen = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if seen.contains(&name) {
            return Err(invalid(format!("parameter `{name}` stands there twice")));
        }
        let text = || Some(value.clone().into_owned()).filter(|text| !text.is_empty());
        let names = || value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match name.as_ref() {
            // An empty filter is none that was forgotten, but one that cannot be read.
            "filter" => read.filter = Some(value.clone().into_owned()),
            "sortBy" => read.sort_by = text(),
            "sortOrder" => read.sort_order = text(),
            "startIndex" => read.start_index = Some(number(&name, &value)?),
            "count" => read.count = Some(number(&name, &value)?),
            "attributes" => read.attributes = names(),
            "excludedAttributes" => read.excluded_attributes = names(),
            _ => {}
        }
        seen.push(name);
    }
    Ok(read)
}

/// A whole number; one that is too large for any page is the largest there is.
fn number(name: &str, value: &str) -> Result<i64, ScimError> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid(format!("`{name}` is no whole number")));
    }
    Ok(value.parse().unwrap_or(if value.starts_with('-') { i64::MIN } else { i64::MAX }))
}
