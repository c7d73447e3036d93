//! The measurements: the real daemon, optimized, with real packets between network namespaces.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::{setup, toolchain::cargo};

/// How the bench reports.
#[derive(clap::Args)]
pub struct Args {
    /// Also write the rows to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Builds everything optimized, which takes minutes the first time, and measures.
pub fn run(args: &Args) -> Result<()> {
    setup::prepare_to_run()?;
    let mut command = cargo();
    command.args(["bench", "--package", "gateway-tests", "--bench", "gate", "--"]);
    if let Some(path) = &args.json {
        command.arg("--json").arg(std::path::absolute(path)?);
    }
    let status = command.status().context("cannot start cargo bench")?;
    ensure!(status.success(), "the bench failed");
    Ok(())
}
