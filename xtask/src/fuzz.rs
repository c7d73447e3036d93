//! The long comparison of the law with the oracle, optimized.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::{setup, toolchain::cargo};

/// How long, and from where.
#[derive(clap::Args)]
pub struct Args {
    /// How many packets to judge
    #[arg(long, default_value_t = 10_000_000)]
    packets: u64,
    /// Begin with the world of this seed, to repeat a run
    #[arg(long)]
    seed: Option<u64>,
    /// Also write the sum to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Builds everything optimized, which takes minutes the first time, and compares.
pub fn run(args: &Args) -> Result<()> {
    setup::prepare_to_run()?;
    let mut command = cargo();
    command.args(["bench", "--package", "gateway-tests", "--bench", "fuzz", "--"]);
    command.args(["--packets", &args.packets.to_string()]);
    if let Some(seed) = args.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if let Some(path) = &args.json {
        command.arg("--json").arg(std::path::absolute(path)?);
    }
    let status = command.status().context("cannot start cargo bench")?;
    ensure!(status.success(), "the law and the oracle do not agree, or the run failed");
    Ok(())
}
