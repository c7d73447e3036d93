//! What lying transmitters send. Every lie is refused with its own reason, and none reaches the core.

use super::receiver::{NOW, Receiver, claims, header, sign};
use crate::identity::jose::forge::{self, ISSUER, Signer};
use crate::identity::ssf::{Answer, Condition, ErrorCode, Kind};
use serde_json::{Value, json};

const REQUEST: ErrorCode = ErrorCode::InvalidRequest;
const KEY: ErrorCode = ErrorCode::InvalidKey;

/// What is sent, the reason against it, and the code that the transmitter is told.
type Lie = (String, &'static str, ErrorCode);

fn honest() -> Value {
    claims(ISSUER, "e1", &Kind::AccountEnabled.uri(), &json!({}))
}

fn with(changes: Value) -> Value {
    let mut claims = honest();
    let Value::Object(changes) = changes else { panic!("no object") };
    for (name, value) in changes {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(&name)
        } else {
            claims.as_object_mut().unwrap().insert(name, value)
        };
    }
    claims
}

/// Lies in the claims of a token that is signed as it should be.
fn in_claims(signer: &Signer) -> Vec<Lie> {
    let now = NOW.unix_timestamp();
    let (enabled, revoked) = (Kind::AccountEnabled.uri(), Kind::SessionRevoked.uri());
    let event = |body: Value| json!({"events": {&enabled: body}});
    let other = json!({"format": "iss_sub", "iss": ISSUER, "sub": "eve"});
    let lies = [
        (json!({"iss": "https://evil.example"}), "issuer_wrong", ErrorCode::InvalidIssuer),
        (json!({"iss": null}), "issuer_wrong", ErrorCode::InvalidIssuer),
        (json!({"iss": ISSUER.trim_end_matches('/')}), "issuer_wrong", ErrorCode::InvalidIssuer),
        (json!({"aud": "somebody-else"}), "audience_wrong", ErrorCode::InvalidAudience),
        (json!({"aud": null}), "audience_wrong", ErrorCode::InvalidAudience),
        (json!({"aud": []}), "audience_wrong", ErrorCode::InvalidAudience),
        (json!({"iat": now + 61}), "issued_in_future", REQUEST),
        (json!({"iat": now - 24 * 3600 - 61}), "too_old", REQUEST),
        (json!({"iat": null}), "issued_missing", REQUEST),
        (json!({"iat": "now"}), "time_malformed", REQUEST),
        (json!({"exp": now + 300}), "expiry_unexpected", REQUEST),
        (json!({"nbf": now + 300}), "not_yet_valid", REQUEST),
        (json!({"jti": null}), "identifier_missing", REQUEST),
        (json!({"jti": ""}), "identifier_missing", REQUEST),
        (json!({"jti": "x".repeat(300)}), "identifier_missing", REQUEST),
        (json!({"sub": "ada"}), "has_sub", REQUEST),
        (json!({"events": null}), "events_missing", REQUEST),
        (json!({"events": {}}), "events_missing", REQUEST),
        (json!({"events": {&enabled: "yes"}}), "events_missing", REQUEST),
        (json!({"events": {&enabled: {}, revoked: {}}}), "several_events", REQUEST),
        (json!({"sub_id": null}), "no_subject", REQUEST),
        (json!({"sub_id": "ada"}), "subject_malformed", REQUEST),
        (json!({"sub_id": {"format": "iss_sub", "iss": ISSUER}}), "subject_malformed", REQUEST),
        (event(json!({"subject": other})), "subjects_disagree", REQUEST),
        (event(json!({"event_timestamp": now + 61})), "event_in_future", REQUEST),
        (event(json!({"event_timestamp": -5})), "event_time_absurd", REQUEST),
    ];
    lies.into_iter().map(|(changes, reason, code)| (sign(signer, &with(changes)), reason, code)).collect()
}

/// Lies about who has signed, and what kind of token it is.
fn in_header(signer: &Signer) -> Vec<Lie> {
    let head = |name: &str, value: Value| {
        let mut head = header(signer);
        head[name] = value;
        signer.sign_as(&head, &honest())
    };
    let mut untyped = header(signer);
    untyped.as_object_mut().unwrap().remove("typ");
    vec![
        (head("typ", json!("JWT")), "type_wrong", REQUEST),
        (head("typ", json!("logout+jwt")), "type_wrong", REQUEST),
        (head("typ", json!("at+jwt")), "type_wrong", REQUEST),
        (signer.sign_as(&untyped, &honest()), "type_wrong", REQUEST),
        (head("kid", json!("unknown")), "key_unknown", KEY),
        (head("crit", json!(["exp"])), "critical_header", REQUEST),
        (head("jku", json!("https://evil.example/keys")), "foreign_key", KEY),
        (head("jwk", Signer::es256("evil").jwk()), "foreign_key", KEY),
    ]
}

