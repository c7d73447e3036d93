//! Whoever has no browser at hand logs in by a code that they confirm at another screen.

use std::thread;

use anyhow::{Context as _, Result, anyhow};
use gateway_tests::{
    Cli,
    peer::{Browser, oidc_provider::Trouble},
    wait_until,
};
use serde_json::{Value, json};

use super::corp::{Corp, PASSWORD, issuer, last};
use crate::cli::person;
use crate::scene::{Apps, SOON, V4, is_kept_out, reaches};

/// A person's command line on the client.
fn cli(corp: &Corp) -> Result<Cli> {
    Ok(person(&corp.gate)?.env("PORTCULLIS_CA", &corp.authority.root().display().to_string()))
}

/// Somebody enters a code, in this browser, and logs in.
fn confirm(browser: &Browser, code: &str) -> Result<()> {
    let page = browser.get(&format!("{}/device", issuer()))?;
    let page = browser.submit(&page, &page.form("user_code")?.fill("user_code", code))?;
    let page = last(browser.follow(browser.submit(&page, &page.form("confirm")?)?, "")?)?;
    let form = page.form("login")?.fill("login", "alice").fill("password", PASSWORD);
    let done = last(browser.follow(browser.submit(&page, &form)?, "")?)?;
    assert_eq!(done.status, 200, "{}", done.body);
    Ok(())
}

#[test]
fn a_person_logs_in_with_the_command_line_and_confirms_it_at_another_screen() -> Result<()> {
    let corp = Corp::open("")?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    let alice = cli(&corp)?;
    let listed = alice.run(&["provider", "list"])?;
    assert!(listed.code == 0 && listed.stdout.contains("corp") && listed.stdout.contains("Example Corp"), "{listed:?}");
    let unknown = alice.run(&["login", "--provider", "corpse"])?;
    assert!(unknown.code == 1 && unknown.stderr.contains("`corpse` is not configured"), "{unknown:?}");

    let logging_in = thread::spawn(move || alice.run(&["--json", "login", "--provider", "corp"]));
    let code = wait_until("the login to begin", SOON, || corp.provider.user_code().ok())?;
    is_kept_out(client, V4.crm());
    // The screen is at another address than the one that is logged in.
    confirm(&corp.browser.on(&corp.gate.world.gateway), &code)?;
    let login = logging_in.join().map_err(|_| anyhow!("the command panicked"))??;
    assert_eq!(login.code, 0, "{login:?}");
    // It shows the code with a dash in it.
    let told = login.stderr.replace('-', "");
    assert!(told.contains(&format!("{}/device", issuer())) && told.contains(&code), "{login:?}");
    assert_eq!(login.json()?["user"], "alice", "{login:?}");
    assert_eq!(corp.session()?["address"], "10.77.0.2");
    reaches(client, V4.crm());
    assert_eq!(cli(&corp)?.run(&["logout"])?.code, 0);
    is_kept_out(client, V4.crm());
    Ok(())
}

#[test]
fn a_code_that_somebody_confirms_logs_in_the_machine_that_asked_and_no_other() -> Result<()> {
    let corp = Corp::open("")?;
    let (client, client2) = (&corp.gate.world.client, &corp.gate.world.client2);
    let portal = corp.gate.portal(client, V4.guard0);
    let begun = portal.post("/v1/login/device/corp")?.ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| format!("{begun}"));
    let id = json!({ "id": text(&begun["id"])? });
    assert_eq!(portal.post_json("/v1/login/device", &id)?.status, 202);
    confirm(&corp.browser, &text(&begun["user_code"])?)?;
    // From elsewhere it is worth nothing, and is used up by the attempt.
    corp.gate.portal(client2, V4.guard1).post_json("/v1/login/device", &id)?.problem(401)?;
    portal.post_json("/v1/login/device", &id)?.problem(401)?;
    assert!(corp.sessions()?.is_empty());
    Ok(())
}

#[test]
fn a_login_by_code_survives_an_outage_of_the_provider() -> Result<()> {
    let corp = Corp::open("")?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    let portal = corp.gate.portal(&corp.gate.world.client, V4.guard0);
    let begun = portal.post("/v1/login/device/corp")?.ok()?;
    let id = json!({ "id": begun["id"] });
    confirm(&corp.browser, begun["user_code"].as_str().context("no code")?)?;
    corp.provider.trouble(Trouble::Down)?;
    let away = || portal.post_json("/v1/login/device", &id).ok().filter(|answer| answer.status == 503).map(drop);
    wait_until("the outage to be told", SOON, away)?;
    corp.provider.trouble(Trouble::None)?;
    let begins = || portal.post_json("/v1/login/device", &id).ok().filter(|answer| answer.status == 200).map(drop);
    wait_until("the session to begin", SOON, begins)?;
    reaches(&corp.gate.world.client, V4.crm());
    Ok(())
}
