//! The header of a token: which key and which algorithm it claims, and everything that we do not follow.

use super::algorithm::{Algorithm, Algorithms};
use super::{TokenRefusal, base64url};
use crate::identity::json::{Malformed, object};
use serde_json::{Map, Value};

const LONGEST: usize = 16 * 1024;

/// A token taken apart. Nothing of it is verified.
pub(super) struct Compact<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key: Option<String>,
    /// In lower case, without `application/`.
    pub(super) kind: Option<String>,
    /// What is signed.
    pub(super) message: &'a str,
    pub(super) payload: Vec<u8>,
    pub(super) signature: &'a str,
}

impl<'a> Compact<'a> {
    pub(super) fn parse(token: &'a str, allowed: &Algorithms) -> Result<Self, TokenRefusal> {
        if token.len() > LONGEST {
            return Err(TokenRefusal::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenRefusal::NotCompact)?;
        let (header, payload) = message.split_once('.').ok_or(TokenRefusal::NotCompact)?;
        let header = base64url::decode(header).ok_or(TokenRefusal::NotCompact)?;
        let payload = base64url::decode(payload).ok_or(TokenRefusal::NotCompact)?;
        base64url::decode(signature).ok_or(TokenRefusal::NotCompact)?;
        let header = object(&header).map_err(|malformed| match malformed {
            Malformed::Duplicate => TokenRefusal::DuplicateMember,
            Malformed::Syntax(_) | Malformed::NoObject => TokenRefusal::HeaderMalformed,
        })?;
        refuse_what_is_not_followed(&header)?;
        let algorithm = text(&header, "alg")?.ok_or(TokenRefusal::HeaderMalformed)?;
        let algorithm: Algorithm = algorithm.parse().map_err(|_| TokenRefusal::AlgorithmRefused)?;
        if !allowed.allow(algorithm) {
            return Err(TokenRefusal::AlgorithmRefused);
        }
        let key = text(&header, "kid")?.map(str::to_owned);
        let kind = text(&header, "typ")?.map(str::to_ascii_lowercase);
        let kind = kind.map(|kind| kind.strip_prefix("application/").map(str::to_owned).unwrap_or(kind));
        Ok(Self { algorithm, key, kind, message, payload, signature })
    }
}

fn refuse_what_is_not_followed(header: &Map<String, Value>) -> Result<(), TokenRefusal> {
    let has = |names: &[&str]| names.iter().any(|name| header.contains_key(*name));
    if has(&["enc", "zip"]) {
        return Err(TokenRefusal::Encrypted);
    }
    if has(&["jku", "jwk", "x5u", "x5c"]) {
        return Err(TokenRefusal::ForeignKey);
    }
    // RFC 7797 demands `crit` with it, but a reader that ignores both would read another payload than is signed.
    if has(&["b64"]) {
        return Err(TokenRefusal::Unencoded);
    }
    if has(&["crit"]) { Err(TokenRefusal::CriticalHeader) } else { Ok(()) }
}

fn text<'a>(header: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, TokenRefusal> {
    match header.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(TokenRefusal::HeaderMalformed),
    }
}
