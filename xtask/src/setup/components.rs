//! What the lints need: rustfmt and clippy of the host's toolchain, and a clippy that compiles for
//! the BPF target.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use gateway_tests::tools;

use super::packages::{self, CLIPPY, Installed};
use crate::{
    console,
    toolchain::{EbpfCompiler, Kind, cargo, in_toolchain, output},
};

/// Makes sure that the lints can run.
pub fn ensure(compiler: &EbpfCompiler, installed: &Installed) -> Result<()> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if output(cargo().args([subcommand, "--version"])).is_none() {
            add("the default toolchain", &[], component)?;
        }
    }
    match compiler.kind {
        Kind::Prebuilt if packages::is_debian() => packages::install("eBPF lints", &installed.missing(&[CLIPPY])),
        Kind::Prebuilt => Ok(()),
        Kind::Nightly if output(&mut ebpf_clippy(compiler, &["--version"])).is_some() => Ok(()),
        Kind::Nightly => add("nightly", &["--toolchain", "nightly"], "clippy"),
    }
}

/// `cargo clippy` of the eBPF compiler.
pub fn ebpf_clippy(compiler: &EbpfCompiler, args: &[&str]) -> Command {
    let mut command = in_toolchain(compiler.toolchain(), "cargo");
    command.arg("clippy").args(args);
    command
}

fn add(toolchain: &str, select: &[&str], component: &str) -> Result<()> {
    let Some(rustup) = tools::find("rustup") else {
        bail!("{component} is missing from {toolchain}: install it with your system's Rust packages");
    };
    console::doing(component, "rustup component add");
    let mut command = Command::new(rustup);
    command.args(["component", "add", component]).args(select);
    console::run_logged(&mut command).with_context(|| format!("{component} is missing from {toolchain}"))
}
