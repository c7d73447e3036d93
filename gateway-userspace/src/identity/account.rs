//! The secrets that the gateway can check, all as hashes.

use super::arrival::{Identities, ProviderSession};
use super::password::PasswordHash;
use super::secret::{SecretHash, SessionSecret};
use super::service::Services;
use super::token::{ApiToken, TokenId, TokenRefusal};
use crate::policy::{SessionToken, UserName};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Passwords, API tokens, session secrets, services, and what is known from identity providers.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Of the users who have one. Who has none cannot log in.
    pub passwords: BTreeMap<UserName, PasswordHash>,
    /// By their public id.
    pub tokens: BTreeMap<TokenId, ApiToken>,
    /// Of every session. An entry without its session proves nothing: whoever asks looks for the session too.
    pub session_secrets: BTreeMap<SessionToken, SecretHash>,
    /// Users who are no persons.
    pub services: Services,
    /// Who the people of the providers are here.
    pub identities: Identities,
    /// Of the sessions that began with a login at a provider.
    pub provider_sessions: BTreeMap<SessionToken, ProviderSession>,
}

impl Accounts {
    /// The API token that somebody presents, if it is good now.
    ///
    /// # Errors
    /// Why it is not.
    pub fn authenticate_token(&self, presented: &str, now: OffsetDateTime) -> Result<&ApiToken, TokenRefusal> {
        let id = ApiToken::claimed(presented).ok_or(TokenRefusal::Malformed)?;
        let token = self.tokens.get(&id).ok_or(TokenRefusal::Unknown)?;
        token.check(presented, now).map(|()| token)
    }

    /// The session that somebody proves to be theirs.
    #[must_use]
    pub fn authenticate_session(&self, presented: &str) -> Option<SessionToken> {
        let token = SessionSecret::claimed(presented)?;
        let kept = self.session_secrets.get(&token)?;
        (*kept == SecretHash::of(presented)).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Scope;
    use secrecy::ExposeSecret as _;
    use time::Duration;

    #[test]
    fn a_token_is_good_until_it_expires_and_its_use_is_noted() {
        let start = OffsetDateTime::from_unix_timestamp(1_000).unwrap();
        let end = start + Duration::HOUR;
        let (token, secret) = ApiToken::issue("ci".into(), [Scope::Read].into(), start, Some(end));
        let accounts = Accounts { tokens: [(token.id.clone(), token)].into(), ..Accounts::default() };
        let found = accounts.authenticate_token(secret.expose_secret(), start).unwrap();
        assert_eq!(found.last_used.at(), Some(start));
        let late = accounts.authenticate_token(secret.expose_secret(), end);
        assert_eq!(late.unwrap_err(), TokenRefusal::Expired);
    }

    #[test]
    fn a_token_with_another_secret_or_no_form_is_refused() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let (token, secret) = ApiToken::issue("ci".into(), [Scope::Read].into(), now, None);
        let id = token.id.clone();
        let accounts = Accounts { tokens: [(token.id.clone(), token)].into(), ..Accounts::default() };
        let forged = format!("pct_{id}_{}", "A".repeat(43));
        assert_eq!(accounts.authenticate_token(&forged, now).unwrap_err(), TokenRefusal::Unknown);
        assert_eq!(accounts.authenticate_token("pct_x", now).unwrap_err(), TokenRefusal::Malformed);
        let nobody = Accounts::default().authenticate_token(secret.expose_secret(), now).unwrap_err();
        assert_eq!(nobody, TokenRefusal::Unknown);
    }

    #[test]
    fn a_session_secret_proves_its_own_session_only() {
        let (one, two) = (SessionToken(1), SessionToken(2));
        let (first, second) = (SessionSecret::draw(one), SessionSecret::draw(two));
        let accounts = Accounts { session_secrets: [(one, first.hash)].into(), ..Accounts::default() };
        assert_eq!(accounts.authenticate_session(first.secret.expose_secret()), Some(one));
        assert_eq!(accounts.authenticate_session(second.secret.expose_secret()), None);
        assert_eq!(accounts.authenticate_session(SessionSecret::draw(one).secret.expose_secret()), None);
    }
}
