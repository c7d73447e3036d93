//! Installs what is missing so that everything builds and runs, and says so line by line. Where
//! all is there it takes a fraction of a second, so every other task calls it first.
//!
//! On Debian as root it needs no help. Elsewhere it changes nothing and names what to install.

mod compiler;
mod components;
mod flows;
mod linker;
mod packages;
mod peers;
mod promtool;
mod syslog;

use anyhow::Result;

pub use components::ebpf_clippy;

use crate::{console, kernel, toolchain::EbpfCompiler};

/// What a task needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Compile both sides, and run the demo and the tests.
    BuildAndRun,
    /// That, and the lints.
    Everything,
}

/// The task `setup`: installs everything and shows what is there.
pub fn run() -> Result<()> {
    let found = prepare(Need::Everything)?;
    peers::ensure()?;
    console::done("C compiler", "cc");
    console::done("eBPF compiler", &format!("rustc {} (toolchain {})", found.release, found.toolchain()));
    console::done("eBPF linker", &linker::description(found.llvm));
    console::done("tools", &packages::tool_names());
    console::done("identity peers", peers::names());
    console::done("receivers", &syslog::names());
    console::done("lints", "rustfmt, clippy, clippy for the eBPF programs");
    println!("\nReady. Next: cargo xtask demo");
    Ok(())
}

/// Makes sure that the demo and the tests can run here: the user, the kernel, and what they need.
pub fn prepare_to_run() -> Result<()> {
    kernel::check_early()?;
    prepare(Need::BuildAndRun)?;
    peers::ensure()?;
    kernel::check()
}

/// Makes sure that libFuzzer, which is C++, can be compiled: for `cargo xtask cover`, and nothing else.
pub fn prepare_to_cover() -> Result<()> {
    packages::ensure_cxx()
}

/// Makes sure that what `need` names is there; silent where it is.
pub fn prepare(need: Need) -> Result<EbpfCompiler> {
    let installed = packages::Installed::read();
    let compiler = compiler::ensure(&installed)?;
    linker::ensure(&compiler, &installed)?;
    packages::ensure_tools()?;
    promtool::ensure()?;
    syslog::ensure()?;
    flows::ensure()?;
    if need == Need::Everything {
        components::ensure(&compiler, &installed)?;
    }
    Ok(compiler)
}
