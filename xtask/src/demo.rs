//! The demonstration: people, a gateway, apps and an identity provider, real programs and real packets, and the cut.

mod cast;
mod corp;
mod leaver;
mod page;
mod records;
mod stage;
mod story;
mod talk;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use gateway_tests::tools;

use crate::{console, setup, toolchain};
use stage::Stage;

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
    setup::prepare_to_run()?;
    build()?;
    let mut stage = Stage::new(args.no_color)?;
    let outcome = story::play(&mut stage, args.hold);
    if let Some(path) = &args.json {
        let report = serde_json::to_string_pretty(&stage.report())?;
        std::fs::write(path, report + "\n").with_context(|| path.display().to_string())?;
    }
    outcome?;
    stage.close();
    if stage.failed() > 0 {
        bail!("{} step(s) went otherwise than expected", stage.failed());
    }
    Ok(())
}

/// Builds the daemon and the command line; the eBPF programs are built on the way.
fn build() -> Result<()> {
    console::doing("build", "portcullisd and portcullis; minutes the first time, seconds afterwards");
    console::run_logged(toolchain::cargo().args(["build", "--package", "gateway-userspace", "--bins"]))?;
    console::done("build", "");
    Ok(())
}

/// Where the build has put a program.
fn program(name: &str) -> PathBuf {
    tools::target_dir().join("debug").join(name)
}
