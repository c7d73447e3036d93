//! Tokens of every kind, honest and otherwise, against one key set.

use super::algorithm::Hash;
use super::forge::{CLIENT, ISSUER, NOW, Signer, expect, id_claims, sign_with_secret, unsigned};
use super::verify::half_hash;
use super::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::es256("a"));

fn keys(signers: &[&Signer]) -> KeySet {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn with(mut value: Value, changes: Value) -> Value {
    for (name, change) in changes.as_object().unwrap() {
        value[name] = change.clone();
    }
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name).unwrap();
    value
}

#[track_caller]
fn check(expect: Expect<'_>, header: Value, claims: Value, outcome: Result<(), TokenRefusal>) {
    let token = SIGNER.sign_as(&header, &claims);
    let found = verify(&token, &keys(&[&SIGNER]), &expect, NOW).map(|_| ());
    assert_eq!(found, outcome, "{header} {claims}");
}

#[test]
fn every_algorithm_verifies_with_its_own_key_if_it_is_allowed() {
    let all: Algorithms = Algorithm::ALL.into_iter().collect();
    let rsa = Signer::rsa("r");
    let mut signers = vec![Signer::es256("p"), Signer::es384("q"), Signer::ed25519("e")];
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        signers.push(rsa.clone().with(algorithm.parse().unwrap()));
    }
    for signer in signers {
        let (token, keys) = (signer.sign(&id_claims(NOW)), keys(&[&signer]));
        assert!(verify(&token, &keys, &Expect { algorithms: &all, ..expect() }, NOW).is_ok(), "{:?}", signer.algorithm);
        let only = Algorithms::from_iter([Algorithm::Es384]);
        let allowed = verify(&token, &keys, &Expect { algorithms: &only, ..expect() }, NOW);
        let is_es384 = signer.algorithm == jsonwebtoken::Algorithm::ES384;
        assert_eq!(allowed.err(), (!is_es384).then_some(TokenRefusal::AlgorithmRefused));
    }
}

