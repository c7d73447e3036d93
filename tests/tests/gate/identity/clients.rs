//! Services that prove themselves with access tokens of the company's provider (client credentials).

use anyhow::{Context as _, Result};
use gateway_tests::{
    Api,
    peer::{Browser, token, web},
};
use serde_json::{Value, json};

use super::corp::{Corp, PASSWORD, issuer, last, settings};
use crate::record::wait_for;
use crate::scene::{Apps, V4, falls_silent, is_kept_out, reaches, stream};

/// For whom the access tokens are.
const AUDIENCE: &str = "https://gate.example/api";
const SECRET: &str = "a-secret-of-a-program";
/// Where a person is sent back to, which nobody follows.
const BACK: &str = "https://program.example/back";

/// The company, whose provider knows the programs `ci-7` and `stranger`, and one that is called like the audience.
fn company() -> Result<Corp> {
    let mut settings = settings();
    let program = |id: &str, grant: &str| {
        json!({ "client_id": id, "client_secret": SECRET, "token_endpoint_auth_method": "client_secret_post",
            "grant_types": [grant], "redirect_uris": if grant == "authorization_code" { json!([BACK]) } else { json!([]) } })
    };
    settings.clients.extend(["ci-7", "stranger"].map(|id| program(id, "client_credentials")));
    settings.clients.push(program(AUDIENCE, "authorization_code"));
    settings.resource_scopes = vec!["gate".to_owned()];
    Corp::with(&format!("audience = \"{AUDIENCE}\""), &settings)
}

/// What the provider's token endpoint answers a program.
fn grant(browser: &Browser, client: &str, more: &[(&str, &str)]) -> Result<Value> {
    let mut fields = vec![("client_id", client), ("client_secret", SECRET)];
    fields.extend(more);
    browser.post(&format!("{}/token", issuer()), &fields)?.ok()
}

/// The access token of a program for an audience.
fn access_token(corp: &Corp, client: &str, audience: &str) -> Result<String> {
    let asked = [("grant_type", "client_credentials"), ("resource", audience), ("scope", "gate")];
    let answer = grant(&corp.browser, client, &asked)?;
    answer["access_token"].as_str().map(str::to_owned).with_context(|| format!("no access token: {answer}"))
}

/// An ID token of alice, that says of itself to be for the audience of the access tokens.
fn id_token(corp: &Corp) -> Result<String> {
    let (verifier, challenge) = token::PKCE;
    let parameters = [
        ("client_id", AUDIENCE),
        ("response_type", "code"),
        ("redirect_uri", BACK),
        ("scope", "openid"),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ];
    let url = web::with_query(&format!("{}/auth", issuer()), &parameters);
    let page = last(corp.browser.visit(&url, BACK)?)?;
    let form = page.form("login")?.fill("login", "alice").fill("password", PASSWORD);
    let back = last(corp.browser.follow(corp.browser.submit(&page, &form)?, BACK)?)?;
    let code = back.parameter("code")?;
    let redeemed = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", BACK),
        ("code_verifier", verifier),
    ];
    let answer = grant(&corp.browser, AUDIENCE, &redeemed)?;
    let id_token = answer["id_token"].as_str().context("no ID token")?;
    assert_eq!(token::claims(id_token)?["aud"], AUDIENCE);
    Ok(id_token.to_owned())
}

/// `ci` is the program of this id at the provider, in `hosts`.
fn put_ci(corp: &Corp, client: &str, scopes: &[&str]) -> Result<()> {
    corp.gate.api.put("/v1/groups/hosts", &json!({}))?.ok()?;
    let client = json!({ "provider": "corp", "id": client });
    let ci = json!({ "groups": ["hosts"], "scopes": scopes, "client": client });
    corp.gate.api.put("/v1/services/ci", &ci)?.ok().map(drop)
}

/// The API of the gateway's login on the client, with this token.
fn portal(corp: &Corp, token: &str) -> Api {
    corp.gate.portal(&corp.gate.world.client, V4.guard0).bearer(token)
}

#[test]
fn a_program_calls_the_api_with_its_access_token_as_far_as_its_scopes_go() -> Result<()> {
    let corp = company()?;
    put_ci(&corp, "ci-7", &["read"])?;
    let token = access_token(&corp, "ci-7", AUDIENCE)?;
    let ci = corp.gate.api.bearer(&token);
    let users = ci.get("/v1/users")?.ok()?;
    assert!(users["items"].as_array().is_some_and(|users| users.iter().any(|user| user["name"] == "ci")), "{users}");
    let app = json!({ "prefixes": ["10.30.0.0/24"], "services": ["443/tcp"] });
    let refused = ci.put("/v1/apps/x", &app)?.problem(403)?;
    assert_eq!(refused["type"], "urn:portcullis:problem:scope", "{refused}");
    corp.gate.api.get("/v1/apps/x")?.problem(404)?;
    assert!(corp.gate.api.get("/v1/services/ci")?.ok()?["last_used_at"].is_string());
    // Administration does not exist where people log in, whoever asks.
    portal(&corp, &token).get("/v1/users")?.problem(404)?;

    corp.gate.api.post("/v1/users/ci/disable")?.ok()?;
    ci.get("/v1/users")?.problem(401)?;
    corp.gate.says("a disabled service was refused")?;
    corp.gate.api.post("/v1/users/ci/enable")?.ok()?;
    ci.get("/v1/users")?.ok()?;
    put_ci(&corp, "another", &["read"])?;
    ci.get("/v1/users")?.problem(401)?;
    Ok(())
}

