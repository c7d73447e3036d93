//! What handlers take from a request. Whatever cannot be taken is a problem document.

use super::problem::ApiError;
use crate::identity::TokenId;
use crate::policy::{AppName, Generation, GroupName, ProviderName, SessionToken, UserName};
use crate::wire::FieldError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, StatusCode};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

/// The other end of the connection. Never a header.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

pub(super) fn peer_of(extensions: &Extensions) -> Result<IpAddr, ApiError> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().ok_or_else(ApiError::internal)?;
    Ok(peer.0.ip().to_canonical())
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        peer_of(&parts.extensions).map(Self)
    }
}

/// The secret that a request presents.
#[derive(Clone)]
pub(super) struct Bearer(secrecy::SecretString);

impl From<Bearer> for secrecy::SecretString {
    fn from(Bearer(secret): Bearer) -> Self {
        secret
    }
}

impl Deref for Bearer {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.expose_secret()
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<Bearer> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Bearer(secret.into()))
}

/// A JSON body.
pub(super) struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if media_type(request.headers()) != Some("application/json") {
            return Err(unsupported("application/json"));
        }
        parse(&body(request, state).await?).map(Self)
    }
}

/// The fields of a form, each of them once.
pub(super) struct Form<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if media_type(request.headers()) != Some("application/x-www-form-urlencoded") {
            return Err(unsupported("application/x-www-form-urlencoded"));
        }
        let read = serde_urlencoded::from_bytes(&body(request, state).await?);
        read.map(Self).map_err(|error| ApiError::bad_request(format!("the form is not valid: {error}")))
    }
}

/// A text, as it is or as the member `text` of a JSON document.
pub(super) struct Text(pub String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match media_type(request.headers()) {
            Some("application/json") => {
                let document: crate::wire::PolicyPut = parse(&body(request, state).await?)?;
                Ok(Self(document.text))
            }
            Some("text/plain") => {
                let text = String::from_utf8(body(request, state).await?.to_vec());
                text.map(Self).map_err(|_| ApiError::bad_request("the text is not UTF-8"))
            }
            _ => Err(unsupported("text/plain` or `application/json")),
        }
    }
}

pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}

fn unsupported(wanted: &str) -> ApiError {
    let title = "not a media type of this resource";
    let detail = format!("send `Content-Type: {wanted}`");
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", title, detail)
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection: BytesRejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the request is too large", "")
        } else {
            ApiError::bad_request("the body ended early")
        }
    })
}

/// Duplicate members are refused by the derived readers, depth and surrogates by the parser. The derived readers would
/// also take an array for an object, and an empty one for all defaults.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::bad_request("the JSON is an array; send an object"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let message = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
        let place = FieldError { line: Some(line), column: Some(column), message, ..FieldError::default() };
        ApiError::bad_request(format!("the JSON is not valid: {text}")).with_errors(vec![place])
    })
}

/// Parameters after `?`.
pub(super) struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|error| ApiError::bad_request(error.body_text()))
    }
}

/// Something that a path names.
pub(super) trait Segment: Sized {
    fn read(text: &str) -> Result<Self, ApiError>;
}

macro_rules! segments {
    ($($name:ty),+) => {
        $(impl Segment for $name {
            fn read(text: &str) -> Result<Self, ApiError> {
                <$name>::new(text).map_err(ApiError::bad_request)
            }
        })+
    };
}

segments!(UserName, GroupName, AppName, ProviderName, TokenId);

impl Segment for SessionToken {
    fn read(text: &str) -> Result<Self, ApiError> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let token = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16 && text.bytes().all(is_hex));
        token.map(Self).ok_or_else(|| {
            ApiError::bad_request(format!("session token `{text}` is not valid: use its 16 hexadecimal digits"))
        })
    }
}

impl Segment for Generation {
    fn read(text: &str) -> Result<Self, ApiError> {
        let number = text.parse().map(Self);
        number.map_err(|_| ApiError::bad_request(format!("`{text}` is not the number of a generation")))
    }
}

/// What the path names.
pub(super) struct Named<T>(pub T);

impl<S: Send + Sync, T: Segment> FromRequestParts<S> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|error| ApiError::bad_request(error.body_text()))?;
        T::read(&text).map(Self)
    }
}

/// The two things that the path names.
pub(super) struct NamedPair<A, B>(pub A, pub B);

impl<S: Send + Sync, A: Segment, B: Segment> FromRequestParts<S> for NamedPair<A, B> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((a, b)) = path.map_err(|error| ApiError::bad_request(error.body_text()))?;
        Ok(Self(A::read(&a)?, B::read(&b)?))
    }
}
