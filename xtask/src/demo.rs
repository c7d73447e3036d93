//! The demonstration: a gateway, a user, an app, and the cut.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// How the demonstration runs and reports.
#[derive(clap::Args)]
pub struct Args {
    /// Also write what was measured to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the namespaces and the gateway until Ctrl-C, to look around
    #[arg(long)]
    hold: bool,
    /// Print without colour
    #[arg(long)]
    no_color: bool,
}

/// Runs the demonstration.
pub fn run(args: &Args) -> Result<()> {
    let Args { json: _, hold: _, no_color: _ } = args;
    bail!("not built yet")
}