/// Lies about the signature.
fn in_signature(receiver: &Receiver) -> Vec<Lie> {
    let (es256, rs256) = (&receiver.es256, &receiver.rs256);
    let head = |algorithm: &str| json!({"alg": algorithm, "typ": "secevent+jwt", "kid": "r1"});
    let public = rs256.jwk().to_string();
    let token = sign(es256, &honest());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let another = sign(es256, &with(json!({"jti": "e2"})));
    let mixed = format!("{message}.{}", another.rsplit_once('.').unwrap().1);
    let stolen = sign(&Signer::es256("e1"), &honest());
    vec![
        (forge::unsigned(&head("none"), &honest()), "algorithm_refused", KEY),
        (forge::unsigned(&head("None"), &honest()), "algorithm_refused", KEY),
        (forge::sign_with_secret(&head("HS256"), &honest(), public.as_bytes()), "algorithm_refused", KEY),
        (es256.sign_as(&head("ES256"), &honest()), "key_mismatch", KEY),
        (stolen, "signature_wrong", KEY),
        (mixed, "signature_wrong", KEY),
        (format!("{message}."), "signature_wrong", KEY),
        (format!("{message}.{signature}.x"), "not_compact", REQUEST),
        (message.to_owned(), "not_compact", REQUEST),
        ("not a token".to_owned(), "not_compact", REQUEST),
        (forge::sign_with_secret(&head("HS256"), &with(json!({"pad": "x".repeat(20_000)})), b"k"), "too_long", REQUEST),
        (sign(es256, &with(json!({"pad": "x".repeat(60_000)}))), "too_large", REQUEST),
    ]
}

/// Lies that two readers could understand differently.
fn in_writing(signer: &Signer) -> Vec<Lie> {
    let (head, text) = (header(signer).to_string(), honest().to_string());
    let twice = |member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let subject_twice = text.replace(r#""sub":"ada""#, r#""sub":"eve","sub":"ada""#);
    let head_twice = head.replacen('{', r#"{"alg":"none","#, 1);
    let deep = text.replacen('{', &format!(r#"{{"deep":{}{},"#, "[".repeat(200), "]".repeat(200)), 1);
    vec![
        (signer.sign_text(&head, &twice(r#""jti":"e9""#)), "duplicate_member", REQUEST),
        (signer.sign_text(&head, &twice(r#""events":{}"#)), "duplicate_member", REQUEST),
        (signer.sign_text(&head, &subject_twice), "duplicate_member", REQUEST),
        (signer.sign_text(&head_twice, &text), "duplicate_member", REQUEST),
        (signer.sign_text(&head, "[]"), "claims_malformed", REQUEST),
        (signer.sign_text(&head, &deep), "claims_malformed", REQUEST),
        (signer.sign_text("{}", &text), "header_malformed", REQUEST),
    ]
}

#[tokio::test]
async fn every_lie_is_refused_with_its_reason_and_none_reaches_the_core() {
    let receiver = Receiver::new();
    let mut lies = in_claims(&receiver.es256);
    lies.extend(in_header(&receiver.es256));
    lies.extend(in_signature(&receiver));
    lies.extend(in_writing(&receiver.rs256));
    assert!(lies.len() >= 50, "{} lies", lies.len());
    let mut wrong = Vec::new();
    for (number, (token, reason, code)) in lies.into_iter().enumerate() {
        let (answer, taken) = receiver.push(&token).await;
        let told = match answer {
            Answer::Refused { status: 400 | 413, error } => Some(error.err),
            _ => None,
        };
        let found = taken.err();
        if (found, told) != (Some(reason), Some(code)) {
            wrong.push((number, reason, code, found, told));
        }
    }
    assert_eq!(wrong, [], "number, reason and code expected, reason and code found");
    assert_eq!(receiver.core.orders(), []);
    // And the honest one, of which all of them were made.
    assert_eq!(receiver.push(&receiver.set(&honest())).await.0, Answer::Accepted);
    assert_eq!(receiver.core.orders().len(), 1);
}

#[tokio::test]
async fn a_verification_with_a_state_that_nobody_asked_with_is_refused_as_such() {
    let receiver = Receiver::new();
    receiver.intake.verification_due(NOW).unwrap();
    for state in [json!("guess"), json!(""), json!(7), json!({})] {
        let token = receiver.set(&claims(ISSUER, "v1", &Kind::Verification.uri(), &json!({"state": state})));
        let (answer, taken) = receiver.push(&token).await;
        let Answer::Refused { status, error } = answer else { panic!("{answer:?}") };
        assert_eq!((status, error.err, taken), (400, ErrorCode::InvalidState, Err("unexpected_state")));
    }
    assert_eq!(receiver.intake.condition(NOW), Condition::New);
}

#[tokio::test]
async fn access_is_not_given_by_a_name_that_may_be_another_persons() {
    let receiver = Receiver::new();
    for (jti, subject) in [
        ("1", json!({"format": "email", "email": "ada@example.com"})),
        ("2", json!({"format": "aliases", "identifiers": [{"format": "email", "email": "ada@example.com"}]})),
        ("3", json!({"format": "opaque", "id": "ada"})),
        ("4", json!({"format": "iss_sub", "iss": "https://evil.example", "sub": "ada"})),
    ] {
        let mut claims = claims(ISSUER, jti, &Kind::AccountEnabled.uri(), &json!({}));
        claims["sub_id"] = subject;
        assert_eq!(receiver.push(&receiver.set(&claims)).await.0, Answer::Accepted);
    }
    assert_eq!(receiver.core.orders(), []);
}
