//! The provider of npm.

use std::fs;

use anyhow::{Context as _, Result};
use gateway_tests::peer::{
    Authority, Browser, OidcProvider, Page, ScimRecorder,
    oidc_provider::{Settings, Trouble},
    token,
};
use serde_json::{Value, json};

use super::party::{CALLBACK, CLIENT, PASSWORD, Party, SECRET, endpoint, id_token, kid, local};

const PORT: u16 = 9443;
const AUDIENCE: &str = "https://gateway.example.com/scim";

fn settings() -> Settings {
    let grants = ["authorization_code", "refresh_token", "client_credentials", DEVICE];
    Settings {
        clients: vec![json!({
            "client_id": CLIENT, "client_secret": SECRET, "redirect_uris": [CALLBACK], "grant_types": grants,
            "token_endpoint_auth_method": "client_secret_post", "id_token_signed_response_alg": "ES256",
            "post_logout_redirect_uris": [BYE], "backchannel_logout_session_required": true,
            // The recorder takes down whatever comes.
            "backchannel_logout_uri": format!("https://{}/logout", local(PORT + 1)),
        })],
        accounts: vec![json!({
            "sub": "u-1", "preferred_username": "alice", "password": PASSWORD, "name": "Alice", "groups": ["staff"],
            "email": "alice@example.com", "acr": "urn:example:mfa", "amr": ["pwd", "otp"], "authenticated_ago": 100,
        })],
        resource_scopes: vec!["scim".to_owned()],
        login_by_hint: true,
        ..Settings::default()
    }
}

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const BYE: &str = "https://gateway.example.com/bye";

fn start() -> Result<(Party, OidcProvider, Value)> {
    let party = Party::new()?;
    let provider = OidcProvider::start(&party.host, local(PORT), &party.authority, &settings())?;
    let discovered = party.discover(provider.issuer())?;
    Ok((party, provider, discovered))
}

/// Logs alice in by the form, from the address where it begins.
fn log_in(party: &Party, begin: &str) -> Result<Page> {
    let form_page = party.browser.visit(begin, CALLBACK)?.pop().context("no page")?;
    let form = form_page.form("login")?.fill("login", "alice").fill("password", PASSWORD);
    let pages = party.browser.follow(party.browser.submit(&form_page, &form)?, CALLBACK)?;
    pages.into_iter().last().context("no page")
}

fn tokens(party: &Party, discovered: &Value) -> Result<Value> {
    let hinted = party.begin(discovered, &[("login_hint", "alice")])?;
    let redirect = party.browser.visit(&hinted, CALLBACK)?.pop().context("no page")?;
    party.redeem(discovered, &redirect)
}

#[test]
fn a_person_logs_in_by_the_form_and_the_id_token_tells_who_and_how() -> Result<()> {
    let (party, _provider, discovered) = start()?;
    assert_eq!(discovered["authorization_response_iss_parameter_supported"], true);
    assert_eq!(discovered["backchannel_logout_supported"], true);
    let tokens = party.redeem(&discovered, &log_in(&party, &party.begin(&discovered, &[])?)?)?;
    let claims = party.claims(&discovered, &tokens)?;
    assert_eq!(token::header(id_token(&tokens)?)?["alg"], "ES256");
    assert_eq!(claims["sub"], "u-1");
    assert_eq!(claims["preferred_username"], "alice");
    assert_eq!(claims["groups"], json!(["staff"]));
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("urn:example:mfa"), &json!(["pwd", "otp"])));
    let age = claims["iat"].as_i64().zip(claims["auth_time"].as_i64()).map(|(now, then)| now - then);
    assert!(age.is_some_and(|age| (100..160).contains(&age)), "{claims}");
    Ok(())
}

