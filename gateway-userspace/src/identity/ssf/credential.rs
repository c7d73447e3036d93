//! What the gateway proves itself with to a transmitter: a bearer token from a file, read for each request so that it
//! can be replaced at any time, or one that is got by the client credentials grant of OAuth 2.0.

use super::http::{self, Failure};
use reqwest::{Client, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(10);
/// A file that is longer has no secret in it.
const LARGEST: u64 = 16 * 1024;
/// A token is not used when it is about to expire.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a token is used of which nobody says how long it lasts.
const UNSAID: u64 = 300;

/// A credential.
#[derive(Debug)]
pub enum Credential {
    /// The bearer token in a file.
    TokenFile(PathBuf),
    /// A token for the gateway as a client of its own.
    ClientCredentials(Box<ClientCredentials>),
}

/// A client of an authorization server (RFC 6749, section 4.4).
#[derive(Debug)]
pub struct ClientCredentials {
    token_endpoint: Url,
    client_id: String,
    secret_file: PathBuf,
    scope: Option<String>,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    token: SecretString,
    until: Instant,
}

#[derive(Deserialize)]
struct Grant {
    access_token: SecretString,
    token_type: String,
    expires_in: Option<u64>,
}

impl ClientCredentials {
    /// A client that has no token yet.
    #[must_use]
    pub fn new(token_endpoint: Url, client_id: String, secret_file: PathBuf, scope: Option<String>) -> Self {
        Self { token_endpoint, client_id, secret_file, scope, kept: Mutex::new(None) }
    }

    async fn token(&self, client: &Client) -> Result<SecretString, Failure> {
        let mut kept = self.kept.lock().await;
        if let Some(Kept { token, until }) = &*kept
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let grant = self.ask(client).await?;
        let lasts = Duration::from_secs(grant.expires_in.unwrap_or(UNSAID)).saturating_sub(MARGIN);
        let until = Instant::now().checked_add(lasts).ok_or(Failure::Malformed("a token that expires"))?;
        *kept = Some(Kept { token: grant.access_token.clone(), until });
        Ok(grant.access_token)
    }

    async fn ask(&self, client: &Client) -> Result<Grant, Failure> {
        let secret = secret(&self.secret_file).await?;
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        // RFC 6749, section 2.3.1: both are encoded before they are joined.
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let (id, secret) = (encode(&self.client_id), SecretString::from(encode(secret.expose_secret())));
        let request = client.post(self.token_endpoint.clone()).form(&form);
        let request = request.basic_auth(id, Some(secret.expose_secret()));
        let body = http::send(request, PATIENCE).await?;
        let grant: Grant = serde_json::from_slice(&body).map_err(|_| Failure::Malformed("an access token"))?;
        if grant.token_type.eq_ignore_ascii_case("bearer") {
            Ok(grant)
        } else {
            Err(Failure::Malformed("a bearer token"))
        }
    }
}

impl Credential {
    /// Adds it to a request.
    pub(super) async fn present(&self, request: RequestBuilder, client: &Client) -> Result<RequestBuilder, Failure> {
        let token = match self {
            Self::TokenFile(path) => secret(path).await?,
            Self::ClientCredentials(grant) => grant.token(client).await?,
        };
        http::bearer(request, &token)
    }
}

/// The first and only line of a file.
async fn secret(path: &Path) -> Result<SecretString, Failure> {
    let wrong = |problem: String| Failure::Credential(format!("`{}`: {problem}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(|error| wrong(error.to_string()))?;
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).await.map_err(|error| wrong(error.to_string()))?;
    let secret = text.trim();
    if secret.is_empty() { Err(wrong("the file is empty".into())) } else { Ok(SecretString::from(secret.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_the_line_of_its_file_and_never_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cr3t-canary\n").unwrap();
        let read = secret(&path).await.unwrap();
        assert_eq!(read.expose_secret(), "s3cr3t-canary");
        let client = Client::builder();
        assert!(!format!("{read:?}{:?}{client:?}", Credential::TokenFile(path)).contains("canary"));
    }

    #[tokio::test]
    async fn a_file_that_is_missing_or_empty_says_which_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let missing = secret(&path).await.unwrap_err();
        assert!(missing.to_string().contains("token`:"), "{missing}");
        std::fs::write(&path, " \n").unwrap();
        let empty = secret(&path).await.unwrap_err();
        assert!(empty.to_string().ends_with("the file is empty"), "{empty}");
    }
}
