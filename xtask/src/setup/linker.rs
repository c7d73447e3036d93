//! bpf-linker, which turns LLVM bitcode into one BPF object. It has to be built on an LLVM of the
//! compiler's major version: an older one cannot read the bitcode.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Result, bail};
use gateway_tests::tools;

use super::packages::{self, Installed};
use crate::{
    console,
    toolchain::{EbpfCompiler, Kind, cargo, output},
};

/// What bpf-linker links with, besides LLVM itself; its libraries are C++.
pub const LIBRARIES: [&str; 4] = ["g++", "libxml2-dev", "libzstd-dev", "zlib1g-dev"];
/// The versions known to work.
const VERSION: &str = "^0.13";

/// Finds the linker, or builds it.
pub fn ensure(compiler: &EbpfCompiler, installed: &Installed) -> Result<()> {
    // Run, not just found: it is linked with LLVM's shared library, which an upgrade may replace.
    if version().is_some() && built_on_other_llvm(compiler.llvm).is_none() {
        return Ok(());
    }
    if compiler.kind == Kind::Nightly && !packages::is_debian() {
        bail!("bpf-linker is missing: run `cargo install bpf-linker --locked`");
    }
    let llvm = compiler.llvm;
    let (headers, polly) = (format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev"));
    let mut needed = vec![headers.as_str(), polly.as_str()];
    needed.extend(LIBRARIES);
    packages::install("LLVM libraries", &installed.missing(&needed))?;
    build(llvm)
}

/// What the linker says it is.
pub fn description(llvm: u32) -> String {
    format!("{} (LLVM {llvm})", version().unwrap_or_default().trim())
}

fn version() -> Option<String> {
    output(Command::new(tools::find("bpf-linker")?).arg("--version"))
}

fn build(llvm: u32) -> Result<()> {
    let prefix = PathBuf::from(format!("/usr/lib/llvm-{llvm}"));
    let mut command = cargo();
    command.args(["install", "bpf-linker", "--locked", "--force", "--version", VERSION]);
    command.args(["--no-default-features", "--features", &format!("llvm-{llvm}")]);
    // llvm-sys reads the first; bpf-linker's own build script reads the second, and without it
    // takes whichever llvm-config comes first on the PATH.
    command.env(format!("LLVM_SYS_{llvm}1_PREFIX"), &prefix).env("LLVM_PREFIX", &prefix);
    // Its time goes by in LLVM, which is compiled already; this halves the build.
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    console::doing("eBPF linker", "cargo install bpf-linker (about a minute)");
    console::run_logged(&mut command)
}

/// The LLVM that cargo built the installed linker on, if it is not `llvm`. A linker that cargo did
/// not install is taken at its word.
fn built_on_other_llvm(llvm: u32) -> Option<String> {
    let record = fs::read(tools::cargo_home().join(".crates2.json")).ok()?;
    let record: serde_json::Value = serde_json::from_slice(&record).ok()?;
    let installs = record.get("installs")?.as_object()?;
    let (_, linker) = installs.iter().find(|(name, _)| name.starts_with("bpf-linker "))?;
    let features = linker.get("features")?.as_array()?.iter().filter_map(|feature| feature.as_str());
    let mut built_on = features.filter(|feature| feature.starts_with("llvm-") && feature[5..].parse::<u32>().is_ok());
    built_on.find(|feature| *feature != format!("llvm-{llvm}")).map(str::to_owned)
}
