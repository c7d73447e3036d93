//! Requests to a transmitter, within bounded time and memory.

use crate::outward::{self, Unread};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;

const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(5);
/// As much as is read of an answer: 64 tokens of the largest size fit.
const LARGEST: usize = 2 * 1024 * 1024;

/// Why a request was not answered as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection, or it broke.
    #[error("transmitter cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("transmitter did not answer in time")]
    TimedOut,
    /// Another status than expected.
    #[error("transmitter answered with status {status}")]
    Status {
        /// The status.
        status: u16,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer is longer than is read.
    #[error("answer of the transmitter is larger than 2 MiB")]
    TooLarge,
    /// The answer is not what it should be.
    #[error("answer of the transmitter is not {0}")]
    Malformed(&'static str),
    /// What the gateway proves itself with cannot be had.
    #[error("credential for the transmitter cannot be had: {0}")]
    Credential(String),
    /// The transmitter does not offer what is asked for.
    #[error("transmitter has no {0}")]
    NotOffered(&'static str),
}

impl Failure {
    /// Its word in logs and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Status { status: 401 | 403, .. } => "unauthorized",
            Self::Status { status: 429, .. } => "too_many_requests",
            Self::Status { status: 400..=499, .. } => "rejected",
            Self::Status { .. } => "status",
            Self::TooLarge => "too_large",
            Self::Malformed(_) => "malformed",
            Self::Credential(_) => "credential",
            Self::NotOffered(_) => "not_offered",
        }
    }

    /// Whether the transmitter says that what it is asked about is not there.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Status { status: 404 | 410, .. })
    }
}

/// A client for transmitters, which trusts whom `tls` trusts.
///
/// # Errors
/// If the library cannot be set up.
pub fn client(tls: rustls::ClientConfig) -> Result<Client, Failure> {
    let client = outward::builder(tls).connect_timeout(PATIENCE_TO_CONNECT).build();
    client.map_err(|error| unreachable(&error))
}

/// Presents a bearer token.
pub(super) fn bearer(request: RequestBuilder, token: &SecretString) -> Result<RequestBuilder, Failure> {
    let value = format!("Bearer {}", token.expose_secret());
    let mut value = HeaderValue::try_from(value).map_err(|_| Failure::Credential("it is not one line".into()))?;
    value.set_sensitive(true);
    Ok(request.header(AUTHORIZATION, value))
}

/// Asks, and reads the answer.
pub(super) async fn send(request: RequestBuilder, patience: Duration) -> Result<Bytes, Failure> {
    let response = request.timeout(patience).send().await.map_err(|error| failure(&error))?;
    if !response.status().is_success() {
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| value.parse().ok()).map(Duration::from_secs);
        return Err(Failure::Status { status: response.status().as_u16(), retry_after });
    }
    outward::body(response, LARGEST).await.map_err(|unread| match unread {
        Unread::TooLarge => Failure::TooLarge,
        Unread::Broken(error) => failure(&error),
    })
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() && !error.is_connect() { Failure::TimedOut } else { unreachable(error) }
}

fn unreachable(error: &reqwest::Error) -> Failure {
    Failure::Unreachable(outward::innermost(error))
}
