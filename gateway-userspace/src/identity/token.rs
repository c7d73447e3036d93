//! API tokens: `pct_`, a short public id, `_`, 43 random characters. Only a hash is kept.

use super::scope::Scope;
use super::secret::{SECRET_LENGTH, SecretHash, random_text};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use time::OffsetDateTime;

const PREFIX: &str = "pct_";
const ID_LENGTH: usize = 12;

/// The public name of an API token: 12 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TokenId(String);

/// A token id in another form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("API token id `{0}` is not valid: use the {ID_LENGTH} hexadecimal digits after `{PREFIX}`")]
pub struct InvalidTokenId(pub String);

impl TokenId {
    /// Checks an id.
    ///
    /// # Errors
    /// If it is not twelve lower-case hexadecimal digits.
    pub fn new(id: &str) -> Result<Self, InvalidTokenId> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if id.len() == ID_LENGTH && id.bytes().all(is_hex) {
            Ok(Self(id.to_owned()))
        } else {
            Err(InvalidTokenId(id.to_owned()))
        }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn draw() -> Self {
        Self(format!("{:0ID_LENGTH$x}", rand::random::<u64>() & 0xffff_ffff_ffff))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When a token, or a service, was last used. Shared by all its copies; stored now and then, so that a read never becomes
/// a write.
#[derive(Clone, Default)]
pub struct LastUsed(Arc<Uses>);

/// Seconds since 1970; 0 for never.
#[derive(Default)]
struct Uses {
    last: AtomicI64,
    stored: AtomicI64,
}

impl LastUsed {
    /// How long after the use that is stored another one is worth a write.
    pub const SELDOM: time::Duration = time::Duration::minutes(10);

    /// As it was stored.
    #[must_use]
    pub fn restored(at: Option<OffsetDateTime>) -> Self {
        let seconds = at.map_or(0, OffsetDateTime::unix_timestamp);
        Self(Arc::new(Uses { last: seconds.into(), stored: seconds.into() }))
    }

    /// When that was; `None` for never.
    #[must_use]
    pub fn at(&self) -> Option<OffsetDateTime> {
        match self.0.last.load(Ordering::Relaxed) {
            0 => None,
            seconds => OffsetDateTime::from_unix_timestamp(seconds).ok(),
        }
    }

    /// It is used now.
    pub fn note(&self, now: OffsetDateTime) {
        self.0.last.store(now.unix_timestamp(), Ordering::Relaxed);
    }

    /// Whether it has been used since it was stored, and that is worth a write: `due` is given both times. Then it counts
    /// as stored.
    pub fn take_unstored(&self, due: impl Fn(OffsetDateTime, OffsetDateTime) -> bool) -> bool {
        let (stored, last) = (self.0.stored.load(Ordering::Relaxed), self.0.last.load(Ordering::Relaxed));
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let is_due = last != stored && due(at(stored), at(last));
        if is_due {
            self.0.stored.store(last, Ordering::Relaxed);
        }
        is_due
    }
}

impl fmt::Debug for LastUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at().fmt(f)
    }
}

/// What a program proves itself with.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// Its public name.
    pub id: TokenId,
    /// What it is for, as people call it, and as the audit trail does.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// The hash of the whole text `pct_…`.
    pub secret_hash: SecretHash,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// From when on it is worth nothing; `None` for never.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was last used.
    pub last_used: LastUsed,
}

/// Why a token was refused. For logs: the caller of the API is told nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Not `pct_<id>_<secret>`.
    #[error("not an API token")]
    Malformed,
    /// No such token, or another secret.
    #[error("API token is not known")]
    Unknown,
    /// Too late.
    #[error("API token has expired")]
    Expired,
}

impl ApiToken {
    /// Makes a token. The secret is not kept: show it now or never.
    #[must_use]
    pub fn issue(
        name: String,
        scopes: BTreeSet<Scope>,
        now: OffsetDateTime,
        expires_at: Option<OffsetDateTime>,
    ) -> (Self, SecretString) {
        let id = TokenId::draw();
        let secret = SecretString::from(format!("{PREFIX}{id}_{}", random_text()));
        let secret_hash = SecretHash::of(secret.expose_secret());
        (Self { id, name, scopes, secret_hash, created_at: now, expires_at, last_used: LastUsed::default() }, secret)
    }

    /// Whether it may do something.
    #[must_use]
    pub fn permits(&self, scope: Scope) -> bool {
        scope.is_among(&self.scopes)
    }

    pub(super) fn check(&self, presented: &str, now: OffsetDateTime) -> Result<(), TokenRefusal> {
        if self.secret_hash != SecretHash::of(presented) {
            return Err(TokenRefusal::Unknown);
        }
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(TokenRefusal::Expired);
        }
        self.last_used.note(now);
        Ok(())
    }

    /// The id in a presented token.
    pub(super) fn claimed(presented: &str) -> Option<TokenId> {
        let (id, random) = presented.strip_prefix(PREFIX)?.split_once('_')?;
        if random.len() == SECRET_LENGTH { TokenId::new(id).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issued_token_has_the_promised_form_and_debug_hides_the_secret() {
        let (token, secret) = ApiToken::issue("ci".into(), [Scope::Read].into(), OffsetDateTime::UNIX_EPOCH, None);
        let text = secret.expose_secret();
        assert_eq!(text.len(), 4 + 12 + 1 + 43);
        assert_eq!(ApiToken::claimed(text), Some(token.id.clone()));
        assert!(!format!("{token:?}{secret:?}").contains(&text[17..]));
    }

    #[test]
    fn a_use_is_stored_once_and_again_only_after_a_while() {
        let start = OffsetDateTime::from_unix_timestamp(1_000_000).unwrap();
        let seldom = |stored, used| used - stored >= LastUsed::SELDOM;
        let used = LastUsed::default();
        assert!(!used.take_unstored(seldom));
        used.note(start);
        assert!(used.take_unstored(seldom) && !used.take_unstored(seldom));
        used.note(start + time::Duration::MINUTE);
        assert!(!used.take_unstored(seldom));
        assert!(used.take_unstored(|_, _| true), "before a stop");
        used.note(start + time::Duration::HOUR);
        assert!(used.clone().take_unstored(seldom) && !used.take_unstored(seldom), "copies are one");
        assert_eq!(LastUsed::restored(used.at()).at(), used.at());
    }

    #[test]
    fn admin_may_do_everything_and_others_only_what_they_name() {
        let (reader, _) = ApiToken::issue("r".into(), [Scope::Read].into(), OffsetDateTime::UNIX_EPOCH, None);
        let (admin, _) = ApiToken::issue("a".into(), [Scope::Admin].into(), OffsetDateTime::UNIX_EPOCH, None);
        for scope in Scope::ALL {
            assert!(admin.permits(scope));
            assert_eq!(reader.permits(scope), scope == Scope::Read);
        }
    }
}
