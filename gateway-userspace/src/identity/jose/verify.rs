//! Whether a token is what it must be: first its form, then its signature, then every claim that its kind must have.

use super::algorithm::{Algorithm, Algorithms, Hash};
use super::header::Compact;
use super::{Claims, KeySet, TokenRefusal, base64url};
use crate::identity::span::signed;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::time::Duration;
use time::OffsetDateTime;

/// The event of OpenID Connect Back-Channel Logout 1.0.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// So many recipients may one token have.
const MOST_AUDIENCES: usize = 64;

/// What a token must be.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// Who issued it, letter by letter.
    pub issuer: &'a str,
    /// For whom.
    pub audience: &'a str,
    /// How it may be signed.
    pub algorithms: &'a Algorithms,
    /// How far the clocks may be apart.
    pub leeway: Duration,
    /// How long ago it may have been issued; `None` for any time.
    pub oldest: Option<Duration>,
    /// Which kind of token, and what it is bound to.
    pub kind: Kind<'a>,
}

/// The kinds of tokens. One is never taken for another.
#[derive(Clone, Copy)]
pub enum Kind<'a> {
    /// OpenID Connect Core 1.0 §2.
    IdToken {
        /// The nonce that it must have; `None` if none was sent, and then none is looked at.
        nonce: Option<&'a str>,
        /// The access token that it came with.
        access_token: Option<&'a str>,
        /// The code that it was given for.
        code: Option<&'a str>,
    },
    /// OpenID Connect Back-Channel Logout 1.0 §2.4.
    LogoutToken,
    /// RFC 8417.
    SecurityEvent,
    /// RFC 9068.
    AccessToken {
        /// The claim that stands for `client_id` with a provider that is older than the standard. Then `typ` may be
        /// `JWT` or absent, and `jti` absent.
        older: Option<&'a str>,
    },
}

impl std::fmt::Debug for Kind<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::IdToken { .. } => "IdToken",
            Self::LogoutToken => "LogoutToken",
            Self::SecurityEvent => "SecurityEvent",
            Self::AccessToken { .. } => "AccessToken",
        })
    }
}

/// Verifies a token. Nothing is read of the claims before the signature is known to be good.
///
/// # Errors
/// The first reason against it.
pub fn verify(token: &str, keys: &KeySet, expect: &Expect<'_>, now: OffsetDateTime) -> Result<Claims, TokenRefusal> {
    let compact = Compact::parse(token, expect.algorithms)?;
    if !expect.kind.admits(compact.kind.as_deref()) {
        return Err(TokenRefusal::TypeWrong);
    }
    let key = keys.find(compact.key.as_deref(), compact.algorithm)?;
    if !key.verifies(compact.signature, compact.message.as_bytes(), compact.algorithm) {
        return Err(TokenRefusal::SignatureWrong);
    }
    let claims = Claims::parse(&compact.payload)?;
    expect.origin(&claims)?;
    expect.times(&claims, now)?;
    expect.kind.check(&claims, compact.algorithm)?;
    Ok(claims)
}

impl Expect<'_> {
    fn origin(&self, claims: &Claims) -> Result<(), TokenRefusal> {
        if claims.get("iss").and_then(|issuer| issuer.as_str()) != Some(self.issuer) {
            return Err(TokenRefusal::IssuerWrong);
        }
        let audiences = audiences(claims)?;
        if !audiences.contains(&self.audience) {
            return Err(TokenRefusal::AudienceWrong);
        }
        // An access token's `azp` is the client that got it, which is not the audience.
        if matches!(self.kind, Kind::AccessToken { .. } | Kind::SecurityEvent) {
            return Ok(());
        }
        let foreign = audiences.iter().any(|audience| *audience != self.audience);
        match claims.get("azp") {
            Some(party) if party.as_str() == Some(self.audience) => Ok(()),
            None if !foreign => Ok(()),
            _ => Err(TokenRefusal::AuthorizedPartyWrong),
        }
    }

    fn times(&self, claims: &Claims, now: OffsetDateTime) -> Result<(), TokenRefusal> {
        match claims.time("exp")? {
            Some(_) if matches!(self.kind, Kind::SecurityEvent) => return Err(TokenRefusal::ExpiryUnexpected),
            Some(expiry) if expiry.saturating_add(self.leeway()) <= now => return Err(TokenRefusal::Expired),
            None if self.kind.expires() => return Err(TokenRefusal::ExpiryMissing),
            _ => {}
        }
        let latest = now.saturating_add(self.leeway());
        if claims.time("nbf")?.is_some_and(|start| start > latest) {
            return Err(TokenRefusal::NotYetValid);
        }
        let issued = claims.time("iat")?.ok_or(TokenRefusal::IssuedMissing)?;
        if issued > latest {
            return Err(TokenRefusal::IssuedInFuture);
        }
        let oldest = self.oldest.map(|oldest| now.saturating_sub(self.leeway()).saturating_sub(signed(oldest)));
        if oldest.is_some_and(|oldest| issued < oldest) { Err(TokenRefusal::TooOld) } else { Ok(()) }
    }

    fn leeway(&self) -> time::Duration {
        signed(self.leeway)
    }
}

