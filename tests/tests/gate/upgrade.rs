//! Another version of the daemon takes over, and the former one comes back.

use anyhow::Result;
use gateway_common::abi::{ABI_VERSION, Session, map};
use gateway_tests::{Gate, gate::binary, gate::next_daemon, wait_until};
use gateway_userspace::dataplane::mapped::Mapped;
use serde_json::json;

use crate::forward::mapped;
use crate::restart::reconfigure;
use crate::scene::{Apps, FAMILIES, SOON, V4, V6, falls_silent, goes_on, is_kept_out, reaches, stream};

/// The versions of the tables that are pinned, by the names of their folders.
fn versions(gate: &Gate) -> Result<Vec<String>> {
    let folders = std::fs::read_dir(gate.world.bpffs().join("portcullis"))?.flatten();
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter_map(|name| Some(name.split_once('-')?.0.to_owned())).collect())
}

#[test]
fn a_daemon_of_another_abi_takes_over_sessions_and_connections_and_so_does_the_former_one() -> Result<()> {
    let mut gate = Gate::open()?;
    let (client, client2) = (gate.world.client.clone(), gate.world.client2.clone());
    let _apps = (Apps::start(&gate.world, V4)?, Apps::start(&gate.world, V6)?);
    V4.alice(&gate)?;
    V6.alice(&gate)?;
    let going = [stream(&client, V4.crm())?, stream(&client, V6.crm())?];
    let sessions = gate.api.get("/v1/sessions")?.ok()?;
    let (present, next) = (format!("abi{ABI_VERSION}"), format!("abi{}", ABI_VERSION + 1));
    for (daemon, version) in [(next_daemon()?, &next), (binary("portcullisd")?, &present)] {
        assert_ne!(versions(&gate)?, [version.as_str()]);
        gate.daemon.becomes(daemon);
        gate.daemon.restart()?;
        assert_eq!(versions(&gate)?, [version.as_str()], "{}", gate.daemon.log());
        for (stream, family) in going.iter().zip(FAMILIES) {
            goes_on(stream)?;
            reaches(&client, family.crm());
            is_kept_out(&client, family.vault());
            is_kept_out(&client2, family.crm());
        }
        assert_eq!(gate.api.get("/v1/sessions")?.ok()?, sessions);
        assert_eq!(gate.api.get("/v1/status")?.ok()?["drift_entries"], 0);
    }
    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    going.iter().try_for_each(falls_silent)?;
    is_kept_out(&client, V4.crm());
    Ok(())
}

#[test]
fn a_daemon_of_another_abi_that_dies_while_it_starts_leaves_the_former_tables_in_force() -> Result<()> {
    // Before the other one is stopped: where it has to be built, that may take longer than the lease.
    let other = next_daemon()?;
    let mut gate = Gate::open()?;
    let (client, client2) = (gate.world.client.clone(), gate.world.client2.clone());
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&client, V4.crm())?;
    gate.daemon.stop()?;
    gate.daemon.becomes(other);
    gate.daemon.launch()?;
    let next = format!("abi{}", ABI_VERSION + 1);
    wait_until("the new tables to be made", SOON, || versions(&gate).ok()?.contains(&next).then_some(()))?;
    gate.daemon.kill9()?;
    assert_eq!(versions(&gate)?.len(), 2, "it had taken over already");
    goes_on(&going)?;
    is_kept_out(&client2, V4.crm());
    gate.daemon.becomes(binary("portcullisd")?);
    gate.daemon.restart()?;
    assert_eq!(versions(&gate)?, [format!("abi{ABI_VERSION}")]);
    goes_on(&going)?;
    reaches(&client, V4.crm());
    is_kept_out(&client2, V4.crm());
    Ok(())
}

#[test]
fn a_session_that_a_program_has_ended_while_no_daemon_ran_stays_ended_with_other_tables_too() -> Result<()> {
    let mut gate = Gate::open()?;
    let client = gate.world.client.clone();
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&client, V4.crm())?;
    gate.daemon.stop()?;
    // As the programs do it at a trip-wire.
    let slots: Mapped<Session> = mapped(&gate, map::SESSIONS)?;
    assert!(slots.iter().any(|(_, slot)| slot.state.swap_if(Session::LIVE, Session::REVOKED)));
    reconfigure(&gate, |config| config.replace("sessions = 64", "sessions = 128"))?;
    gate.daemon.restart()?;
    falls_silent(&going)?;
    is_kept_out(&client, V4.crm());
    assert_eq!(gate.api.get("/v1/sessions")?.ok()?["items"], json!([]));
    Ok(())
}
