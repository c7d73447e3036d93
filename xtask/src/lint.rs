//! Format and lints. The eBPF crate is linted by the clippy of the compiler that builds it, for
//! the BPF target: on the host its programs and maps do not even exist.

use std::{env, process::Command};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::tools;

use crate::{
    console,
    setup::{self, Need},
    toolchain::{BPF_TARGET, EbpfCompiler, Kind, cargo},
};

/// Runs all checks; the first that fails ends it.
pub fn run() -> Result<()> {
    let compiler = setup::prepare(Need::Everything)?;
    check("format", cargo().args(["fmt", "--all", "--check"]))?;
    check("host lints", &mut host())?;
    check("lints with planted mistakes", &mut planted())?;
    check("eBPF lints", &mut ebpf(&compiler))
}

fn host() -> Command {
    let mut command = cargo();
    command.args(["clippy", "--quiet", "--workspace", "--exclude", "gateway-ebpf", "--all-targets"]);
    command.args(["--", "-D", "warnings"]);
    command
}

/// The law as `cargo xtask mutants` builds it.
fn planted() -> Command {
    let mut command = cargo();
    command.args(["clippy", "--quiet", "--package", "gateway-common", "--package", "gateway-tests", "--all-targets"]);
    command.args(["--features", "gateway-common/mutants,gateway-common/user,gateway-tests/mutants"]);
    command.args(["--", "-D", "warnings"]);
    command
}

fn ebpf(compiler: &EbpfCompiler) -> Command {
    let mut command = setup::ebpf_clippy(compiler, &["--quiet", "--package", "gateway-ebpf", "--bins"]);
    command.args(["--release", "--target", BPF_TARGET]);
    if compiler.kind == Kind::Nightly {
        command.args(["-Z", "build-std=core"]);
    }
    // Another compiler than the host's: in one directory they would evict each other's work.
    command.arg("--target-dir").arg(tools::target_dir().join("lint-ebpf"));
    command.args(["--", "-D", "warnings"]);
    // As in the build script of gateway-userspace, so that what is linted is what is built.
    command.env("RUSTC_BOOTSTRAP", "aya_ebpf,gateway_common,portcullis_ebpf");
    command.env("CARGO_ENCODED_RUSTFLAGS", format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH));
    command.env_remove("RUSTC").env_remove("RUSTC_WORKSPACE_WRAPPER");
    command
}

fn check(name: &str, command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", console::shown(command)))?;
    ensure!(status.success(), "{name}: {} found something to change", console::shown(command));
    console::done(name, "");
    Ok(())
}
