//! The measurements: the programs on one packet, beside a program that does nothing; and the real daemon, optimized,
//! with real packets between network namespaces.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::tools;
use serde_json::Value;

use crate::{setup, toolchain::cargo};

/// How the bench reports.
#[derive(clap::Args)]
pub struct Args {
    /// Also write the rows to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is measured: the programs by themselves, then the daemon with real packets.
const BENCHES: [&str; 2] = ["programs", "gate"];

/// Builds everything optimized, which takes minutes the first time, and measures.
pub fn run(args: &Args) -> Result<()> {
    setup::prepare_to_run()?;
    let mut rows: Vec<Value> = Vec::new();
    for bench in BENCHES {
        let written = tools::target_dir().join(format!("bench-{bench}.json"));
        let mut command = cargo();
        command.args(["bench", "--package", "gateway-tests", "--bench", bench, "--", "--json"]).arg(&written);
        let status = command.status().context("cannot start cargo bench")?;
        ensure!(status.success(), "the bench `{bench}` failed");
        rows.extend(serde_json::from_slice::<Vec<Value>>(&fs::read(&written)?)?);
    }
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&rows)? + "\n").with_context(|| path.display().to_string())?;
    }
    Ok(())
}
