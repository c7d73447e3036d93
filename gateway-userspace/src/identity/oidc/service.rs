//! Services: access tokens that the provider gives to programs for their own credentials (RFC 9068).

use super::{Provider, Refusal};
use crate::identity::jose::{Expect, Kind, TokenRefusal};
use std::collections::BTreeSet;
use std::time::Duration;
use time::OffsetDateTime;

/// However long the provider lets one live.
const OLDEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A service, as the provider proved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceToken {
    /// Which client it is.
    pub client_id: String,
    /// Whom the token is about; the client itself, if nobody stands behind it.
    pub subject: String,
    /// What it was given.
    pub scopes: BTreeSet<String>,
    /// Until when it is valid.
    pub expires_at: OffsetDateTime,
}

impl Provider {
    /// Verifies the access token of a service.
    ///
    /// # Errors
    /// The first reason not to believe it.
    pub async fn access_token(&self, text: &str, now: OffsetDateTime) -> Result<ServiceToken, Refusal> {
        let services = self.settings.services.as_ref().ok_or(Refusal::ServicesOff)?;
        let untyped = services.untyped;
        let base = self.expect(Kind::AccessToken { untyped });
        let expect = Expect { audience: &services.audience, oldest: Some(OLDEST), ..base };
        let claims = self.verify(text, &expect, now).await?;
        // RFC 9068 has one text; Okta and others send a list as `scp`.
        let scopes: BTreeSet<String> = match claims.text("scope")? {
            Some(scopes) => scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            None => claims.texts("scp").ok().flatten().into_iter().flatten().map(str::to_owned).collect(),
        };
        if !services.scopes.is_subset(&scopes) {
            return Err(Refusal::ScopeMissing);
        }
        Ok(ServiceToken {
            client_id: claims.client(untyped)?.to_owned(),
            subject: claims.subject()?.ok_or(TokenRefusal::SubjectMissing)?.to_owned(),
            scopes,
            expires_at: claims.time("exp")?.ok_or(TokenRefusal::ExpiryMissing)?,
        })
    }
}
