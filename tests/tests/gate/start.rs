//! Starting: what is wrong is said at once, with the documented exit code, before anything is touched. And the end.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use gateway_tests::{Gate, Outcome, TcpEcho, World, gate, ping, tcp_connect};

use crate::scene::{Apps, SOON, V4, V6, falls_silent, is_kept_out, reaches, stream};

#[test]
fn a_configuration_with_several_errors_is_refused_with_all_of_them_and_their_places() -> Result<()> {
    let config = "[[interface]]\nname = \"guard0\"\nxdp = \"fast\"\n[api]\nlisten = [\"here:1\"]\n[lgoin]\n";
    let world = refused(78, config, &[":3:7: ", "`fast`", ":5:11: ", "`here:1`", ":6:2: ", "did you mean `login`?"])?;
    let (status, output) = gate::run_to_end(&world, &[], config, &["check"])?;
    assert_eq!((status.code(), output.lines().count()), (Some(78), 3), "{output}");
    Ok(())
}

#[test]
fn wrong_apps_and_policies_to_begin_with_are_refused_with_their_places() -> Result<()> {
    let world = World::new()?;
    gate::prepare(&world)?;
    fs::write(world.scratch().join("policies.cedar"), "permit (\n  principal, action resource);")?;
    refused_in(&world, 78, &[], &gate::config(), &["policies.cedar:2:"])?;
    gate::prepare(&world)?;
    fs::write(
        world.scratch().join("apps.toml"),
        "[[app]]\nname = \"crm\"\nprefixes = [\"10.20.0.10/24\"]\nservices = [\"1/x\"]\n",
    )?;
    refused_in(&world, 78, &[], &gate::config(), &["apps.toml:3:13", "host bits", "apps.toml:4:13", "`1/x`"])?;
    Ok(())
}

#[test]
fn a_file_that_is_not_there_is_named() -> Result<()> {
    let world = World::new()?;
    gate::prepare(&world)?;
    fs::remove_file(world.scratch().join("apps.toml"))?;
    refused_in(&world, 78, &[], &gate::config(), &["apps.toml: cannot be read: No such file"])
}

#[test]
fn a_port_in_use_is_named_with_its_address() -> Result<()> {
    let world = World::new()?;
    gate::prepare(&world)?;
    let _taken = TcpEcho::start(&world.gateway, SocketAddr::new(V4.guard1, 443))?;
    refused_in(&world, 1, &[], &gate::config(), &["`10.78.0.1:443`", "in use"])
}

#[test]
fn an_interface_that_is_missing_is_named() -> Result<()> {
    refused(1, &gate::config().replace("\"guard1\"", "\"guard9\""), &["interface `guard9` does not exist"]).map(drop)
}

#[test]
fn without_root_nothing_starts() -> Result<()> {
    let world = World::new()?;
    gate::prepare(&world)?;
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    // The binary and the configuration lie in folders that only root may enter: capabilities of reading are kept.
    let readable = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"];
    refused_in(&world, 1, &[nobody.as_slice(), &readable].concat(), &gate::config(), &["root is needed"])
}

#[test]
fn a_folder_that_is_not_on_a_bpf_file_system_is_refused_with_the_mount_command() -> Result<()> {
    let config = gate::config().replace("{bpffs}/portcullis", "{scratch}/pins/portcullis");
    let world = refused(1, &config, &["is not on a BPF file system", "mount -t bpf bpf "])?;
    assert!(!world.scratch().join("pins/portcullis").exists());
    Ok(())
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused_and_the_first_goes_on() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let (status, output) = gate::run_to_end(&gate.world, &[], &gate::config(), &[])?;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("state.redb") && output.contains("in use"), "{output}");
    reaches(&gate.world.client, V4.crm());
    is_kept_out(&gate.world.client, V4.vault());
    V4.bob(&gate)?;
    Ok(())
}

