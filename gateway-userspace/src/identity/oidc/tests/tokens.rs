//! Tokens that a provider sends by itself or gives to programs: logouts, and access tokens of services.

use super::super::{LogoutToken, Preset, Provider, Refusal, Replays, Settings};
use super::liar::{AUDIENCE, CLIENT, Liar, lock};
use crate::identity::jose::TokenRefusal;
use crate::identity::jose::forge::{NOW, Signer};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn with(mut value: Value, changes: Value) -> Value {
    for (name, change) in changes.as_object().unwrap() {
        value[name] = change.clone();
    }
    value
}

fn without(mut value: Value, names: &[&str]) -> Value {
    value.as_object_mut().unwrap().retain(|name, _| !names.contains(&name.as_str()));
    value
}

fn logout(liar: &Liar) -> Value {
    let now = NOW.unix_timestamp();
    let events = json!({ LOGOUT: {} });
    json!({ "iss": liar.issuer, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": "j1", "sub": "u-1", "sid": "s-1", "events": events })
}

#[tokio::test]
async fn a_logout_names_a_person_or_a_session_and_counts_once() {
    let liar = Liar::start();
    let provider = liar.provider();
    let token = liar.signer().sign_as(&with(liar.signer().header(), json!({ "typ": "logout+jwt" })), &logout(&liar));
    let found = provider.logout_token(&token, NOW).await.unwrap();
    let LogoutToken { subject, sid, jti, iat, forget_at } = found;
    assert_eq!((subject.as_deref(), sid.as_deref(), jti.as_str(), iat), (Some("u-1"), Some("s-1"), "j1", NOW));
    let mut replays = Replays::new(8);
    assert_eq!(replays.admit(&liar.issuer, &jti, forget_at, NOW), Ok(()));
    let last = forget_at - Duration::from_secs(1);
    assert_eq!(replays.admit(&liar.issuer, &jti, forget_at, last), Err(TokenRefusal::Replayed));
    // Once it is forgotten, it is refused by its age.
    let claims = without(logout(&liar), &["exp"]);
    let refused = provider.logout_token(&liar.signer().sign(&claims), forget_at).await;
    assert_eq!(refused.unwrap_err(), TokenRefusal::TooOld.into());
}

#[tokio::test]
async fn every_lie_in_a_logout_token_is_refused() {
    let liar = Liar::start();
    let (provider, signer, now) = (liar.provider(), liar.signer(), NOW.unix_timestamp());
    let (header, honest) = (signer.header(), logout(&liar));
    for (claims, refusal) in [
        (liar.claims(), TokenRefusal::IdentifierMissing),
        (with(liar.claims(), json!({ "jti": "j1" })), TokenRefusal::EventsMissing),
        (with(honest.clone(), json!({ "nonce": "n" })), TokenRefusal::NonceUnexpected),
        (with(honest.clone(), json!({ "events": { "other": {} } })), TokenRefusal::EventWrong),
        (with(honest.clone(), json!({ "events": { LOGOUT: true } })), TokenRefusal::EventsMissing),
        (with(honest.clone(), json!({ "events": LOGOUT })), TokenRefusal::EventsMissing),
        (with(honest.clone(), json!({ "iss": "https://other.example" })), TokenRefusal::IssuerWrong),
        (with(honest.clone(), json!({ "aud": "other" })), TokenRefusal::AudienceWrong),
        (with(honest.clone(), json!({ "iat": now - 181 })), TokenRefusal::TooOld),
        (with(honest.clone(), json!({ "iat": now + 61 })), TokenRefusal::IssuedInFuture),
        (with(honest.clone(), json!({ "exp": now - 61 })), TokenRefusal::Expired),
        (with(honest.clone(), json!({ "sid": ["s-1"] })), TokenRefusal::ClaimMalformed),
        (with(honest.clone(), json!({ "sub": "" })), TokenRefusal::SubjectMissing),
        (without(honest.clone(), &["events"]), TokenRefusal::EventsMissing),
        (without(honest.clone(), &["jti"]), TokenRefusal::IdentifierMissing),
        (without(honest.clone(), &["iat"]), TokenRefusal::IssuedMissing),
        (without(honest.clone(), &["sub", "sid"]), TokenRefusal::NobodyNamed),
    ] {
        let found = provider.logout_token(&signer.sign_as(&header, &claims), NOW).await;
        assert_eq!(found.unwrap_err(), refusal.into(), "{claims}");
    }
    for typ in ["at+jwt", "secevent+jwt", "x"] {
        let header = with(header.clone(), json!({ "typ": typ }));
        let found = provider.logout_token(&signer.sign_as(&header, &honest), NOW).await;
        assert_eq!(found.unwrap_err(), TokenRefusal::TypeWrong.into());
    }
    let foreign = Signer::es256("k1").sign(&honest);
    assert_eq!(provider.logout_token(&foreign, NOW).await.unwrap_err(), TokenRefusal::SignatureWrong.into());
    for part in [&["exp", "sub"], &["exp", "sid"]] {
        provider.logout_token(&signer.sign(&without(honest.clone(), part)), NOW).await.unwrap();
    }
}

fn services(liar: &Arc<Liar>, preset: Preset) -> Provider {
    let service_audience = Some(AUDIENCE.into());
    Provider::new(Settings { preset, service_audience, ..liar.settings() }).unwrap()
}

fn access(liar: &Liar) -> Value {
    let now = NOW.unix_timestamp();
    json!({
        "iss": liar.issuer, "aud": AUDIENCE, "sub": "ci", "client_id": "ci", "iat": now - 1_800, "exp": now + 1_800, "jti": "j1",
    })
}

#[tokio::test]
async fn a_service_is_known_by_its_access_token() {
    let liar = Liar::start();
    let header = with(liar.signer().header(), json!({ "typ": "at+jwt" }));
    let token = liar.signer().sign_as(&header, &access(&liar));
    let found = services(&liar, Preset::Generic).access_token(&token, NOW).await.unwrap();
    assert_eq!(found, "ci");
    assert_eq!(liar.provider().access_token(&token, NOW).await.unwrap_err(), Refusal::ServicesOff);
    // As each of these sends them: without a type, and with the client in a claim of its own.
    for (preset, claim) in [(Preset::Entra, "azp"), (Preset::Keycloak, "azp"), (Preset::Okta, "cid")] {
        let older = with(without(access(&liar), &["client_id", "jti"]), json!({ claim: "ci" }));
        let token = liar.signer().sign(&older);
        assert_eq!(services(&liar, preset).access_token(&token, NOW).await.unwrap(), "ci", "{preset:?}");
        let other = if preset == Preset::Okta { Preset::Entra } else { Preset::Okta };
        let refused = services(&liar, other).access_token(&token, NOW).await.unwrap_err();
        assert_eq!(refused, TokenRefusal::ClientMissing.into());
    }
}

#[tokio::test]
async fn every_lie_in_an_access_token_is_refused() {
    let liar = Liar::start();
    let (strict, older, now) = (services(&liar, Preset::Generic), services(&liar, Preset::Entra), NOW.unix_timestamp());
    let (typed, plain) = (with(liar.signer().header(), json!({ "typ": "at+jwt" })), liar.signer().header());
    let (honest, id_claims) = (access(&liar), with(liar.claims(), json!({ "nonce": "n" })));
    let token = |refusal: TokenRefusal| Refusal::Token(refusal);
    for (provider, header, claims, refusal) in [
        (&strict, &plain, honest.clone(), token(TokenRefusal::TypeWrong)),
        (&strict, &plain, id_claims.clone(), token(TokenRefusal::TypeWrong)),
        (&older, &plain, id_claims.clone(), token(TokenRefusal::AudienceWrong)),
        (&older, &plain, with(id_claims, json!({ "aud": AUDIENCE })), token(TokenRefusal::TypeWrong)),
        (&older, &plain, with(liar.claims(), json!({ "aud": AUDIENCE })), token(TokenRefusal::ClientMissing)),
        (&strict, &typed, with(honest.clone(), json!({ "aud": CLIENT })), token(TokenRefusal::AudienceWrong)),
        (&strict, &typed, with(honest.clone(), json!({ "exp": now - 61 })), token(TokenRefusal::Expired)),
        (&strict, &typed, with(honest.clone(), json!({ "iat": now - 90_000 })), token(TokenRefusal::TooOld)),
        (&strict, &typed, with(honest.clone(), json!({ "events": {} })), token(TokenRefusal::EventsUnexpected)),
        (&strict, &typed, without(honest.clone(), &["sub"]), token(TokenRefusal::SubjectMissing)),
        (&strict, &typed, without(honest.clone(), &["jti"]), token(TokenRefusal::IdentifierMissing)),
        (&strict, &typed, without(honest, &["client_id"]), token(TokenRefusal::ClientMissing)),
    ] {
        let text = liar.signer().sign_as(header, &claims);
        assert_eq!(provider.access_token(&text, NOW).await.unwrap_err(), refusal, "{header} {claims}");
    }
    lock(&liar.signers).clear();
}
