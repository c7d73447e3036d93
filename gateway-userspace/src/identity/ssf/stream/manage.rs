//! The stream management API of a transmitter, as its client.

use super::super::credential::Credential;
use super::super::http::{self, Failure};
use super::{Status, StreamDocument, TransmitterDocument, Wanted, configuration_url};
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

    /// What the transmitter says of itself.
    #[must_use]
    pub const fn transmitter(&self) -> &TransmitterDocument {
        &self.transmitter
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

    /// The configuration of a stream.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn read(&self, stream_id: &str) -> Result<StreamDocument, Failure> {
        let url = of_stream(self.configuration()?, stream_id);
        self.stream(&self.ask(Method::GET, url, None).await?)
    }

    /// Creates a stream.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn create(&self, wanted: &Wanted) -> Result<StreamDocument, Failure> {
        let properties = wanted.properties(&[]);
        self.stream(&self.ask(Method::POST, self.configuration()?.clone(), Some(&properties)).await?)
    }

    /// Updates a stream.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn update(&self, stream: &StreamDocument, wanted: &Wanted) -> Result<StreamDocument, Failure> {
        let mut properties = wanted.properties(&stream.events_supported);
        properties["stream_id"] = json!(stream.stream_id);
        self.stream(&self.ask(Method::PATCH, self.configuration()?.clone(), Some(&properties)).await?)
    }

    /// Deletes a stream.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn delete(&self, stream_id: &str) -> Result<(), Failure> {
        let url = of_stream(self.configuration()?, stream_id);
        self.ask(Method::DELETE, url, None).await.map(drop)
    }

    /// The status of a stream.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn status(&self, stream_id: &str) -> Result<Status, Failure> {
        let endpoint = offered(self.transmitter.status_endpoint.as_ref(), "status endpoint")?;
        let body = self.ask(Method::GET, of_stream(endpoint, stream_id), None).await?;
        serde_json::from_slice(&body).map_err(|_| Failure::Malformed("a stream status"))
    }

    /// Changes the status of a stream.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn set_status(&self, status: &Status) -> Result<(), Failure> {
        let endpoint = offered(self.transmitter.status_endpoint.as_ref(), "status endpoint")?;
        self.ask(Method::POST, endpoint.clone(), Some(&json!(status))).await.map(drop)
    }

    /// Adds a person to a stream, by their `sub`.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn add_subject(&self, stream_id: &str, issuer: &str, sub: &str) -> Result<(), Failure> {
        let endpoint = offered(self.transmitter.add_subject_endpoint.as_ref(), "endpoint to add subjects at")?;
        let body = json!({ "stream_id": stream_id, "subject": subject(issuer, sub), "verified": true });
        self.ask(Method::POST, endpoint.clone(), Some(&body)).await.map(drop)
    }

    /// Removes a person from a stream.
    ///
    /// # Errors
    /// See [`Manager`].
    pub async fn remove_subject(&self, stream_id: &str, issuer: &str, sub: &str) -> Result<(), Failure> {
        let endpoint = offered(self.transmitter.remove_subject_endpoint.as_ref(), "endpoint to remove subjects at")?;
        let body = json!({ "stream_id": stream_id, "subject": subject(issuer, sub) });
        self.ask(Method::POST, endpoint.clone(), Some(&body)).await.map(drop)
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
        http::send(self.credential.present(request, &self.client).await?, PATIENCE).await
    }
}

fn offered<'u>(endpoint: Option<&'u Url>, name: &'static str) -> Result<&'u Url, Failure> {
    endpoint.ok_or(Failure::NotOffered(name))
}

fn of_stream(endpoint: &Url, stream_id: &str) -> Url {
    let mut url = endpoint.clone();
    url.query_pairs_mut().append_pair("stream_id", stream_id);
    url
}

fn subject(issuer: &str, sub: &str) -> Value {
    json!({ "format": "iss_sub", "iss": issuer, "sub": sub })
}
