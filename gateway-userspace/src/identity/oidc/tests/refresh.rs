//! Whether it is still so: what ends somebody's access, and what says nothing about them.

use super::super::Provider;
use super::super::{RefreshError, Refusal, Settings};
use super::liar::{Liar, Lie, Raw};
use crate::identity::jose::TokenRefusal;
use crate::identity::jose::forge::NOW;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::time::Duration;

async fn refresh(provider: &Provider) -> Result<super::super::Refreshed, RefreshError> {
    provider.refresh(&SecretString::from("refresh-0"), "u-1", NOW).await
}

#[tokio::test]
async fn somebody_who_still_has_access_is_known_as_they_are_now() {
    let liar = Liar::start();
    let provider = liar.provider();
    liar.lie(Some(Lie::Claims(|claims| claims["groups"] = json!("staff"))));
    let refreshed = refresh(&provider).await.unwrap();
    assert_eq!(refreshed.proven.as_ref().unwrap().groups, ["staff"]);
    assert!(refreshed.refresh_token.unwrap().expose_secret().starts_with("refresh-"));
    liar.lie(Some(Lie::Answer(|answer| {
        answer.as_object_mut().unwrap().retain(|name, _| name != "id_token" && name != "refresh_token");
    })));
    let refreshed = refresh(&provider).await.unwrap();
    assert!(refreshed.proven.is_none() && refreshed.refresh_token.is_none());
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
        (Lie::Answer(|a| a["token_type"] = json!("mac")), refused(Refusal::TokenTypeWrong)),
        (Lie::Claims(|c| c["sub"] = json!("u-2")), refused(Refusal::SubjectChanged)),
        (Lie::Claims(|c| c["aud"] = json!("other")), refused(TokenRefusal::AudienceWrong.into())),
        (Lie::Claims(|c| c["iat"] = json!(0)), refused(TokenRefusal::TooOld.into())),
        (Lie::Header(|h| h["alg"] = json!("none")), refused(TokenRefusal::AlgorithmRefused.into())),
        (Lie::Claims(|c| c["hasgroups"] = json!(true)), refused(Refusal::GroupsOverage)),
    ] {
        liar.lie(None);
        assert!(refresh(&patient).await.is_ok(), "{outcome}");
        liar.lie(Some(lie));
        assert_eq!(refresh(&patient).await.unwrap_err(), outcome);
    }
    liar.lie(None);
    impatient.prepare(NOW).await.unwrap();
    liar.lie(Some(Lie::Raw("/token", Raw::Silence)));
    assert_eq!(refresh(&impatient).await.unwrap_err(), unreachable(Refusal::ProviderSlow));
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
async fn without_an_id_token_the_access_token_must_be_the_same_persons() {
    let liar = Liar::start();
    let provider = Provider::new(Settings { userinfo: true, ..liar.settings() }).unwrap();
    let refreshed = provider.refresh(&SecretString::from("refresh-0"), "u-1", NOW).await;
    assert!(refreshed.is_ok());
    liar.lie(Some(Lie::Answer(|answer| drop(answer.as_object_mut().unwrap().remove("id_token")))));
    assert!(refresh(&provider).await.unwrap().proven.is_none());
    let other = provider.refresh(&SecretString::from("refresh-0"), "u-2", NOW).await;
    assert_eq!(other.unwrap_err(), RefreshError::Refused(Refusal::SubjectChanged));
}
