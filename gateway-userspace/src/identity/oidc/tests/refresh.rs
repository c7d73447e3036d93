//! Whether it is still so: what ends somebody's access, and what says nothing about them.

use super::super::{Provider, RefreshError, Refreshed, Refusal, Settings};
use super::liar::{Liar, Lie, Raw};
use crate::identity::jose::TokenRefusal;
use crate::identity::jose::forge::NOW;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::time::Duration;

async fn refresh(provider: &Provider) -> Result<Refreshed, RefreshError> {
    provider.refresh(&SecretString::from("refresh-0"), "u-1", NOW).await
}

fn is_new(refreshed: &Refreshed) -> bool {
    refreshed.refresh_token.as_ref().is_some_and(|token| token.expose_secret().starts_with("refresh-"))
}

#[tokio::test]
async fn somebody_who_still_has_access_is_known_as_they_are_now() {
    let liar = Liar::start();
    let provider = liar.provider();
    liar.lie(Some(Lie::Claims(|claims| claims["groups"] = json!("staff"))));
    let refreshed = refresh(&provider).await.unwrap();
    assert!(is_new(&refreshed));
    assert_eq!(refreshed.proven.unwrap().unwrap().groups, ["staff"]);
    liar.lie(Some(Lie::Answer(|answer| {
        answer.as_object_mut().unwrap().retain(|name, _| name != "id_token" && name != "refresh_token");
    })));
    let refreshed = refresh(&provider).await.unwrap();
    assert!(refreshed.refresh_token.is_none() && refreshed.proven.unwrap().is_none());
}

#[tokio::test]
async fn the_end_of_an_access_is_told_from_a_provider_that_cannot_be_asked() {
    let liar = Liar::start();
    let impatient = Settings { timeout: Duration::from_millis(300), ..liar.settings() };
    let (patient, impatient) = (liar.provider(), Provider::new(impatient).unwrap());
    // What it publishes is known by now.
    let (ended, unreachable, refused) = (RefreshError::Ended, RefreshError::Unreachable, RefreshError::Refused);
    for (lie, outcome) in [
        (Lie::Answer(|a| *a = json!({ "error": "invalid_grant" })), ended),
        (Lie::Answer(|a| *a = json!({ "error": "interaction_required" })), ended),
        (Lie::Answer(|a| *a = json!({ "error": "login_required" })), ended),
        (Lie::Answer(|a| *a = json!({ "error": "access_denied" })), ended),
        (Lie::Answer(|a| *a = json!({ "error": "invalid_client" })), unreachable(Refusal::ClientRefused)),
        (Lie::Answer(|a| *a = json!({ "error": "temporarily_unavailable" })), unreachable(Refusal::ProviderBusy)),
        (Lie::Answer(|a| *a = json!({ "error": "server_error" })), unreachable(Refusal::ProviderFails)),
        (Lie::Answer(|a| *a = json!({ "error": "invalid_scope" })), refused(Refusal::RequestRefused)),
        (Lie::Raw("/token", Raw::Status(500, r#"{"error":"invalid_grant"}"#)), unreachable(Refusal::ProviderFails)),
        (Lie::Raw("/token", Raw::Status(429, "")), unreachable(Refusal::ProviderFails)),
        (Lie::Raw("/token", Raw::Redirect("https://evil.example/")), refused(Refusal::Redirected)),
        (Lie::Raw("/token", Raw::Huge), refused(Refusal::AnswerTooLong)),
        (Lie::Raw("/token", Raw::Text("<html>")), refused(Refusal::AnswerMalformed)),
        (Lie::Raw("/token", Raw::Twice), refused(Refusal::AnswerMalformed)),
    ] {
        liar.lie(None);
        assert!(refresh(&patient).await.unwrap().proven.is_ok(), "{outcome}");
        liar.lie(Some(lie));
        assert_eq!(refresh(&patient).await.unwrap_err(), outcome);
    }
    liar.lie(None);
    impatient.prepare(NOW).await.unwrap();
    liar.lie(Some(Lie::Raw("/token", Raw::Silence)));
    assert_eq!(refresh(&impatient).await.unwrap_err(), unreachable(Refusal::ProviderSlow));
}

#[tokio::test]
async fn what_to_ask_with_from_now_on_is_known_even_if_the_rest_of_the_answer_is_not_believed() {
    let liar = Liar::start();
    let require = [("hd".to_owned(), "corp.example".to_owned())].into();
    let provider = Provider::new(Settings { require, ..liar.settings() }).unwrap();
    for (lie, refusal, ends) in [
        (Lie::Answer(|a| a["token_type"] = json!("mac")), Refusal::TokenTypeWrong, false),
        (Lie::Claims(|c| c["sub"] = json!("u-2")), Refusal::SubjectChanged, true),
        (Lie::Claims(|c| c["hd"] = json!("other.example")), Refusal::ClaimRequired, true),
        (Lie::Claims(|c| drop(c.as_object_mut().unwrap().remove("hd"))), Refusal::ClaimRequired, true),
        (Lie::Claims(|c| c["aud"] = json!("other")), TokenRefusal::AudienceWrong.into(), false),
        (Lie::Claims(|c| c["iat"] = json!(0)), TokenRefusal::TooOld.into(), false),
        (Lie::Header(|h| h["alg"] = json!("none")), TokenRefusal::AlgorithmRefused.into(), false),
        (Lie::Claims(|c| c["hasgroups"] = json!(true)), Refusal::GroupsOverage, false),
    ] {
        liar.lie(None);
        assert!(refresh(&provider).await.unwrap().proven.is_ok(), "{refusal}");
        liar.lie(Some(lie));
        let refreshed = refresh(&provider).await.unwrap();
        assert!(is_new(&refreshed), "{refusal}");
        assert_eq!((refreshed.proven.unwrap_err(), refusal.ends_access()), (refusal, ends));
    }
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_take_away_no_refresh_token() {
    let liar = Liar::start();
    liar.lie(Some(Lie::Raw("/keys", Raw::Status(503, ""))));
    let refreshed = refresh(&liar.provider()).await.unwrap();
    assert!(is_new(&refreshed));
    assert_eq!(refreshed.proven.unwrap_err(), Refusal::ProviderFails);
}

#[tokio::test]
async fn a_refresh_token_that_is_not_known_ends_the_access() {
    let liar = Liar::start();
    let refused = liar.provider().refresh(&SecretString::from("other"), "u-1", NOW).await;
    assert_eq!(refused.unwrap_err(), RefreshError::Ended);
}

#[tokio::test]
async fn a_provider_that_cannot_be_discovered_says_nothing_about_anybody() {
    let liar = Liar::start();
    liar.lie(Some(Lie::Metadata(|metadata| metadata["issuer"] = json!("https://other.example"))));
    let error = refresh(&liar.provider()).await.unwrap_err();
    assert_eq!(error, RefreshError::Unreachable(Refusal::MetadataIssuerWrong));
}

#[tokio::test]
async fn without_an_id_token_nothing_new_is_known_of_the_person() {
    let liar = Liar::start();
    let provider = liar.provider();
    assert!(refresh(&provider).await.unwrap().proven.unwrap().is_some());
    liar.lie(Some(Lie::Answer(|answer| drop(answer.as_object_mut().unwrap().remove("id_token")))));
    assert!(refresh(&provider).await.unwrap().proven.unwrap().is_none());
}
