//! The provider that pushes.

use anyhow::{Context as _, Result};
use gateway_tests::peer::{Canaille, Page, Push, ScimRecorder, canaille::Settings, token};
use serde_json::{Value, json};

use super::party::{CALLBACK, CLIENT, PASSWORD, Party, SECRET, id_token, kid, local};

const PORT: u16 = 9444;
const TOKEN: &str = "a token of sixteen";

fn start() -> Result<(Party, ScimRecorder, Canaille)> {
    let party = Party::new()?;
    let recorder = ScimRecorder::start(&party.host, local(PORT + 1), &party.authority)?;
    let settings = Settings {
        clients: vec![json!({
            "client_id": CLIENT, "client_secret": SECRET, "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "client_secret_post", "client_uri": recorder.base(), "scim_token": TOKEN,
        })],
        users: vec![json!({
            "user_name": "alice", "family_name": "Ant", "formatted_name": "Alice Ant", "display_name": "alice",
            "emails": ["alice@example.com"], "password": PASSWORD,
        })],
        groups: vec![json!({ "display_name": "staff", "members": ["alice"] })],
        trusted: vec!["127.0.0.1".to_owned()],
    };
    let provider = Canaille::start(&party.host, local(PORT), &party.authority, &settings)?;
    Ok((party, recorder, provider))
}

fn log_in(party: &Party, discovered: &Value) -> Result<Page> {
    let last = |pages: Vec<Page>| pages.into_iter().last().context("no page");
    let page = last(party.browser.visit(&party.begin(discovered, &[])?, CALLBACK)?)?;
    let form = page.form("login")?.fill("login", "alice");
    let page = last(party.browser.follow(party.browser.submit(&page, &form)?, CALLBACK)?)?;
    let form = page.form("password")?.fill("password", PASSWORD);
    last(party.browser.follow(party.browser.submit(&page, &form)?, CALLBACK)?)
}

/// The requests that changed something.
fn changes(recorder: &ScimRecorder) -> Result<Vec<Push>> {
    Ok(recorder.pushes()?.into_iter().filter(|push| push.method != "GET").collect())
}

#[test]
fn a_person_logs_in_by_two_forms_and_new_keys_sign_at_once() -> Result<()> {
    let (party, _recorder, provider) = start()?;
    let discovered = party.discover(provider.issuer())?;
    let tokens = party.redeem(&discovered, &log_in(&party, &discovered)?)?;
    let claims = party.claims(&discovered, &tokens)?;
    assert_eq!((&claims["sub"], &claims["groups"]), (&json!("alice"), &json!(["staff"])), "{claims}");
    assert_eq!((&claims["email"], &claims["amr"]), (&json!("alice@example.com"), &json!(["pwd"])), "{claims}");
    // With fractions of a second, which RFC 7519 allows in a date.
    assert!(claims["auth_time"].is_f64() && claims["auth_time"].as_f64() > Some(0.0), "{claims}");
    assert_eq!(token::header(id_token(&tokens)?)?["alg"], "RS256");
    let before = kid(&tokens)?;
    let published = provider.rotate()?;
    party.browser.forget();
    let tokens = party.redeem(&discovered, &log_in(&party, &discovered)?)?;
    assert_eq!(kid(&tokens)?, published[0]);
    assert!(published.contains(&before), "{published:?}");
    let token = tokens["refresh_token"].as_str().context("no refresh token")?;
    let refreshed = party.grant(&discovered, "refresh_token", &[("refresh_token", token)])?.ok()?;
    if let Ok(fresh) = id_token(&refreshed) {
        assert_eq!(token::claims(fresh)?["sub"], "alice");
    }
    Ok(())
}

#[test]
fn what_happens_to_a_user_is_pushed_with_the_token_of_the_client() -> Result<()> {
    let (_party, recorder, provider) = start()?;
    let all = recorder.pushes()?;
    assert!(all.iter().all(|push| push.authorization == format!("Bearer {TOKEN}")), "{all:?}");
    let made: Vec<_> = all.iter().filter(|push| push.method == "POST").collect();
    assert_eq!(made.iter().map(|push| push.path.as_str()).collect::<Vec<_>>(), ["/Users", "/Groups"]);
    assert_eq!(made[1].body["displayName"], "staff");
    assert!(made[1].body["members"][0]["value"].is_string(), "{:?}", made[1]);

    let bob = json!({ "user_name": "bob", "family_name": "Bee", "emails": ["bob@example.com"], "password": PASSWORD });
    let id = provider.user(&bob)?;
    let pushed = changes(&recorder)?;
    let summary = |push: &Push| (push.method.clone(), push.body["active"].clone(), push.body["externalId"].clone());
    let expected = |method: &str, active: bool| (method.to_owned(), json!(active), json!(id));
    assert_eq!(pushed.iter().map(summary).collect::<Vec<_>>(), [expected("POST", true)]);

    provider.user(&json!({ "user_name": "bob", "locked": true }))?;
    assert_eq!(changes(&recorder)?.iter().map(summary).collect::<Vec<_>>(), [expected("PUT", false)]);
    provider.user(&json!({ "user_name": "bob", "locked": false, "new_name": "robert" }))?;
    let renamed = changes(&recorder)?;
    assert_eq!(renamed.iter().map(summary).collect::<Vec<_>>(), [expected("PUT", true)]);
    assert_eq!(renamed[0].body["userName"], "robert");
    provider.delete_user("robert")?;
    assert_eq!(changes(&recorder)?.iter().map(|push| push.method.as_str()).collect::<Vec<_>>(), ["DELETE"]);
    Ok(())
}

#[test]
fn who_is_in_a_group_is_pushed() -> Result<()> {
    let (_party, recorder, provider) = start()?;
    provider.user(&json!({ "user_name": "bob", "family_name": "Bee", "password": PASSWORD }))?;
    recorder.pushes()?;
    provider.group(&json!({ "display_name": "staff", "members": ["alice", "bob"] }))?;
    let pushed = changes(&recorder)?;
    let groups: Vec<_> = pushed.iter().filter(|push| push.path.starts_with("/Groups/")).collect();
    let members = groups.last().and_then(|push| push.body["members"].as_array());
    assert_eq!(members.map(Vec::len), Some(2), "{pushed:?}");
    provider.delete_group("staff")?;
    assert!(changes(&recorder)?.iter().any(|push| push.method == "DELETE" && push.path.starts_with("/Groups/")));
    Ok(())
}

#[test]
fn it_is_gone_when_dropped() -> Result<()> {
    let (party, recorder, provider) = start()?;
    assert!(party.listens(PORT)? && party.listens(PORT + 1)?);
    drop((provider, recorder));
    assert!(!party.listens(PORT)? && !party.listens(PORT + 1)?);
    Ok(())
}