#[test]
fn no_other_token_of_the_provider_stands_for_a_service() -> Result<()> {
    let corp = company()?;
    put_ci(&corp, "ci-7", &["read"])?;
    let good = access_token(&corp, "ci-7", AUDIENCE)?;
    let stranger = access_token(&corp, "stranger", AUDIENCE)?;
    let (says, _) = stranger.rsplit_once('.').context("a token")?;
    let (_, signature) = good.rsplit_once('.').context("a token")?;
    for (token, reason) in [
        (stranger.clone(), "client `stranger`, which is no service"),
        (access_token(&corp, "ci-7", "https://other.example/api")?, "it is refused: audience_wrong"),
        (id_token(&corp)?, "it is refused: type_wrong"),
        (format!("{says}.{signature}"), "it is refused: signature_wrong"),
    ] {
        corp.gate.api.bearer(&token).get("/v1/users")?.problem(401)?;
        corp.gate.says(reason)?;
        portal(&corp, &token).post("/v1/login/token")?.problem(401)?;
    }
    assert!(corp.sessions()?.is_empty());
    // It was none of the others' fault.
    corp.gate.api.bearer(&good).get("/v1/users")?.ok()?;
    Ok(())
}

#[test]
fn a_host_logs_in_with_its_access_token_and_is_out_when_its_service_is_removed() -> Result<()> {
    let corp = company()?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    put_ci(&corp, "ci-7", &[])?;
    let policy = r#"permit (principal in Group::"hosts", action, resource == App::"crm")
                    when { context.factors.contains("provider") && context.provider == "corp" };"#;
    corp.gate.put_policy(policy)?.ok()?;
    let token = access_token(&corp, "ci-7", AUDIENCE)?;
    // A token is no session: it has to be shown where sessions begin.
    is_kept_out(client, V4.crm());
    let login = portal(&corp, &token).post("/v1/login/token")?.ok()?;
    assert_eq!(login["session"]["user"], "ci", "{login}");
    reaches(client, V4.crm());
    is_kept_out(client, V4.vault());
    let session = corp.session()?;
    assert_eq!((&session["user"], &session["provider"]), (&json!("ci"), &json!("corp")), "{session}");

    let cut = stream(client, V4.crm())?;
    let gone = corp.gate.api.delete("/v1/services/ci")?.ok()?;
    assert_eq!(gone["receipts"][0]["cause"], "user_removed", "{gone}");
    falls_silent(&cut)?;
    is_kept_out(client, V4.crm());
    let ended = wait_for(&corp.gate, "session_end", |record| record["session"] == session["token"])?;
    assert_eq!(ended["cause"], "user_removed", "{ended}");
    portal(&corp, &token).post("/v1/login/token")?.problem(401)?;
    is_kept_out(client, V4.crm());
    Ok(())
}

#[test]
fn a_host_whose_program_is_another_one_from_now_on_or_is_disabled_loses_its_session() -> Result<()> {
    let corp = company()?;
    put_ci(&corp, "ci-7", &[])?;
    let token = access_token(&corp, "ci-7", AUDIENCE)?;
    let portal = portal(&corp, &token);
    portal.post("/v1/login/token")?.ok()?;
    let gone = corp.gate.api.post("/v1/users/ci/disable")?.ok()?;
    assert_eq!(gone["receipts"][0]["cause"], "user_disabled", "{gone}");
    let refused = portal.post("/v1/login/token")?.problem(403)?;
    assert_eq!(refused["type"], "urn:portcullis:problem:user-disabled", "{refused}");
    corp.gate.api.post("/v1/users/ci/enable")?.ok()?;
    portal.post("/v1/login/token")?.ok()?;
    let session = corp.session()?;
    put_ci(&corp, "ci-8", &[])?;
    assert!(corp.sessions()?.is_empty());
    let ended = wait_for(&corp.gate, "session_end", |record| record["session"] == session["token"])?;
    assert_eq!(ended["cause"], "service_changed", "{ended}");
    portal.post("/v1/login/token")?.problem(401)?;
    Ok(())
}