#[test]
fn a_wrong_password_and_a_change_of_mind_yield_no_code() -> Result<()> {
    let (party, _provider, discovered) = start()?;
    let page = party.browser.visit(&party.begin(&discovered, &[])?, CALLBACK)?.pop().context("no page")?;
    let wrong = page.form("login")?.fill("login", "alice").fill("password", "wrong");
    let again = party.browser.submit(&page, &wrong)?;
    assert_eq!(again.status, 403);
    let back = party.browser.submit(&again, &again.form("login")?.press("abort"))?;
    let back = party.browser.follow(back, CALLBACK)?.pop().context("no page")?;
    assert_eq!(back.parameter("error")?, "access_denied");
    assert!(back.parameter("code").is_err());
    Ok(())
}

#[test]
fn what_an_account_says_changes_with_the_next_refresh() -> Result<()> {
    let (party, provider, discovered) = start()?;
    let first = tokens(&party, &discovered)?;
    provider.account(&json!({ "sub": "u-1", "groups": ["staff", "admins"] }))?;
    let refresh = |tokens: &Value| {
        let token = tokens["refresh_token"].as_str().context("no refresh token")?.to_owned();
        party.grant(&discovered, "refresh_token", &[("refresh_token", &token)])
    };
    let second = refresh(&first)?.ok()?;
    assert_eq!(token::claims(id_token(&second)?)?["groups"], json!(["staff", "admins"]));
    provider.account(&json!({ "sub": "u-1", "disabled": true }))?;
    let refused = refresh(&second)?;
    assert_eq!((refused.status, &refused.json()?["error"]), (400, &json!("invalid_grant")));
    Ok(())
}

#[test]
fn a_device_is_logged_in_by_the_person_at_another_screen() -> Result<()> {
    let (party, _provider, discovered) = start()?;
    let device = party.device(&discovered)?;
    assert_eq!(party.poll(&discovered, &device)?.json()?["error"], "authorization_pending");
    let page = party.browser.get(endpoint(&device, "verification_uri")?)?;
    let code = page.form("user_code")?.fill("user_code", endpoint(&device, "user_code")?);
    let page = party.browser.submit(&page, &code)?;
    let page = party.browser.submit(&page, &page.form("confirm")?)?;
    let page = party.browser.follow(page, CALLBACK)?.pop().context("no page")?;
    let form = page.form("login")?.fill("login", "alice").fill("password", PASSWORD);
    let done = party.browser.follow(party.browser.submit(&page, &form)?, CALLBACK)?.pop().context("no page")?;
    assert_eq!(done.status, 200, "{}", done.body);
    let tokens = party.poll(&discovered, &device)?.ok()?;
    assert_eq!(token::claims(id_token(&tokens)?)?["sub"], "u-1");
    Ok(())
}

#[test]
fn new_keys_sign_at_once_and_the_old_ones_stay_published_until_they_are_dropped() -> Result<()> {
    let (party, provider, discovered) = start()?;
    let before = kid(&tokens(&party, &discovered)?)?;
    provider.rotate(true)?;
    let after = kid(&tokens(&party, &discovered)?)?;
    assert_ne!(before, after);
    let published = party.kids(&discovered)?;
    assert!(published.contains(&before) && published.contains(&after), "{published:?}");
    assert_eq!(provider.rotate(false)?, party.kids(&discovered)?);
    assert!(!party.kids(&discovered)?.contains(&after));
    Ok(())
}

#[test]
fn an_ended_session_is_told_to_the_client_and_its_tokens_are_void() -> Result<()> {
    let (party, provider, discovered) = start()?;
    let recorder = ScimRecorder::start(&party.host, local(PORT + 1), &party.authority)?;
    let tokens = tokens(&party, &discovered)?;
    let sid = party.claims(&discovered, &tokens)?["sid"].clone();
    assert!(sid.is_string());
    assert_eq!(provider.end_sessions("u-1")?, 1);
    let log = provider.log()?;
    // The recorder takes no forms: it has seen the request, and said 404.
    let told = log["failures"].as_array().into_iter().flatten().find(|failure| failure["kind"] == "backchannel");
    assert_eq!(told.map(|told| (&told["sub"], &told["sid"])), Some((&json!("u-1"), &sid)), "{log}");
    let pushes = recorder.pushes()?;
    let form = pushes
        .first()
        .and_then(|push| push.body.as_str())
        .with_context(|| format!("no logout token: {log} {pushes:?}"))?;
    let logout = token::claims(form.strip_prefix("logout_token=").context("no logout token")?)?;
    assert_eq!((&logout["sub"], &logout["sid"], &logout["aud"]), (&json!("u-1"), &sid, &json!(CLIENT)));
    let refresh = tokens["refresh_token"].as_str().context("no refresh token")?;
    assert_eq!(party.grant(&discovered, "refresh_token", &[("refresh_token", refresh)])?.status, 400);
    Ok(())
}

