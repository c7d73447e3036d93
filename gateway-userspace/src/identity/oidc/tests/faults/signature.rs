//! Lies in how an ID token is signed, and in its form.

use super::super::liar::{Lie, SECRET};
use super::{Fault, With, fault, remove, twice};
use crate::identity::jose::forge::{Signer, sign_with_secret, unsigned};
use serde_json::{Value, json};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "no algorithm",
        "algorithm_refused",
        Lie::Token(|_, mut h, c| {
            h["alg"] = json!("none");
            unsigned(&h, &c)
        }),
        With::Nothing,
    ),
    fault(
        "no algorithm in another spelling",
        "algorithm_refused",
        Lie::Token(|_, mut h, c| {
            h["alg"] = json!("nOnE");
            unsigned(&h, &c)
        }),
        With::Nothing,
    ),
    fault(
        "the public key as a secret",
        "algorithm_refused",
        Lie::Token(|l, mut h, c| {
            h["alg"] = json!("HS256");
            sign_with_secret(&h, &c, l.signer().jwk().to_string().as_bytes())
        }),
        With::Nothing,
    ),
    fault(
        "the client's secret as the key",
        "algorithm_refused",
        Lie::Token(|_, mut h, c| {
            h["alg"] = json!("HS256");
            sign_with_secret(&h, &c, SECRET.as_bytes())
        }),
        With::Nothing,
    ),
    fault(
        "an algorithm that is not allowed",
        "algorithm_refused",
        Lie::Token(|_, h, c| Signer::es384("k1").sign_as(&with(h, "alg", json!("ES384")), &c)),
        With::Nothing,
    ),
    fault(
        "an algorithm of another key",
        "key_mismatch",
        Lie::Token(|_, h, c| Signer::rsa("k1").sign_as(&with(h, "alg", json!("RS256")), &c)),
        With::Nothing,
    ),
    fault(
        "a key of nobody",
        "signature_wrong",
        Lie::Token(|_, h, c| Signer::es256("k1").sign_as(&h, &c)),
        With::Nothing,
    ),
    fault(
        "no signature",
        "signature_wrong",
        Lie::Token(|l, h, c| format!("{}.", message(&l.signer().sign_as(&h, &c)))),
        With::Nothing,
    ),
    fault(
        "the signature of other claims",
        "signature_wrong",
        Lie::Token(|l, h, c| {
            let other = l.signer().sign_as(&h, &with(c.clone(), "sub", json!("eve")));
            format!("{}.{}", message(&other), signature(&l.signer().sign_as(&h, &c)))
        }),
        With::Nothing,
    ),
    fault(
        "a signature with padding",
        "not_compact",
        Lie::Token(|l, h, c| format!("{}==", l.signer().sign_as(&h, &c))),
        With::Nothing,
    ),
    fault(
        "five parts",
        "not_compact",
        Lie::Token(|l, h, c| format!("{}.AA.AA", l.signer().sign_as(&h, &c))),
        With::Nothing,
    ),
    fault("an empty token", "not_compact", Lie::Token(|_, _, _| String::new()), With::Nothing),
    fault(
        "a token of seventeen kilobytes",
        "too_long",
        Lie::Token(|l, h, c| l.signer().sign_as(&h, &with(c, "x", json!("x".repeat(13_000))))),
        With::Nothing,
    ),
    fault(
        "the algorithm twice",
        "duplicate_member",
        Lie::Token(|l, h, c| l.signer().sign_text(&twice(&h, "alg", "ES256"), &c.to_string())),
        With::Nothing,
    ),
    fault("no algorithm named", "header_malformed", Lie::Header(|h| remove(h, "alg")), With::Nothing),
    fault(
        "a header that is a list",
        "header_malformed",
        Lie::Token(|l, _, c| l.signer().sign_text("[]", &c.to_string())),
        With::Nothing,
    ),
    fault("keys by address", "foreign_key", Lie::Header(|h| h["jku"] = json!("https://evil.example/")), With::Nothing),
    fault(
        "a certificate by address",
        "foreign_key",
        Lie::Header(|h| h["x5u"] = json!("https://evil.example/")),
        With::Nothing,
    ),
    fault(
        "a key that comes along",
        "foreign_key",
        Lie::Header(|h| h["jwk"] = Signer::es256("k1").jwk()),
        With::Nothing,
    ),
    fault("certificates that come along", "foreign_key", Lie::Header(|h| h["x5c"] = json!(["AAAA"])), With::Nothing),
    fault(
        "an extension that is critical",
        "critical_header",
        Lie::Header(|h| h["crit"] = json!(["exp"])),
        With::Nothing,
    ),
    fault("a payload that is not encoded", "unencoded", Lie::Header(|h| h["b64"] = json!(false)), With::Nothing),
    fault("a payload that is compressed", "encrypted", Lie::Header(|h| h["zip"] = json!("DEF")), With::Nothing),
    fault("a payload that is encrypted", "encrypted", Lie::Header(|h| h["enc"] = json!("A256GCM")), With::Nothing),
    fault("a logout token", "type_wrong", Lie::Header(|h| h["typ"] = json!("logout+jwt")), With::Nothing),
    fault("an access token", "type_wrong", Lie::Header(|h| h["typ"] = json!("at+jwt")), With::Nothing),
    fault("a security event token", "type_wrong", Lie::Header(|h| h["typ"] = json!("secevent+jwt")), With::Nothing),
    fault(
        "a key name that is a path",
        "key_unknown",
        Lie::Header(|h| h["kid"] = json!("../../../dev/null")),
        With::Nothing,
    ),
    fault("a key name that is a list", "header_malformed", Lie::Header(|h| h["kid"] = json!(["k1"])), With::Nothing),
];

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn message(token: &str) -> &str {
    token.rsplit_once('.').unwrap().0
}

fn signature(token: &str) -> &str {
    token.rsplit_once('.').unwrap().1
}
