//! The compiler for the eBPF programs.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use gateway_tests::tools;

use super::packages::{self, COMPILER, Installed};
use crate::{
    console,
    toolchain::{DEBIAN_BPF_CORE, EbpfCompiler, Kind},
};

/// What `rust-version` of the workspace asks for.
const MINIMUM: (u32, u32) = (1, 95);

/// Finds the compiler, or installs Debian's.
pub fn ensure(installed: &Installed) -> Result<EbpfCompiler> {
    let compiler = match EbpfCompiler::find() {
        Some(compiler) => compiler,
        None => install(installed)?,
    };
    let (major, minor) = MINIMUM;
    ensure!(
        compiler.version() >= MINIMUM,
        "the eBPF compiler is rustc {}, and {major}.{minor} is needed: {}",
        compiler.release,
        match compiler.kind {
            Kind::Prebuilt => "enable Debian's security updates, then `apt-get update && apt-get install rustc-web`",
            Kind::Nightly => "run `rustup update nightly`",
        }
    );
    Ok(compiler)
}

fn install(installed: &Installed) -> Result<EbpfCompiler> {
    if !packages::is_debian() {
        bail!("no compiler for the eBPF programs: {}", nightly_recipe());
    }
    let missing = installed.missing(&COMPILER);
    // The compiler came with a later update of Debian 12: lists without it can be fresh and lack that archive.
    let is_unknown = || missing.iter().any(|name| !packages::is_known(name));
    if !missing.is_empty() && (packages::lists_are_stale() || is_unknown()) {
        packages::update();
    }
    if let Some(unknown) = missing.iter().find(|name| !packages::is_known(name)) {
        bail!("this system has no package `{unknown}`: {}", nightly_recipe());
    }
    packages::install("eBPF compiler", &missing)?;
    link_toolchain()?;
    match EbpfCompiler::prebuilt() {
        Some(compiler) => Ok(compiler),
        None => bail!("`{DEBIAN_BPF_CORE}` is missing although its packages are installed: {}", nightly_recipe()),
    }
}

/// Makes Debian's compiler known to rustup; without rustup it is used where it is.
fn link_toolchain() -> Result<()> {
    let Some(rustup) = tools::find("rustup") else { return Ok(()) };
    if !Path::new(DEBIAN_BPF_CORE).is_dir() {
        return Ok(());
    }
    console::doing("eBPF compiler", "rustup toolchain link bpf /usr");
    console::run_logged(std::process::Command::new(rustup).args(["toolchain", "link", "bpf", "/usr"]))
}

fn nightly_recipe() -> String {
    "run `rustup toolchain install nightly --component rust-src`, then `cargo xtask setup` again".to_owned()
}
