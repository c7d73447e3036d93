//! Honest logins, and what is wrong with a login although the provider is honest.

use super::super::{Ask, Begun, DevicePending, Parameters, Prompt, Provider, Refusal, Settings};
use super::browser::query;
use super::liar::{Liar, Lie, Raw, SECRET, lock};
use crate::identity::jose::forge::{NOW, Signer};
use crate::identity::jose::{KeySetError, TokenRefusal};
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_person_is_known_by_what_the_provider_signed() {
    let liar = Liar::start();
    let provider = liar.provider();
    let proven = liar.login(&provider, &Ask::default()).await.unwrap();
    assert_eq!((proven.subject.as_str(), proven.username.as_str()), ("u-1", "ada"));
    assert_eq!((proven.display_name.as_str(), proven.sid.as_deref()), ("Ada L.", Some("s-1")));
    assert_eq!(proven.groups, ["staff", "ops"]);
    assert_eq!((proven.acr.as_deref(), proven.mfa), (Some("gold"), true));
    assert_eq!(proven.amr, ["mfa", "pwd"].map(str::to_owned).into());
    assert_eq!(proven.auth_time, Some(NOW - Duration::from_secs(30)));
    assert_eq!(proven.expires_at, NOW + Duration::from_secs(300));
    assert!(proven.refresh_token.as_ref().unwrap().expose_secret().starts_with("refresh-"));
    let printed = format!("{proven:?}{provider:?}");
    assert!(!printed.contains(proven.id_token.expose_secret()) && !printed.contains("refresh-"));
    assert!(!printed.contains(SECRET));
}

