//! What a change of policy or apps takes away is cut; what it leaves goes on.

use anyhow::Result;
use gateway_tests::{Gate, gate::POLICIES};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::scene::{Apps, FAMILIES, V4, falls_silent, goes_on, is_kept_out, reaches, stream};

const BOTH: &str = r#"
@id("finance-crm")
permit (principal in Group::"finance", action == Action::"connect", resource == App::"crm");
@id("finance-vault")
permit (principal in Group::"finance", action == Action::"connect", resource == App::"vault");
"#;

#[test]
fn a_policy_that_takes_a_grant_away_cuts_its_flow_and_leaves_the_others_of_the_session() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        gate.put_policy(BOTH)?.ok()?;
        let login = family.alice(&gate)?;
        let (kept, cut) = (stream(client, family.crm())?, stream(client, family.vault())?);

        let before = gate.drops()?;
        gate.put_policy(POLICIES)?.ok()?;
        falls_silent(&cut)?;
        goes_on(&kept)?;
        is_kept_out(client, family.vault());
        // What the app sends before its reset arrives is a race; what the client tries afterwards is not.
        let mut reasons = gate.reasons_since(&before)?;
        reasons.retain(|reason| reason != "guard0/no_flow");
        assert_eq!(reasons, ["guard0/no_grant"]);
        assert_eq!(login.api.get("/v1/session")?.ok()?["token"], json!(login.token));

        gate.put_policy(BOTH)?.ok()?;
        reaches(client, family.vault());
        goes_on(&kept)?;
    }
    Ok(())
}

#[test]
fn a_port_that_an_app_loses_is_cut_and_its_other_ports_are_not() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    for family in FAMILIES {
        let apps = Apps::start(&gate.world, family)?;
        let other = std::net::SocketAddr::new(family.crm, 443);
        let _other = gateway_tests::HttpServer::start(&gate.world.app, other, "crm")?;
        family.alice(&gate)?;
        let (kept, cut) = (stream(client, other)?, stream(client, family.crm())?);
        let mut app = gate.api.get("/v1/apps/crm")?.ok()?;
        let services = app["services"].clone();
        app["services"] = json!(["443/tcp", "icmp"]);
        gate.api.put("/v1/apps/crm", &app)?.ok()?;
        falls_silent(&cut)?;
        goes_on(&kept)?;
        is_kept_out(client, family.crm());
        app["services"] = services;
        gate.api.put("/v1/apps/crm", &app)?.ok()?;
        reaches(client, family.crm());
        drop(apps);
    }
    Ok(())
}

#[test]
fn leaving_a_group_takes_its_grants_along() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let cut = stream(client, V4.crm())?;
    gate.api.put("/v1/groups/ops/members/alice", &json!({}))?.ok()?;
    let kept = stream(client, V4.vault())?;
    goes_on(&cut)?;
    gate.api.delete("/v1/groups/finance/members/alice")?.ok()?;
    falls_silent(&cut)?;
    goes_on(&kept)?;
    Ok(())
}

#[test]
fn a_policy_that_expires_cuts_its_flow_though_nobody_asks_and_leaves_the_others() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    let soon = (OffsetDateTime::now_utc() + time::Duration::seconds(4)).format(&Rfc3339)?;
    let expiring = BOTH.replace("@id(\"finance-vault\")", &format!("@id(\"finance-vault\") @expires(\"{soon}\")"));
    gate.put_policy(&expiring)?.ok()?;
    V4.alice(&gate)?;
    let (kept, cut) = (stream(client, V4.crm())?, stream(client, V4.vault())?);
    goes_on(&cut)?;
    falls_silent(&cut)?;
    goes_on(&kept)?;
    is_kept_out(client, V4.vault());
    let warnings = gate.api.get("/v1/policy")?.ok()?["warnings"].to_string();
    assert!(warnings.contains("has expired"), "{warnings}");
    Ok(())
}
