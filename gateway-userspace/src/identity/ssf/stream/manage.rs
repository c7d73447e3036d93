//! The stream management API of a transmitter, as its client.

use super::super::credential::Credential;
use super::super::http::{self, Failure};
use super::{StreamDocument, TransmitterDocument, Wanted, configuration_url};
use bytes::Bytes;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(20);

/// Manages streams at one transmitter, for one audience. Every request fails if the transmitter cannot be asked, or
/// refuses, or answers with something else.
#[derive(Debug)]
pub struct Manager {
    client: Client,
    credential: Credential,
    audience: String,
    transmitter: TransmitterDocument,
}

impl Manager {
    /// Fetches the configuration of a transmitter.
    ///
    /// # Errors
    /// If it cannot be had, or is of another issuer.
    pub async fn discover(
        client: Client,
        credential: Credential,
        issuer: &str,
        audience: String,
    ) -> Result<Self, Failure> {
        // Without the credential: the document is public.
        let body = http::send(client.get(configuration_url(issuer)?), PATIENCE).await?;
        let transmitter = TransmitterDocument::read(&body, issuer)?;
        Ok(Self { client, credential, audience, transmitter })
    }

    /// The stream as it is wanted: one that is there already is brought up to date, otherwise one is created.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn ensure(&self, wanted: &Wanted) -> Result<StreamDocument, Failure> {
        let methods = &self.transmitter.delivery_methods_supported;
        if !methods.is_empty() && !methods.iter().any(|method| method == wanted.method()) {
            return Err(Failure::NotOffered("delivery in the way that is configured"));
        }
        match self.find(wanted).await? {
            Some(stream) => self.update(&stream, wanted).await,
            None => self.create(wanted).await,
        }
    }

    /// The stream as it is wanted, if there is one: for streams that are set up at the transmitter's side.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn find(&self, wanted: &Wanted) -> Result<Option<StreamDocument>, Failure> {
        let body = self.ask(Method::GET, self.configuration()?.clone(), None).await?;
        let streams = StreamDocument::read_list(&body, &self.transmitter.issuer, &self.audience)?;
        Ok(streams.into_iter().find(|stream| wanted.is_met_by(stream)))
    }

    async fn create(&self, wanted: &Wanted) -> Result<StreamDocument, Failure> {
        let properties = wanted.properties(&[]);
        self.stream(&self.ask(Method::POST, self.configuration()?.clone(), Some(&properties)).await?)
    }

    async fn update(&self, stream: &StreamDocument, wanted: &Wanted) -> Result<StreamDocument, Failure> {
        let mut properties = wanted.properties(&stream.events_supported);
        properties["stream_id"] = json!(stream.stream_id);
        self.stream(&self.ask(Method::PATCH, self.configuration()?.clone(), Some(&properties)).await?)
    }

    /// Asks for a verification event with a state, which [`super::super::Intake`] then expects.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn verify(&self, stream_id: &str, state: &str) -> Result<(), Failure> {
        let endpoint = offered(self.transmitter.verification_endpoint.as_ref(), "verification endpoint")?;
        let body = json!({ "stream_id": stream_id, "state": state });
        self.ask(Method::POST, endpoint.clone(), Some(&body)).await.map(drop)
    }

    fn configuration(&self) -> Result<&Url, Failure> {
        offered(self.transmitter.configuration_endpoint.as_ref(), "configuration endpoint")
    }

    fn stream(&self, body: &[u8]) -> Result<StreamDocument, Failure> {
        StreamDocument::read(body, &self.transmitter.issuer, &self.audience)
    }

    async fn ask(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Bytes, Failure> {
        let request = self.client.request(method, url);
        let request = body.into_iter().fold(request, |request, body| request.json(body));
        http::send(self.credential.present(request).await?, PATIENCE).await
    }
}

fn offered<'u>(endpoint: Option<&'u Url>, name: &'static str) -> Result<&'u Url, Failure> {
    endpoint.ok_or(Failure::NotOffered(name))
}
