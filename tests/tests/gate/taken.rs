//! Somebody takes a program off an interface, or its pins away: it is put back at once, and said.

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, wait_until};
use std::path::PathBuf;

use crate::record::sum;
use crate::scene::{Apps, SOON, V4, goes_on, is_kept_out, reaches, stream};

/// The pins of the links of `guard0`: of XDP, of TC where packets leave, and of TC where they arrive.
fn pins(gate: &Gate) -> Result<Vec<PathBuf>> {
    let index = gate.world.gateway.enter(|| nix::net::if_::if_nametoindex("guard0"))??;
    let folder = gate.world.bpffs().join("portcullis/links");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let names = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let is_link = |path: &PathBuf| names(path).starts_with(&format!("{index}-")) && path.is_file();
    let mut pins: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_link).collect();
    pins.sort();
    ensure!(pins.len() == 3, "{pins:?}");
    Ok(pins)
}

fn is_put_back(gate: &Gate, take_off: impl Fn(&PathBuf) -> Result<()>) -> Result<()> {
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(gate)?;
    let going = stream(client, V4.crm())?;
    for (number, pin) in pins(gate)?.iter().enumerate() {
        take_off(pin)?;
        wait_until("it to be put back", SOON, || {
            let text = gate.api.get("/metrics").ok()?.text;
            (sum(&text, "portcullis_programs_put_back_total ") > number as f64).then_some(())
        })
        .with_context(|| gate.daemon.log())?;
        ensure!(pins(gate)?.contains(pin));
        goes_on(&going)?;
        reaches(client, V4.crm());
        is_kept_out(client, V4.vault());
    }
    ensure!(gate.daemon.log().contains("somebody has taken programs off guarded interfaces"), "{}", gate.daemon.log());
    Ok(())
}

#[test]
fn a_link_whose_pin_is_removed_is_made_anew() -> Result<()> {
    let gate = Gate::open()?;
    is_put_back(&gate, |pin| Ok(std::fs::remove_file(pin)?))
}

#[test]
fn after_a_restart_a_link_whose_pin_is_removed_is_made_anew_too() -> Result<()> {
    let mut gate = Gate::open()?;
    gate.daemon.restart()?;
    is_put_back(&gate, |pin| Ok(std::fs::remove_file(pin)?))
}

#[test]
fn a_link_that_is_detached_is_made_anew() -> Result<()> {
    let gate = Gate::open()?;
    is_put_back(&gate, |pin| {
        let pin = pin.to_string_lossy().into_owned();
        gate.world.gateway.run(&["bpftool", "link", "detach", "pinned", &pin]).map(drop)
    })
}
