//! A person signs in with a browser, and out.

use anyhow::{Context as _, Result};
use gateway_tests::peer::{Browser, Page, form::unescape};
use serde_json::json;

use super::corp::{Corp, PORTAL, issuer, last};
use crate::record::wait_for;
use crate::scene::{Apps, V4, falls_silent, is_kept_out, reaches, stream};

#[test]
fn a_person_signs_in_at_their_provider_sees_what_they_can_reach_and_reaches_it() -> Result<()> {
    let corp = Corp::open("")?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    is_kept_out(client, V4.crm());
    let first = corp.browser.get(&format!("{PORTAL}/"))?;
    assert!(first.body.contains("Sign in with Example Corp"), "{}", first.body);

    let page = corp.sign_in(&corp.browser, "alice")?;
    assert_eq!((page.status, page.url.as_str()), (200, "https://10.77.0.1/"), "{}", page.body);
    assert!(page.body.contains("<strong>alice</strong> by corp") && page.body.contains("crm"), "{}", page.body);
    assert!(!page.body.contains("vault"), "{}", page.body);
    reaches(client, V4.crm());
    is_kept_out(client, V4.vault());
    is_kept_out(&corp.gate.world.client2, V4.crm());

    let session = corp.session()?;
    assert_eq!((&session["provider"], &session["amr"]), (&json!("corp"), &json!(["pwd"])), "{session}");
    assert!(session["authenticated_at"].is_string(), "{session}");
    let login = wait_for(&corp.gate, "login", |record| record["session"] == session["token"])?;
    assert_eq!((&login["user"], &login["apps"]), (&json!("alice"), &json!(["crm"])), "{login}");
    let user = corp.gate.api.get("/v1/users/alice")?.ok()?;
    assert_eq!((&user["groups"], &user["provider"]), (&json!(["finance"]), &json!("corp")), "{user}");
    Ok(())
}

#[test]
fn signing_out_on_the_page_cuts_the_open_connection_and_leads_on_to_the_provider() -> Result<()> {
    let corp = Corp::open("")?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    let page = corp.sign_in(&corp.browser, "alice")?;
    let cut = stream(client, V4.crm())?;
    let session = corp.session()?;

    let page = corp.browser.post_from(&page, "/sign-out")?;
    assert_eq!(page.status, 200, "{}", page.body);
    falls_silent(&cut)?;
    is_kept_out(client, V4.crm());
    let ended = wait_for(&corp.gate, "session_end", |record| record["session"] == session["token"])?;
    assert_eq!((&ended["cause"], &ended["by"]), (&json!("logout"), &json!("alice")), "{ended}");

    let end = link(&page, &format!("{}/session/end", issuer()))?;
    let asked = corp.browser.get(&end)?;
    let signed_out = corp.browser.submit(&asked, &asked.form("xsrf")?.fill("logout", "yes"))?;
    let home = last(corp.browser.follow(signed_out, "")?)?;
    assert!(home.url.starts_with(PORTAL) && home.body.contains("Sign in with Example Corp"), "{home:?}");
    assert!(corp.browser.visit(&format!("{PORTAL}/sign-in/corp"), "")?.pop().context("no page")?.form("login").is_ok());
    Ok(())
}

#[test]
fn the_page_of_one_browser_is_not_that_of_another_at_the_same_address() -> Result<()> {
    let corp = Corp::open("")?;
    corp.sign_in(&corp.browser, "alice")?;
    let other = Browser::new(&corp.gate.world.client, &corp.authority);
    let page = other.get(&format!("{PORTAL}/"))?;
    assert!(!page.body.contains("alice"), "{}", page.body);
    other.post_from(&page, "/sign-out")?;
    assert_eq!(corp.sessions()?.len(), 1, "a browser without the cookie has ended a session");
    Ok(())
}

/// An address that a page links to and that begins so.
fn link(page: &Page, begin: &str) -> Result<String> {
    let (_, rest) = page.body.split_once(&format!("href=\"{begin}")).with_context(|| page.body.clone())?;
    let (rest, _) = rest.split_once('"').context("a link without an end")?;
    Ok(format!("{begin}{}", unescape(rest)))
}
