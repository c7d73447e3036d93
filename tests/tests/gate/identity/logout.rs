//! Somebody signs out at the provider, or is signed out there: it tells the gateway.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use gateway_tests::{Outcome, peer::ScimRecorder, stream::End, wait_until};
use serde_json::json;

use super::corp::{Corp, SCIM_TOKEN, settings};
use super::provision::PUSHED;
use crate::record::wait_for;
use crate::scene::{Apps, SOON, V4, falls_silent, goes_on, is_kept_out, reaches, stream};

#[test]
fn a_session_that_ends_at_the_provider_ends_here_with_its_connection_and_no_other() -> Result<()> {
    let corp = Corp::open("")?;
    let (client, client2) = (&corp.gate.world.client, &corp.gate.world.client2);
    let _apps = Apps::start(&corp.gate.world, V4)?;
    // bob has a password of the gateway: he is nobody whom the provider could sign out.
    corp.gate.introduce("robert", "ops")?;
    corp.gate.login(client2, V4.guard1, "robert")?;
    corp.sign_in(&corp.browser, "alice")?;
    let session = corp.sessions()?.into_iter().find(|session| session["user"] == "alice").context("no session")?;
    let (cut, untouched) = (stream(client, V4.crm())?, stream(client2, V4.vault())?);

    assert_eq!(corp.provider.end_sessions("u-1")?, 1);
    let reset = wait_until("the end of the stream", SOON, || cut.ended().map(|(end, _)| end))?;
    assert_eq!(reset, End::Cut(Outcome::Reset));
    is_kept_out(client, V4.crm());
    goes_on(&untouched)?;
    let log = corp.provider.log()?;
    assert_eq!(log["failures"], json!([]), "{log}");
    let ended = wait_for(&corp.gate, "session_end", |record| record["session"] == session["token"])?;
    assert_eq!((&ended["cause"], &ended["by"]), (&json!("provider_logout"), &json!("provider corp")), "{ended}");

    // It was no suspension.
    assert_eq!(corp.sign_in(&corp.browser, "alice")?.status, 200);
    reaches(client, V4.crm());
    Ok(())
}

#[test]
fn a_logout_token_counts_once_and_only_at_the_provider_that_it_is_for() -> Result<()> {
    let mut settings = settings();
    // It takes down what comes, and the test passes it on.
    let address: SocketAddr = "127.0.0.1:9460".parse()?;
    settings.clients[0]["backchannel_logout_uri"] = json!(format!("https://{address}/logout"));
    let corp = Corp::with("", &settings)?;
    let recorder = ScimRecorder::start(&corp.gate.world.gateway, address, &corp.authority)?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let cut = stream(&corp.gate.world.client, V4.crm())?;
    corp.provider.end_sessions("u-1")?;
    let pushes = recorder.pushes()?;
    let form = pushes.first().and_then(|push| push.body.as_str()).context("no logout token")?;
    let post = |path: &str, form: &str| {
        corp.gate.api.anonymous().send("POST", path, Some(("application/x-www-form-urlencoded", form)))
    };
    post("/oidc/other/logout", form)?.problem(404)?;
    // In the middle of the signature: not every bit of its last character counts.
    let (head, tail) = form.split_at(form.len() - 20);
    let other = if tail.starts_with('A') { "B" } else { "A" };
    post("/oidc/corp/logout", &format!("{head}{other}{}", &tail[1..]))?.problem(400)?;
    post("/oidc/corp/logout", "logout_token=")?.problem(400)?;
    goes_on(&cut)?;

    let answer = post("/oidc/corp/logout", form)?.ok()?;
    assert_eq!(answer["receipts"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(answer["receipts"][0]["cause"], "provider_logout");
    falls_silent(&cut)?;

    corp.sign_in(&corp.browser, "alice")?;
    let again = post("/oidc/corp/logout", form)?.problem(400)?;
    assert!(again["detail"].as_str().is_some_and(|detail| detail.contains("before")), "{again}");
    reaches(&corp.gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn providers_are_not_heard_where_people_sign_in() -> Result<()> {
    let corp = Corp::open(PUSHED)?;
    let portal = corp.gate.portal(&corp.gate.world.client, V4.guard0).bearer(SCIM_TOKEN);
    let form = Some(("application/x-www-form-urlencoded", "logout_token=x"));
    assert_eq!(portal.send("POST", "/oidc/corp/logout", form)?.status, 404);
    assert_eq!(portal.get("/scim/v2/Users")?.status, 404);
    assert_eq!(corp.scim(SCIM_TOKEN).get("/Users")?.status, 200);
    Ok(())
}
