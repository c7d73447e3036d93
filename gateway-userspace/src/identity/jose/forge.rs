//! For tests: keys of issuers, and tokens signed with them, honest and otherwise.

use super::{Algorithms, Expect, Kind, base64url};
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;
use time::OffsetDateTime;

pub(in crate::identity) const NOW: OffsetDateTime = time::macros::datetime!(2026-11-26 12:00 UTC);
pub(in crate::identity) const ISSUER: &str = "https://id.example/";
pub(in crate::identity) const CLIENT: &str = "portcullis";

/// What ID tokens of the tests must be.
pub(in crate::identity) fn expect() -> Expect<'static> {
    static DEFAULT: LazyLock<Algorithms> = LazyLock::new(Algorithms::default);
    Expect {
        issuer: ISSUER,
        audience: CLIENT,
        algorithms: &DEFAULT,
        leeway: Duration::from_secs(60),
        oldest: Some(Duration::from_secs(600)),
        kind: Kind::IdToken { nonce: None, access_token: None, code: None },
    }
}

/// The claims of an honest ID token.
pub(in crate::identity) fn id_claims(now: OffsetDateTime) -> Value {
    let now = now.unix_timestamp();
    json!({ "iss": ISSUER, "aud": CLIENT, "sub": "ada", "iat": now, "exp": now + 300 })
}

/// A key of an issuer.
#[derive(Clone)]
pub(in crate::identity) struct Signer {
    pub(in crate::identity) algorithm: Algorithm,
    secret: EncodingKey,
    jwk: Value,
}

impl Signer {
    pub(in crate::identity) fn es256(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self::curve(id, &pair, Algorithm::ES256, "P-256")
    }

    pub(in crate::identity) fn es384(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        Self::curve(id, &pair, Algorithm::ES384, "P-384")
    }

    fn curve(id: &str, pair: &KeyPair, algorithm: Algorithm, name: &str) -> Self {
        let (x, y) = pair.public_key_raw()[1..].split_at(pair.public_key_raw().len() / 2);
        let (x, y) = (base64url::encode(x), base64url::encode(y));
        let jwk = json!({ "kty": "EC", "crv": name, "kid": id, "x": x, "y": y });
        Self { algorithm, secret: EncodingKey::from_ec_der(&pair.serialize_der()), jwk }
    }

    pub(in crate::identity) fn ed25519(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": base64url::encode(pair.public_key_raw()) });
        Self { algorithm: Algorithm::EdDSA, secret: EncodingKey::from_ed_der(&pair.serialize_der()), jwk }
    }

    /// Always the same key, because one takes long to make.
    pub(in crate::identity) fn rsa(id: &str) -> Self {
        static PAIR: LazyLock<KeyPair> =
            LazyLock::new(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap());
        // The frames of PKCS #8 and of RFC 8017, A.1.1, which have these lengths for 2048 bits.
        let (secret, public) = (&PAIR.serialize_der()[26..], &PAIR.public_key_raw()[9..265]);
        let jwk = json!({ "kty": "RSA", "kid": id, "n": base64url::encode(public), "e": "AQAB" });
        Self { algorithm: Algorithm::RS256, secret: EncodingKey::from_rsa_der(secret), jwk }
    }

    pub(in crate::identity) fn with(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The public key as it is published.
    pub(in crate::identity) fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    pub(in crate::identity) fn header(&self) -> Value {
        json!({ "alg": self.algorithm, "kid": self.jwk["kid"] })
    }

    pub(in crate::identity) fn sign(&self, claims: &Value) -> String {
        self.sign_text(&self.header().to_string(), &claims.to_string())
    }

    pub(in crate::identity) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Signs whatever stands there.
    pub(in crate::identity) fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.secret, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// A token signed with a shared secret.
pub(in crate::identity) fn sign_with_secret(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = format!(
        "{}.{}",
        base64url::encode(header.to_string().as_bytes()),
        base64url::encode(claims.to_string().as_bytes())
    );
    let secret = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// A token without a signature.
pub(in crate::identity) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    format!("{}.{}.", part(header), part(claims))
}
