//! The provider pushes who its people are, and takes them away with connections open.

use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result};
use gateway_tests::{Answer, Outcome, stream::End, wait_until};
use serde_json::{Value, json};

use super::corp::{Corp, SCIM_TOKEN};
use crate::record::wait_for;
use crate::scene::{Apps, SOON, V4, falls_silent, goes_on, is_kept_out, reaches, stream};

/// Users and groups come by SCIM; whoever signs in is found by what the provider calls them.
pub const PUSHED: &str = "users = \"scim\"\ngroups = \"scim\"\n[provider.scim]\ntoken_file = \"{scratch}/scim\"";

/// The provider's client for SCIM.
pub struct Pusher<'c>(pub &'c Corp);

impl Pusher<'_> {
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        self.0.scim(SCIM_TOKEN).send(method, path, Some(("application/scim+json", &body.to_string())))
    }

    /// Makes somebody; their id here.
    pub fn user(&self, sub: &str, name: &str) -> Result<String> {
        let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name,
            "externalId": sub, "active": true, "displayName": name.to_uppercase() });
        id(&self.send("POST", "/Users", &user)?)
    }

    /// Makes a group of them.
    pub fn group(&self, name: &str, members: &[&str]) -> Result<String> {
        let members: Vec<_> = members.iter().map(|id| json!({ "value": id })).collect();
        let group = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name,
            "externalId": name, "members": members });
        id(&self.send("POST", "/Groups", &group)?)
    }

    /// One operation, as Entra writes it.
    pub fn patch(&self, path: &str, operation: &Value) -> Result<()> {
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
        self.send("PATCH", path, &body)?.ok().map(drop)
    }
}

fn id(answer: &Answer) -> Result<String> {
    let made = answer.ok()?;
    made["id"].as_str().map(str::to_owned).with_context(|| format!("no id: {made}"))
}

/// The company with alice in `finance` and bob in `ops`, as its provider has pushed them, and alice's id.
pub fn pushed() -> Result<(Corp, String)> {
    let corp = Corp::open(PUSHED)?;
    let pusher = Pusher(&corp);
    let (alice, bob) = (pusher.user("u-1", "alice")?, pusher.user("u-2", "bob")?);
    pusher.group("finance", &[&alice])?;
    pusher.group("ops", &[&bob])?;
    Ok((corp, alice))
}

#[test]
fn whom_the_provider_suspends_is_cut_off_in_both_directions_before_it_is_answered() -> Result<()> {
    let (corp, alice) = pushed()?;
    let client = &corp.gate.world.client;
    let apps = Apps::start(&corp.gate.world, V4)?;
    assert_eq!(corp.sign_in(&corp.browser, "alice")?.status, 200);
    let session = corp.session()?;
    let mut cut = stream(client, V4.crm())?;
    assert_eq!(cut.poke(), Outcome::Answered);

    // Entra writes the operation with a capital and the value as a text.
    Pusher(&corp).patch(&format!("/Users/{alice}"), &json!({ "op": "Replace", "path": "active", "value": "False" }))?;
    let (sent, arrived) = (apps.crm.counters().received.load(Ordering::Relaxed), cut.bytes());
    let reset = wait_until("the end of the stream", SOON, || cut.ended().map(|(end, _)| end))?;
    assert_eq!(reset, End::Cut(Outcome::Reset));
    assert_eq!(apps.crm.counters().received.load(Ordering::Relaxed), sent, "bytes came to the app after the answer");
    // What had come to the host before may be read a moment later; of the download that is at most its window.
    assert!(cut.bytes() - arrived < 4_000_000, "{} bytes after the answer", cut.bytes() - arrived);
    is_kept_out(client, V4.crm());

    let ended = wait_for(&corp.gate, "session_end", |record| record["session"] == session["token"])?;
    assert_eq!((&ended["cause"], &ended["by"]), (&json!("user_suspended"), &json!("provider corp")), "{ended}");
    assert!(ended["flows_cut"].as_u64() >= Some(1), "{ended}");
    let user = corp.gate.api.get("/v1/users/alice")?.ok()?;
    assert_eq!((&user["enabled"], &user["suspended"]), (&json!(true), &json!(true)), "{user}");
    let refused = corp.sign_in(&corp.browser, "alice")?;
    assert_eq!(refused.status, 403, "{}", refused.body);

    Pusher(&corp).patch(&format!("/Users/{alice}"), &json!({ "op": "Replace", "path": "active", "value": "True" }))?;
    assert_eq!(corp.sign_in(&corp.browser, "alice")?.status, 200);
    reaches(client, V4.crm());
    Ok(())
}

#[test]
fn whom_the_provider_deletes_is_cut_off_and_is_no_user_any_more() -> Result<()> {
    let (corp, alice) = pushed()?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let session = corp.session()?;
    let cut = stream(client, V4.crm())?;
    assert_eq!(corp.scim(SCIM_TOKEN).delete(&format!("/Users/{alice}"))?.status, 204);
    falls_silent(&cut)?;
    is_kept_out(client, V4.crm());
    let ended = wait_for(&corp.gate, "session_end", |record| record["session"] == session["token"])?;
    assert_eq!((&ended["cause"], &ended["by"]), (&json!("user_removed"), &json!("provider corp")), "{ended}");
    assert_eq!(corp.gate.api.get("/v1/users/alice")?.status, 404);
    let refused = corp.sign_in(&corp.browser, "alice")?;
    assert!(refused.status == 403 && refused.body.contains("has not been provisioned"), "{}", refused.body);
    Ok(())
}

#[test]
fn whoever_leaves_a_group_loses_what_it_was_for_and_nothing_else() -> Result<()> {
    let (corp, alice) = pushed()?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    let staff = Pusher(&corp).group("staff", &[&alice])?;
    let policies = r#"permit (principal in Group::"finance", action, resource == App::"crm");
                      permit (principal in Group::"staff", action, resource == App::"vault");"#;
    corp.gate.put_policy(policies)?.ok()?;
    corp.sign_in(&corp.browser, "alice")?;
    let (kept, lost) = (stream(client, V4.crm())?, stream(client, V4.vault())?);
    let leave = json!({ "op": "Remove", "path": "members", "value": [{ "value": alice }] });
    Pusher(&corp).patch(&format!("/Groups/{staff}"), &leave)?;
    falls_silent(&lost)?;
    is_kept_out(client, V4.vault());
    goes_on(&kept)?;
    let join = json!({ "op": "Add", "path": "members", "value": [{ "value": alice }] });
    Pusher(&corp).patch(&format!("/Groups/{staff}"), &join)?;
    reaches(client, V4.vault());
    goes_on(&kept)
}

#[test]
fn whom_the_provider_has_not_pushed_does_not_come_in() -> Result<()> {
    let corp = Corp::open(PUSHED)?;
    let refused = corp.sign_in(&corp.browser, "alice")?;
    assert!(refused.status == 403 && refused.body.contains("has not been provisioned"), "{}", refused.body);
    assert!(corp.sessions()?.is_empty());
    assert_eq!(corp.gate.api.get("/v1/users/alice")?.status, 404);
    Ok(())
}