#[test]
fn generic_mode_gives_the_same_verdicts() -> Result<()> {
    let gate = Gate::with(|config| {
        config
            .replace("\"guard0\"", "\"guard0\"\nxdp = \"generic\"")
            .replace("\"guard1\"", "\"guard1\"\nxdp = \"native\"")
    })?;
    let status = gate.api.get("/v1/status")?.ok()?;
    assert_eq!(
        (&status["interfaces"][0]["name"], &status["interfaces"][0]["xdp"]),
        (&"guard0".into(), &"generic".into())
    );
    assert_eq!(
        (&status["interfaces"][1]["name"], &status["interfaces"][1]["xdp"]),
        (&"guard1".into(), &"native".into())
    );
    let client = &gate.world.client;
    for family in [V4, V6] {
        let _apps = Apps::start(&gate.world, family)?;
        let before = gate.drops()?;
        is_kept_out(client, family.crm());
        assert_eq!(gate.reasons_since(&before)?, ["guard0/no_session"]);
        family.alice(&gate)?;
        let before = gate.drops()?;
        reaches(client, family.crm());
        assert_eq!(ping(client, family.crm, SOON)?, Outcome::Answered);
        is_kept_out(client, family.vault());
        assert_eq!(gate.reasons_since(&before)?, ["guard0/no_grant"]);
    }
    for family in [V4, V6] {
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        let cut = stream(client, family.crm())?;
        gate.api.post_json("/v1/revocations", &serde_json::json!({ "user": "alice" }))?.ok()?;
        falls_silent(&cut)?;
        is_kept_out(client, family.crm());
    }
    Ok(())
}

#[test]
fn unload_takes_everything_down_and_leaves_the_state() -> Result<()> {
    let mut gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    is_kept_out(&gate.world.client, V4.crm());
    let (status, output) = gate::run_to_end(&gate.world, &[], &gate::config(), &["unload"])?;
    assert_eq!(status.code(), Some(1), "while the daemon runs: {output}");
    assert!(output.contains("is in use by another portcullisd; stop that one first"), "{output}");
    is_kept_out(&gate.world.client, V4.crm());
    assert_eq!(gate.daemon.stop()?, 0);
    is_kept_out(&gate.world.client, V4.crm());
    let (status, output) = gate::run_to_end(&gate.world, &[], &gate::config(), &["unload"])?;
    assert_eq!(status.code(), Some(0), "{output}");
    assert_untouched(&gate.world);
    gate.daemon.restart()?;
    is_kept_out(&gate.world.client, V4.crm());
    V4.alice(&gate)?;
    reaches(&gate.world.client, V4.crm());
    Ok(())
}

/// The daemon, started with this configuration in a fresh world, says all of these and changes nothing.
fn refused(code: i32, config: &str, says: &[&str]) -> Result<World> {
    let world = World::new()?;
    gate::prepare(&world)?;
    refused_in(&world, code, &[], config, says)?;
    Ok(world)
}

#[track_caller]
fn refused_in(world: &World, code: i32, wrapper: &[&str], config: &str, says: &[&str]) -> Result<()> {
    let (status, output) = gate::run_to_end(world, wrapper, config, &[])?;
    assert_eq!(status.code(), Some(code), "{output}");
    for said in says {
        assert!(output.contains(said), "no `{said}` in: {output}");
    }
    assert_untouched(world);
    Ok(())
}

/// No pin is there, and packets pass as before.
#[track_caller]
fn assert_untouched(world: &World) {
    let entries = fs::read_dir(world.bpffs()).expect("it is mounted").flatten().map(|entry| entry.path());
    // The kernel may put its own `maps.debug` and `progs.debug` there.
    let pins: Vec<_> = entries.filter(|path| path.extension().is_none_or(|extension| extension != "debug")).collect();
    assert_eq!(pins, Vec::<&Path>::new());
    let echo = TcpEcho::start(&world.app, SocketAddr::new(V4.vault, 9)).expect("the port is free");
    let outcome = tcp_connect(&world.client, echo.address().expect("it listens"), SOON).expect("the host exists");
    assert_eq!(outcome, Outcome::Connected);
}

#[test]
fn what_takes_access_away_is_as_urgent_as_the_unit_says_and_passwords_are_not() -> Result<()> {
    let gate = Gate::launch(gate::urgent()?, |config| config)?;
    let mut found = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{}/task", gate.daemon.pid()))? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        let (name, fields) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") ")).context("no name")?;
        // proc_pid_stat(5): the 19th of all.
        let niceness: i32 = fields.split(' ').nth(16).context("no niceness")?.parse()?;
        found.insert(name.to_owned(), niceness);
    }
    assert_eq!((found.get("core"), found.get("passwords")), (Some(&-10), Some(&0)), "{found:?}");
    assert_eq!(found.get("tokio-rt-worker"), Some(&-10), "{found:?}");
    Ok(())
}
