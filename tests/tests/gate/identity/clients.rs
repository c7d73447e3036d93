//! Services that a provider vouches for, by access tokens that it gives to their own credentials.

use anyhow::{Context as _, Result};
use gateway_tests::{Api, peer::Browser, peer::token};
use serde_json::{Value, json};

use super::corp::{Corp, PLAIN, issuer, settings};
use crate::scene::{Apps, V4, falls_silent, is_kept_out, reaches, stream};

const AUDIENCE: &str = "https://gate.example/api";

/// The company, in which `ci` is a service: the client of the provider of that name.
fn company() -> Result<Corp> {
    let mut settings = settings();
    let (id, secret) = PLAIN;
    let client = |id: &str| {
        json!({ "client_id": id, "client_secret": secret, "grant_types": ["client_credentials"],
        "redirect_uris": [], "response_types": [] })
    };
    settings.clients.extend([client(id), client("stranger")]);
    settings.resource_scopes = vec!["gate".to_owned()];
    let corp = Corp::with(&format!("audience = \"{AUDIENCE}\""), &settings)?;
    corp.gate.api.put("/v1/groups/finance", &json!({}))?.ok()?;
    let service = json!({ "groups": ["finance"], "scopes": ["read"], "client": { "provider": "corp", "id": id } });
    corp.gate.api.put("/v1/services/ci", &service)?.ok()?;
    Ok(corp)
}

/// What the provider gives to a client.
fn access_token(corp: &Corp, client: &str, audience: &str) -> Result<String> {
    let back = Browser::new(&corp.gate.world.gateway, &corp.authority);
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("client_secret", PLAIN.1),
        ("resource", audience),
        ("scope", "gate"),
    ];
    let answer: Value = back.post(&format!("{}/token", issuer()), &fields)?.ok()?;
    answer["access_token"].as_str().map(str::to_owned).with_context(|| format!("no access token: {answer}"))
}

fn with(corp: &Corp, token: &str) -> Api {
    corp.gate.api.bearer(token)
}

#[test]
fn a_client_of_the_provider_may_do_what_its_service_may_and_nothing_else() -> Result<()> {
    let corp = company()?;
    let good = access_token(&corp, PLAIN.0, AUDIENCE)?;
    assert_eq!(token::header(&good)?["typ"], "at+jwt");
    assert_eq!(with(&corp, &good).get("/v1/users")?.status, 200);
    with(&corp, &good).put("/v1/groups/x", &json!({}))?.problem(403)?;
    let stranger = access_token(&corp, "stranger", AUDIENCE)?;
    let elsewhere = access_token(&corp, PLAIN.0, "https://other.example")?;
    let forged = format!("{}A{}", &good[..good.len() - 2], &good[good.len() - 1..]);
    for token in [&stranger, &elsewhere, &forged] {
        with(&corp, token).get("/v1/users")?.problem(401)?;
    }
    corp.gate.api.post("/v1/users/ci/disable")?.ok()?;
    assert!([401, 403].contains(&with(&corp, &good).get("/v1/users")?.status));
    Ok(())
}

#[test]
fn a_host_begins_a_session_with_an_access_token_and_loses_it_with_its_service() -> Result<()> {
    let corp = company()?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    is_kept_out(client, V4.crm());
    let token = access_token(&corp, PLAIN.0, AUDIENCE)?;
    let portal = corp.gate.portal(client, V4.guard0);
    let begun = portal.bearer(&token).send("POST", "/v1/login/token", None)?.ok()?;
    assert_eq!((&begun["session"]["user"], &begun["session"]["provider"]), (&json!("ci"), &json!("corp")), "{begun}");
    reaches(client, V4.crm());
    let cut = stream(client, V4.crm())?;
    corp.gate.api.delete("/v1/services/ci")?.ok()?;
    is_kept_out(client, V4.crm());
    falls_silent(&cut)?;
    portal.bearer(&token).send("POST", "/v1/login/token", None)?.problem(401)?;
    Ok(())
}
