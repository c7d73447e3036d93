//! Services: access tokens that the provider gives to programs for their own credentials (RFC 9068).

use super::{Provider, Refusal};
use crate::identity::jose::{Expect, Kind};
use std::time::Duration;
use time::OffsetDateTime;

/// However long the provider lets one live.
const OLDEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Provider {
    /// Verifies the access token of a service: which client it was given to.
    ///
    /// # Errors
    /// The first reason not to believe it.
    pub async fn access_token(&self, text: &str, now: OffsetDateTime) -> Result<String, Refusal> {
        let audience = self.settings.service_audience.as_ref().ok_or(Refusal::ServicesOff)?;
        let older = self.settings.preset.older_client();
        let expect = Expect { audience, oldest: Some(OLDEST), ..self.expect(Kind::AccessToken { older }) };
        let claims = self.verify(text, &expect, now).await?;
        Ok(claims.client(older)?.to_owned())
    }
}
