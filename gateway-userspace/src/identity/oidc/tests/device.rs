//! Logins by device code, honest and otherwise.

use super::super::{DevicePoll, DeviceStart, Provider, Refusal};
use super::liar::{Liar, Lie, Raw, lock};
use crate::identity::jose::TokenRefusal;
use crate::identity::jose::forge::NOW;
use serde_json::json;
use std::time::Duration;
use time::OffsetDateTime;

fn at(seconds: u64) -> OffsetDateTime {
    NOW + Duration::from_secs(seconds)
}

async fn start(provider: &Provider) -> DeviceStart {
    provider.begin_device(NOW).await.unwrap()
}

#[tokio::test]
async fn somebody_confirms_elsewhere_and_whoever_polls_too_early_does_not_reach_the_provider() {
    let liar = Liar::start();
    let provider = liar.provider();
    let mut start = start(&provider).await;
    assert_eq!((start.user_code.as_str(), start.interval), ("WDJB-MJHT", Duration::from_secs(5)));
    assert!(start.verification_uri_complete.is_some() && start.expires_at == at(600));
    let mut poll = async |seconds| provider.poll_device(&mut start.pending, at(seconds)).await.unwrap();
    assert!(matches!(poll(4).await, DevicePoll::Pending { next } if next == at(5)));
    assert_eq!(liar.asked("/token"), 0);
    assert!(matches!(poll(5).await, DevicePoll::Pending { next } if next == at(10)));
    *lock(&liar.device) = Some("slow_down");
    assert!(matches!(poll(10).await, DevicePoll::SlowDown { next } if next == at(20)));
    assert!(matches!(poll(19).await, DevicePoll::Pending { next } if next == at(20)));
    assert_eq!(liar.asked("/token"), 2);
    *lock(&liar.device) = None;
    assert!(matches!(poll(20).await, DevicePoll::Proven(proven) if proven.username == "ada"));
    assert!(matches!(poll(60).await, DevicePoll::Expired), "it counts once");
    assert_eq!(liar.asked("/token"), 3);
}

#[tokio::test]
async fn what_was_refused_or_took_too_long_is_over() {
    let liar = Liar::start();
    let provider = liar.provider();
    for (says, denied) in [("access_denied", true), ("expired_token", false)] {
        *lock(&liar.device) = Some(says);
        let mut start = start(&provider).await;
        let answer = provider.poll_device(&mut start.pending, at(5)).await.unwrap();
        assert_eq!(matches!(answer, DevicePoll::Denied), denied, "{answer:?}");
        *lock(&liar.device) = None;
        assert!(matches!(provider.poll_device(&mut start.pending, at(60)).await, Ok(DevicePoll::Expired)));
    }
    let mut late = start(&provider).await;
    assert!(matches!(provider.poll_device(&mut late.pending, at(600)).await, Ok(DevicePoll::Expired)));
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_may_be_asked_again() {
    let liar = Liar::start();
    let provider = liar.provider();
    *lock(&liar.device) = None;
    let mut start = start(&provider).await;
    liar.lie(Some(Lie::Raw("/token", Raw::Status(503, ""))));
    let failed = provider.poll_device(&mut start.pending, at(5)).await;
    assert_eq!(failed.unwrap_err(), Refusal::ProviderFails);
    liar.lie(None);
    assert!(matches!(provider.poll_device(&mut start.pending, at(10)).await, Ok(DevicePoll::Proven(_))));
}

#[tokio::test]
async fn every_lie_about_a_device_code_is_refused() {
    let liar = Liar::start();
    let mut faults: Vec<(&str, Lie, &str)> = vec![
        (
            "not supported",
            Lie::Metadata(|m| drop(m.as_object_mut().unwrap().remove("device_authorization_endpoint"))),
            "device_unsupported",
        ),
        ("a code that moves the cursor", Lie::Answer(|a| a["user_code"] = json!("\u{1b}[2JHi")), "answer_malformed"),
        ("an empty code", Lie::Answer(|a| a["user_code"] = json!("")), "answer_malformed"),
        ("a code of a hundred letters", Lie::Answer(|a| a["user_code"] = json!("x".repeat(100))), "answer_malformed"),
        ("no code", Lie::Answer(|a| drop(a.as_object_mut().unwrap().remove("user_code"))), "answer_malformed"),
        (
            "a page without TLS",
            Lie::Answer(|a| a["verification_uri"] = json!("http://id.example/")),
            "endpoint_insecure",
        ),
        (
            "a page that is a script",
            Lie::Answer(|a| a["verification_uri"] = json!("javascript:alert(1)")),
            "endpoint_insecure",
        ),
        (
            "a complete page without TLS",
            Lie::Answer(|a| a["verification_uri_complete"] = json!("http://a/")),
            "endpoint_insecure",
        ),
        ("an interval below nothing", Lie::Answer(|a| a["interval"] = json!(-1)), "answer_malformed"),
        ("a client that is not known", Lie::Answer(|a| *a = json!({ "error": "invalid_client" })), "client_refused"),
    ];
    faults.push(("a redirect", Lie::Raw("/device", Raw::Redirect("https://evil.example/")), "redirected"));
    faults.push(("a megabyte and more", Lie::Raw("/device", Raw::Huge), "answer_too_long"));
    faults.push(("a member twice", Lie::Raw("/device", Raw::Twice), "answer_malformed"));
    for (name, lie, label) in faults {
        liar.lie(None);
        liar.provider().begin_device(NOW).await.unwrap();
        liar.lie(Some(lie));
        assert_eq!(liar.provider().begin_device(NOW).await.unwrap_err().label(), label, "{name}");
    }
}

#[tokio::test]
async fn a_provider_cannot_have_us_wait_for_ever_or_ask_without_pause() {
    let liar = Liar::start();
    for (lie, interval, life) in [
        (Lie::Answer(|a| a["interval"] = json!(0)), 1, 600),
        (Lie::Answer(|a| a["interval"] = json!(u32::MAX)), 60, 600),
        (Lie::Answer(|a| a["expires_in"] = json!(u64::MAX)), 5, 1800),
    ] {
        liar.lie(Some(lie));
        let start = start(&liar.provider()).await;
        assert_eq!((start.interval.as_secs(), start.expires_at), (interval, at(life)));
    }
}

#[tokio::test]
async fn what_comes_of_a_device_code_is_verified_like_every_id_token() {
    let liar = Liar::start();
    let provider = liar.provider();
    *lock(&liar.device) = None;
    for (lie, refusal) in [
        (Lie::Claims(|c| c["aud"] = json!("other")), TokenRefusal::AudienceWrong.into()),
        (Lie::Claims(|c| c["at_hash"] = json!("AAAA")), TokenRefusal::AccessHashWrong.into()),
        (Lie::Header(|h| h["kid"] = json!("k9")), TokenRefusal::KeyUnknown.into()),
        (Lie::Claims(|c| c["groups"] = json!(7)), Refusal::GroupsMalformed),
        (Lie::Raw("/token", Raw::Text(r#"{"access_token":"a","token_type":"Bearer"}"#)), Refusal::IdTokenMissing),
    ] {
        let mut start = start(&provider).await;
        liar.lie(Some(lie));
        assert_eq!(provider.poll_device(&mut start.pending, at(5)).await.unwrap_err(), refusal);
        liar.lie(None);
        assert!(matches!(provider.poll_device(&mut start.pending, at(60)).await, Ok(DevicePoll::Expired)));
    }
}
