//! A provider: its settings, the connections to it, and what is kept of what it publishes.

use super::discovery::{Discovery, Keys, Metadata};
use super::http::Http;
use super::{Refusal, Settings, SettingsError};
use crate::identity::jose::{Claims, Expect, Kind, Pace, Store, TokenRefusal};
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AccessToken, AuthType, AuthUrl, Client, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ExtraTokenFields,
    RedirectUrl, RequestTokenError, StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// How long ago an ID token may have been issued that arrives just now.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// A provider that people and services come in by. Copies share what is kept.
#[derive(Clone, Debug)]
pub struct Provider {
    pub(super) settings: Arc<Settings>,
    pub(super) http: Http,
    pub(super) metadata: Store<Discovery>,
    pub(super) keys: Store<Keys>,
}

/// What the answer of a token endpoint has besides OAuth's own members. A secret of the library, which it never prints.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IdTokenField {
    pub(super) id_token: Option<AccessToken>,
}

impl ExtraTokenFields for IdTokenField {}

pub(super) type Tokens = StandardTokenResponse<IdTokenField, BasicTokenType>;

pub(super) type OauthClient = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl Provider {
    /// Sets up a provider. It is not asked for anything yet.
    ///
    /// # Errors
    /// If the settings are wrong.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let http = Http::new(&settings)?;
        let metadata = Store::new(Discovery::new(&settings, http.clone()), Pace::default());
        let keys = Store::new(Keys::new(&settings, http.clone(), metadata.clone()), Pace::default());
        Ok(Self { settings: Arc::new(settings), http, metadata, keys })
    }

    /// What it was set up with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Fetches what the provider publishes, so that the first login need not wait, and mistakes show early.
    ///
    /// # Errors
    /// If what it publishes cannot be fetched, or is refused.
    pub async fn prepare(&self, now: OffsetDateTime) -> Result<(), Refusal> {
        self.metadata(now).await?;
        self.keys.current(now).await.ok_or_else(|| self.keys.source().failure()).map(|_| ())
    }

    pub(super) async fn metadata(&self, now: OffsetDateTime) -> Result<Arc<Metadata>, Refusal> {
        self.metadata.current(now).await.ok_or_else(|| self.metadata.source().failure())
    }

    pub(super) fn client(&self, metadata: &Metadata) -> OauthClient {
        let settings = &self.settings;
        let client = Client::new(ClientId::new(settings.client_id.clone()))
            .set_auth_type(AuthType::BasicAuth)
            .set_auth_uri(AuthUrl::from_url(metadata.authorization.clone()))
            .set_token_uri(TokenUrl::from_url(metadata.token.clone()))
            .set_redirect_uri(RedirectUrl::from_url(settings.redirect_uri.clone()));
        match &settings.client_secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
            None => client,
        }
    }

    /// What tokens of this provider must be that are for us.
    pub(super) fn expect<'a>(&'a self, kind: Kind<'a>) -> Expect<'a> {
        Expect {
            issuer: &self.settings.issuer,
            audience: &self.settings.client_id,
            algorithms: &self.settings.algorithms,
            leeway: self.settings.leeway,
            oldest: Some(FRESH),
            kind,
        }
    }

    pub(super) async fn verify(
        &self,
        token: &str,
        expect: &Expect<'_>,
        now: OffsetDateTime,
    ) -> Result<Claims, Refusal> {
        self.keys.verify(token, expect, now).await.map_err(|refusal| match refusal {
            TokenRefusal::KeysUnavailable => self.keys.source().failure(),
            refusal => refusal.into(),
        })
    }
}

/// What is refused of an answer, whatever it was asked for.
pub(super) fn check_type(tokens: &Tokens) -> Result<(), Refusal> {
    if tokens.token_type() == &BasicTokenType::Bearer { Ok(()) } else { Err(Refusal::TokenTypeWrong) }
}

/// What an error of a token endpoint means.
pub(super) fn refused(error: &RequestTokenError<Refusal, BasicErrorResponse>) -> Refusal {
    match error {
        RequestTokenError::Request(refusal) => *refusal,
        RequestTokenError::ServerResponse(answer) => meant(answer.error()),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => Refusal::AnswerMalformed,
    }
}

/// What a code of RFC 6749 §5.2 means.
pub(super) fn meant(code: &BasicErrorResponseType) -> Refusal {
    match code {
        BasicErrorResponseType::InvalidGrant => Refusal::CodeRefused,
        BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => Refusal::ClientRefused,
        BasicErrorResponseType::Extension(code) => named(code),
        _ => Refusal::RequestRefused,
    }
}

/// What the code of an error means (RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6).
pub(super) fn named(code: &str) -> Refusal {
    match code {
        "access_denied" => Refusal::AccessDenied,
        "interaction_required" | "login_required" | "account_selection_required" | "consent_required" => {
            Refusal::InteractionRequired
        }
        "temporarily_unavailable" => Refusal::ProviderBusy,
        "server_error" => Refusal::ProviderFails,
        "unauthorized_client" | "invalid_client" => Refusal::ClientRefused,
        _ => Refusal::RequestRefused,
    }
}
