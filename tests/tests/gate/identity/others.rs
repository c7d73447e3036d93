//! Other providers: one that pushes its people by SCIM, and one in C that ends sessions.

use anyhow::{Context as _, Result};
use gateway_tests::{
    Stream, World,
    peer::{Authority, Browser, Canaille, Glewlwyd, Page, canaille, glewlwyd},
};
use serde_json::json;

use super::corp::{Corp, MANAGEMENT, PASSWORD, PLAIN, PORTAL, SCIM, SCIM_TOKEN, SCOPES, address, issuer, last};
use crate::record::wait_for;
use crate::scene::{Apps, V4, falls_silent, is_kept_out, reaches, stream};

const BEGIN: &str = "https://10.77.0.1/sign-in/corp";
const CALLBACK: &str = "https://10.77.0.1/sign-in/corp/callback";

/// Its `sub` is the name of a user, and what it pushes has another id.
const BY_NAME: &str = "scopes = [\"profile\", \"email\", \"groups\"]\nusers = \"scim\"\ngroups = \"scim\"\n\
                       [provider.scim]\ntoken_file = \"{scratch}/scim\"\nlink = \"username\"";

fn with_canaille() -> Result<Corp<Canaille>> {
    let settings = canaille::Settings {
        clients: vec![json!({
            "client_id": PLAIN.0, "client_secret": PLAIN.1, "redirect_uris": [CALLBACK], "client_uri": SCIM,
            "scim_token": SCIM_TOKEN, "post_logout_redirect_uris": [format!("{PORTAL}/")],
        })],
        // Whose clients need no consent, and hear of everybody.
        trusted: vec!["127.0.0.1".to_owned()],
        ..canaille::Settings::default()
    };
    Corp::around(&issuer(), PLAIN, BY_NAME, |world: &World, authority: &Authority| {
        Canaille::start(&world.gateway, address(), authority, &settings)
    })
}

/// Signs in by its two forms.
fn sign_in(browser: &Browser, user: &str) -> Result<Page> {
    let page = last(browser.visit(BEGIN, "")?)?;
    let Ok(form) = page.form("login") else { return Ok(page) };
    let page = last(browser.follow(browser.submit(&page, &form.fill("login", user))?, "")?)?;
    let form = page.form("password")?.fill("password", PASSWORD);
    last(browser.follow(browser.submit(&page, &form)?, "")?)
}

/// Lets canaille push a change, and waits until it is felt.
fn until_silent(corp: &Corp<Canaille>, cut: &Stream, change: impl Fn() -> Result<String>) -> Result<()> {
    change()?;
    falls_silent(cut).with_context(|| corp.provider.script().log())
}

#[test]
fn canaille_pushes_its_people_and_whoever_it_locks_or_deletes_is_cut_off() -> Result<()> {
    let corp = with_canaille()?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    for name in ["alice", "bob"] {
        let email = format!("{name}@example.com");
        let user = json!({ "user_name": name, "family_name": "Ant", "formatted_name": "An Ant", "display_name": name,
            "emails": [email], "password": PASSWORD });
        corp.provider.user(&user).with_context(|| corp.provider.script().log())?;
    }
    corp.provider.group(&json!({ "display_name": "finance", "members": ["alice", "bob"] }))?;
    let pushed = corp.gate.api.get("/v1/users/alice")?.ok().with_context(|| corp.provider.script().log())?;
    assert_eq!((&pushed["provider"], &pushed["groups"]), (&json!("corp"), &json!(["finance"])), "{pushed}");

    let page = sign_in(&corp.browser, "alice")?;
    assert_eq!((page.status, page.url.as_str()), (200, "https://10.77.0.1/"), "{}", page.body);
    let session = corp.session()?;
    let cut = stream(client, V4.crm())?;
    let lock = || corp.provider.user(&json!({ "user_name": "alice", "locked": true }));
    until_silent(&corp, &cut, lock)?;
    is_kept_out(client, V4.crm());
    let ended = wait_for(&corp.gate, "session_end", |record| record["session"] == session["token"])?;
    assert_eq!((&ended["cause"], &ended["by"]), (&json!("user_suspended"), &json!("provider corp")), "{ended}");

    corp.provider.user(&json!({ "user_name": "alice", "locked": false }))?;
    corp.browser.forget();
    assert_eq!(sign_in(&corp.browser, "alice")?.status, 200);
    let cut = stream(client, V4.crm())?;
    let leave = || corp.provider.group(&json!({ "display_name": "finance", "members": ["bob"] }));
    until_silent(&corp, &cut, leave)?;
    is_kept_out(client, V4.crm());
    assert_eq!(corp.sessions()?.len(), 1);

    corp.provider.group(&json!({ "display_name": "finance", "members": ["alice", "bob"] }))?;
    reaches(client, V4.crm());
    let cut = stream(client, V4.crm())?;
    corp.provider.delete_user("alice")?;
    falls_silent(&cut).with_context(|| format!("deleted: {}", corp.provider.script().log()))?;
    is_kept_out(client, V4.crm());
    assert_eq!(corp.gate.api.get("/v1/users/alice")?.status, 404);
    Ok(())
}

#[test]
fn glewlwyd_vouches_for_a_person_and_ends_their_session() -> Result<()> {
    let settings = glewlwyd::Settings {
        clients: vec![json!({ "client_id": PLAIN.0, "client_secret": PLAIN.1, "redirect_uri": [CALLBACK],
            "backchannel_logout_uri": format!("{MANAGEMENT}/oidc/corp/logout"),
        })],
        users: vec![json!({ "username": "alice", "password": PASSWORD, "name": "Alice", "email": "alice@example.com",
            "preferred_username": "alice", "groups": ["finance"] })],
    };
    let issuer = format!("{}/api/oidc", issuer());
    let corp = Corp::around(&issuer, PLAIN, SCOPES, |world: &World, authority: &Authority| {
        Glewlwyd::start(&world.gateway, address(), authority, &settings)
    })?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    // Its page of login is a script: the browser asks for what that would ask for.
    let asked = corp.browser.get(BEGIN)?.location.context("not sent to the provider")?;
    corp.provider.login(&corp.browser, "alice", PASSWORD, PLAIN.0)?;
    let page = last(corp.browser.visit(&Glewlwyd::continued(&asked), "")?)?;
    assert_eq!((page.status, page.url.as_str()), (200, "https://10.77.0.1/"), "{}", page.body);
    let session = corp.session()?;
    let cut = stream(client, V4.crm())?;

    corp.provider.end_session(&corp.browser, &corp.provider.session(&corp.browser)?)?;
    falls_silent(&cut).with_context(|| corp.provider.process().output())?;
    is_kept_out(client, V4.crm());
    let ended = wait_for(&corp.gate, "session_end", |record| record["session"] == session["token"])?;
    assert_eq!((&ended["cause"], &ended["by"]), (&json!("provider_logout"), &json!("provider corp")), "{ended}");
    Ok(())
}
