//! What every command works with: the gateway, what proves who asks, and the output.

use super::arguments::Global;
use super::client::{Call, Client};
use super::credential::{SessionFile, api_token};
use super::output::Output;
use super::{CliError, tls};
use reqwest::Method;
use secrecy::SecretString;

/// What every command works with.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) output: Output,
    token: Option<SecretString>,
    has_certificate: bool,
}

impl Context {
    /// Reads what the options name, so that bad configuration is found before anything is asked.
    pub(super) fn new(global: Global) -> Result<Self, CliError> {
        let output = Output::of(&global);
        let Global { url, token_file, ca, pin, certificate, key, json: _, no_color: _ } = global;
        let token = api_token(token_file.as_deref(), std::env::var("PORTCULLIS_TOKEN").ok())?;
        let own = certificate.zip(key);
        let client = Client::new(&url, tls::config(ca.as_deref(), pin.as_deref(), own.as_ref())?)?;
        let has_certificate = own.is_some();
        Ok(Self { client, output, token, has_certificate })
    }

    /// Whether there is an API token.
    pub(super) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether the connection shows a client certificate.
    pub(super) const fn has_certificate(&self) -> bool {
        self.has_certificate
    }

    /// A request that presents the API token; without one, the connection's certificate may be enough.
    pub(super) fn administer(&self, method: Method, path: &[&str]) -> Result<Call<'_>, CliError> {
        let call = self.client.call(method, path);
        match &self.token {
            Some(token) => call.bearer(token),
            None if self.has_certificate => Ok(call),
            None => Err(CliError::NoToken),
        }
    }

    /// A request that presents the secret of the own session.
    pub(super) fn as_client(&self, method: Method, path: &[&str]) -> Result<Call<'_>, CliError> {
        let secret = SessionFile::usual()?.secret(&self.client.url)?;
        let secret = secret.ok_or_else(|| CliError::NotLoggedIn(self.client.url.to_string()))?;
        self.client.call(method, path).bearer(&secret)
    }
}
