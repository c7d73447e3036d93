//! The provider in C.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gateway_tests::{
    peer::{Glewlwyd, Page, ScimRecorder, glewlwyd::Settings, token},
    wait_until,
};
use serde_json::{Value, json};

use super::party::{CALLBACK, CLIENT, PASSWORD, Party, SECRET, endpoint, id_token, kid, local};

const PORT: u16 = 9446;
const SOON: Duration = Duration::from_secs(10);

fn start() -> Result<(Party, Glewlwyd, Value)> {
    let party = Party::new()?;
    let settings = Settings {
        clients: vec![json!({ "client_id": CLIENT, "client_secret": SECRET, "redirect_uri": [CALLBACK],
            "backchannel_logout_uri": format!("https://{}/logout", local(PORT + 1)),
        })],
        users: vec![json!({
            "username": "alice", "password": PASSWORD, "name": "Alice", "email": "alice@example.com",
            "preferred_username": "alice", "groups": ["staff"],
        })],
    };
    let provider = Glewlwyd::start(&party.host, local(PORT), &party.authority, &settings)?;
    let discovered = party.discover(&provider.issuer())?;
    Ok((party, provider, discovered))
}

fn log_in(party: &Party, provider: &Glewlwyd, discovered: &Value) -> Result<Page> {
    let begin = party.begin(discovered, &[])?;
    let login = party.browser.get(&begin)?.location.context("no redirect")?;
    assert!(login.contains("/login.html?"), "{login}");
    provider.login(&party.browser, "alice", PASSWORD, CLIENT)?;
    party.browser.visit(&Glewlwyd::continued(&begin), CALLBACK)?.pop().context("no page")
}

#[test]
fn a_person_logs_in_and_the_id_token_tells_who() -> Result<()> {
    let (party, provider, discovered) = start()?;
    let tokens = party.redeem(&discovered, &log_in(&party, &provider, &discovered)?)?;
    let claims = party.claims(&discovered, &tokens)?;
    assert_eq!((&claims["preferred_username"], &claims["groups"]), (&json!("alice"), &json!(["staff"])), "{claims}");
    assert_eq!(claims["amr"], json!(["password"]), "{claims}");
    assert!(claims["sub"].is_string() && claims["sid"].is_string() && claims["auth_time"].is_i64(), "{claims}");
    let token = tokens["refresh_token"].as_str().context("no refresh token")?;
    assert_eq!(party.grant(&discovered, "refresh_token", &[("refresh_token", token)])?.status, 200);
    provider.user(&json!({ "username": "alice", "enabled": false }))?;
    party.browser.forget();
    assert!(provider.login(&party.browser, "alice", PASSWORD, CLIENT).is_err());
    Ok(())
}

#[test]
fn a_device_is_logged_in_by_the_person_at_another_screen() -> Result<()> {
    let (party, provider, discovered) = start()?;
    let device = party.device(&discovered)?;
    assert_eq!(party.poll(&discovered, &device)?.json()?["error"], "authorization_pending");
    provider.login(&party.browser, "alice", PASSWORD, CLIENT)?;
    let enter = Glewlwyd::continued(endpoint(&device, "verification_uri_complete")?);
    let done = party.browser.visit(&enter, "")?.pop().context("no page")?;
    assert_eq!(done.status, 200, "{}", done.body);
    // It allows one question per second, and the first has been asked just now.
    let tokens =
        wait_until("the tokens", SOON, || party.poll(&discovered, &device).ok().filter(|page| page.status == 200))?
            .ok()?;
    assert_eq!(token::claims(id_token(&tokens)?)?["preferred_username"], "alice");
    Ok(())
}

#[test]
fn an_ended_session_is_told_to_the_client() -> Result<()> {
    let (party, provider, discovered) = start()?;
    let recorder = ScimRecorder::start(&party.host, local(PORT + 1), &party.authority)?;
    let tokens = party.redeem(&discovered, &log_in(&party, &provider, &discovered)?)?;
    let sid = party.claims(&discovered, &tokens)?["sid"].clone();
    provider.end_session(&party.browser, sid.as_str().context("no session")?)?;
    // It tells them on a thread of its own, later.
    let pushes = wait_until("the logout token", SOON, || recorder.pushes().ok().filter(|pushes| !pushes.is_empty()));
    let pushes = pushes.with_context(|| provider.process().output())?;
    let form = pushes.first().and_then(|push| push.body.as_str()).context("no logout token")?;
    let logout = token::claims(form.strip_prefix("logout_token=").context("no logout token")?)?;
    assert_eq!((&logout["sid"], &logout["aud"]), (&sid, &json!(CLIENT)), "{logout}");
    Ok(())
}

#[test]
fn a_new_key_signs_at_once() -> Result<()> {
    let (party, provider, discovered) = start()?;
    let before = kid(&party.redeem(&discovered, &log_in(&party, &provider, &discovered)?)?)?;
    assert_eq!(party.kids(&discovered)?, std::slice::from_ref(&before));
    provider.rotate()?;
    party.browser.forget();
    let after = kid(&party.redeem(&discovered, &log_in(&party, &provider, &discovered)?)?)?;
    assert_ne!(before, after);
    assert_eq!(party.kids(&discovered)?, [after]);
    Ok(())
}

#[test]
fn it_is_gone_when_dropped() -> Result<()> {
    let (party, provider, _) = start()?;
    assert!(party.listens(PORT)?);
    drop(provider);
    assert!(!party.listens(PORT)?);
    Ok(())
}
