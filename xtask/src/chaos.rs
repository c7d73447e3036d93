//! The storm: the daemon dies and comes back, and from outside it is watched what passes.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{repeat::Repeat, setup, toolchain::cargo};

/// How long, and from where.
#[derive(clap::Args)]
pub struct Args {
    /// For how long
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    #[command(flatten)]
    repeat: Repeat,
}

/// How long the tests let it storm.
const IN_TESTS: f64 = 1.0;

/// Lets it storm.
pub fn run(args: &Args) -> Result<()> {
    setup::prepare_to_run()?;
    // Optimized: more happens in the same time.
    let mut command = for_minutes("bench", args.minutes);
    args.repeat.pass_to(&mut command)?;
    let status = command.status().context("cannot start cargo bench")?;
    ensure!(status.success(), "something did not hold, or the run failed");
    Ok(())
}

/// The short one of the tests.
pub fn command() -> Command {
    for_minutes("test", IN_TESTS)
}

fn for_minutes(how: &str, minutes: f64) -> Command {
    let mut command = cargo();
    command.args([how, "--package", "gateway-tests", "--bench", "chaos", "--", "--minutes", &minutes.to_string()]);
    command
}