#[test]
fn a_token_without_a_good_signature_is_nothing() {
    let (claims, keys) = (id_claims(NOW), keys(&[&SIGNER]));
    let good = SIGNER.sign(&claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = SIGNER.sign(&with(claims.clone(), json!({ "sub": "eve" })));
    let foreign = Signer::es256("a").sign(&claims);
    let secret = SIGNER.jwk().to_string();
    for (token, refusal) in [
        (foreign, TokenRefusal::SignatureWrong),
        (format!("{}.{signature}", other.rsplit_once('.').unwrap().0), TokenRefusal::SignatureWrong),
        (format!("{message}."), TokenRefusal::SignatureWrong),
        (unsigned(&json!({ "alg": "none" }), &claims), TokenRefusal::AlgorithmRefused),
        (unsigned(&json!({ "alg": "NONE", "kid": "a" }), &claims), TokenRefusal::AlgorithmRefused),
        (
            sign_with_secret(&json!({ "alg": "HS256", "kid": "a" }), &claims, secret.as_bytes()),
            TokenRefusal::AlgorithmRefused,
        ),
        (good.replace('.', ".."), TokenRefusal::NotCompact),
        (format!("{good}="), TokenRefusal::NotCompact),
        (format!("{good}\n"), TokenRefusal::NotCompact),
        (format!("{good}.AAAA"), TokenRefusal::NotCompact),
        (String::new(), TokenRefusal::NotCompact),
        ("a.b".into(), TokenRefusal::NotCompact),
        ("A".repeat(20_000), TokenRefusal::TooLong),
    ] {
        assert_eq!(verify(&token, &keys, &expect(), NOW).unwrap_err(), refusal, "{token}");
    }
    assert!(verify(&good, &keys, &expect(), NOW).is_ok());
}

#[test]
fn no_character_of_a_token_can_be_changed_dropped_or_added() {
    let keys = keys(&[&SIGNER]);
    let good = SIGNER.sign(&id_claims(NOW));
    for (place, character) in good.char_indices() {
        let (before, after) = (&good[..place], &good[place + 1..]);
        for other in ["", "A", "B", "-", "=", ".", "\n", &format!("{character}{character}")] {
            let changed = format!("{before}{other}{after}");
            assert!(changed == good || verify(&changed, &keys, &expect(), NOW).is_err(), "{changed}");
        }
    }
}

#[test]
fn nothing_in_a_header_is_followed_but_alg_kid_and_typ() {
    let header = SIGNER.header();
    for (change, outcome) in [
        (json!({ "x5t": "AA", "cty": "x" }), Ok(())),
        (json!({ "typ": "jwt" }), Ok(())),
        (json!({ "typ": "application/JWT" }), Ok(())),
        (json!({ "jku": "https://evil.example" }), Err(TokenRefusal::ForeignKey)),
        (json!({ "x5u": "https://evil.example" }), Err(TokenRefusal::ForeignKey)),
        (json!({ "x5c": [] }), Err(TokenRefusal::ForeignKey)),
        (json!({ "jwk": SIGNER.jwk() }), Err(TokenRefusal::ForeignKey)),
        (json!({ "crit": ["exp"], "exp": 1 }), Err(TokenRefusal::CriticalHeader)),
        (json!({ "b64": false, "crit": ["b64"] }), Err(TokenRefusal::Unencoded)),
        (json!({ "b64": true }), Err(TokenRefusal::Unencoded)),
        (json!({ "enc": "A128GCM" }), Err(TokenRefusal::Encrypted)),
        (json!({ "zip": "DEF" }), Err(TokenRefusal::Encrypted)),
        (json!({ "typ": "at+jwt" }), Err(TokenRefusal::TypeWrong)),
        (json!({ "typ": "logout+jwt" }), Err(TokenRefusal::TypeWrong)),
        (json!({ "typ": "secevent+jwt" }), Err(TokenRefusal::TypeWrong)),
        (json!({ "typ": 7 }), Err(TokenRefusal::HeaderMalformed)),
        (json!({ "alg": 7 }), Err(TokenRefusal::HeaderMalformed)),
        (json!({ "alg": "ES384" }), Err(TokenRefusal::AlgorithmRefused)),
        (json!({ "alg": "RS256" }), Err(TokenRefusal::KeyMismatch)),
        (json!({ "kid": ["a"] }), Err(TokenRefusal::HeaderMalformed)),
        (json!({ "kid": "b" }), Err(TokenRefusal::KeyUnknown)),
        (json!({ "kid": "../../dev/null" }), Err(TokenRefusal::KeyUnknown)),
    ] {
        check(expect(), with(header.clone(), change), id_claims(NOW), outcome);
    }
    check(expect(), without(header, "alg"), id_claims(NOW), Err(TokenRefusal::HeaderMalformed));
}

#[test]
fn without_a_name_the_one_key_that_fits_is_used() {
    let (second, rsa) = (Signer::es256("b"), Signer::rsa("r"));
    let token = SIGNER.sign_as(&json!({ "alg": "ES256" }), &id_claims(NOW));
    assert!(verify(&token, &keys(&[&SIGNER, &rsa]), &expect(), NOW).is_ok());
    let ambiguous = verify(&token, &keys(&[&SIGNER, &second]), &expect(), NOW);
    assert_eq!(ambiguous.unwrap_err(), TokenRefusal::KeyAmbiguous);
}

#[test]
fn a_key_that_is_published_for_one_algorithm_verifies_no_other() {
    let signer = Signer::rsa("r");
    let only = json!({ "keys": [with(signer.jwk(), json!({ "alg": "RS256" }))] });
    let keys = KeySet::parse(only.to_string().as_bytes()).unwrap();
    assert!(verify(&signer.sign(&id_claims(NOW)), &keys, &expect(), NOW).is_ok());
    let other = signer.with("PS256".parse().unwrap()).sign(&id_claims(NOW));
    assert_eq!(verify(&other, &keys, &expect(), NOW).unwrap_err(), TokenRefusal::KeyMismatch);
}

#[test]
fn a_member_that_stands_twice_is_refused_in_header_and_claims() {
    let (header, claims) = (SIGNER.header().to_string(), id_claims(NOW).to_string());
    let twice = |text: &str, member: &str| format!("{{{member},{}", &text[1..]);
    for (header, claims, refusal) in [
        (twice(&header, r#""alg":"ES256""#), claims.clone(), TokenRefusal::DuplicateMember),
        (header.clone(), twice(&claims, r#""sub":"eve""#), TokenRefusal::DuplicateMember),
        (header.clone(), twice(&claims, r#""x":{"a":1,"a":2}"#), TokenRefusal::DuplicateMember),
        ("[]".into(), claims.clone(), TokenRefusal::HeaderMalformed),
        (header.clone(), "[]".into(), TokenRefusal::ClaimsMalformed),
        (header.clone(), format!("{claims} x"), TokenRefusal::ClaimsMalformed),
    ] {
        let token = SIGNER.sign_text(&header, &claims);
        assert_eq!(verify(&token, &keys(&[&SIGNER]), &expect(), NOW).unwrap_err(), refusal, "{header} {claims}");
    }
}

#[test]
fn an_id_token_is_of_this_issuer_for_this_client_and_fresh() {
    let now = NOW.unix_timestamp();
    for (change, outcome) in [
        (json!({}), Ok(())),
        (json!({ "aud": [CLIENT] }), Ok(())),
        (json!({ "aud": [CLIENT, "other"], "azp": CLIENT }), Ok(())),
        (json!({ "azp": CLIENT }), Ok(())),
        (json!({ "exp": now - 59 }), Ok(())),
        (json!({ "iat": now + 60, "nbf": now + 60 }), Ok(())),
        (json!({ "iss": "https://id.example" }), Err(TokenRefusal::IssuerWrong)),
        (json!({ "iss": [ISSUER] }), Err(TokenRefusal::IssuerWrong)),
        (json!({ "aud": "other" }), Err(TokenRefusal::AudienceWrong)),
        (json!({ "aud": [] }), Err(TokenRefusal::AudienceWrong)),
        (json!({ "aud": [CLIENT, 7] }), Err(TokenRefusal::AudienceWrong)),
        (json!({ "aud": vec![CLIENT; 65] }), Err(TokenRefusal::AudienceWrong)),
        (json!({ "aud": [CLIENT, "other"] }), Err(TokenRefusal::AuthorizedPartyWrong)),
        (json!({ "azp": "other" }), Err(TokenRefusal::AuthorizedPartyWrong)),
        (json!({ "azp": null }), Err(TokenRefusal::AuthorizedPartyWrong)),
        (json!({ "exp": now - 60 }), Err(TokenRefusal::Expired)),
        (json!({ "exp": "9999999999" }), Err(TokenRefusal::TimeMalformed)),
        (json!({ "exp": 9_999_999_999.5 }), Ok(())),
        (json!({ "exp": 1e300 }), Err(TokenRefusal::TimeMalformed)),
        (json!({ "exp": -1 }), Err(TokenRefusal::TimeMalformed)),
        (json!({ "exp": u64::MAX }), Err(TokenRefusal::TimeMalformed)),
        (json!({ "exp": null }), Err(TokenRefusal::TimeMalformed)),
        (json!({ "iat": now + 61 }), Err(TokenRefusal::IssuedInFuture)),
        (json!({ "iat": now + 86_400 }), Err(TokenRefusal::IssuedInFuture)),
        (json!({ "iat": now - 661 }), Err(TokenRefusal::TooOld)),
        (json!({ "nbf": now + 61 }), Err(TokenRefusal::NotYetValid)),
        (json!({ "sub": "" }), Err(TokenRefusal::SubjectMissing)),
        (json!({ "sub": 7 }), Err(TokenRefusal::SubjectMissing)),
        (json!({ "sub": "a\u{0}b" }), Err(TokenRefusal::SubjectMissing)),
        (json!({ "sub": "x".repeat(256) }), Err(TokenRefusal::SubjectMissing)),
        (json!({ "events": {} }), Err(TokenRefusal::EventsUnexpected)),
    ] {
        check(expect(), SIGNER.header(), with(id_claims(NOW), change), outcome);
    }
    for (name, refusal) in [
        ("iss", TokenRefusal::IssuerWrong),
        ("aud", TokenRefusal::AudienceWrong),
        ("exp", TokenRefusal::ExpiryMissing),
        ("iat", TokenRefusal::IssuedMissing),
        ("sub", TokenRefusal::SubjectMissing),
    ] {
        check(expect(), SIGNER.header(), without(id_claims(NOW), name), Err(refusal));
    }
}

#[test]
fn an_id_token_is_bound_to_its_login_its_access_token_and_its_code() {
    let kind = Kind::IdToken { nonce: Some("n"), access_token: Some("at"), code: Some("c") };
    let expect = Expect { kind, ..expect() };
    let hash = |text| half_hash(text, Hash::Sha256);
    for (change, outcome) in [
        (json!({ "nonce": "n" }), Ok(())),
        (json!({ "nonce": "n", "at_hash": hash("at"), "c_hash": hash("c") }), Ok(())),
        (json!({}), Err(TokenRefusal::NonceMissing)),
        (json!({ "nonce": "m" }), Err(TokenRefusal::NonceWrong)),
        (json!({ "nonce": ["n"] }), Err(TokenRefusal::NonceWrong)),
        (json!({ "nonce": "n", "at_hash": hash("other") }), Err(TokenRefusal::AccessHashWrong)),
        (json!({ "nonce": "n", "at_hash": null }), Err(TokenRefusal::AccessHashWrong)),
        (json!({ "nonce": "n", "c_hash": hash("other") }), Err(TokenRefusal::CodeHashWrong)),
    ] {
        check(expect, SIGNER.header(), with(id_claims(NOW), change), outcome);
    }
}

#[test]
fn the_half_hash_is_that_of_the_standard() {
    // OpenID Connect Core 1.0, A.4.
    let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    assert_eq!(half_hash(token, Hash::Sha256), "77QmUPtjPfzWtF2AnpK9RQ");
}

#[test]
fn a_logout_token_reports_a_logout_of_somebody_and_nothing_else() {
    let logout = "http://schemas.openid.net/event/backchannel-logout";
    let honest = with(id_claims(NOW), json!({ "jti": "1", "sid": "s", "events": { logout: {} } }));
    let expect = Expect { kind: Kind::LogoutToken, ..expect() };
    for (change, outcome) in [
        (json!({}), Ok(())),
        (json!({ "nonce": "n" }), Err(TokenRefusal::NonceUnexpected)),
        (json!({ "jti": "" }), Err(TokenRefusal::IdentifierMissing)),
        (json!({ "events": {} }), Err(TokenRefusal::EventsMissing)),
        (json!({ "events": [logout] }), Err(TokenRefusal::EventsMissing)),
        (json!({ "events": { logout: null } }), Err(TokenRefusal::EventsMissing)),
        (json!({ "events": { "other": {} } }), Err(TokenRefusal::EventWrong)),
        (json!({ "sid": 7 }), Err(TokenRefusal::ClaimMalformed)),
        (json!({ "exp": NOW.unix_timestamp() - 60 }), Err(TokenRefusal::Expired)),
    ] {
        check(expect, SIGNER.header(), with(honest.clone(), change), outcome);
    }
    check(expect, SIGNER.header(), without(honest.clone(), "exp"), Ok(()));
    check(expect, SIGNER.header(), without(honest.clone(), "sub"), Ok(()));
    check(expect, SIGNER.header(), without(honest.clone(), "sid"), Ok(()));
    check(expect, SIGNER.header(), without(honest.clone(), "jti"), Err(TokenRefusal::IdentifierMissing));
    check(expect, SIGNER.header(), without(without(honest.clone(), "sid"), "sub"), Err(TokenRefusal::NobodyNamed));
    check(expect, SIGNER.header(), id_claims(NOW), Err(TokenRefusal::IdentifierMissing));
    for (typ, outcome) in [("logout+jwt", Ok(())), ("JWT", Ok(())), ("secevent+jwt", Err(TokenRefusal::TypeWrong))] {
        check(expect, with(SIGNER.header(), json!({ "typ": typ })), honest.clone(), outcome);
    }
}

#[test]
fn a_security_event_token_says_that_it_is_one_and_does_not_expire() {
    let claims = without(without(id_claims(NOW), "exp"), "sub");
    let honest = with(claims, json!({ "jti": "1", "events": { "https://e.example/x": {} } }));
    let header = with(SIGNER.header(), json!({ "typ": "secevent+jwt" }));
    let expect = Expect { kind: Kind::SecurityEvent, oldest: None, ..expect() };
    check(expect, header.clone(), honest.clone(), Ok(()));
    check(expect, header.clone(), with(honest.clone(), json!({ "aud": [CLIENT, "other"], "iat": 0 })), Ok(()));
    check(expect, SIGNER.header(), honest.clone(), Err(TokenRefusal::TypeWrong));
    check(
        expect,
        header.clone(),
        with(honest.clone(), json!({ "exp": 9_999_999_999_u64 })),
        Err(TokenRefusal::ExpiryUnexpected),
    );
    check(expect, header.clone(), without(honest.clone(), "jti"), Err(TokenRefusal::IdentifierMissing));
    check(expect, header.clone(), without(honest.clone(), "iat"), Err(TokenRefusal::IssuedMissing));
    check(expect, header, without(honest, "events"), Err(TokenRefusal::EventsMissing));
}

#[test]
fn an_access_token_says_that_it_is_one_or_at_least_is_no_id_token() {
    let honest = with(id_claims(NOW), json!({ "jti": "1", "client_id": "ci", "azp": "ci" }));
    let typed = with(SIGNER.header(), json!({ "typ": "at+JWT" }));
    let strict = Expect { kind: Kind::AccessToken { older: None }, ..expect() };
    let older = Expect { kind: Kind::AccessToken { older: Some("azp") }, ..expect() };
    check(strict, typed.clone(), honest.clone(), Ok(()));
    check(strict, SIGNER.header(), honest.clone(), Err(TokenRefusal::TypeWrong));
    check(older, SIGNER.header(), honest.clone(), Ok(()));
    check(older, SIGNER.header(), without(without(honest.clone(), "client_id"), "jti"), Ok(()));
    check(older, SIGNER.header(), id_claims(NOW), Err(TokenRefusal::ClientMissing));
    check(older, SIGNER.header(), with(honest.clone(), json!({ "nonce": "n" })), Err(TokenRefusal::TypeWrong));
    check(older, SIGNER.header(), with(honest.clone(), json!({ "client_id": 7 })), Err(TokenRefusal::ClientMissing));
    check(strict, typed.clone(), without(honest.clone(), "client_id"), Err(TokenRefusal::ClientMissing));
    check(strict, typed.clone(), without(honest.clone(), "jti"), Err(TokenRefusal::IdentifierMissing));
    check(strict, typed.clone(), without(honest.clone(), "exp"), Err(TokenRefusal::ExpiryMissing));
    check(strict, typed, with(honest, json!({ "events": {} })), Err(TokenRefusal::EventsUnexpected));
}

#[test]
fn the_edge_of_time_does_not_panic() {
    let expect = Expect { leeway: Duration::MAX, oldest: Some(Duration::MAX), ..expect() };
    for now in [time::OffsetDateTime::UNIX_EPOCH, time::macros::datetime!(9999-12-31 23:59:59 UTC)] {
        assert!(verify(&SIGNER.sign(&id_claims(NOW)), &keys(&[&SIGNER]), &expect, now).is_ok());
    }
}

#[test]
fn what_is_printed_of_claims_is_their_names() {
    let claims = verify(&SIGNER.sign(&id_claims(NOW)), &keys(&[&SIGNER]), &expect(), NOW).unwrap();
    assert!(format!("{claims:?}").contains("sub") && !format!("{claims:?}").contains("ada"));
}
