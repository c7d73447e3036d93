//! Receivers that take requests: lines of JSON, Splunk's HTTP event collector, and the bulk interface of Elasticsearch.

use crate::export::form::{self, json};
use crate::export::settings::{ElasticSettings, Form, HttpSettings, SplunkSettings, TlsSettings};
use crate::export::{Failure, Origin, SetupError, tls};
use crate::outward::{self, Unread};
use crate::record::Archived;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use rustls::RootCertStore;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use url::Url;

const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(5);
/// How long a receiver may take for a batch.
pub(in crate::export) const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });
/// As much as is read of an answer: that of a bulk request has some hundred bytes for each record.
const LARGEST: usize = 16 << 20;
/// As much of it as is repeated in a log.
const TOLD: usize = 300;

/// How records are put into a request, and what its answer has to say.
enum Body {
    Lines(Form),
    Splunk { index: Option<String> },
    Elastic { index: String },
}

/// Sends by HTTP.
pub(in crate::export) struct Sender {
    post: Post,
    body: Body,
    origin: Arc<Origin>,
}

/// Where requests go, and what each carries besides its body.
pub(super) struct Post {
    client: Client,
    url: Url,
    /// The scheme of `Authorization`, and the file with what follows it. It is read each time: it may be renewed.
    token: Option<(&'static str, PathBuf)>,
    /// Further headers, and the files with their values, likewise.
    headers: Vec<(HeaderName, PathBuf)>,
}

impl Sender {
    /// Lines of JSON.
    ///
    /// # Errors
    /// As of [`super::Receiver::new`].
    pub fn lines(settings: &HttpSettings, origin: Arc<Origin>) -> Result<Self, SetupError> {
        let HttpSettings { url, form, token, tls } = settings;
        let token = token.clone().map(|path| ("Bearer", path));
        Ok(Self { post: Post::new(url.clone(), token, Vec::new(), tls)?, body: Body::Lines(*form), origin })
    }

    /// Splunk's HTTP event collector.
    ///
    /// # Errors
    /// As of [`super::Receiver::new`].
    pub fn splunk(settings: &SplunkSettings, origin: Arc<Origin>) -> Result<Self, SetupError> {
        let SplunkSettings { url, index, token, tls } = settings;
        let post = Post::new(url.clone(), Some(("Splunk", token.clone())), Vec::new(), tls)?;
        Ok(Self { post, body: Body::Splunk { index: index.clone() }, origin })
    }

    /// The bulk interface of Elasticsearch.
    ///
    /// # Errors
    /// As of [`super::Receiver::new`].
    pub fn elastic(settings: &ElasticSettings, origin: Arc<Origin>) -> Result<Self, SetupError> {
        let ElasticSettings { url, index, token, tls } = settings;
        let token = token.clone().map(|path| ("ApiKey", path));
        let post = Post::new(below(url, "_bulk"), token, Vec::new(), tls)?;
        Ok(Self { post, body: Body::Elastic { index: index.clone() }, origin })
    }

