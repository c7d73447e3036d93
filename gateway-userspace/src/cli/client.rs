//! Requests and answers. Every answer comes twice: as a shape, and as the JSON that it was.

use super::{CliError, credential};
use crate::outward;
use crate::wire::{Page, Problem};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, RequestBuilder, Response};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;
use url::Url;

/// Longer than the API gives itself for any answer.
const PATIENCE: Duration = Duration::from_secs(20);
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(5);
/// As many entries in a page as the API gives.
const PAGE: usize = 1_000;

/// A gateway that can be asked.
pub(super) struct Client {
    http: reqwest::Client,
    pub(super) url: Url,
}

/// An answer.
pub(super) struct Answer<T> {
    /// What it says.
    pub(super) shape: T,
    /// As it came.
    pub(super) json: Value,
}

/// A request in the making.
pub(super) struct Call<'c> {
    client: &'c Client,
    request: RequestBuilder,
}

/// An answer that comes in pieces.
pub(super) struct Pieces {
    response: Response,
    url: String,
}

impl Pieces {
    /// The next one, unless that was all.
    pub(super) async fn piece(&mut self) -> Result<Option<bytes::Bytes>, CliError> {
        let unreachable =
            |error: reqwest::Error| CliError::Unreachable { url: self.url.clone(), problem: reason(&error) };
        self.response.chunk().await.map_err(unreachable)
    }

    /// What is to be said where what came is not what was asked for.
    pub(super) fn wrong(&self, problem: &impl ToString) -> CliError {
        CliError::Answer { url: self.url.clone(), problem: problem.to_string() }
    }
}

impl Client {
    /// Goes to the gateway itself: no proxy stands for the address that a session is bound to.
    pub(super) fn new(url: &str, tls: rustls::ClientConfig) -> Result<Self, CliError> {
        let http = outward::builder(tls).connect_timeout(PATIENCE_TO_CONNECT).timeout(PATIENCE).build();
        Ok(Self { http: http.map_err(CliError::Setup)?, url: parse_url(url)? })
    }

    /// A request for a path, given by its segments.
    pub(super) fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Call { client: self, request: self.http.request(method, url) }
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        CliError::Unreachable { url: self.url.to_string(), problem: reason(error) }
    }
}

fn parse_url(text: &str) -> Result<Url, CliError> {
    let wrong = |problem: &str| CliError::Url { url: text.to_owned(), problem: problem.to_owned() };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if url.scheme() != "https" || !url.has_host() {
        return Err(wrong("it does not begin with `https://` and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has more than a host, a port and a path"));
    }
    Ok(url)
}

impl Call<'_> {
    /// Presents a secret.
    pub(super) fn bearer(self, secret: &SecretString) -> Result<Self, CliError> {
        let bearer = credential::bearer(secret)?;
        Ok(Self { request: self.request.header(AUTHORIZATION, bearer), ..self })
    }

    /// Adds a header.
    pub(super) fn header(self, name: &'static str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    /// Adds a parameter, if there is a value.
    pub(super) fn query(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => Self { request: self.request.query(&[(name, value)]), ..self },
            None => self,
        }
    }

    /// Sends a shape along.
    pub(super) fn body(self, shape: &impl Serialize) -> Self {
        Self { request: self.request.json(shape), ..self }
    }

    /// Asks, for an answer without content.
    pub(super) async fn done(self) -> Result<(), CliError> {
        self.send().await.map(drop)
    }

    /// Asks.
    pub(super) async fn answer<T: DeserializeOwned>(self) -> Result<Answer<T>, CliError> {
        let client = self.client;
        let response = self.send().await?;
        let url = response.url().to_string();
        let text = response.bytes().await.map_err(|error| client.unreachable(&error))?;
        let read = serde_json::from_slice::<Value>(&text).and_then(|json| {
            let shape = serde_json::from_value(json.clone())?;
            Ok(Answer { shape, json })
        });
        read.map_err(|error| CliError::Answer { url, problem: error.to_string() })
    }

    /// Asks, for text.
    pub(super) async fn text(self) -> Result<String, CliError> {
        let client = self.client;
        let response = self.send().await?;
        response.text().await.map_err(|error| client.unreachable(&error))
    }

    /// Asks for a list that comes in one piece.
    pub(super) async fn items<T: DeserializeOwned>(self) -> Result<Answer<Vec<T>>, CliError> {
        let Answer { shape: Page { items, next_cursor: _ }, json } = self.answer().await?;
        Ok(Answer { shape: items, json })
    }

    /// Asks for all pages of a list.
    pub(super) async fn pages<T: DeserializeOwned>(self) -> Result<Answer<Vec<T>>, CliError> {
        self.pages_up_to(usize::MAX).await
    }

    /// Asks for page after page, until there are so many. One may be empty and not be the last.
    pub(super) async fn pages_up_to<T: DeserializeOwned>(self, most: usize) -> Result<Answer<Vec<T>>, CliError> {
        let (mut shape, mut json, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let request = self.request.try_clone();
            let Some(request) = request else { unreachable!("a list is asked for without a body") };
            let limit = PAGE.min(most - shape.len()).to_string();
            let call = Call { client: self.client, request };
            let call = call.query("limit", Some(&limit)).query("cursor", cursor.as_deref());
            let mut page: Answer<Page<T>> = call.answer().await?;
            shape.append(&mut page.shape.items);
            if let Some(Value::Array(items)) = page.json.get_mut("items") {
                json.append(items);
            }
            // A cursor that does not move would be asked for forever.
            let next = page.shape.next_cursor.filter(|next| cursor.as_ref() != Some(next) && shape.len() < most);
            match next {
                None => return Ok(Answer { shape, json: json!({ "items": json }) }),
                next => cursor = next,
            }
        }
    }

    /// Asks, for an answer that comes in pieces and takes as long as this.
    pub(super) async fn stream(self, patience: Duration) -> Result<Pieces, CliError> {
        let url = self.client.url.to_string();
        let response = Call { request: self.request.timeout(patience), ..self }.send().await?;
        Ok(Pieces { response, url })
    }

    async fn send(self) -> Result<Response, CliError> {
        let response = self.request.send().await.map_err(|error| self.client.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (url, status) = (response.url().to_string(), response.status());
        let text = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<Problem>(&text) {
            Ok(problem) => Err(CliError::Refused { problem: Box::new(problem), file: None }),
            Err(_) => Err(CliError::Answer { url, problem: format!("its status is {status}") }),
        }
    }
}

/// The innermost cause says most; a certificate that nobody trusts gets its remedy.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let (mut cause, mut reason) = (error.source(), error.to_string());
    while let Some(inner) = cause {
        if let Some(tls) = tls_error(inner) {
            return distrust(tls);
        }
        reason = inner.to_string();
        cause = inner.source();
    }
    reason
}

/// An I/O error hides what it wraps from `source`.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let wrapped = || tls_error(error.downcast_ref::<std::io::Error>()?.get_ref()?);
    error.downcast_ref().or_else(wrapped)
}

fn distrust(error: &rustls::Error) -> String {
    match error {
        rustls::Error::General(said) => said.clone(),
        rustls::Error::InvalidCertificate(problem) => {
            format!("its certificate is not trusted ({problem}); name whom to trust with `--ca` or `--pin`")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
