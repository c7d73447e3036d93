//! The storm: the daemon dies and comes back, and from outside it is watched what passes.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{setup, toolchain::cargo};

/// How long, and from where.
#[derive(clap::Args)]
pub struct Args {
    /// For how long
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// What happens when follows from this, to repeat a run
    #[arg(long)]
    seed: Option<u64>,
    /// Also write the sum to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How long the tests let it storm.
const IN_TESTS: f64 = 1.0;

/// Lets it storm.
pub fn run(args: &Args) -> Result<()> {
    setup::prepare_to_run()?;
    let mut command = for_minutes(args.minutes);
    if let Some(seed) = args.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if let Some(path) = &args.json {
        command.arg("--json").arg(std::path::absolute(path)?);
    }
    let status = command.status().context("cannot start cargo test")?;
    ensure!(status.success(), "something did not hold, or the run failed");
    Ok(())
}

/// The short one of the tests.
pub fn command() -> Command {
    for_minutes(IN_TESTS)
}

fn for_minutes(minutes: f64) -> Command {
    let mut command = cargo();
    command.args(["test", "--package", "gateway-tests", "--bench", "chaos", "--", "--minutes", &minutes.to_string()]);
    command
}