/// A text, or a list of texts.
fn audiences(claims: &Claims) -> Result<Vec<&str>, TokenRefusal> {
    let audiences = match claims.get("aud").and_then(|audience| audience.as_str()) {
        Some(audience) => vec![audience],
        None => claims.texts("aud").ok().flatten().ok_or(TokenRefusal::AudienceWrong)?,
    };
    if audiences.len() > MOST_AUDIENCES { Err(TokenRefusal::AudienceWrong) } else { Ok(audiences) }
}

impl Kind<'_> {
    fn admits(&self, typ: Option<&str>) -> bool {
        match (self, typ) {
            (Self::IdToken { .. } | Self::LogoutToken, None | Some("jwt")) => true,
            (Self::LogoutToken, Some("logout+jwt")) | (Self::SecurityEvent, Some("secevent+jwt")) => true,
            (Self::AccessToken { .. }, Some("at+jwt")) => true,
            (Self::AccessToken { older }, None | Some("jwt")) => older.is_some(),
            _ => false,
        }
    }

    /// A logout token need not: the first edition of its standard knew no `exp`.
    const fn expires(&self) -> bool {
        matches!(self, Self::IdToken { .. } | Self::AccessToken { .. })
    }

    fn check(&self, claims: &Claims, algorithm: Algorithm) -> Result<(), TokenRefusal> {
        let subject = claims.subject()?;
        match self {
            Self::IdToken { nonce, access_token, code } => {
                subject.ok_or(TokenRefusal::SubjectMissing)?;
                without(claims, "events", TokenRefusal::EventsUnexpected)?;
                check_nonce(claims, *nonce)?;
                check_hash(claims, "at_hash", *access_token, algorithm, TokenRefusal::AccessHashWrong)?;
                check_hash(claims, "c_hash", *code, algorithm, TokenRefusal::CodeHashWrong)
            }
            Self::LogoutToken => check_logout(claims),
            Self::SecurityEvent => {
                claims.identifier()?;
                claims.events().map(|_| ())
            }
            Self::AccessToken { older } => {
                subject.ok_or(TokenRefusal::SubjectMissing)?;
                check_access(claims, *older)
            }
        }
    }
}

fn without(claims: &Claims, name: &str, refusal: TokenRefusal) -> Result<(), TokenRefusal> {
    if claims.has(name) { Err(refusal) } else { Ok(()) }
}

fn check_nonce(claims: &Claims, expected: Option<&str>) -> Result<(), TokenRefusal> {
    let Some(expected) = expected else { return Ok(()) };
    let nonce = claims.get("nonce").ok_or(TokenRefusal::NonceMissing)?;
    if nonce.as_str() == Some(expected) { Ok(()) } else { Err(TokenRefusal::NonceWrong) }
}

/// OpenID Connect Core 1.0 §3.1.3.6 and §3.3.2.11: in a code flow both may be absent.
fn check_hash(
    claims: &Claims,
    name: &str,
    of: Option<&str>,
    algorithm: Algorithm,
    refusal: TokenRefusal,
) -> Result<(), TokenRefusal> {
    match (claims.get(name), of) {
        (Some(hash), Some(of)) if hash.as_str() != Some(half_hash(of, algorithm.hash()).as_str()) => Err(refusal),
        _ => Ok(()),
    }
}

/// The left half of the hash.
pub(super) fn half_hash(text: &str, hash: Hash) -> String {
    let digest = match hash {
        Hash::Sha256 => Sha256::digest(text).to_vec(),
        Hash::Sha384 => Sha384::digest(text).to_vec(),
        Hash::Sha512 => Sha512::digest(text).to_vec(),
    };
    let (left, _) = digest.split_at(digest.len() / 2);
    base64url::encode(left)
}

/// OpenID Connect Back-Channel Logout 1.0 §2.6.
fn check_logout(claims: &Claims) -> Result<(), TokenRefusal> {
    without(claims, "nonce", TokenRefusal::NonceUnexpected)?;
    claims.identifier()?;
    let events = claims.events()?;
    if !events.contains_key(LOGOUT) {
        return Err(TokenRefusal::EventWrong);
    }
    let session = claims.session()?;
    if claims.has("sub") || session.is_some() { Ok(()) } else { Err(TokenRefusal::NobodyNamed) }
}

/// RFC 9068 §2.2. What only an ID token has is refused, because with older providers `typ` does not tell them apart.
fn check_access(claims: &Claims, older: Option<&str>) -> Result<(), TokenRefusal> {
    without(claims, "events", TokenRefusal::EventsUnexpected)?;
    for name in ["nonce", "at_hash", "c_hash"] {
        without(claims, name, TokenRefusal::TypeWrong)?;
    }
    if older.is_none() {
        claims.identifier()?;
    }
    claims.client(older).map(|_| ())
}
