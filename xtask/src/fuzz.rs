//! The long comparison of the law with the oracle, optimized.

use anyhow::{Context as _, Result, ensure};

use crate::{repeat::Repeat, setup, toolchain::cargo};

/// How long, and from where.
#[derive(clap::Args)]
pub struct Args {
    /// How many packets to judge
    #[arg(long, default_value_t = 10_000_000)]
    packets: u64,
    #[command(flatten)]
    repeat: Repeat,
}

/// Builds everything optimized, which takes minutes the first time, and compares.
pub fn run(args: &Args) -> Result<()> {
    setup::prepare_to_run()?;
    let mut command = cargo();
    command.args(["bench", "--package", "gateway-tests", "--bench", "fuzz", "--"]);
    command.args(["--packets", &args.packets.to_string()]);
    args.repeat.pass_to(&mut command)?;
    let status = command.status().context("cannot start cargo bench")?;
    ensure!(status.success(), "the law and the oracle do not agree, or the run failed");
    Ok(())
}
