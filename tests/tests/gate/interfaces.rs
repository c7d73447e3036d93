//! Guarded interfaces are renamed, or leave for another namespace and return: nobody passes who did not pass before.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use gateway_tests::{
    Gate, Launch, Namespace, World,
    gate::{READY, binary},
    tools, wait_until,
};

use crate::restart::reconfigure;
use crate::scene::{Apps, SOON, V4, goes_on, is_kept_out, reaches, stream};

#[test]
fn an_interface_that_is_renamed_is_guarded_as_before_also_after_a_restart() -> Result<()> {
    let mut gate = Gate::open()?;
    let (gateway, client2) = (gate.world.gateway.clone(), gate.world.client2.clone());
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    V4.bob(&gate)?;
    let going = [stream(&gate.world.client, V4.crm())?, stream(&client2, V4.vault())?];
    gateway.ip(&["link set guard1 name lan9"])?;
    is_kept_out(&client2, V4.crm());
    gate.says("has another name")?;
    is_kept_out(&client2, V4.crm());
    going.iter().try_for_each(goes_on)?;
    reaches(&client2, V4.vault());
    let drops = gate.drops()?;
    is_kept_out(&client2, V4.crm());
    assert_eq!(gate.reasons_since(&drops)?, ["lan9/no_grant"]);

    // Whoever takes its name is guarded, too.
    gateway.ip(&["link add guard1 type veth peer name other", "link set guard1 up"])?;
    wait_until("the new one to be guarded", SOON, || {
        let status = gate.api.get("/v1/status").ok()?.ok().ok()?;
        let names = status["interfaces"].as_array()?.iter().filter_map(|it| it["name"].as_str().map(str::to_owned));
        (names.collect::<Vec<_>>() == ["guard0", "guard1", "lan9"]).then_some(())
    })?;
    gateway.ip(&["link del guard1"])?;
    is_kept_out(&client2, V4.crm());

    reconfigure(&gate, |config| config.replace("name = \"guard1\"", "name = \"lan9\""))?;
    gate.daemon.restart()?;
    is_kept_out(&client2, V4.crm());
    goes_on(&going[0])
}

#[test]
fn an_interface_that_was_in_another_namespace_is_guarded_again_when_it_returns() -> Result<()> {
    let gate = Gate::open()?;
    let (gateway, client2) = (gate.world.gateway.clone(), gate.world.client2.clone());
    let elsewhere = Namespace::new("elsewhere")?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&gate.world.client, V4.crm())?;
    for round in 1..=3 {
        gateway.ip(&[format!("link set guard1 netns {}", elsewhere.name())])?;
        if round == 2 {
            gate.says("guarded interfaces have come or gone")?;
        }
        elsewhere.ip(&[format!("link set guard1 netns {}", gateway.name())])?;
        gateway.ip(&["address add 10.78.0.1/24 dev guard1", "link set guard1 up"])?;
        is_kept_out(&client2, V4.crm());
        wait_until("it to be guarded", SOON, || V4.bob(&gate).ok())?;
        reaches(&client2, V4.vault());
        is_kept_out(&client2, V4.crm());
        goes_on(&going)?;
    }
    Ok(())
}

#[test]
fn an_interface_that_leaves_and_returns_while_there_is_no_daemon_is_still_guarded() -> Result<()> {
    let mut gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    V4.bob(&gate)?;
    gate.daemon.kill9()?;
    leaves_and_returns(&gate.world, || Ok(()))?;
    reaches(&gate.world.client2, V4.vault());
    is_kept_out(&gate.world.client2, V4.crm());
    Ok(())
}

#[test]
fn an_interface_that_returns_while_the_barrier_is_closed_to_it_is_still_guarded() -> Result<()> {
    let world = World::new()?;
    let [bin, hold, held] = ["bin", "hold", "held"].map(|name| world.scratch().join(name));
    let mut launch = Launch::new(binary("portcullisd")?, READY);
    launch.env.insert("PATH".into(), format!("{}:{}", bin.display(), std::env::var("PATH")?));
    slow_nft(&bin, &hold, &held)?;
    let gate = Gate::launch_inside(world, launch, |config| config)?;
    let _apps = Apps::start(&gate.world, V4)?;
    is_kept_out(&gate.world.client2, V4.crm());
    fs::write(&hold, "")?;
    leaves_and_returns(&gate.world, || wait_until("the barrier to be told", SOON, || held.exists().then_some(())))?;
    is_kept_out(&gate.world.client2, V4.crm());
    fs::remove_file(&hold)?;
    gate.says("guarded interfaces have come or gone")?;
    is_kept_out(&gate.world.client2, V4.crm());
    Ok(())
}

/// `guard1` moves to another namespace, something happens, and it is back and up.
fn leaves_and_returns(world: &World, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
    let elsewhere = Namespace::new("elsewhere")?;
    world.gateway.ip(&[format!("link set guard1 netns {}", elsewhere.name())])?;
    let happened = meanwhile();
    elsewhere.ip(&[format!("link set guard1 netns {}", world.gateway.name())])?;
    world.gateway.ip(&["address add 10.78.0.1/24 dev guard1", "link set guard1 up"])?;
    happened
}

/// An `nft` in this folder that says so and waits while there is a file.
fn slow_nft(bin: &Path, hold: &Path, held: &Path) -> Result<()> {
    let (hold, held) = (hold.display(), held.display());
    let nft = tools::find("nft").context("there is no nft")?;
    let script =
        format!("#!/bin/sh\nwhile [ -e {hold} ]; do : > {held}; sleep 0.01; done\nexec {} \"$@\"\n", nft.display());
    fs::create_dir(bin)?;
    fs::write(bin.join("nft"), script)?;
    Ok(fs::set_permissions(bin.join("nft"), Permissions::from_mode(0o755))?)
}
