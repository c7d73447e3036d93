//! The gateway asks the provider again and again whether a session may go on.

use anyhow::{Context as _, Result};
use gateway_tests::{
    peer::{Browser, oidc_provider::Trouble},
    wait_until,
};
use serde_json::{Value, json};

use super::corp::{Corp, PORTAL};
use crate::record::{sum, wait_for};
use crate::scene::{Apps, SOON, V4, falls_silent, goes_on, is_kept_out, reaches, stream};

/// Waits until the provider has been asked once more; what the gateway made of the answer.
fn asked(corp: &Corp, result: &str) -> Result<()> {
    let prefix = format!("portcullis_renewals_total{{result=\"{result}\"}}");
    let count = || corp.gate.api.get("/metrics").map(|metrics| sum(&metrics.text, &prefix));
    let before = count()?;
    wait_until(&format!("the answer `{result}`"), SOON, || (count().ok()? > before).then_some(()))
}

#[test]
fn a_session_goes_on_as_long_as_the_provider_says_so_and_ends_when_it_does_not() -> Result<()> {
    let corp = Corp::open("recheck = \"1s\"")?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let session = corp.session()?;
    let cut = stream(client, V4.crm())?;
    // Twice: the second time it asks with what the first answer has brought.
    asked(&corp, "goes_on")?;
    asked(&corp, "goes_on")?;
    goes_on(&cut)?;

    corp.provider.account(&json!({ "sub": "u-1", "disabled": true }))?;
    falls_silent(&cut)?;
    is_kept_out(client, V4.crm());
    let ended = wait_for(&corp.gate, "session_end", |record| record["session"] == session["token"])?;
    assert_eq!((&ended["cause"], &ended["by"]), (&json!("provider_refused"), &json!("provider corp")), "{ended}");
    Ok(())
}

#[test]
fn groups_follow_what_the_provider_says_while_a_session_goes_on() -> Result<()> {
    let corp = Corp::open("recheck = \"1s\"")?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let cut = stream(client, V4.crm())?;
    corp.provider.account(&json!({ "sub": "u-1", "groups": ["ops"] }))?;
    falls_silent(&cut)?;
    is_kept_out(client, V4.crm());
    reaches(client, V4.vault());
    assert_eq!(corp.sessions()?.len(), 1);
    Ok(())
}

#[test]
fn whoever_does_not_belong_to_those_who_may_come_in_any_more_is_out_at_the_next_question() -> Result<()> {
    let corp = Corp::open("recheck = \"1s\"\n[provider.require]\ngroups = \"finance\"")?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let session = corp.session()?;
    let cut = stream(client, V4.crm())?;
    corp.provider.account(&json!({ "sub": "u-1", "groups": ["ops"] }))?;
    asked(&corp, "claim_required")?;
    falls_silent(&cut)?;
    is_kept_out(client, V4.vault());
    let ended = wait_for(&corp.gate, "session_end", |record| record["session"] == session["token"])?;
    assert_eq!((&ended["cause"], &ended["by"]), (&json!("provider_refused"), &json!("provider corp")), "{ended}");
    Ok(())
}

#[test]
fn a_provider_that_is_away_ends_no_session_and_begins_none() -> Result<()> {
    let corp = Corp::open("recheck = \"1s\"")?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let session = corp.session()?;
    let kept = stream(client, V4.crm())?;
    let other = Browser::new(client, &corp.authority);
    let answer = corp.sign_in_halfway(&other, "alice")?;
    corp.provider.trouble(Trouble::Down)?;
    asked(&corp, "provider_fails")?;
    goes_on(&kept)?;
    let page = other.get(&answer)?;
    assert!(page.status == 503 && page.body.contains("cannot be asked now"), "{} {}", page.status, page.body);
    assert_eq!(corp.session()?["token"], session["token"]);
    // Who has a password of the gateway needs no provider.
    corp.gate.introduce("robert", "ops")?;
    corp.gate.login(&corp.gate.world.client2, V4.guard1, "robert")?;
    let first = corp.gate.api.get("/readyz")?;
    assert_eq!(first.status, 200, "{}", first.text);
    Ok(())
}

#[test]
fn new_keys_of_the_provider_matter_to_no_session_and_to_no_login() -> Result<()> {
    let corp = Corp::open("")?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let kept = stream(client, V4.crm())?;
    // None of the old ones is published any more.
    corp.provider.rotate(false)?;
    goes_on(&kept)?;
    let again = corp.sign_in(&corp.browser, "alice")?;
    assert_eq!((again.status, again.url.as_str()), (200, format!("{PORTAL}/").as_str()), "{}", again.body);
    reaches(client, V4.crm());
    // A logout token is signed with them too.
    corp.provider.end_sessions("u-1")?;
    let log = corp.provider.log()?;
    assert_eq!(log["failures"], json!([]), "{log}");
    assert_eq!(corp.sessions()?, Vec::<Value>::new());
    let told = log["requests"].as_array().context("no requests")?;
    assert!(told.iter().any(|request| request["kind"] == "backchannel"), "{log}");
    Ok(())
}
