//! Mistakes planted in the law, one after the other, and whether its tests notice.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{
    repeat::Repeat,
    setup::{self, Need},
    toolchain::cargo,
};

/// Which of them, and how the run reports.
#[derive(clap::Args)]
pub struct Args {
    /// Only the mistake of this name, with what each suite notices
    #[arg(long)]
    only: Option<String>,
    #[command(flatten)]
    repeat: Repeat,
}

/// Builds the law with its mistakes and tries them.
pub fn run(args: &Args) -> Result<()> {
    setup::prepare(Need::BuildAndRun)?;
    let mut command = command();
    if let Some(name) = &args.only {
        command.args(["--only", name]);
    }
    args.repeat.pass_to(&mut command)?;
    let status = command.status().context("cannot start cargo test")?;
    ensure!(status.success(), "a mistake survives, or the run failed");
    Ok(())
}

/// What tries all of them. As the tests are built: the mistakes do not build without debug assertions.
pub fn command() -> Command {
    let mut command = cargo();
    command.args(["test", "--package", "gateway-tests", "--features", "mutants", "--bench", "mutants", "--"]);
    command
}
