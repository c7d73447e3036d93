//! The keys that an issuer publishes (RFC 7517): public ones, for signatures, strong enough, each with one algorithm
//! or the algorithms of its kind. A key that cannot be used is left out; a set that cannot be understood is refused.

use super::algorithm::{Algorithm, KeyKind};
use super::{TokenRefusal, base64url};
use crate::identity::json::{Malformed, object};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

/// Bytes of a document.
const LONGEST: usize = 1 << 20;
const MOST_KEYS: usize = 64;
const LONGEST_ID: usize = 256;
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a key set is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeySetError {
    /// More than 1 MiB.
    #[error("key set is longer than 1 MiB")]
    TooLong,
    /// Not an object with a list `keys` of objects.
    #[error("key set cannot be read")]
    Malformed,
    /// A member stands there twice.
    #[error("key set has a member twice")]
    DuplicateMember,
    /// More than 64 keys.
    #[error("key set has more than 64 keys")]
    TooMany,
    /// Two keys have the same `kid`, kind and algorithm.
    #[error("key set has two keys of the same name, kind and algorithm")]
    DuplicateKey,
    /// There is no key that could verify anything.
    #[error("key set has no public key for signatures of at least 2048 bits (RSA), P-256, P-384 or Ed25519")]
    NoUsableKey,
}

impl KeySetError {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::TooLong, Self::Malformed, Self::DuplicateMember, Self::TooMany, Self::DuplicateKey, Self::NoUsableKey];

    /// Its name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLong => "keys_too_long",
            Self::Malformed => "keys_malformed",
            Self::DuplicateMember => "keys_duplicate_member",
            Self::TooMany => "keys_too_many",
            Self::DuplicateKey => "keys_duplicate",
            Self::NoUsableKey => "keys_unusable",
        }
    }
}

/// The public keys of an issuer.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<Key>);

#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    kind: KeyKind,
    /// The one algorithm that the issuer uses it with, if the set says so.
    algorithm: Option<Algorithm>,
    public: DecodingKey,
}

impl KeySet {
    /// Reads a key set. Keys that are not for signatures, too weak, of an unknown type, or published together with
    /// their private part are left out.
    ///
    /// # Errors
    /// If it cannot be understood, or has no key that can be used.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > LONGEST {
            return Err(KeySetError::TooLong);
        }
        let document = object(bytes).map_err(|malformed| match malformed {
            Malformed::Duplicate => KeySetError::DuplicateMember,
            Malformed::Syntax(_) | Malformed::NoObject => KeySetError::Malformed,
        })?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(KeySetError::Malformed)?;
        if keys.len() > MOST_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut usable = Vec::new();
        for key in keys {
            usable.extend(Key::read(key.as_object().ok_or(KeySetError::Malformed)?));
        }
        let mut distinct = BTreeSet::new();
        // Of keys without a name just one may fit a token, see `find`.
        let mut named = usable.iter().filter(|key| key.id.is_some());
        if !named.all(|key| distinct.insert((&key.id, key.kind, key.algorithm))) {
            return Err(KeySetError::DuplicateKey);
        }
        if usable.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(Self(usable)) }
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: a set without a usable key is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key for a header's `kid` and `alg`.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, TokenRefusal> {
        let named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
        if !self.0.iter().any(|key| named(&key)) {
            return Err(TokenRefusal::KeyUnknown);
        }
        let mut fitting = self.0.iter().filter(named).filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(TokenRefusal::KeyAmbiguous),
            (None, _) => Err(TokenRefusal::KeyMismatch),
        }
    }
}

impl AsRef<Self> for KeySet {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Key {
    fn fits(&self, algorithm: Algorithm) -> bool {
        self.kind == algorithm.key_kind() && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether a signature, as it stands in a token, is of this key.
    pub(super) fn verifies(&self, signature: &str, message: &[u8], algorithm: Algorithm) -> bool {
        jsonwebtoken::crypto::verify(signature, message, &self.public, algorithm.library()).unwrap_or(false)
    }

    /// `None` if it cannot be used.
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        if jwk.contains_key("d") || !is_for_signatures(jwk) {
            return None;
        }
        let text = |name| jwk.get(name).and_then(Value::as_str);
        let (kind, public) = match (text("kty")?, text("crv")) {
            ("RSA", None) => (KeyKind::Rsa, rsa(text("n")?, text("e")?)?),
            ("EC", Some("P-256")) => (KeyKind::P256, point(text("x")?, text("y")?, 32)?),
            ("EC", Some("P-384")) => (KeyKind::P384, point(text("x")?, text("y")?, 48)?),
            ("OKP", Some("Ed25519")) => (KeyKind::Ed25519, edwards(text("x")?)?),
            _ => return None,
        };
        let id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(id.as_str().filter(|id| !id.is_empty() && id.len() <= LONGEST_ID)?.to_owned()),
        };
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => Some(name.as_str()?.parse().ok().filter(|known: &Algorithm| known.key_kind() == kind)?),
        };
        Some(Self { id, kind, algorithm, public })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// `use` and `key_ops` say so, or nothing.
fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let usage = jwk.get("use").is_none_or(|usage| usage == "sig");
    let operations = match jwk.get("key_ops") {
        None => true,
        Some(list) => list.as_array().is_some_and(|list| list.iter().any(|operation| operation == "verify")),
    };
    usage && operations
}

