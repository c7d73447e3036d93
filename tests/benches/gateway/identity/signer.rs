//! The key that the provider signs its tokens with: ES256.

use anyhow::Result;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

const KEY_ID: &str = "k1";

/// It signs.
pub struct Signer(EncodingKey);

impl Signer {
    /// Makes a key.
    pub fn new() -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Self(EncodingKey::from_ec_der(&pair.serialize_der())))
    }

    /// What the provider publishes of it.
    pub fn keys(&self) -> Result<Value> {
        let mut key = Jwk::from_encoding_key(&self.0, Algorithm::ES256)?;
        key.common.key_id = Some(KEY_ID.to_owned());
        Ok(json!({ "keys": [key] }))
    }

    /// A token of this type.
    pub fn sign(&self, kind: &str, claims: &Value) -> Result<String> {
        let header =
            Header { typ: Some(kind.to_owned()), kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::ES256) };
        Ok(encode(&header, claims, &self.0)?)
    }
}
