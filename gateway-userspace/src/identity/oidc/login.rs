//! Authorization code with PKCE: a login begins with a URL for the browser, and is finished with what the browser brings
//! back.

use super::discovery::Metadata;
use super::proven::{Demand, Evidence};
use super::provider::{check_type, named, refused};
use super::{Parameters, Proven, Provider, Refusal};
use crate::identity::jose::Kind;
use crate::identity::secret::{SecretHash, random_text};
use crate::identity::span::signed;
use oauth2::{AuthorizationCode, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, Scope, TokenResponse as _};
use std::fmt;
use std::time::Duration;
use time::OffsetDateTime;
use url::Url;

/// How long a login may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// What the provider should do with whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Authenticate anew.
    Login,
}

impl Prompt {
    const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
        }
    }
}

/// What one login needs besides the settings.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// What the provider should do.
    pub prompt: Option<Prompt>,
    /// How long ago the person may have authenticated; instead of the settings' value.
    pub max_age: Option<Duration>,
    /// Authentication contexts one of which it must be. Empty for any; then those of the settings are asked for.
    pub acr: Vec<String>,
}

/// A login that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: Url,
    /// What stays here. Bind it to the browser.
    pub pending: Pending,
}

/// What is kept of a login until its answer comes. It is used up by [`Provider::finish`].
pub struct Pending {
    state: String,
    nonce: String,
    verifier: PkceCodeVerifier,
    began: OffsetDateTime,
    demand: Demand,
}

impl Pending {
    /// What to find it by.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// From when on it is worth nothing.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.began.saturating_add(signed(PATIENCE))
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("began", &self.began).finish_non_exhaustive()
    }
}

impl Provider {
    /// Begins a login.
    ///
    /// # Errors
    /// If what the provider publishes cannot be fetched, or is refused.
    pub async fn begin(&self, ask: &Ask, now: OffsetDateTime) -> Result<Begun, Refusal> {
        let metadata = self.metadata(now).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (state, nonce) = (random_text(), random_text());
        let max_age = ask.max_age.or(self.settings.max_age);
        let mut parameters = vec![("nonce", nonce.clone())];
        parameters.extend(ask.prompt.map(|prompt| ("prompt", prompt.name().to_owned())));
        parameters.extend(max_age.map(|age| ("max_age", age.as_secs().to_string())));
        let acr = if ask.acr.is_empty() { &self.settings.acr_values } else { &ask.acr };
        parameters.extend((!acr.is_empty()).then(|| ("acr_values", acr.join(" "))));
        parameters.extend(self.settings.preset.parameters().iter().map(|(name, value)| (*name, (*value).to_owned())));

        let client = self.client(&metadata);
        let mut request = client.authorize_url(|| CsrfToken::new(state.clone())).set_pkce_challenge(challenge);
        request = request.add_scopes(self.settings.scopes.iter().cloned().map(Scope::new));
        for (name, value) in parameters {
            request = request.add_extra_param(name, value);
        }
        let (url, _) = request.url();
        let demand = Demand { max_age, acr: ask.acr.clone() };
        Ok(Begun { url, pending: Pending { state, nonce, verifier, began: now, demand } })
    }

    /// Finishes a login with what the browser brought back.
    ///
    /// # Errors
    /// The first reason not to believe it.
    pub async fn finish(
        &self,
        pending: Pending,
        parameters: &Parameters,
        now: OffsetDateTime,
    ) -> Result<Proven, Refusal> {
        if now >= pending.expires_at() {
            return Err(Refusal::LoginExpired);
        }
        let metadata = self.metadata(now).await?;
        let code = self.code(&pending, parameters, &metadata)?;
        let client = self.client(&metadata);
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned())).set_pkce_verifier(pending.verifier);
        let tokens = request.request_async(&self.http).await.map_err(|error| refused(&error))?;
        check_type(&tokens)?;
        let access_token = tokens.access_token().secret();
        let kind = Kind::IdToken { nonce: Some(&pending.nonce), access_token: Some(access_token), code: Some(code) };
        let id_token = tokens.extra_fields().id_token.as_ref().ok_or(Refusal::IdTokenMissing)?;
        let claims = self.verify(id_token.secret(), &self.expect(kind), now).await?;
        self.prove(Evidence { claims, tokens: &tokens }, &pending.demand, now)
    }

    /// The code of an answer that belongs to this login and comes from this provider.
    fn code<'p>(&self, pending: &Pending, parameters: &'p Parameters, metadata: &Metadata) -> Result<&'p str, Refusal> {
        let state = parameters.state().ok_or(Refusal::StateMissing)?;
        // Hashes are compared, which takes the same time wherever the two differ.
        if SecretHash::of(state) != SecretHash::of(&pending.state) {
            return Err(Refusal::StateWrong);
        }
        match parameters.get("iss") {
            Some(issuer) if issuer != self.settings.issuer => return Err(Refusal::ResponseIssuerWrong),
            None if metadata.says_issuer => return Err(Refusal::ResponseIssuerMissing),
            _ => {}
        }
        match parameters.get("error") {
            Some(code) => Err(named(code)),
            None => parameters.get("code").ok_or(Refusal::CodeMissing),
        }
    }
}
