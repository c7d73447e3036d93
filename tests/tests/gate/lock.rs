//! While there is no daemon, or not yet one: nothing passes that its program has not judged.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use gateway_tests::{Gate, Namespace, Outcome, TcpEcho, World, gate, tcp_connect, wait_until, world::at};

use crate::scene::{Apps, BRIEFLY, FAMILIES, SOON, V4, goes_on, is_kept_out, reaches, stream};

/// SSH, from the first client's network.
fn config() -> String {
    let listen = "listen = [\"127.0.0.1:8443\"]";
    let managed = format!("{listen}\nmanagement = [\"127.0.0.0/8\", \"10.77.0.0/24\"]");
    let ssh = "[[service]]\nname = \"ssh\"\nprotocol = \"tcp\"\nport = 22\naccess = \"management\"\n";
    format!("barrier = \"nftables\"\n{}{ssh}", gate::config().replace(listen, &managed))
}

fn lock(world: &World) -> Result<String> {
    let (status, output) = gate::run_to_end(world, &[], &config(), &["lock"])?;
    assert_eq!(status.code(), Some(0), "{output}");
    Ok(output)
}

/// What the forward hook says.
fn rules(gateway: &Namespace) -> Result<String> {
    gateway.run(&["nft", "list", "ruleset"])
}

#[test]
fn a_locked_gateway_lets_nobody_through_but_management_to_the_machine_itself() -> Result<()> {
    let world = World::new()?;
    gate::prepare(&world)?;
    let apps = [Apps::start(&world, V4)?, Apps::start(&world, FAMILIES[1])?];
    reaches(&world.client, V4.crm());
    let ssh = |address: IpAddr| SocketAddr::new(address, 22);
    let _sshd = [TcpEcho::start(&world.gateway, ssh(at::GUARD0))?, TcpEcho::start(&world.gateway, ssh(at::GUARD1))?];
    let output = lock(&world)?;
    ensure!(output.contains("guarded without a daemon: guard0, guard1"), "{output}");
    for family in FAMILIES {
        is_kept_out(&world.client, family.crm());
        is_kept_out(&world.client2, family.crm());
    }
    assert_eq!(tcp_connect(&world.client, ssh(at::GUARD0), SOON)?, Outcome::Connected);
    assert_eq!(tcp_connect(&world.client2, ssh(at::GUARD1), BRIEFLY)?, Outcome::TimedOut);
    // Again: nothing is different.
    lock(&world)?;
    is_kept_out(&world.client, V4.crm());
    drop(apps);

    let gate = Gate::inside(world, |_| config())?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    reaches(&gate.world.client, V4.crm());
    is_kept_out(&gate.world.client2, V4.crm());
    ensure!(lock(&gate.world)?.contains("a daemon is running"));
    reaches(&gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn an_interface_that_comes_after_the_lock_forwards_nothing_until_it_is_guarded() -> Result<()> {
    let world = World::new()?;
    gate::prepare(&world)?;
    world.gateway.ip(&["link del guard0"])?;
    let output = lock(&world)?;
    ensure!(output.contains("not there yet: guard0; they forward nothing until they are guarded"), "{output}");
    world.remake_guard0()?;
    let _apps = Apps::start(&world, V4)?;
    is_kept_out(&world.client, V4.crm());
    lock(&world)?;
    is_kept_out(&world.client, V4.crm());
    // By its program, too.
    world.gateway.run(&["nft", "delete", "table", "inet", "portcullis"])?;
    is_kept_out(&world.client, V4.crm());
    Ok(())
}

#[test]
fn an_interface_that_is_made_anew_while_there_is_no_daemon_forwards_nothing() -> Result<()> {
    let mut gate = Gate::with(|_| config())?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&gate.world.client, V4.crm())?;
    gate.daemon.kill9()?;
    goes_on(&going)?;
    drop(going);
    gate.world.gateway.ip(&["link del guard0"])?;
    gate.world.remake_guard0()?;
    is_kept_out(&gate.world.client, V4.crm());
    // It is the barrier that keeps it so.
    let before = rules(&gate.world.gateway)?;
    gate.world.gateway.run(&["nft", "delete", "table", "inet", "portcullis"])?;
    reaches(&gate.world.client, V4.crm());

    gate.daemon.restart()?;
    is_kept_out(&gate.world.client, V4.crm());
    V4.alice(&gate)?;
    reaches(&gate.world.client, V4.crm());
    let after = rules(&gate.world.gateway)?;
    ensure!(before != after && after.contains("table inet portcullis"), "{before}\n{after}");

    assert_eq!(gate.daemon.stop()?, 0);
    let (status, output) = gate::run_to_end(&gate.world, &[], &config(), &["unload"])?;
    assert_eq!(status.code(), Some(0), "{output}");
    ensure!(rules(&gate.world.gateway)?.trim().is_empty());
    wait_until("nothing to be guarded", SOON, || {
        (tcp_connect(&gate.world.client, V4.crm(), BRIEFLY).ok()? == Outcome::Connected).then_some(())
    })
}
