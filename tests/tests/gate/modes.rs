//! What becomes of what is denied: silence, an answer, or nothing at all.

use anyhow::Result;
use gateway_tests::{Gate, Outcome, tcp_connect, udp_exchange};
use serde_json::{Value, json};

use crate::record::wait_for;
use crate::scene::{Apps, FAMILIES, SOON, V4, is_kept_out, reaches};

/// The demonstration with these lines for `guard0`.
fn on_guard0(lines: &'static str) -> impl FnOnce(String) -> String {
    move |config| config.replace("name = \"guard0\"", &format!("name = \"guard0\"\n{lines}"))
}

fn drops_of(gate: &Gate, reason: &str) -> Result<Value> {
    let answer = gate.api.get("/v1/drops")?.ok()?;
    let found = answer["items"].as_array().into_iter().flatten().find(|item| item["reason"] == reason);
    Ok(found.cloned().unwrap_or_default())
}

#[test]
fn an_interface_that_observes_drops_nothing_and_tells_what_it_would_have() -> Result<()> {
    for family in FAMILIES {
        let gate = Gate::with(on_guard0("mode = \"observe\""))?;
        let _apps = Apps::start(&gate.world, family)?;
        reaches(&gate.world.client, family.vault());
        is_kept_out(&gate.world.client2, family.vault());
        let found = drops_of(&gate, "no_session")?;
        assert!(found["observed"].as_u64() > Some(0), "{found}");
        let denied = wait_for(&gate, "denied", |record| record["observed"] == json!(true) && record["port"] == 8080)?;
        assert_eq!((&denied["reason"], &denied["interface"]), (&json!("no_session"), &json!("guard0")));
        let text = gate.api.get("/metrics")?.text;
        let sample = "portcullis_observed_total{interface=\"guard0\",reason=\"no_session\"} ";
        let line = text.lines().find(|line| line.starts_with(sample)).unwrap_or_default();
        assert!(!line.is_empty() && !line.ends_with(" 0"), "{line}");
        assert!(text.contains("portcullis_drops_total{interface=\"guard0\",reason=\"no_session\"} 0\n"));
        let status = gate.api.get("/v1/status")?.ok()?;
        let modes: Vec<_> =
            status["interfaces"].as_array().into_iter().flatten().map(|it| it["mode"].clone()).collect();
        assert_eq!(modes, ["observe", "enforce"]);
    }
    Ok(())
}

#[test]
fn nobody_loses_a_session_to_a_trip_wire_where_nothing_is_enforced() -> Result<()> {
    let gate = Gate::with(on_guard0("mode = \"observe\""))?;
    let _apps = Apps::start(&gate.world, V4)?;
    let mut vault = gate.api.get("/v1/apps/vault")?.ok()?;
    vault["trip_wire"] = json!(true);
    gate.api.put("/v1/apps/vault", &vault)?.ok()?;
    let alice = V4.alice(&gate)?;
    reaches(&gate.world.client, V4.vault());
    wait_for(&gate, "denied", |record| record["reason"] == "trip_wire" && record["observed"] == json!(true))?;
    alice.api.get("/v1/session")?.ok()?;
    Ok(())
}

#[test]
fn an_interface_that_rejects_answers_sessions_and_nobody_else() -> Result<()> {
    for family in FAMILIES {
        // A virtual cable delivers what a native program sends back only to an end that has a program too.
        let gate = Gate::with(on_guard0("on_denial = \"reject\"\nxdp = \"generic\""))?;
        let client = &gate.world.client;
        let _apps = Apps::start(&gate.world, family)?;
        is_kept_out(client, family.vault());
        family.alice(&gate)?;
        assert_eq!(tcp_connect(client, family.vault(), SOON)?, Outcome::Refused);
        // Longer than the answer: in the network stack a short packet has no room to grow.
        assert_eq!(udp_exchange(client, family.vault(), &[0; 100], SOON)?, Outcome::Unreachable);
        let denied = wait_for(&gate, "denied", |record| record["answered"].is_u64() && record["protocol"] == "tcp")?;
        assert_eq!((&denied["reason"], &denied["user"]), (&json!("no_grant"), &json!("alice")), "{denied}");
        let text = gate.api.get("/metrics")?.text;
        let rejected = "portcullis_packets_total{interface=\"guard0\",verdict=\"reject\"} 2\n";
        assert!(text.contains(rejected), "{text}");
    }
    Ok(())
}
