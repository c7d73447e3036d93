//! The measurements: what a packet costs in the programs and on its way, beside what it is compared with; TCP; and the
//! daemon. All of it optimized, between network namespaces of its own.

mod machine;
mod pages;
mod plots;
mod rows;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::tools;
use serde_json::Value;

use crate::{console, setup, toolchain::cargo};
use machine::Machine;

/// What is measured, and how it is reported.
#[derive(clap::Args)]
pub struct Args {
    /// Measure only this; may be given several times
    #[arg(long = "suite", value_name = "NAME", value_parser = ["program", "veth", "tcp", "control", "revocation", "identity", "policy", "records", "core"])]
    suites: Vec<String>,
    /// Also write the rows to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often each contender's turn comes
    #[arg(long, value_name = "N", default_value_t = 9)]
    rounds: u32,
    /// Write tables and plots of all suites to docs/bench
    #[arg(long, conflicts_with = "suites")]
    publish: bool,
}

/// Builds everything optimized, which takes minutes the first time, and measures.
pub fn run(args: &Args) -> Result<()> {
    setup::prepare_to_run()?;
    let mut machine = Machine::look()?;
    let written = tools::target_dir().join("bench.json");
    // What an earlier run has left must not be taken for this one's; it may not exist.
    let _ = fs::remove_file(&written);
    let mut command = cargo();
    command.args(["bench", "--package", "gateway-tests", "--bench", "gateway", "--", "--json"]).arg(&written);
    command.args(["--rounds", &args.rounds.to_string()]);
    command.args(args.suites.iter().flat_map(|suite| ["--suite", suite]));
    let status = command.status().context("cannot start cargo bench")?;
    ensure!(status.success(), "the bench failed");
    machine.look_again()?;
    let mut rows: Vec<Value> = serde_json::from_slice(&fs::read(&written)?)?;
    println!("\n{machine}");
    rows.extend(machine.rows());
    if let Some(path) = &args.json {
        fs::write(path, rows::text(&rows)?).with_context(|| path.display().to_string())?;
    }
    if args.publish {
        let folder = pages::publish(&rows, &machine)?;
        console::done("published", &folder.display().to_string());
    }
    Ok(())
}
