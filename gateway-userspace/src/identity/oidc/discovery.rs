//! What a provider publishes about itself, and its keys: fetched, checked, kept.
//!
//! Metadata only say where things are. Which algorithms are believed, which hosts may be asked, and what the issuer is
//! called stands in our settings; metadata that say otherwise are refused.

use super::http::{Document, Http};
use super::{Refusal, Settings};
use crate::identity::jose::{Fetched, KeySet, Source, Store};
use crate::identity::json::object;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use time::OffsetDateTime;
use url::Url;

/// Where the endpoints are.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) keys: Url,
    pub(super) device: Option<Url>,
    pub(super) end_session: Option<Url>,
    /// Whether answers say whose they are (RFC 9207).
    pub(super) says_issuer: bool,
}

/// Why the last fetch failed, for whoever needs what it did not bring.
#[derive(Debug, Default)]
struct Failure(Mutex<Option<Refusal>>);

impl Failure {
    fn note<T>(&self, provider: &str, what: &str, outcome: Result<T, Refusal>) -> Option<T> {
        let failure = outcome.as_ref().err().copied();
        if let Some(refusal) = failure {
            tracing::warn!(provider, what, reason = refusal.label(), "what a provider publishes is refused");
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        outcome.ok()
    }

    fn last(&self) -> Refusal {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(Refusal::ProviderUnreachable)
    }
}

/// Fetches the metadata.
#[derive(Debug)]
pub(super) struct Discovery {
    http: Http,
    provider: String,
    issuer: String,
    hosts: BTreeSet<String>,
    failure: Failure,
}

impl Discovery {
    pub(super) fn new(settings: &Settings, http: Http) -> Self {
        let own = Url::parse(&settings.issuer).ok().and_then(|issuer| host(&issuer));
        Self {
            http,
            provider: settings.name.clone(),
            issuer: settings.issuer.clone(),
            hosts: settings.hosts.iter().cloned().chain(own).collect(),
            failure: Failure::default(),
        }
    }

    pub(super) fn failure(&self) -> Refusal {
        self.failure.last()
    }

    async fn read(&self) -> Result<Fetched<Metadata>, Refusal> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|_| Refusal::EndpointInsecure)?;
        let Document { body, max_age } = self.http.document(&url).await?;
        let document = object(&body).map_err(|_| Refusal::AnswerMalformed)?;
        Ok(Fetched { item: self.check(&document)?, max_age })
    }

    fn check(&self, document: &Map<String, Value>) -> Result<Metadata, Refusal> {
        if document.get("issuer").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(Refusal::MetadataIssuerWrong);
        }
        let needed = |name| self.endpoint(document, name)?.ok_or(Refusal::EndpointMissing);
        check_pkce(document)?;
        let says_issuer = match document.get("authorization_response_iss_parameter_supported") {
            None => false,
            Some(says) => says.as_bool().ok_or(Refusal::AnswerMalformed)?,
        };
        Ok(Metadata {
            authorization: needed("authorization_endpoint")?,
            token: needed("token_endpoint")?,
            keys: needed("jwks_uri")?,
            device: self.endpoint(document, "device_authorization_endpoint")?,
            end_session: self.endpoint(document, "end_session_endpoint")?,
            says_issuer,
        })
    }

    fn endpoint(&self, document: &Map<String, Value>, name: &str) -> Result<Option<Url>, Refusal> {
        let Some(value) = document.get(name) else { return Ok(None) };
        let url = value.as_str().ok_or(Refusal::AnswerMalformed)?;
        let url = Url::parse(url).map_err(|_| Refusal::EndpointInsecure)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if url.scheme() != "https" || !plain {
            return Err(Refusal::EndpointInsecure);
        }
        // Otherwise whoever writes the metadata could have the gateway ask hosts of its own network.
        let known = host(&url).is_some_and(|host| self.hosts.contains(&host));
        if known { Ok(Some(url)) } else { Err(Refusal::EndpointForeign) }
    }
}

/// The host, with the port if it is not the one of https.
pub(super) fn host(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// S256 is sent always. A provider that says nothing may know it; one that lists others would ignore it.
fn check_pkce(document: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(methods) = document.get("code_challenge_methods_supported") else { return Ok(()) };
    let methods = methods.as_array().ok_or(Refusal::AnswerMalformed)?;
    if methods.iter().any(|method| method == "S256") { Ok(()) } else { Err(Refusal::PkceUnsupported) }
}

impl Source for Discovery {
    type Item = Metadata;

    async fn fetch(&self, _: OffsetDateTime) -> Option<Fetched<Metadata>> {
        let read = self.read().await;
        self.failure.note(&self.provider, "metadata", read)
    }
}

/// Fetches the keys from where the metadata say.
#[derive(Debug)]
pub(super) struct Keys {
    http: Http,
    provider: String,
    metadata: Store<Discovery>,
    failure: Failure,
}

impl Keys {
    pub(super) fn new(settings: &Settings, http: Http, metadata: Store<Discovery>) -> Self {
        Self { http, provider: settings.name.clone(), metadata, failure: Failure::default() }
    }

    pub(super) fn failure(&self) -> Refusal {
        self.failure.last()
    }

    async fn read(&self, now: OffsetDateTime) -> Result<Fetched<KeySet>, Refusal> {
        let metadata = self.metadata.current(now).await.ok_or_else(|| self.metadata.source().failure())?;
        let Document { body, max_age } = self.http.document(&metadata.keys).await?;
        Ok(Fetched { item: KeySet::parse(&body)?, max_age })
    }
}

impl Source for Keys {
    type Item = KeySet;

    async fn fetch(&self, now: OffsetDateTime) -> Option<Fetched<KeySet>> {
        let read = self.read(now).await;
        self.failure.note(&self.provider, "keys", read)
    }
}
