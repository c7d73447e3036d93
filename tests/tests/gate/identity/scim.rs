//! SCIM as testers and strangers see it.

use anyhow::Result;
use gateway_tests::peer::scim_tester;
use serde_json::json;

use super::corp::{Corp, SCIM, SCIM_TOKEN, SECRET};
use super::provision::{PUSHED, Pusher};

#[test]
fn scim2_tester_finds_nothing_that_the_standard_forbids() -> Result<()> {
    let corp = Corp::open(PUSHED)?;
    let checks = scim_tester(&corp.gate.world.gateway, SCIM, SCIM_TOKEN, &corp.authority)?;
    let bad: Vec<_> = checks.iter().filter(|check| check.is_violation()).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    for resource in ["User", "Group"] {
        let of = checks.iter().filter(|check| check.resource == resource);
        assert!(of.count() > 5, "{resource} was hardly looked at: {checks:#?}");
    }
    Ok(())
}

#[test]
fn only_the_token_of_a_provider_opens_scim_and_only_to_its_own() -> Result<()> {
    let other = "\n[[provider]]\nname = \"other\"\nissuer = \"https://10.77.0.1:9444\"\nclient_id = \"x\"\n\
                 [provider.scim]\ntoken_file = \"{scratch}/client\"";
    let corp = Corp::open(&format!("{PUSHED}\n{other}"))?;
    let id = Pusher(&corp).user("u-1", "alice")?;
    let admin = std::fs::read_to_string(corp.gate.world.scratch().join("state/admin.token"))?;
    for wrong in ["", "the token of the compan", &format!("{SCIM_TOKEN}y"), admin.trim()] {
        let refused = corp.scim(wrong).get("/Users")?;
        let error = refused.json()?;
        assert_eq!((refused.status, &error["status"]), (401, &json!("401")), "{wrong}: {}", refused.text);
        assert_eq!(error["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
        assert_eq!(refused.header("content-type"), Some("application/scim+json"), "{}", refused.head);
    }
    assert_eq!(corp.scim("x").anonymous().get("/Users")?.status, 401);
    // And it opens nothing else.
    assert_eq!(corp.gate.api.bearer(SCIM_TOKEN).get("/v1/users")?.status, 401);

    let others = corp.scim(SECRET);
    let path = format!("/Users/{id}");
    assert_eq!(others.get("/Users")?.ok()?["totalResults"], 0);
    let put = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "alice" });
    let body = put.to_string();
    let statuses = [
        others.get(&path)?.status,
        others.send("PUT", &path, Some(("application/scim+json", &body)))?.status,
        others.delete(&path)?.status,
        // Her name is given away.
        others.send("POST", "/Users", Some(("application/scim+json", &body)))?.status,
    ];
    assert_eq!(statuses, [404, 404, 404, 409]);
    assert_eq!(corp.scim(SCIM_TOKEN).get(&path)?.ok()?["userName"], "alice");
    Ok(())
}
