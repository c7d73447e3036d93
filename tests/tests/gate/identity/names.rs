//! Who is who: a person is what the provider calls them for ever, not their name.

use anyhow::Result;
use gateway_tests::{gate::PASSWORD, peer::Browser};
use serde_json::json;

use super::corp::{self, Corp};
use crate::scene::{Apps, V4, is_kept_out, reaches};

#[test]
fn another_person_with_the_same_name_is_not_taken_for_the_first_one() -> Result<()> {
    let corp = Corp::open("")?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    corp.gate.api.post_json("/v1/revocations", &json!({ "all": true }))?.ok()?;
    // The first one is called otherwise now, and her name is given to somebody new.
    corp.provider.account(&json!({ "sub": "u-1", "preferred_username": "alice.ant" }))?;
    let second = json!({ "sub": "u-9", "preferred_username": "alice", "groups": ["finance", "ops"],
        "password": corp::PASSWORD });
    corp.provider.account(&second)?;
    let other = Browser::new(&corp.gate.world.client, &corp.authority);
    let refused = corp.sign_in(&other, "u-9")?;
    assert!(refused.status == 403 && refused.body.contains("is somebody else"), "{} {}", refused.status, refused.body);
    assert!(corp.sessions()?.is_empty());
    is_kept_out(&corp.gate.world.client, V4.crm());
    let user = corp.gate.api.get("/v1/users/alice")?.ok()?;
    assert_eq!(user["groups"], json!(["finance"]), "{user}");

    // The first one is still who she was.
    assert_eq!(corp.sign_in(&corp.browser, "u-1")?.status, 200);
    assert_eq!(corp.session()?["user"], "alice");
    Ok(())
}

#[test]
fn a_user_of_the_gateway_is_not_taken_over_by_somebody_of_that_name_at_a_provider() -> Result<()> {
    let corp = Corp::open("")?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.gate.introduce("bob", "finance")?;
    let refused = corp.sign_in(&corp.browser, "bob")?;
    assert!(refused.status == 403 && refused.body.contains("is somebody else"), "{} {}", refused.status, refused.body);
    is_kept_out(&corp.gate.world.client, V4.crm());
    let user = corp.gate.api.get("/v1/users/bob")?.ok()?;
    assert_eq!((&user["provider"], &user["groups"]), (&json!(null), &json!(["finance"])), "{user}");
    corp.gate.login(&corp.gate.world.client, V4.guard0, "bob")?;
    reaches(&corp.gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn somebody_of_a_provider_has_no_password_here_and_gets_none() -> Result<()> {
    let corp = Corp::open("")?;
    corp.sign_in(&corp.browser, "alice")?;
    corp.gate.api.post_json("/v1/revocations", &json!({ "all": true }))?.ok()?;
    let set = corp.gate.api.put("/v1/users/alice/password", &json!({ "password": PASSWORD }))?;
    assert!((400..500).contains(&set.status), "{} {}", set.status, set.text);
    for password in ["", corp::PASSWORD, PASSWORD] {
        let login = json!({ "username": "alice", "password": password });
        let portal = corp.gate.portal(&corp.gate.world.client, V4.guard0);
        let refused = portal.post_json("/v1/login", &login)?.problem(401)?;
        assert_eq!(refused["detail"], "the user name or the password is wrong", "{refused}");
    }
    assert!(corp.sessions()?.is_empty());
    Ok(())
}

#[test]
fn what_the_provider_says_of_groups_at_a_login_is_so_and_is_not_changed_here() -> Result<()> {
    let corp = Corp::open("[provider.group_names]\n\"8f2c1c9e\" = \"finance\"")?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.provider.account(&json!({ "sub": "u-1", "groups": ["8f2c1c9e", "nobody knows this one"] }))?;
    corp.sign_in(&corp.browser, "alice")?;
    reaches(client, V4.crm());
    let user = corp.gate.api.get("/v1/users/alice")?.ok()?;
    assert_eq!(user["groups"], json!(["finance"]), "{user}");
    let change = corp.gate.api.put("/v1/groups/ops/members/alice", &json!({}))?;
    assert!((400..500).contains(&change.status), "{} {}", change.status, change.text);
    corp.provider.account(&json!({ "sub": "u-1", "groups": ["ops"] }))?;
    corp.sign_in(&corp.browser, "alice")?;
    is_kept_out(client, V4.crm());
    reaches(client, V4.vault());
    Ok(())
}