fn rsa(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    let (modulus, exponent) = (base64url::decode(modulus)?, base64url::decode(exponent)?);
    let leading = modulus.iter().position(|byte| *byte != 0)?;
    let digits = modulus.get(leading..)?;
    let bits = digits.len() * 8 - digits.first()?.leading_zeros() as usize;
    // 1 would make every signature true, and an even one is no exponent.
    let sound =
        exponent.len() <= 4 && exponent.last()? % 2 == 1 && exponent.as_slice() != [1] && exponent.first()? != &0;
    (RSA_BITS.contains(&bits) && sound).then(|| DecodingKey::from_rsa_raw_components(digits, &exponent))
}

fn point(x: &str, y: &str, length: usize) -> Option<DecodingKey> {
    let right = |coordinate| base64url::decode(coordinate).is_some_and(|bytes| bytes.len() == length);
    if right(x) && right(y) { DecodingKey::from_ec_components(x, y).ok() } else { None }
}

fn edwards(x: &str) -> Option<DecodingKey> {
    base64url::decode(x).filter(|bytes| bytes.len() == 32)?;
    DecodingKey::from_ed_components(x).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::jose::forge::Signer;
    use serde_json::json;

    fn parse(keys: Value) -> Result<usize, KeySetError> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).map(|set| set.len())
    }

    fn with(mut jwk: Value, name: &str, value: Value) -> Value {
        jwk[name] = value;
        jwk
    }

    #[test]
    fn keys_that_cannot_verify_are_left_out() {
        let good = Signer::es256("a").jwk();
        for (name, value) in [
            ("use", json!("enc")),
            ("key_ops", json!(["sign"])),
            ("key_ops", json!("verify")),
            ("d", json!("AA")),
            ("kty", json!("oct")),
            ("crv", json!("secp256k1")),
            ("x", json!("AAAA")),
            ("y", json!(7)),
            ("alg", json!("ES384")),
            ("alg", json!("none")),
            ("kid", json!("")),
            ("kid", json!(1)),
            ("kid", json!("k".repeat(257))),
        ] {
            let bad = with(good.clone(), name, value);
            assert_eq!(parse(json!([bad.clone()])), Err(KeySetError::NoUsableKey), "{bad}");
            let other = with(good.clone(), "kid", json!("b"));
            assert_eq!(parse(json!([bad, other])), Ok(1));
        }
        assert_eq!(parse(json!([with(good, "key_ops", json!(["verify"]))])), Ok(1));
    }

    #[test]
    fn an_rsa_key_has_2048_to_8192_bits_and_a_sound_exponent() {
        let key = |bits: usize, exponent: &[u8]| {
            let mut modulus = vec![0xff; bits / 8];
            modulus.insert(0, 0);
            json!({ "kty": "RSA", "kid": "r", "n": base64url::encode(&modulus), "e": base64url::encode(exponent) })
        };
        assert_eq!(parse(json!([key(2048, &[1, 0, 1])])), Ok(1));
        assert_eq!(parse(json!([key(8192, &[3])])), Ok(1));
        for bad in [key(2040, &[1, 0, 1]), key(8200, &[1, 0, 1]), key(2048, &[1]), key(2048, &[4]), key(2048, &[1; 5])]
        {
            assert_eq!(parse(json!([bad])), Err(KeySetError::NoUsableKey));
        }
    }

    #[test]
    fn a_set_that_cannot_be_understood_is_refused_as_a_whole() {
        let good = Signer::es256("a").jwk();
        assert_eq!(parse(json!([good, good])), Err(KeySetError::DuplicateKey));
        assert_eq!(parse(json!([good, with(good.clone(), "kid", json!("b"))])), Ok(2));
        assert_eq!(parse(Value::Array(vec![json!({ "kty": "oct" }); 65])), Err(KeySetError::TooMany));
        assert_eq!(parse(json!([1])), Err(KeySetError::Malformed));
        assert_eq!(parse(json!([])), Err(KeySetError::NoUsableKey));
        assert_eq!(KeySet::parse(b"{}").unwrap_err(), KeySetError::Malformed);
        assert_eq!(KeySet::parse(b"{\"keys\":[],\"keys\":[]}").unwrap_err(), KeySetError::DuplicateMember);
        assert_eq!(KeySet::parse(&vec![b' '; LONGEST + 1]).unwrap_err(), KeySetError::TooLong);
    }
}
