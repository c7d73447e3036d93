//! Which compilers are here: cargo for the host, and one that can compile for the BPF target.
//! Two ways lead there: Debian's rustc with its prebuilt `core` for BPF, known to rustup as
//! toolchain `bpf`; or nightly with `rust-src`. The build script of gateway-userspace chooses in
//! the same order.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use gateway_tests::tools;

/// The target of the programs; the architectures supported are little-endian.
pub const BPF_TARGET: &str = "bpfel-unknown-none";
/// Debian's compiler keeps the prebuilt `core` here.
pub const DEBIAN_BPF_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none";

/// A compiler for the BPF target.
#[derive(Clone, Debug)]
pub struct EbpfCompiler {
    /// Where it comes from.
    pub kind: Kind,
    /// Its version, such as `1.96.0`.
    pub release: String,
    /// The major version of its LLVM; the linker has to be built on the same.
    pub llvm: u32,
}

/// The two ways to have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A stable compiler with a prebuilt `core`.
    Prebuilt,
    /// A nightly one that builds `core` itself.
    Nightly,
}

impl EbpfCompiler {
    /// The compiler that builds will use, if there is one.
    pub fn find() -> Option<Self> {
        Self::prebuilt().or_else(Self::nightly)
    }

    /// Debian's compiler, through rustup or, where there is no rustup, directly.
    pub fn prebuilt() -> Option<Self> {
        let rustup = tools::find("rustup").is_some();
        let libdir = if rustup {
            output(in_toolchain("bpf", "rustc").args(["--print", "target-libdir", "--target", BPF_TARGET]))?
        } else {
            DEBIAN_BPF_CORE.to_owned()
        };
        if !Path::new(libdir.trim()).is_dir() {
            return None;
        }
        Self::described(Kind::Prebuilt, &output(in_toolchain("bpf", "rustc").arg("-vV"))?)
    }

    fn nightly() -> Option<Self> {
        tools::find("rustup")?;
        let sysroot = output(in_toolchain("nightly", "rustc").args(["--print", "sysroot"]))?;
        let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
        if !source.is_dir() {
            return None;
        }
        Self::described(Kind::Nightly, &output(in_toolchain("nightly", "rustc").arg("-vV"))?)
    }

    fn described(kind: Kind, version: &str) -> Option<Self> {
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let llvm = field("LLVM version:")?.split('.').next()?.parse().ok()?;
        Some(Self { kind, release: field("release:")?.to_owned(), llvm })
    }

    /// Its name for rustup.
    pub fn toolchain(&self) -> &'static str {
        match self.kind {
            Kind::Prebuilt => "bpf",
            Kind::Nightly => "nightly",
        }
    }

    /// Its major and minor version, to compare with the workspace's minimum.
    pub fn version(&self) -> (u32, u32) {
        let mut parts = self.release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

/// The cargo that runs this task.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `program` of a rustup toolchain, or Debian's own where there is no rustup.
pub fn in_toolchain(toolchain: &str, program: &str) -> Command {
    match tools::find("rustup") {
        Some(rustup) => {
            let mut command = Command::new(rustup);
            command.args(["run", toolchain, program]);
            command
        }
        None => Command::new(format!("/usr/bin/{program}")),
    }
}

/// What a command prints, if it succeeds.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