#[tokio::test]
async fn claims_that_the_settings_name_are_attributes_if_they_can_be() {
    let liar = Liar::start();
    liar.lie(Some(Lie::Claims(|claims| {
        (claims["dept"], claims["level"], claims["list"], claims["long"]) =
            (json!("engines"), json!(7), json!(["a"]), json!("x".repeat(300)));
    })));
    let mut settings = liar.settings();
    let names = [("department", "dept"), ("level", "level"), ("list", "list"), ("long", "long"), ("none", "none")];
    settings.claims.attributes = names.map(|(name, claim)| (name.to_owned(), claim.to_owned())).into();
    let provider = Provider::new(settings).unwrap();
    let proven = liar.login(&provider, &Ask::default()).await.unwrap();
    let told: Vec<_> = proven.attributes.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    let expected =
        [("department", Some("engines")), ("level", Some("7")), ("list", None), ("long", None), ("none", None)];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_a_provider_does_not_say_of_a_person_is_not_made_up() {
    let liar = Liar::start();
    liar.lie(Some(Lie::Claims(|claims| {
        let left_out = ["groups", "acr", "amr", "auth_time", "sid"];
        claims.as_object_mut().unwrap().retain(|name, _| !left_out.contains(&name.as_str()));
        claims["name"] = json!(" ");
    })));
    let proven = liar.login(&liar.provider(), &Ask::default()).await.unwrap();
    assert_eq!(proven.display_name, "ada");
    assert!(proven.groups.is_empty() && proven.amr.is_empty() && !proven.mfa);
    assert_eq!((proven.acr, proven.auth_time, proven.sid), (None, None, None));
}

#[tokio::test]
async fn a_context_of_the_settings_counts_as_more_than_one_factor() {
    let liar = Liar::start();
    liar.lie(Some(Lie::Claims(|claims| claims["amr"] = json!(["pwd"]))));
    for (acr, mfa) in [("gold", true), ("silver", false)] {
        let settings = Settings { mfa_acrs: [acr.to_owned()].into(), ..liar.settings() };
        let proven = liar.login(&Provider::new(settings).unwrap(), &Ask::default()).await.unwrap();
        assert_eq!(proven.mfa, mfa, "{acr}");
    }
}

#[tokio::test]
async fn every_way_of_signing_works() {
    let liar = Liar::start();
    for signer in [Signer::rsa("r"), Signer::rsa("r").with("PS256".parse().unwrap()), Signer::ed25519("e")] {
        *lock(&liar.signers) = vec![signer];
        // A hash of another size binds the access token.
        liar.lie(Some(Lie::Claims(|claims| drop(claims.as_object_mut().unwrap().remove("at_hash")))));
        liar.login(&liar.provider(), &Ask::default()).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_login_asks_for_stands_in_its_url() {
    let liar = Liar::start();
    let mut settings = liar.settings();
    settings.acr_values = vec!["silver".into()];
    settings.max_age = Some(Duration::from_secs(3600));
    let provider = Provider::new(settings).unwrap();
    let plain = query(&provider.begin(&Ask::default(), NOW).await.unwrap().url);
    assert_eq!((plain["acr_values"].as_str(), plain["max_age"].as_str()), ("silver", "3600"));
    assert_eq!(plain["scope"], "openid profile email");
    assert_eq!(plain["redirect_uri"], "https://gate.example/login/corp");
    assert!(!plain.contains_key("prompt") && !plain.contains_key("client_secret"));
    let ask =
        Ask { prompt: Some(Prompt::Login), max_age: Some(Duration::ZERO), acr: vec!["gold".into(), "platinum".into()] };
    let asked = query(&provider.begin(&ask, NOW).await.unwrap().url);
    assert_eq!((asked["acr_values"].as_str(), asked["max_age"].as_str()), ("gold platinum", "0"));
    assert_eq!(asked["prompt"], "login");
    for secret in ["state", "nonce", "code_challenge"] {
        assert!(asked[secret].len() >= 43 && asked[secret] != plain[secret]);
    }
}

#[tokio::test]
async fn a_login_that_takes_too_long_is_over() {
    let liar = Liar::start();
    let provider = liar.provider();
    let begun = provider.begin(&Ask::default(), NOW).await.unwrap();
    let parameters = Parameters::parse(&liar.browse(&begun.url)).unwrap();
    let end = begun.pending.expires_at();
    assert_eq!(end, NOW + Duration::from_secs(600));
    assert_eq!(provider.finish(begun.pending, &parameters, end).await.unwrap_err(), Refusal::LoginExpired);
}

#[tokio::test]
async fn a_code_counts_once_and_only_for_the_login_that_it_was_given_to() {
    let liar = Liar::start();
    let provider = liar.provider();
    let (mine, theirs) =
        (provider.begin(&Ask::default(), NOW).await.unwrap(), provider.begin(&Ask::default(), NOW).await.unwrap());
    let (my_state, stolen) = (mine.pending.state().to_owned(), liar.browse(&theirs.url));
    // Injected: their code, my state.
    let code = Parameters::parse(&stolen).unwrap().get("code").unwrap().to_owned();
    let injected = Parameters::parse(&format!("code={code}&state={my_state}&iss={}", liar.issuer)).unwrap();
    assert_eq!(provider.finish(mine.pending, &injected, NOW).await.unwrap_err(), Refusal::CodeRefused);
    // Replayed: it is used up now, even for those that it was given to.
    let replayed = provider.finish(theirs.pending, &Parameters::parse(&stolen).unwrap(), NOW).await;
    assert_eq!(replayed.unwrap_err(), Refusal::CodeRefused);
}

#[tokio::test]
async fn an_answer_of_one_provider_is_none_of_another() {
    let (honest, evil) = (Liar::start(), Liar::start());
    let (first, second) = (honest.provider(), evil.provider());
    let begun = first.begin(&Ask::default(), NOW).await.unwrap();
    // Mixed up: the browser was at the other provider, which brings a good code of the first one.
    let query = honest.browse(&begun.url).replace(&port(&honest.issuer), &port(&evil.issuer));
    let parameters = Parameters::parse(&query).unwrap();
    assert_eq!(first.finish(begun.pending, &parameters, NOW).await.unwrap_err(), Refusal::ResponseIssuerWrong);
    assert_eq!(honest.asked("/token") + evil.asked("/token"), 0, "the code was sent to nobody");
    // A token of the first is none of the second, whatever key it is signed with.
    *lock(&evil.signers) = lock(&honest.signers).clone();
    let token = honest.id_token(None, "a");
    assert_eq!(second.logout_token(&token, NOW).await.unwrap_err(), TokenRefusal::IssuerWrong.into());
}

fn port(issuer: &str) -> String {
    issuer.rsplit_once(':').unwrap().1.to_owned()
}

#[tokio::test]
async fn keys_are_asked_for_once_and_rotate_at_once() {
    let liar = Liar::start();
    let provider = liar.provider();
    let login = || async { liar.login(&provider, &Ask::default()).await.map(|_| ()) };
    for _ in 0..5 {
        login().await.unwrap();
    }
    assert_eq!((liar.asked("/keys"), liar.asked("/.well-known/openid-configuration")), (1, 1));
    let old = liar.signer();
    *lock(&liar.signers) = vec![Signer::es256("k2")];
    login().await.unwrap();
    assert_eq!(liar.asked("/keys"), 2);
    lock(&liar.signers).push(old);
    assert_eq!(login().await, Err(TokenRefusal::KeyUnknown.into()), "a key that was withdrawn");
    assert_eq!(liar.asked("/keys"), 2, "and it is not looked for again within half a minute");
}

#[tokio::test]
async fn keys_that_cannot_be_renewed_are_believed_for_two_days() {
    let liar = Liar::start();
    let provider = liar.provider();
    provider.prepare(NOW).await.unwrap();
    liar.lie(Some(Lie::Keys(|keys| keys["keys"] = json!([]))));
    let hours = |hours: u64| NOW + Duration::from_secs(hours * 3600);
    assert_eq!(provider.prepare(hours(47)).await, Ok(()));
    assert_eq!(provider.prepare(hours(48)).await, Err(KeySetError::NoUsableKey.into()));
    liar.lie(Some(Lie::Raw("/openid-configuration", Raw::Status(500, ""))));
    assert_eq!(provider.prepare(hours(97)).await, Err(Refusal::ProviderFails));
}

#[tokio::test]
async fn nobody_but_the_configured_authorities_vouches_for_a_provider() {
    let (liar, other) = (Liar::start(), Liar::start());
    let settings = Settings { ca: other.settings().ca, ..liar.settings() };
    let refused = Provider::new(settings).unwrap().prepare(NOW).await;
    assert_eq!(refused, Err(Refusal::ProviderUnreachable));
    let settings = Settings { ca: None, ..liar.settings() };
    if let Ok(provider) = Provider::new(settings) {
        assert_eq!(provider.prepare(NOW).await, Err(Refusal::ProviderUnreachable));
    }
}

#[tokio::test]
async fn a_logout_at_the_provider_has_a_url() {
    let liar = Liar::start();
    let back = "https://gate.example/out".parse().unwrap();
    let url = liar.provider().end_session_url(Some("hint"), Some(&back), Some("st"), NOW).await.unwrap();
    let query = query(&url);
    assert_eq!((query["x"].as_str(), query["id_token_hint"].as_str(), query["state"].as_str()), ("1", "hint", "st"));
    assert_eq!(query["post_logout_redirect_uri"], back.as_str());
    liar.lie(Some(Lie::Metadata(|metadata| drop(metadata.as_object_mut().unwrap().remove("end_session_endpoint")))));
    assert_eq!(liar.provider().end_session_url(None, None, None, NOW).await, None);
}

/// Compiles only if handlers can await them.
#[expect(dead_code, reason = "it is its types that are checked")]
fn logins_may_run_on_any_thread(provider: &Provider, parameters: &Parameters, begun: Begun, mut device: DevicePending) {
    fn is_send(_: impl Send) {}
    is_send(provider.begin(&Ask::default(), NOW));
    is_send(provider.finish(begun.pending, parameters, NOW));
    is_send(provider.access_token("", NOW));
    is_send(provider.logout_token("", NOW));
    is_send(provider.begin_device(NOW));
    is_send(provider.poll_device(&mut device, NOW));
    is_send(provider.refresh(&SECRET.to_owned().into(), "", NOW));
}
