//! The daemon is gone, and with it whoever could take access away: what goes on, and for how long.

use anyhow::Result;
use gateway_common::KernelNanos;
use gateway_common::abi::{Epoch, map};
use gateway_tests::{Gate, World, wait_until};
use gateway_userspace::dataplane::clock;
use serde_json::json;

use crate::forward::{in_xdp, mapped};
use crate::limits::change;
use crate::scene::{Apps, SOON, V4, falls_silent, goes_on, is_kept_out, reaches, stream};

pub const LEASE: &str = "\n[limits]\nlease = \"1s\"\n";

#[test]
fn a_daemon_that_stands_still_holds_nothing_open_beyond_its_lease() -> Result<()> {
    lasts_as_long_as_the_lease(&Gate::with(|config| config + LEASE)?)
}

#[test]
fn nor_where_packets_are_forwarded_in_xdp() -> Result<()> {
    lasts_as_long_as_the_lease(&Gate::inside(World::able_to_forward_in_xdp()?, |config| in_xdp(config) + LEASE)?)
}

#[test]
fn an_app_that_outlasts_the_daemon_is_reached_for_as_long_as_the_session_lasts() -> Result<()> {
    let mut gate = Gate::with(|config| config + LEASE)?;
    let client = gate.world.client.clone();
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&client, V4.crm())?;
    // An open connection, too.
    change(&gate, "crm", "on_daemon_loss", json!("session"))?;
    gate.daemon.kill9()?;
    until_it_is_over(&gate)?;
    goes_on(&going)?;
    reaches(&client, V4.crm());
    is_kept_out(&client, V4.vault());
    gate.daemon.restart()?;
    assert_eq!(gate.api.get("/v1/apps/crm")?.ok()?["on_daemon_loss"], "session");
    goes_on(&going)
}

fn lasts_as_long_as_the_lease(gate: &Gate) -> Result<()> {
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(gate)?;
    let going = stream(client, V4.crm())?;
    let before = gate.drops()?;
    gate.daemon.pause()?;
    until_it_is_over(gate)?;
    falls_silent(&going)?;
    is_kept_out(client, V4.crm());
    gate.daemon.resume()?;
    goes_on(&going)?;
    reaches(client, V4.crm());
    let reasons = gate.reasons_since(&before)?;
    assert!(reasons.contains(&"guard0/lease_expired".to_owned()), "{reasons:?}");
    Ok(())
}

pub fn until_it_is_over(gate: &Gate) -> Result<()> {
    let epoch = mapped::<Epoch>(gate, map::EPOCH)?;
    wait_until("the lease to be over", SOON, || {
        let until = epoch.get(0)?.lease_until.load();
        KernelNanos(until).has_passed(clock::boot()).then_some(())
    })
}