    /// # Errors
    /// If the receiver does not say that it has taken all of it.
    pub async fn send(&self, records: &[Archived]) -> Result<(), Failure> {
        let (kind, body) = match &self.body {
            Body::Lines(form) => ("application/x-ndjson", form::lines(*form, &self.origin, records)),
            Body::Splunk { index } => ("application/json", events(index.as_deref(), &self.origin, records)),
            Body::Elastic { index } => ("application/x-ndjson", operations(index, &self.origin, records)),
        };
        let body = body.map_err(|error| Failure::Refused(error.to_string()))?;
        let answer = self.post.send(kind, body).await?;
        match &self.body {
            Body::Lines(_) => Ok(()),
            Body::Splunk { .. } => indexed(&answer),
            Body::Elastic { .. } => created(&answer, records.len()),
        }
    }
}

/// The address with a path after its own.
pub(super) fn below(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    let path = format!("{}/{path}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

impl Post {
    /// # Errors
    /// As of [`super::Receiver::new`].
    pub fn new(
        url: Url,
        token: Option<(&'static str, PathBuf)>,
        headers: Vec<(HeaderName, PathBuf)>,
        tls: &TlsSettings,
    ) -> Result<Self, SetupError> {
        let is_plain = url.scheme() == "http";
        // A program on this machine is asked for no certificate, and the system may trust nobody.
        let tls = if is_plain { outward::trusting(RootCertStore::empty())? } else { tls::client(tls)? };
        let client = outward::builder(tls)
            .https_only(!is_plain)
            .connect_timeout(PATIENCE_TO_CONNECT)
            .timeout(PATIENCE)
            .build()?;
        let post = Self { client, url, token, headers };
        post.secrets()?;
        Ok(post)
    }

    /// The headers whose values are in files.
    ///
    /// # Errors
    /// If a file cannot be read, or is not what a header can have.
    fn secrets(&self) -> Result<HeaderMap, SetupError> {
        let mut found = HeaderMap::new();
        if let Some((scheme, path)) = &self.token {
            found.insert(AUTHORIZATION, secret(path, Some(scheme), "is not one line with a token")?);
        }
        for (name, path) in &self.headers {
            found.insert(name.clone(), secret(path, None, "is not one line with the value of a header")?);
        }
        Ok(found)
    }

    /// Sends a request, and returns the answer if it says that all is well.
    ///
    /// # Errors
    /// If it does not.
    pub async fn send(&self, kind: &'static str, body: Vec<u8>) -> Result<Bytes, Failure> {
        let secrets = self.secrets().map_err(|error| Failure::Unauthorized(error.to_string()))?;
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, kind).headers(secrets).body(body);
        accepted(request.send().await.map_err(|error| failure(&error))?).await
    }
}

/// The one line of a file, after a scheme if there is one.
fn secret(path: &Path, scheme: Option<&str>, problem: &'static str) -> Result<HeaderValue, SetupError> {
    let text = String::from_utf8(tls::read(path)?).ok().map(|text| text.trim().to_owned());
    let text = text.filter(|text| !text.is_empty());
    let value = text.and_then(|text| {
        HeaderValue::try_from(scheme.map_or_else(|| text.clone(), |scheme| format!("{scheme} {text}"))).ok()
    });
    let mut value = value.ok_or_else(|| SetupError::Unusable { path: path.into(), problem })?;
    value.set_sensitive(true);
    Ok(value)
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() && !error.is_connect() {
        Failure::TimedOut
    } else {
        Failure::Unreachable(outward::innermost(error))
    }
}

/// The answer, if its status says that all is well.
async fn accepted(response: Response) -> Result<Bytes, Failure> {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = outward::body(response, LARGEST).await.map_err(|unread| match unread {
        Unread::TooLarge => Failure::Contradictory("its answer is larger than 16 MiB".into()),
        Unread::Broken(error) => failure(&error),
    })?;
    if status.is_success() {
        return Ok(body);
    }
    let what = format!("status {}{}", status.as_u16(), told(&body));
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Unauthorized(what),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Failure::Busy { what, retry_after: retry_after.map(Duration::from_secs) },
        _ => Failure::Refused(what),
    })
}

/// The beginning of an answer, for a log: what is no text is left out, and so is what a log would be misread by.
pub(super) fn told(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..TOLD).unwrap_or(body));
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {}", text.escape_debug()) }
}

/// A body whose parts are objects of JSON.
#[derive(Default)]
struct Objects(Vec<u8>);

impl Objects {
    fn put(&mut self, object: &impl Serialize) -> serde_json::Result<()> {
        serde_json::to_writer(&mut self.0, object)?;
        self.0.push(b'\n');
        Ok(())
    }
}

