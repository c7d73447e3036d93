//! Answers that belong to no login of this browser: nothing opens, and the page says why.

use anyhow::{Context as _, Result};
use gateway_tests::peer::{Browser, Page, oidc_provider::Trouble, web};

use super::corp::{Corp, PORTAL};
use crate::record::wait_for;
use crate::scene::{Apps, V4, is_kept_out, reaches};

/// A page that says why, with no session behind it.
fn is_refused(corp: &Corp, page: &Page, status: u16, reason: &str) -> Result<()> {
    assert_eq!(page.status, status, "{}", page.body);
    assert!(page.body.contains(&format!("<code>{reason}</code>")), "{}", page.body);
    assert!(!page.headers.iter().any(|(name, value)| name == "set-cookie" && value.starts_with("__Host-portcullis=")));
    assert!(corp.sessions()?.is_empty(), "{reason}");
    wait_for(&corp.gate, "login_failed", |record| record["why"] == reason)?;
    is_kept_out(&corp.gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn an_answer_that_this_browser_did_not_begin_is_refused() -> Result<()> {
    let corp = Corp::open("")?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    let callback = format!("{PORTAL}/sign-in/corp/callback");
    let with = |parameters: &[(&str, &str)]| corp.browser.get(&web::with_query(&callback, parameters));
    is_refused(&corp, &with(&[("code", "x"), ("state", "y")])?, 401, "state_wrong")?;
    is_refused(&corp, &with(&[("code", "x")])?, 401, "state_missing")?;
    is_refused(&corp, &with(&[("code", "x"), ("state", "y"), ("state", "z")])?, 401, "parameter_twice")?;

    // What one browser began does not let in another one at the same address.
    let stranger = Browser::new(&corp.gate.world.client, &corp.authority);
    let answer = corp.sign_in_halfway(&corp.browser, "alice")?;
    is_refused(&corp, &stranger.get(&answer)?, 401, "state_wrong")?;
    // That used it up.
    is_refused(&corp, &corp.browser.get(&answer)?, 401, "state_wrong")?;
    Ok(())
}

#[test]
fn an_answer_counts_at_the_address_where_the_login_began_and_once() -> Result<()> {
    let corp = Corp::open("")?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    // At another address, with the cookie by which the browser is known: browsers keep it for the host that has set it.
    let elsewhere = Browser::new(&corp.gate.world.client2, &corp.authority);
    let answer = corp.sign_in_halfway(&corp.browser, "alice")?;
    let cookie = corp.browser.cookie("__Host-portcullis-sign-in").context("no cookie")?;
    let cookie = format!("Cookie: __Host-portcullis-sign-in={cookie}");
    let page = elsewhere.send("GET", &answer.replacen(PORTAL, "https://10.78.0.1", 1), &[&cookie], &[])?;
    is_refused(&corp, &page, 401, "state_wrong")?;

    let answer = corp.sign_in_halfway(&corp.browser, "alice")?;
    assert_eq!(corp.browser.get(&answer)?.status, 303);
    let before = corp.session()?;
    let twice = corp.browser.get(&answer)?;
    assert!(twice.status == 401 && twice.body.contains("<code>state_wrong</code>"), "{}", twice.body);
    assert_eq!(corp.session()?["token"], before["token"]);
    reaches(&corp.gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn whoever_changes_their_mind_at_the_provider_is_told_and_can_try_again() -> Result<()> {
    let corp = Corp::open("")?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    let form = corp.browser.visit(&format!("{PORTAL}/sign-in/corp"), "")?.pop().expect("a page");
    let cancel = form.form("abort")?.press("abort");
    let page = corp.browser.follow(corp.browser.submit(&form, &cancel)?, "")?.pop().expect("a page");
    is_refused(&corp, &page, 401, "access_denied")?;
    assert_eq!(corp.sign_in(&corp.browser, "alice")?.status, 200);
    Ok(())
}

#[test]
fn a_provider_that_is_away_is_a_page_that_says_so_and_nothing_else() -> Result<()> {
    let corp = Corp::open("")?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    for (trouble, reason) in [(Trouble::Down, "provider_fails"), (Trouble::Reset, "provider_unreachable")] {
        // It falls ill between the two halves of a login: nothing that is kept helps there.
        let answer = corp.sign_in_halfway(&corp.browser, "alice")?;
        corp.provider.trouble(trouble)?;
        is_refused(&corp, &corp.browser.get(&answer)?, 503, reason)?;
        corp.provider.trouble(Trouble::None)?;
    }
    assert_eq!(corp.sign_in(&corp.browser, "alice")?.status, 200);
    reaches(&corp.gate.world.client, V4.crm());
    Ok(())
}
