use super::*;
use crate::identity::jose::forge::{self, Signer};
use crate::identity::jose::{Expect, KeySet, Kind as TokenKind, verify};
use crate::identity::ssf::{Identifier, Kind, RiskLevel};
use serde_json::json;
use std::sync::LazyLock;

const NOW: OffsetDateTime = forge::NOW;
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// A payload that is right, and what a test changes in it.
fn payload(changes: &Value) -> Claims {
    let mut payload = json!({
        "iss": forge::ISSUER,
        "aud": forge::CLIENT,
        "jti": "e1",
        "iat": NOW.unix_timestamp(),
        "sub_id": {"format": "iss_sub", "iss": "https://idp.example", "sub": "u1"},
        "events": {REVOKED: {}},
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            payload.as_object_mut().unwrap().remove(name);
        } else {
            payload[name] = value.clone();
        }
    }
    signed(&payload)
}

/// Claims come only from a token that was verified.
fn signed(payload: &Value) -> Claims {
    static SIGNER: LazyLock<(Signer, KeySet)> = LazyLock::new(|| {
        let signer = Signer::es256("k1");
        let keys = KeySet::parse(json!({"keys": [signer.jwk()]}).to_string().as_bytes()).unwrap();
        (signer, keys)
    });
    let (signer, keys) = &*SIGNER;
    let token = signer.sign_as(&json!({"alg": "ES256", "kid": "k1", "typ": "secevent+jwt"}), payload);
    let expect = Expect { kind: TokenKind::SecurityEvent, oldest: None, ..forge::expect() };
    verify(&token, keys, &expect, NOW).unwrap()
}

fn read(changes: &Value) -> Result<SecurityEvent, Refusal> {
    SecurityEvent::read(&payload(changes), Window::PUSH.leeway, NOW)
}

fn u1() -> Option<Identifier> {
    Some(Identifier::IssSub { iss: "https://idp.example".into(), sub: "u1".into() })
}

#[test]
fn an_event_is_read_with_all_that_it_says() {
    let event = read(&json!({
        "txn": 8_675_309,
        "events": {REVOKED: {
            "event_timestamp": NOW.unix_timestamp() - 7,
            "initiating_entity": "policy",
            "reason_admin": {"de": "Zu schnell", "en": "Landspeed"},
            "https://idp.example/more": [1, 2],
        }},
    }))
    .unwrap();
    assert_eq!((event.jti.as_str(), event.iat, event.as_of()), ("e1", NOW, NOW - Duration::from_secs(7)));
    assert_eq!((event.txn.as_deref(), event.reason.as_deref()), (Some("8675309"), Some("Landspeed")));
    assert_eq!(event.initiating_entity, Some(Initiator::Policy));
    assert_eq!((event.signal, event.subject.user), (Signal::SessionRevoked, u1()));
}

#[test]
fn the_subject_may_stand_in_the_event_as_in_older_transmitters() {
    let subject = json!({"subject_type": "iss-sub", "iss": "https://idp.example", "sub": "u1"});
    let event = read(&json!({"sub_id": null, "events": {REVOKED: {"subject": subject}}})).unwrap();
    assert_eq!(event.subject.user, u1());
    // Both, and the same.
    assert!(read(&json!({"events": {REVOKED: {"subject": subject}}})).is_ok());
}

#[test]
fn each_fault_of_a_payload_is_refused_with_its_reason() {
    let now = NOW.unix_timestamp();
    let other = json!({"format": "iss_sub", "iss": "https://idp.example", "sub": "u2"});
    let disabled = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
    let cases = [
        (json!({"sub": "u1"}), Refusal::HasSub),
        (json!({"events": {REVOKED: {}, disabled: {}}}), Refusal::SeveralEvents),
        (json!({"sub_id": null}), Refusal::NoSubject),
        (json!({"sub_id": "u1"}), Refusal::SubjectMalformed),
        (json!({"sub_id": {"format": "iss_sub", "sub": "u1"}}), Refusal::SubjectMalformed),
        (json!({"events": {REVOKED: {"subject": other}}}), Refusal::SubjectsDisagree),
        (json!({"events": {REVOKED: {"event_timestamp": now + 61}}}), Refusal::EventInFuture),
        (json!({"events": {REVOKED: {"event_timestamp": (now + 61) * 1000}}}), Refusal::EventInFuture),
        (json!({"events": {REVOKED: {"event_timestamp": 0}}}), Refusal::EventTimeAbsurd),
        (json!({"events": {REVOKED: {"event_timestamp": "2026"}}}), Refusal::EventTimeAbsurd),
        (json!({"events": {REVOKED: {"event_timestamp": i64::MAX}}}), Refusal::EventTimeAbsurd),
    ];
    for (changes, expected) in cases {
        assert_eq!(read(&changes), Err(expected), "{changes}");
    }
}

#[test]
fn a_clock_that_differs_within_the_leeway_is_tolerated() {
    let now = NOW.unix_timestamp();
    assert!(read(&json!({"events": {REVOKED: {"event_timestamp": now + 60}}})).is_ok());
}

#[test]
fn a_time_of_event_in_milliseconds_or_with_a_fraction_is_understood() {
    let now = NOW.unix_timestamp();
    for written in [json!(now * 1000 + 643), json!(now), json!(1_795_694_400.75)] {
        let event = read(&json!({"events": {REVOKED: {"event_timestamp": written}}})).unwrap();
        assert_eq!(event.event_timestamp, Some(NOW));
    }
}

#[test]
fn events_of_the_stream_and_unknown_ones_need_no_subject() {
    let verification = Kind::Verification.uri();
    let event = read(&json!({"sub_id": null, "events": {verification: {"state": "s"}}})).unwrap();
    assert_eq!(event.signal, Signal::Verification { state: Some("s".into()) });
    let event = read(&json!({"sub_id": 7, "events": {"urn:example:new": {}}})).unwrap();
    assert_eq!((event.signal, event.subject), (Signal::Unknown, Subject::default()));
}

#[test]
fn a_simple_subject_is_what_the_kind_of_event_is_about() {
    let id = json!({"format": "opaque", "id": "x"});
    let of = |kind: Kind, body: Value| read(&json!({"sub_id": id, "events": {kind.uri(): body}})).unwrap();
    let x = Some(Identifier::Opaque("x".into()));
    assert_eq!(of(Kind::SessionRevoked, json!({})).subject.session, x);
    assert_eq!(of(Kind::DeviceComplianceChange, json!({})).subject.device, x);
    let risk = of(Kind::RiskLevelChange, json!({"principal": "DEVICE", "current_level": "HIGH"}));
    assert_eq!(risk.subject.device, x);
    assert!(matches!(risk.signal, Signal::RiskChanged { level: RiskLevel::High, .. }));
    assert_eq!(of(Kind::AccountDisabled, json!({})).subject.user, x);
}
