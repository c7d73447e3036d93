//! Whether it is still so: a refresh token is exchanged, and what came of it is told apart. A person whose access the
//! provider ended is out at once; a provider that cannot be asked says nothing about anybody.

use super::proven::{Demand, Evidence};
use super::provider::{Tokens, check_type, meant, refused};
use super::{Proven, Provider, Refusal};
use crate::identity::jose::Kind;
use oauth2::basic::{BasicErrorResponse, BasicErrorResponseType};
use oauth2::{RefreshToken, RequestTokenError, TokenResponse as _};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

/// What the provider says now.
#[derive(Debug)]
pub struct Refreshed {
    /// What to ask with from now on, whatever is true of the rest: the old one may be worth nothing any more. `None` if it
    /// stays.
    pub refresh_token: Option<SecretString>,
    /// The person as they are now; `None` if the provider only says that they still have access; or why that is not
    /// believed.
    pub proven: Result<Option<Proven>, Refusal>,
}

/// Why there is nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The provider says that this person's access is over, or that they must log in again.
    #[error("provider ended the access of the person")]
    Ended,
    /// The provider cannot be asked, or does not talk to the gateway. It says nothing about the person.
    #[error(transparent)]
    Unreachable(Refusal),
    /// It says what makes no sense, and so it says nothing about the person either. Nothing is extended.
    #[error(transparent)]
    Refused(Refusal),
}

impl RefreshError {
    /// Its name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Unreachable(refusal) | Self::Refused(refusal) => refusal.label(),
        }
    }
}

impl From<Refusal> for RefreshError {
    fn from(refusal: Refusal) -> Self {
        if refusal.is_outage() { Self::Unreachable(refusal) } else { Self::Refused(refusal) }
    }
}

impl Provider {
    /// Asks whether a person still has access, and who they are now.
    ///
    /// # Errors
    /// If they have not, if the provider cannot be asked, or if it exchanges nothing.
    pub async fn refresh(
        &self,
        refresh_token: &SecretString,
        subject: &str,
        now: OffsetDateTime,
    ) -> Result<Refreshed, RefreshError> {
        // Metadata that are refused say nothing about the person either.
        let metadata = self.metadata(now).await.map_err(RefreshError::Unreachable)?;
        let client = self.client(&metadata);
        let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let tokens =
            client.exchange_refresh_token(&token).request_async(&self.http).await.map_err(|error| ended(&error))?;
        let proven = self.still(subject, &tokens, now).await;
        let rotated = tokens.refresh_token().map(|token| SecretString::from(token.secret().clone()));
        Ok(Refreshed { refresh_token: rotated, proven })
    }

    async fn still(&self, subject: &str, tokens: &Tokens, now: OffsetDateTime) -> Result<Option<Proven>, Refusal> {
        check_type(tokens)?;
        let Some(id_token) = &tokens.extra_fields().id_token else {
            return Ok(None);
        };
        // OpenID Connect Core 1.0 §12.2: it should have no nonce, and the login that had one is over.
        let kind = Kind::IdToken { nonce: None, access_token: Some(tokens.access_token().secret()), code: None };
        let claims = self.verify(id_token.secret(), &self.expect(kind), now).await?;
        if claims.subject()? != Some(subject) {
            return Err(Refusal::SubjectChanged);
        }
        self.prove(Evidence { claims, tokens }, &Demand::default(), now).map(Some)
    }
}

/// Entra answers `interaction_required` and Okta `login_required` where others say `invalid_grant`: in each case the
/// refresh token is worth nothing until the person has been there.
fn ended(error: &RequestTokenError<Refusal, BasicErrorResponse>) -> RefreshError {
    let RequestTokenError::ServerResponse(answer) = error else { return refused(error).into() };
    match answer.error() {
        BasicErrorResponseType::InvalidGrant => RefreshError::Ended,
        code => match meant(code) {
            Refusal::InteractionRequired | Refusal::AccessDenied => RefreshError::Ended,
            refusal => refusal.into(),
        },
    }
}
