//! How a provider is asked: in bounded time, for bounded answers, by connections that are kept.

use super::{Refusal, Settings, SettingsError, roots};
use crate::identity::json::object;
use crate::outward::{self, Unread};
use oauth2::http::header::CACHE_CONTROL;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, Response};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use url::Url;

/// Bytes of an answer.
const LONGEST: usize = 1 << 20;

/// One client for one provider.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client,
    provider: String,
}

/// An answer to a question for a document.
pub(super) struct Document {
    pub(super) body: Vec<u8>,
    pub(super) max_age: Option<Duration>,
}

impl Http {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let client = outward::builder(roots::config(settings.ca.as_deref())?)
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            .build()?;
        Ok(Self { client, provider: settings.name.clone() })
    }

    /// Fetches a document.
    pub(super) async fn document(&self, url: &Url) -> Result<Document, Refusal> {
        let response = self.client.get(url.clone()).send().await.map_err(|error| self.failed(error))?;
        let max_age = max_age(&response);
        let body = self.successful(response).await?;
        Ok(Document { body, max_age })
    }

    async fn successful(&self, response: Response) -> Result<Vec<u8>, Refusal> {
        if response.status().is_redirection() {
            return Err(Refusal::Redirected);
        }
        if response.status().as_u16() != 200 {
            return Err(Refusal::ProviderFails);
        }
        self.body(response).await
    }

    /// Asks the token endpoint and its neighbours. Errors of OAuth come as answers.
    pub(super) async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, Refusal> {
        let request = reqwest::Request::try_from(request).map_err(|error| self.failed(error))?;
        let response = self.client.execute(request).await.map_err(|error| self.failed(error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Refusal::Redirected);
        }
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(Refusal::ProviderFails);
        }
        let body = self.body(response).await?;
        // Before anything is read of it: what stands there twice could be read in two ways.
        object(&body).map_err(|_| Refusal::AnswerMalformed)?;
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;
        Ok(answer)
    }

    async fn body(&self, response: Response) -> Result<Vec<u8>, Refusal> {
        match outward::body(response, LONGEST).await {
            Ok(body) => Ok(body.into()),
            Err(Unread::TooLarge) => Err(Refusal::AnswerTooLong),
            Err(Unread::Broken(error)) => Err(self.failed(error)),
        }
    }

    /// The address is left out of the log: that of a token endpoint could carry something.
    fn failed(&self, error: reqwest::Error) -> Refusal {
        let error = error.without_url();
        tracing::warn!(provider = %self.provider, problem = outward::innermost(&error), "provider cannot be asked");
        if error.is_timeout() { Refusal::ProviderSlow } else { Refusal::ProviderUnreachable }
    }
}

/// An answer on its way. Boxed, because the library names no future that may run on any thread.
pub(super) type Asking<'c> = Pin<Box<dyn Future<Output = Result<HttpResponse, Refusal>> + Send + 'c>>;

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Refusal;
    type Future = Asking<'c>;

    fn call(&'c self, request: HttpRequest) -> Asking<'c> {
        Box::pin(self.ask(request))
    }
}

/// What `Cache-Control` says.
fn max_age(response: &Response) -> Option<Duration> {
    let says = response.headers().get(CACHE_CONTROL)?.to_str().ok()?.to_ascii_lowercase();
    let mut directives = says.split(',').map(str::trim);
    directives.find_map(|directive| match directive {
        "no-store" | "no-cache" => Some(Duration::ZERO),
        other => other.strip_prefix("max-age=")?.parse().ok().map(Duration::from_secs),
    })
}
