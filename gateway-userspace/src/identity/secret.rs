//! Random secrets, and what is kept of them: a SHA-256. 256 random bits need no slow hash.

use crate::policy::SessionToken;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::hint::black_box;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const SESSION_PREFIX: &str = "pcs_";
/// Characters of 32 bytes in base64url without padding.
pub(super) const SECRET_LENGTH: usize = 43;

/// The SHA-256 of a secret.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of a secret as it is presented.
    #[must_use]
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }

    /// Takes a hash from the store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the store.
    #[must_use]
    pub const fn expose_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Takes the same time wherever the two differ.
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        black_box(self.0.iter().zip(&other.0).fold(0_u8, |difference, (a, b)| black_box(difference | (a ^ b)))) == 0
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash([REDACTED])")
    }
}

/// What a client proves a session with: `pcs_`, the session's token, `_`, 43 random characters.
#[derive(Debug)]
pub struct SessionSecret {
    /// What the client keeps. Shown once.
    pub secret: SecretString,
    /// What the gateway keeps.
    pub hash: SecretHash,
}

impl SessionSecret {
    /// Draws a secret for a session.
    #[must_use]
    pub fn draw(token: SessionToken) -> Self {
        let secret = SecretString::from(format!("{SESSION_PREFIX}{token}_{}", random_text()));
        Self { hash: SecretHash::of(secret.expose_secret()), secret }
    }

    /// The session that a presented secret claims to prove.
    pub(super) fn claimed(presented: &str) -> Option<SessionToken> {
        let (token, random) = presented.strip_prefix(SESSION_PREFIX)?.split_once('_')?;
        // One spelling only: no sign, no upper case.
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if token.len() != 16 || random.len() != SECRET_LENGTH || !token.bytes().all(is_hex) {
            return None;
        }
        u64::from_str_radix(token, 16).ok().map(SessionToken)
    }
}

/// 32 random bytes as text.
pub(crate) fn random_text() -> String {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes);
    base64url(&bytes)
}

fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0_u32, |word, (i, b)| word | u32::from(*b) << (16 - 8 * i));
        for position in 0..=chunk.len() {
            let digit = (word >> (18 - 6 * position)) & 63;
            text.push(char::from(ALPHABET[digit as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_agrees_with_the_vectors_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        assert_eq!(random_text().len(), SECRET_LENGTH);
    }

    #[test]
    fn a_session_secret_names_its_session_and_prints_nothing() {
        let drawn = SessionSecret::draw(SessionToken(0xab));
        let text = drawn.secret.expose_secret();
        assert!(text.starts_with("pcs_00000000000000ab_"));
        assert_eq!(SessionSecret::claimed(text), Some(SessionToken(0xab)));
        assert_eq!(drawn.hash, SecretHash::of(text));
        assert!(!format!("{drawn:?}").contains(&text[21..]));
    }

    #[test]
    fn other_spellings_of_a_session_secret_claim_nothing() {
        let random = "A".repeat(SECRET_LENGTH);
        for bad in ["", "pcs_", "pcs_ab_x", "pct_00000000000000ab_"] {
            assert_eq!(SessionSecret::claimed(bad), None, "{bad}");
        }
        assert_eq!(SessionSecret::claimed(&format!("pcs_00000000000000AB_{random}")), None);
        assert_eq!(SessionSecret::claimed(&format!("pcs_+0000000000000ab_{random}")), None);
    }
}
