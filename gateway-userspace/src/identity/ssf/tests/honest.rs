//! What honest transmitters send: every event of CAEP, RISC and the framework, with its effect.

use super::receiver::{NOW, Receiver, claims, sign};
use crate::identity::jose::forge::ISSUER;
use crate::identity::ssf::{Answer, Condition, Effect, Kind, Note, Person};
use serde_json::{Value, json};
use time::Duration;

/// What the standards' own examples say in the event.
fn body(kind: Kind) -> Value {
    match kind {
        Kind::CredentialChange => json!({
            "credential_type": "fido2-roaming", "change_type": "delete", "friendly_name": "Jane's USB authenticator",
            "fido2_aaguid": "accced6a-63f5-490a-9eea-e59bc1896cfc", "reason_admin": {"en": "User self-enrollment"},
        }),
        Kind::AssuranceLevelChange => json!({
            "namespace": "NIST-AAL", "current_level": "nist-aal1", "previous_level": "nist-aal2",
            "change_direction": "decrease",
        }),
        Kind::DeviceComplianceChange => json!({"current_status": "not-compliant", "previous_status": "compliant"}),
        Kind::TokenClaimsChange => json!({"claims": {"role": "ro-admin"}}),
        Kind::RiskLevelChange => json!({
            "current_level": "HIGH", "previous_level": "LOW", "principal": "USER",
            "risk_reason": "PASSWORD_FOUND_IN_DATA_BREACH",
        }),
        Kind::SessionEstablished => json!({"fp_ua": "abb0b6e7", "acr": "AAL2", "amr": ["otp"]}),
        Kind::SessionPresented => json!({"fp_ua": "abb0b6e7", "ext_id": "12345"}),
        Kind::AccountDisabled => json!({"reason": "hijacking"}),
        Kind::CredentialCompromise => json!({"credential_type": "password"}),
        Kind::IdentifierChanged => json!({"new-value": "john.roe@example.com"}),
        Kind::StreamUpdated => json!({"status": "paused", "reason": "Internal error"}),
        _ => json!({}),
    }
}

fn subject(kind: Kind) -> Value {
    match kind {
        Kind::DeviceComplianceChange => json!({
            "format": "complex",
            "device": {"format": "iss_sub", "iss": ISSUER, "sub": "laptop-7"},
            "tenant": {"format": "opaque", "id": "123456789"},
        }),
        Kind::IdentifierChanged | Kind::IdentifierRecycled => json!({"format": "email", "email": "ada@example.com"}),
        Kind::Verification | Kind::StreamUpdated => json!({"format": "opaque", "id": "stream-1"}),
        _ => json!({"format": "iss_sub", "iss": ISSUER, "sub": "ada"}),
    }
}

fn expected(kind: Kind) -> Result<Effect, Note> {
    match kind {
        Kind::AccountDisabled => Ok(Effect::Suspend),
        Kind::AccountEnabled => Ok(Effect::Resume),
        Kind::AccountPurged => Ok(Effect::Remove),
        Kind::DeviceComplianceChange => Ok(Effect::Device { compliant: false }),
        Kind::Verification | Kind::StreamUpdated => Err(Note::Stream),
        kind if kind.is_wanted() => Ok(Effect::EndSessions),
        _ => Err(Note::Informational),
    }
}

#[tokio::test]
async fn every_event_is_accepted_with_either_kind_of_key_and_does_what_it_should() {
    let receiver = Receiver::new();
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let mut event = body(kind);
        // Each a second later than the one before, so that none is outdated.
        let happened = NOW - Duration::seconds(60) + Duration::seconds(i64::try_from(number).unwrap());
        event["event_timestamp"] = json!(happened.unix_timestamp());
        let mut claims = claims(ISSUER, &format!("e{number}"), &kind.uri(), &event);
        claims["sub_id"] = subject(kind);
        let signer = if number % 2 == 0 { &receiver.es256 } else { &receiver.rs256 };
        let before = receiver.core.orders().len();
        let (answer, taken) = receiver.push(&sign(signer, &claims)).await;
        assert_eq!(answer, Answer::Accepted, "{kind:?}");
        let orders = receiver.core.orders();
        let done = taken.unwrap().done;
        assert_eq!(done, expected(kind), "{kind:?}");
        assert_eq!(orders[before..].iter().map(|order| order.effect).collect::<Vec<_>>(), Vec::from_iter(done.ok()));
        assert!(orders[before..].iter().all(|order| order.as_of == happened));
    }
}