/// An event as the collector takes it.
#[derive(Serialize)]
struct Event<'r> {
    /// Seconds since 1970, as JSON: a number with six digits after its point.
    time: Box<RawValue>,
    host: &'r str,
    source: &'static str,
    sourcetype: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<&'r str>,
    event: json::Line<'r>,
}

fn events(index: Option<&str>, origin: &Origin, records: &[Archived]) -> serde_json::Result<Vec<u8>> {
    let mut body = Objects::default();
    for record in records {
        let micros = record.time().map_or(0, OffsetDateTime::unix_timestamp_nanos) / 1_000;
        let time = format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        body.put(&Event {
            time: RawValue::from_string(time)?,
            host: &origin.gateway,
            source: "portcullis",
            sourcetype: format!("portcullis:{}", record.kind()),
            index,
            event: json::line(origin, record),
        })?;
    }
    Ok(body.0)
}

/// What the collector says.
#[derive(Deserialize)]
struct Indexed {
    code: i64,
    #[serde(default)]
    text: String,
}

fn indexed(answer: &[u8]) -> Result<(), Failure> {
    match serde_json::from_slice(answer) {
        Ok(Indexed { code: 0, .. }) => Ok(()),
        Ok(Indexed { code, text }) => Err(Failure::Refused(format!("code {code}{}", told(text.as_bytes())))),
        Err(_) => Err(Failure::Contradictory(format!("it is no event collector{}", told(answer)))),
    }
}

#[derive(Serialize)]
struct Operation<'r> {
    create: Create<'r>,
}

/// A document of this id is made once, however often it is sent.
#[derive(Serialize)]
struct Create<'r> {
    _index: &'r str,
    _id: String,
}

#[derive(Serialize)]
struct Document<'r> {
    #[serde(rename = "@timestamp")]
    timestamp: &'r str,
    #[serde(flatten)]
    line: json::Line<'r>,
}

fn operations(index: &str, origin: &Origin, records: &[Archived]) -> serde_json::Result<Vec<u8>> {
    let mut body = Objects::default();
    for record in records {
        let timestamp = record.fields.get("time").and_then(serde_json::Value::as_str).unwrap_or_default();
        body.put(&Operation { create: Create { _index: index, _id: form::unique(origin, record) } })?;
        body.put(&Document { timestamp, line: json::line(origin, record) })?;
    }
    Ok(body.0)
}

/// What a bulk request is answered with.
#[derive(Deserialize)]
struct Created {
    items: Vec<CreatedItem>,
}

#[derive(Deserialize)]
struct CreatedItem {
    create: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    status: u16,
    #[serde(default)]
    error: serde_json::Value,
}

/// Whether each of them is there: made now, or by an attempt before.
fn created(answer: &[u8], expected: usize) -> Result<(), Failure> {
    let Ok(Created { items }) = serde_json::from_slice(answer) else {
        return Err(Failure::Contradictory(format!("it is no answer to a bulk request{}", told(answer))));
    };
    if items.len() != expected {
        return Err(Failure::Contradictory(format!("it answers for {} of {expected} records", items.len())));
    }
    let failed = items.iter().map(|item| &item.create).find(|outcome| !matches!(outcome.status, 200 | 201 | 409));
    let Some(Outcome { status, error }) = failed else { return Ok(()) };
    let what = format!("status {status}{}", told(error.to_string().as_bytes()));
    Err(if matches!(status, 429 | 503) { Failure::Busy { what, retry_after: None } } else { Failure::Refused(what) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_splunk_says_no_more_is_repeated_than_of_others() {
        let answer = serde_json::json!({ "code": 7, "text": format!("no\n{}", "x".repeat(10_000)) }).to_string();
        let Err(Failure::Refused(what)) = indexed(answer.as_bytes()) else { panic!("{answer}") };
        assert!(what.starts_with(r"code 7: no\nxxx") && what.len() < TOLD + 20, "{what}");
        assert_eq!(indexed(br#"{"code":9}"#), Err(Failure::Refused("code 9".into())));
    }
}
