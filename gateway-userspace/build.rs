//! Builds the eBPF programs, with the compiler that this machine has for them, into
//! `OUT_DIR/portcullis-ebpf`. `cargo xtask setup` installs what it needs and makes the same choice.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain};

/// Debian's compiler keeps its prebuilt `core` for BPF here.
const DEBIAN_BPF_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none";
/// What to do when something is missing.
const REMEDY: &str = "run `cargo xtask setup`";

fn main() -> Result<()> {
    // aya-build watches the directory of the programs only; the law they are built around is here.
    for input in ["build.rs", "../gateway-common", "../Cargo.lock"] {
        println!("cargo:rerun-if-changed={input}");
    }
    let path = search_path()?;
    if !path.iter().any(|dir| dir.join("bpf-linker").is_file()) {
        bail!("bpf-linker is not installed: {REMEDY}");
    }
    let rustup = path.iter().any(|dir| dir.join("rustup").is_file());
    let toolchain = choose(rustup)?;
    let environment = [
        // Lets these two alone use the unstable features that they need for BPF, on a stable compiler.
        ("RUSTC_BOOTSTRAP", "aya_ebpf,gateway_common,portcullis_ebpf".into()),
        // Progress of the inner build would show as warnings of this package.
        ("CARGO_TERM_QUIET", "true".into()),
        ("PATH", env::join_paths(path)?),
    ];
    for (name, value) in environment {
        // SAFETY: a build script's main has started no thread that could read the environment.
        unsafe { env::set_var(name, value) };
    }
    let features = if env::var_os("CARGO_FEATURE_NEXT_ABI").is_some() { &["next-abi"][..] } else { &[] };
    let package = Package { name: "gateway-ebpf", root_dir: "../gateway-ebpf", features, ..Package::default() };
    aya_build::build_ebpf([package], toolchain).with_context(|| format!("the eBPF programs do not build; {REMEDY}?"))
}

/// Where programs are: cargo's own directory may be missing from the PATH where Rust came without
/// rustup, and there Debian's compiler has to be found first.
fn search_path() -> Result<Vec<PathBuf>> {
    let mut path: Vec<PathBuf> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
    if let Some(home) = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo"))) {
        path.push(home.join("bin"));
    }
    if !path.iter().any(|dir| dir.join("rustup").is_file()) {
        path.insert(0, PathBuf::from("/usr/bin"));
    }
    Ok(path)
}

/// The prebuilt `core` first: it needs no nightly, and no build of `core` itself.
fn choose(rustup: bool) -> Result<Toolchain<'static>> {
    if !rustup {
        // aya-build then takes the cargo it finds first, which search_path has made Debian's.
        return if Path::new(DEBIAN_BPF_CORE).is_dir() {
            Ok(Toolchain::Custom("bpf"))
        } else {
            bail!("there is no compiler for the eBPF programs: {REMEDY}")
        };
    }
    let libdir = ask("bpf", &["--print", "target-libdir", "--target", "bpfel-unknown-none"]);
    if libdir.is_some_and(|dir| dir.is_dir()) {
        return Ok(Toolchain::Custom("bpf"));
    }
    let sysroot = ask("nightly", &["--print", "sysroot"]);
    if sysroot.is_some_and(|dir| dir.join("lib/rustlib/src/rust/library/core").is_dir()) {
        return Ok(Toolchain::Nightly);
    }
    bail!("there is no compiler for the eBPF programs (toolchain `bpf`, or `nightly` with `rust-src`): {REMEDY}")
}

/// A path that the compiler of a rustup toolchain prints.
fn ask(toolchain: &str, args: &[&str]) -> Option<PathBuf> {
    let output =
        Command::new("rustup").args(["run", toolchain, "rustc"]).args(args).stderr(Stdio::null()).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}