#[tokio::test]
async fn an_order_says_whom_it_is_about_and_where_it_comes_from() {
    let receiver = Receiver::new();
    let mut claims = claims(ISSUER, "e1", &Kind::SessionRevoked.uri(), &json!({"reason_admin": {"en": "Land speed"}}));
    claims["sub_id"] = json!({
        "format": "complex",
        "user": {"format": "iss_sub", "iss": ISSUER, "sub": "ada"},
        "session": {"format": "opaque", "id": "sid-1"},
    });
    assert_eq!(receiver.push(&receiver.set(&claims)).await.0, Answer::Accepted);
    let [order] = &receiver.core.orders()[..] else { panic!("not one order") };
    assert_eq!(order.target.person, Some(Person::Sub("ada".into())));
    assert_eq!((order.target.session.as_deref(), &order.target.device), (Some("sid-1"), &None));
    assert_eq!((order.event.txn.as_deref(), order.event.reason.as_deref()), (Some("t1"), Some("Land speed")));
    // Without a time of the event, that of its token counts.
    assert_eq!(order.as_of, NOW);
}

#[tokio::test]
async fn an_event_that_comes_again_is_accepted_and_does_nothing_again() {
    let receiver = Receiver::new();
    let claims = claims(ISSUER, "e1", &Kind::AccountDisabled.uri(), &json!({}));
    for done in [Ok(Effect::Suspend), Err(Note::Replayed), Err(Note::Replayed)] {
        // Another signature each time: it is the event that is known, not the token.
        let (answer, taken) = receiver.push(&receiver.set(&claims)).await;
        assert_eq!((answer, taken.unwrap().done), (Answer::Accepted, done));
    }
    assert_eq!(receiver.core.orders().len(), 1);
}

#[tokio::test]
async fn an_event_that_is_not_in_force_is_not_accepted_and_takes_effect_when_it_comes_again() {
    let receiver = Receiver::new();
    let token = receiver.set(&claims(ISSUER, "e1", &Kind::AccountDisabled.uri(), &json!({})));
    receiver.core.set_broken(true);
    let (answer, taken) = receiver.push(&token).await;
    assert_eq!((answer, taken), (Answer::TryAgain, Err("not_applied")));
    receiver.core.set_broken(false);
    assert_eq!(receiver.push(&token).await.0, Answer::Accepted);
    assert_eq!(receiver.core.orders().len(), 1);
}

#[tokio::test]
async fn without_the_transmitters_keys_nothing_is_believed_and_the_transmitter_tries_again() {
    let receiver = Receiver::without_keys();
    let token = receiver.set(&claims(ISSUER, "e1", &Kind::AccountDisabled.uri(), &json!({})));
    let (answer, taken) = receiver.push(&token).await;
    assert_eq!((answer, taken), (Answer::TryAgain, Err("keys_unavailable")));
}

#[tokio::test]
async fn an_event_that_is_not_known_or_about_nobody_here_is_accepted_and_counted() {
    let receiver = Receiver::new();
    let unknown = claims(ISSUER, "e1", "urn:example:secevent:new", &json!({}));
    assert_eq!(receiver.push(&receiver.set(&unknown)).await.1.unwrap().done, Err(Note::UnknownEvent));
    for (number, subject) in [
        json!({"format": "iss_sub", "iss": "https://other.example", "sub": "ada"}),
        json!({"format": "phone_number", "phone_number": "+12065550123"}),
        json!({"format": "jwt_id", "iss": ISSUER, "jti": "B70BA622"}),
        json!({"format": "complex", "group": {"format": "opaque", "id": "g1"}}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = claims(ISSUER, &format!("n{number}"), &Kind::SessionRevoked.uri(), &json!({}));
        claims["sub_id"] = subject;
        let taken = receiver.push(&receiver.set(&claims)).await.1;
        assert!(matches!(taken.unwrap().done, Err(Note::Nobody(_))));
    }
    assert_eq!(receiver.core.orders(), []);
}

#[tokio::test]
async fn a_verification_with_the_state_that_was_asked_shows_that_the_stream_is_alive() {
    let receiver = Receiver::new();
    assert_eq!(receiver.intake.condition(NOW), Condition::New);
    let state = receiver.intake.verification_due(NOW).unwrap();
    let mut claims = claims(ISSUER, "v1", &Kind::Verification.uri(), &json!({"state": state}));
    claims["sub_id"] = json!({"format": "opaque", "id": "stream-1"});
    assert_eq!(receiver.push(&receiver.set(&claims)).await.0, Answer::Accepted);
    assert_eq!(receiver.intake.condition(NOW), Condition::Alive);
    assert_eq!(receiver.intake.condition(NOW + Duration::hours(5)), Condition::Silent);
}

#[tokio::test]
async fn a_stream_that_is_paused_says_so() {
    let receiver = Receiver::new();
    let claims = claims(ISSUER, "u1", &Kind::StreamUpdated.uri(), &json!({"status": "paused"}));
    assert_eq!(receiver.push(&receiver.set(&claims)).await.0, Answer::Accepted);
    assert_eq!(receiver.intake.condition(NOW), Condition::Paused);
}
