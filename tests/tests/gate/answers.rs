//! What policies have told at once to those whom they deny, and what they have recorded of it.

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, Outcome, stream::End, tcp_connect, wait_until};
use serde_json::{Value, json};

use crate::record::{sum, wait_for};
use crate::scene::{Apps, FAMILIES, SOON, V4, goes_on, is_kept_out, on, reaches, stream};

const PERMITS: &str = r#"@id("finance-crm")
permit (principal in Group::"finance", action == Action::"connect", resource == App::"crm");
"#;

/// A forbid about an app, with these annotations.
fn forbid(annotations: &str, app: &str) -> String {
    let scope = format!("principal, action == Action::\"connect\", resource == App::\"{app}\"");
    format!("@id(\"{app}-closed\") {annotations} forbid ({scope});\n")
}

/// The demonstration, whose interfaces drop in silence. A virtual cable delivers what a native program sends back only to
/// an end that has a program too.
fn silent_gate() -> Result<Gate> {
    Gate::with(on("guard0", "xdp = \"generic\""))
}

#[test]
fn a_forbid_that_rejects_is_told_on_an_interface_that_drops_and_another_denial_is_not() -> Result<()> {
    for family in FAMILIES {
        let gate = silent_gate()?;
        let client = &gate.world.client;
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        is_kept_out(client, family.vault());
        // No policy permits it anyway: the answer is all that the forbid is there for.
        gate.put_policy(&format!("{PERMITS}{}", forbid("@reject", "vault")))?.ok()?;
        assert_eq!(tcp_connect(client, family.vault(), SOON)?, Outcome::Refused);
        reaches(client, family.crm());
        gate.put_policy(&format!("{PERMITS}{}", forbid("", "vault")))?.ok()?;
        is_kept_out(client, family.vault());
        // Whoever has no session is told nothing.
        gate.put_policy(&format!("{PERMITS}{}", forbid("@reject", "vault")))?.ok()?;
        is_kept_out(&gate.world.client2, family.vault());
        let session = gate.api.get("/v1/sessions")?.ok()?;
        let apps = &session["items"][0]["apps"];
        ensure!(apps.as_array().is_some_and(|apps| apps.len() == 1) && apps[0]["app"] == "crm", "{session}");
        let question = json!({ "user": "alice", "to": "vault" });
        let told = gate.api.post_json("/v1/explain", &question)?.ok()?;
        let sentence = told["sentence"].as_str().context("no sentence")?;
        ensure!(sentence.contains("policy `vault-closed` forbids it, and the client is told at once"), "{told}");
    }
    Ok(())
}

#[test]
fn an_open_connection_is_reset_when_a_forbid_that_rejects_comes_into_force() -> Result<()> {
    for family in FAMILIES {
        let gate = silent_gate()?;
        let client = &gate.world.client;
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        let cut = stream(client, family.crm())?;
        goes_on(&cut)?;
        gate.put_policy(&format!("{PERMITS}{}", forbid("@reject", "crm")))?.ok()?;
        let end = wait_until("the end of the stream", SOON, || cut.ended().map(|(end, _)| end))?;
        assert_eq!(end, End::Cut(Outcome::Reset));
        assert_eq!(tcp_connect(client, family.crm(), SOON)?, Outcome::Refused);
        let lost = wait_for(&gate, "regranted", |record| record["user"] == "alice")?;
        assert_eq!((&lost["gained"], &lost["lost"]), (&json!([]), &json!(["crm"])));
        let denied = wait_for(&gate, "denied", |record| record["answered"].is_u64())?;
        assert_eq!((&denied["app"], &denied["policies"]), (&json!("crm"), &json!(["crm-closed"])), "{denied}");
        // And back again.
        gate.put_policy(PERMITS)?.ok()?;
        reaches(client, family.crm());
    }
    Ok(())
}

#[test]
fn a_denial_names_the_forbids_that_determined_it_and_none_if_it_is_denied_by_default() -> Result<()> {
    let gate = silent_gate()?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    is_kept_out(client, V4.vault());
    let of_app = |app: &'static str| move |record: &Value| record["reason"] == "no_grant" && record["app"] == app;
    let denied = wait_for(&gate, "denied", of_app("vault"))?;
    assert_eq!((&denied["policies"], denied.get("alert")), (&json!([]), None), "{denied}");
    gate.put_policy(&format!("{PERMITS}{}", forbid("", "crm")))?.ok()?;
    is_kept_out(client, V4.crm());
    let denied = wait_for(&gate, "denied", of_app("crm"))?;
    assert_eq!((&denied["policies"], denied.get("alert")), (&json!(["crm-closed"]), None), "{denied}");
    Ok(())
}

#[test]
fn policies_leave_lines_out_or_have_them_looked_at() -> Result<()> {
    let gate = silent_gate()?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let left_out = || -> Result<f64> { Ok(sum(&gate.api.get("/metrics")?.text, "portcullis_records_left_out_total ")) };
    let off = format!("@log(\"off\") {PERMITS}{}", forbid("@log(\"off\")", "vault"));
    gate.put_policy(&off)?.ok()?;
    reaches(client, V4.crm());
    is_kept_out(client, V4.vault());
    // The beginning of a connection, and a denial.
    wait_until("records that are left out", SOON, || left_out().is_ok_and(|count| count >= 2.0).then_some(()))?;
    let is_about = |record: &Value| {
        ["flow_start", "denied"].iter().any(|kind| record["type"] == *kind) && record["user"] == "alice"
    };
    let found: Vec<_> = gate.records()?.into_iter().filter(is_about).collect();
    ensure!(found.is_empty(), "{found:?}");
    let drops = gate.api.get("/metrics")?.text;
    ensure!(sum(&drops, "portcullis_drops_total{interface=\"guard0\",reason=\"no_grant\"}") >= 1.0, "{drops}");
    let alert = format!("@log(\"alert\") {PERMITS}{}", forbid("@log(\"alert\")", "vault"));
    gate.put_policy(&alert)?.ok()?;
    reaches(client, V4.crm());
    is_kept_out(client, V4.vault());
    let begun = wait_for(&gate, "flow_start", |record| record["alert"] == json!(true))?;
    assert_eq!((&begun["app"], &begun["policies"]), (&json!("crm"), &json!(["finance-crm"])), "{begun}");
    let denied = wait_for(&gate, "denied", |record| record["alert"] == json!(true))?;
    assert_eq!((&denied["app"], &denied["policies"]), (&json!("vault"), &json!(["vault-closed"])), "{denied}");
    Ok(())
}
