//! Options of tasks that draw lots: where to begin, and where to write the sum.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

/// How to repeat a run, and what becomes of its numbers.
#[derive(clap::Args)]
pub struct Repeat {
    /// Begin with this seed, to repeat a run
    #[arg(long)]
    seed: Option<u64>,
    /// Also write the sum to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Repeat {
    /// Passes them on.
    pub fn pass_to(&self, command: &mut Command) -> Result<()> {
        if let Some(seed) = self.seed {
            command.args(["--seed", &seed.to_string()]);
        }
        if let Some(path) = &self.json {
            command.arg("--json").arg(std::path::absolute(path)?);
        }
        Ok(())
    }
}