#[test]
fn a_person_logs_out_and_comes_back() -> Result<()> {
    let (party, _provider, discovered) = start()?;
    let tokens = tokens(&party, &discovered)?;
    let query = [("id_token_hint", id_token(&tokens)?), ("post_logout_redirect_uri", BYE), ("client_id", CLIENT)];
    let end = gateway_tests::peer::web::with_query(endpoint(&discovered, "end_session_endpoint")?, &query);
    let page = party.browser.get(&end)?;
    let pages = party.browser.submit(&page, &page.form("xsrf")?.fill("logout", "yes"))?;
    let last = party.browser.follow(pages, BYE)?.pop().context("no page")?;
    assert!(last.location.is_some_and(|location| location.starts_with(BYE)), "{}", last.body);
    Ok(())
}

#[test]
fn a_client_gets_an_access_token_for_an_audience() -> Result<()> {
    let (party, _provider, discovered) = start()?;
    let answer = party.grant(&discovered, "client_credentials", &[("resource", AUDIENCE), ("scope", "scim")])?.ok()?;
    let access = answer["access_token"].as_str().context("no access token")?;
    let (header, claims) = (token::header(access)?, token::claims(access)?);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    assert_eq!(
        (&claims["aud"], &claims["scope"], &claims["client_id"]),
        (&json!(AUDIENCE), &json!("scim"), &json!(CLIENT))
    );
    Ok(())
}

#[test]
fn its_troubles_are_those_that_were_asked_for() -> Result<()> {
    let (party, provider, _) = start()?;
    let discovery = format!("{}/.well-known/openid-configuration", provider.issuer());
    provider.trouble(Trouble::Down)?;
    assert_eq!(party.back.get(&discovery)?.status, 503);
    provider.trouble(Trouble::Garbage)?;
    assert!(party.back.get(&discovery)?.json().is_err());
    provider.trouble(Trouble::Reset)?;
    assert!(party.back.get(&discovery).is_err());
    provider.trouble(Trouble::Slow(20))?;
    assert_eq!(party.back.get(&discovery)?.status, 200);
    provider.trouble(Trouble::None)?;
    assert_eq!(party.back.get(&discovery)?.status, 200);
    Ok(())
}

#[test]
fn its_certificate_is_one_that_the_gateway_can_verify() -> Result<()> {
    let (party, provider, _) = start()?;
    let root = reqwest::Certificate::from_pem(&fs::read(party.authority.root())?)?;
    let ask = async {
        let client = reqwest::Client::builder().add_root_certificate(root).no_proxy().build()?;
        client.get(format!("{}/jwks", provider.issuer())).send().await?.error_for_status()?.text().await
    };
    // The library of the gateway; another test may have been faster.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let keys: Value = serde_json::from_str(&party.host.enter(|| runtime.block_on(ask))??)?;
    assert!(keys["keys"].as_array().is_some_and(|keys| keys.iter().all(|key| key["kid"].is_string())), "{keys}");
    Ok(())
}

#[test]
fn it_is_gone_when_dropped_and_its_certificate_is_only_of_its_own_authority() -> Result<()> {
    let (party, provider, _) = start()?;
    let other = Authority::new()?;
    let stranger = Browser::new(&party.host, &other);
    assert!(stranger.get(provider.issuer()).is_err());
    other.trust(&party.authority.root())?;
    assert!(stranger.get(provider.issuer()).is_ok());
    assert!(party.listens(PORT)?);
    drop(provider);
    assert!(!party.listens(PORT)?);
    OidcProvider::start(&party.host, local(PORT), &party.authority, &settings()).map(drop)
}
