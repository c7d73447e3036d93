//! Logout in both directions: the provider ends a session here (OpenID Connect Back-Channel Logout 1.0), or the person
//! ends theirs at the provider (RP-Initiated Logout 1.0).

use super::{Provider, Refusal};
use crate::identity::jose::{Expect, Kind, TokenRefusal};
use crate::identity::span::signed;
use std::time::Duration;
use time::OffsetDateTime;
use url::Url;

/// How long ago a logout may have happened that arrives just now. The standard recommends two minutes of validity.
const FRESH: Duration = Duration::from_secs(2 * 60);

/// Who is logged out. It counts once: ask [`super::Replays`] first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// All sessions of this person, or the one below if there is one.
    pub subject: Option<String>,
    /// One session of the provider.
    pub sid: Option<String>,
    /// What tells it from every other.
    pub jti: String,
    /// When it was issued.
    pub iat: OffsetDateTime,
    /// From when on it would be refused anyway, so that it need not be remembered.
    pub forget_at: OffsetDateTime,
}

impl Provider {
    /// Verifies a logout token.
    ///
    /// # Errors
    /// The first reason not to believe it.
    pub async fn logout_token(&self, text: &str, now: OffsetDateTime) -> Result<LogoutToken, Refusal> {
        let expect = Expect { oldest: Some(FRESH), ..self.expect(Kind::LogoutToken) };
        let claims = self.verify(text, &expect, now).await?;
        let iat = claims.time("iat")?.ok_or(TokenRefusal::IssuedMissing)?;
        let worth = FRESH.saturating_add(self.settings.leeway).saturating_add(Duration::from_secs(1));
        Ok(LogoutToken {
            subject: claims.subject()?.map(str::to_owned),
            sid: claims.session()?.map(str::to_owned),
            jti: claims.identifier()?.to_owned(),
            iat,
            forget_at: iat.saturating_add(signed(worth)),
        })
    }

    /// Where a browser goes to end the session at the provider; `None` if the provider has no such place.
    pub async fn end_session_url(
        &self,
        id_token_hint: Option<&str>,
        post_logout_redirect_uri: Option<&Url>,
        state: Option<&str>,
        now: OffsetDateTime,
    ) -> Option<Url> {
        let mut url = self.metadata(now).await.ok()?.end_session.clone()?;
        let redirect = post_logout_redirect_uri.map(Url::as_str);
        let parameters = [
            ("client_id", Some(self.settings.client_id.as_str())),
            ("id_token_hint", id_token_hint),
            ("post_logout_redirect_uri", redirect),
            ("state", state),
        ];
        let given = parameters.iter().filter_map(|(name, value)| value.map(|value| (*name, value)));
        url.query_pairs_mut().extend_pairs(given);
        Some(url)
    }
}
