//! A storm: the daemon is killed, stopped, paused and replaced, also by one of another ABI; its disk is full and its clock
//! jumps; policies change, people are revoked and come back, pins and interfaces are taken away; and from outside, on the
//! applications' own sockets, it is watched what passes.
//!
//! Run by `cargo xtask chaos`, and for a minute by `cargo xtask test`. What happens follows from the seed.

mod outside;
mod report;
#[path = "../../tests/gate/scene.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod scene;
mod storm;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use outside::Markers;
use scene::{Apps, FAMILIES};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use storm::Storm;

const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Lets it storm.
#[derive(clap::Parser)]
struct Options {
    /// For how long
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Draw the same lots as the run that printed this
    #[arg(long, default_value_t = rand::random())]
    seed: u64,
    /// Also write the figures to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// As cargo says it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let Options { minutes, seed, json, bench: _ } = Options::parse();
    ensure!(minutes > 0.0 && minutes <= 24.0 * 60.0, "--minutes is from 0 to a day");
    println!("chaos for {minutes} minutes, seed {seed}");
    let mut storm = Storm::begin(seed)?;
    let world = &storm.gate.world;
    let _apps = FAMILIES.map(|family| Apps::start(world, family)).into_iter().collect::<Result<Vec<_>>>()?;
    let markers = Markers::start(&world.client, &world.client2, &world.app)?;
    storm.permit()?;
    let (began, mut reported) = (Instant::now(), Instant::now());
    while began.elapsed() < Duration::from_secs_f64(minutes * 60.0) {
        let event = storm.draw();
        storm.happen(event).with_context(|| format!("{event:?}, seed {seed}\n{}", storm.gate.daemon.log()))?;
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            println!("… {:.0} s: {}", began.elapsed().as_secs_f64(), storm.tally.line(markers.leaks()));
        }
    }
    let took = began.elapsed().as_secs_f64();
    let report = storm.tally.report(took / 60.0, seed, storm.flooded(), &markers);
    println!();
    report::print(&report);
    if let Some(path) = &json {
        fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    println!();
    let checks = report::checks(&report);
    for (name, holds) in checks {
        println!("test {name} ... {}", if holds { "ok" } else { "FAILED" });
    }
    let failed = checks.iter().filter(|(_, holds)| !holds).count();
    let (word, passed) = (if failed == 0 { "ok" } else { "FAILED" }, checks.len() - failed);
    println!("\ntest result: {word}. {passed} passed; {failed} failed; finished in {took:.2}s");
    ensure!(failed == 0, "repeat it with --seed {seed}");
    Ok(())
}
