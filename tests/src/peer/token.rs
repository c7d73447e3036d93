//! What a signed token says, for assertions. Nothing is verified here: that is what the gateway is tested for.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A verifier and its challenge, from appendix B of RFC 7636.
pub const PKCE: (&str, &str) =
    ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");

/// The header of a token.
pub fn header(token: &str) -> Result<Value> {
    part(token, 0)
}

/// The claims of a token.
pub fn claims(token: &str) -> Result<Value> {
    part(token, 1)
}

fn part(token: &str, index: usize) -> Result<Value> {
    let part = token.split('.').nth(index).with_context(|| format!("not a signed token: `{token}`"))?;
    let bytes = base64url(part).with_context(|| format!("not base64url: `{part}`"))?;
    serde_json::from_slice(&bytes).with_context(|| format!("not JSON: `{}`", String::from_utf8_lossy(&bytes)))
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for character in text.bytes() {
        let value = ALPHABET.iter().position(|found| *found == character)?;
        (bits, count) = (bits << 6 | u32::try_from(value).ok()?, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{claims, header};

    #[test]
    fn both_parts_of_a_token_are_read() -> anyhow::Result<()> {
        // {"alg":"none"} and {"sub":"ä>"}
        let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiLDpD4ifQ.";
        assert_eq!(header(token)?["alg"], "none");
        assert_eq!(claims(token)?["sub"], "ä>");
        assert!(claims("x").is_err() && claims("a.!.c").is_err());
        Ok(())
    }
}
