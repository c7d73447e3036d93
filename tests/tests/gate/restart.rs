//! The daemon ends, in order or not, and comes back: nothing changes for packets.

use anyhow::{Result, ensure};
use gateway_tests::{Gate, World};
use serde_json::{Value, json};

use crate::forward;
use crate::scene::{Apps, V4, V6, falls_silent, goes_on, is_kept_out, reaches, stream};

#[test]
fn killing_the_daemon_changes_no_verdict_and_the_next_one_takes_everything_over() -> Result<()> {
    without_the_daemon(Gate::open()?, |gate| gate.daemon.kill9())
}

#[test]
fn killing_the_daemon_changes_nothing_where_packets_are_forwarded_in_xdp() -> Result<()> {
    without_the_daemon(Gate::inside(World::able_to_forward_in_xdp()?, forward::in_xdp)?, |gate| gate.daemon.kill9())
}

#[test]
fn stopping_the_daemon_changes_no_verdict_and_the_next_one_takes_everything_over() -> Result<()> {
    without_the_daemon(Gate::open()?, |gate| {
        assert_eq!(gate.daemon.stop()?, 0);
        Ok(())
    })
}

#[test]
fn a_restart_with_larger_tables_keeps_sessions_and_open_streams() -> Result<()> {
    let mut gate = Gate::open()?;
    let client = gate.world.client.clone();
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&client, V4.crm())?;
    let sessions = gate.api.get("/v1/sessions")?.ok()?;
    reconfigure(&gate, |config| {
        config.replace("sessions = 64", "sessions = 128").replace("flows = 1024", "flows = 2048")
    })?;
    gate.daemon.restart()?;
    goes_on(&going)?;
    is_kept_out(&client, V4.vault());
    assert_eq!(gate.api.get("/v1/sessions")?.ok()?, sessions);
    assert_eq!(gate.api.get("/v1/status")?.ok()?["tables"][0]["capacity"], 128);
    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    falls_silent(&going)?;
    is_kept_out(&client, V4.crm());
    Ok(())
}

#[test]
fn a_restart_needs_no_larger_tables_and_keeps_open_streams_when_apps_fill_more_than_half_of_them() -> Result<()> {
    let mut gate = Gate::with(|config| config.replace("app_prefixes = 64", "app_prefixes = 16"))?;
    let client = gate.world.client.clone();
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&client, V4.crm())?;
    // Beside the four of the demonstration: each change needs room for what was and what will be, the last one for 7 and 9.
    let spare = [vec!["10.30.0.0/24", "10.30.1.0/24", "10.30.2.0/24"], vec!["10.30.3.0/24", "10.30.4.0/24"]];
    for (at, prefixes) in spare.iter().enumerate() {
        let app = json!({ "prefixes": prefixes, "services": ["443/tcp"] });
        gate.api.put(&format!("/v1/apps/spare{at}"), &app)?.ok()?;
    }
    gate.daemon.restart()?;
    goes_on(&going)?;
    reaches(&client, V4.crm());
    ensure!(!gate.daemon.log().contains("there is no room"), "{}", gate.daemon.log());
    Ok(())
}

#[test]
fn an_interface_that_is_no_longer_named_is_no_longer_guarded_and_its_sessions_end() -> Result<()> {
    let mut gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    V4.bob(&gate)?;
    is_kept_out(&gate.world.client2, V4.crm());
    reconfigure(&gate, |config| config.replace("[[interface]]\nname = \"guard1\"\n", ""))?;
    gate.daemon.restart()?;
    reaches(&gate.world.client2, V4.crm());
    let sessions = gate.api.get("/v1/sessions")?.ok()?;
    assert_eq!(sessions["items"].as_array().map(Vec::len), Some(1), "{sessions}");
    reaches(&gate.world.client, V4.crm());
    is_kept_out(&gate.world.client, V4.vault());
    Ok(())
}

/// Edits the configuration that the next start reads.
pub fn reconfigure(gate: &Gate, edit: impl FnOnce(String) -> String) -> Result<()> {
    let before = std::fs::read_to_string(gate.daemon.config())?;
    let after = edit(before.clone());
    assert_ne!(after, before);
    Ok(std::fs::write(gate.daemon.config(), after)?)
}

fn without_the_daemon(mut gate: Gate, end: fn(&mut Gate) -> Result<()>) -> Result<()> {
    let (client, client2) = (gate.world.client.clone(), gate.world.client2.clone());
    let _apps = (Apps::start(&gate.world, V4)?, Apps::start(&gate.world, V6)?);
    let logins = [V4.alice(&gate)?, V6.alice(&gate)?];
    let streams = [stream(&client, V4.crm())?, stream(&client, V6.crm())?];
    is_kept_out(&client, V4.vault());
    let (drops, sessions) = (gate.drops()?, gate.api.get("/v1/sessions")?.ok()?);
    let (users, policy) = (gate.api.get("/v1/users")?.ok()?, gate.api.get("/v1/policy")?.ok()?);

    end(&mut gate)?;
    for (stream, family) in streams.iter().zip([V4, V6]) {
        goes_on(stream)?;
        reaches(&client, family.crm());
        is_kept_out(&client, family.vault());
        is_kept_out(&client2, family.vault());
    }

    gate.daemon.restart()?;
    for (stream, family) in streams.iter().zip([V4, V6]) {
        goes_on(stream)?;
        reaches(&client, family.crm());
        is_kept_out(&client, family.vault());
    }
    assert_eq!(gate.api.get("/v1/sessions")?.ok()?, sessions);
    assert_eq!(gate.api.get("/v1/users")?.ok()?, users);
    assert_eq!(gate.api.get("/v1/policy")?.ok()?, policy);
    assert_eq!(gate.api.get("/v1/status")?.ok()?["drift_entries"], 0);
    let now = gate.drops()?;
    let counted = |drops: &gateway_tests::gate::Drops, interface: &str, reason: &str| {
        drops.get(&(interface.to_owned(), reason.to_owned())).copied().unwrap_or_default()
    };
    assert!(counted(&now, "guard0", "no_grant") >= counted(&drops, "guard0", "no_grant") + 4, "{drops:?} {now:?}");
    assert!(counted(&now, "guard1", "no_session") >= counted(&drops, "guard1", "no_session") + 2, "{drops:?} {now:?}");

    let flows = gate.api.get("/v1/flows?user=alice")?.ok()?;
    for (stream, family) in streams.iter().zip([V4, V6]) {
        let bytes = stream.bytes();
        let is_it = |flow: &&Value| {
            flow["destination"] == json!(family.crm) && flow["bytes_to_client"].as_u64().is_some_and(|b| b > bytes / 2)
        };
        let flow = flows["items"].as_array().and_then(|flows| flows.iter().find(is_it));
        assert!(flow.is_some(), "no flow with the {bytes} bytes of its whole life in {flows}");
    }
    assert_eq!(logins[0].api.get("/v1/session")?.ok()?["token"], json!(logins[0].token));
    let receipts = gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    let receipts = receipts["receipts"].as_array().cloned().unwrap_or_default();
    assert_eq!(receipts.len(), 2);
    assert!(receipts.iter().all(|receipt| receipt["flows_cut"] == 1), "{receipts:?}");
    for (stream, family) in streams.iter().zip([V4, V6]) {
        falls_silent(stream)?;
        is_kept_out(&client, family.crm());
    }
    Ok(())
}
