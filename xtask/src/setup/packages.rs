//! Debian packages: which are there, and installing the others. Elsewhere, and without root, the
//! error names the packages and the command.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Result, bail};
use gateway_tests::tools;
use nix::unistd::geteuid;

use crate::{console, toolchain::output};

/// A stable compiler for the BPF target, from Debian.
pub const COMPILER: [&str; 4] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf", "rust-web-llvm"];
/// Clippy of the same version, for the eBPF programs.
pub const CLIPPY: &str = "rust-web-clippy";
/// What the tests, the demo and the bench run, and the package that has it.
const TOOLS: [(&str, &str); 26] = [
    ("bpftool", "bpftool"),
    ("cc", "gcc"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("dot", "graphviz"),
    ("ethtool", "ethtool"),
    ("faketime", "faketime"),
    ("fsck.ext4", "e2fsprogs"),
    ("fsfreeze", "util-linux"),
    ("ip", "iproute2"),
    ("iperf3", "iperf3"),
    ("ipset", "ipset"),
    ("iptables", "iptables"),
    ("losetup", "mount"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
    ("nft", "nftables"),
    ("nmap", "nmap"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("pdftotext", "poppler-utils"),
    ("tc", "iproute2"),
    ("tmux", "tmux"),
    ("traceroute", "traceroute"),
    ("tshark", "tshark"),
];
/// Also needed, but no program tells whether they are there.
const FILES: [(&str, &str); 3] = [
    ("/usr/include/stdio.h", "libc6-dev"),
    ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
    ("/usr/lib/python3/dist-packages/scapy/__init__.py", "python3-scapy"),
];
/// Lists older than this may name versions that the mirrors no longer have.
const LISTS_STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The names of the packages that are installed, of those that matter here.
pub struct Installed(BTreeSet<String>);

impl Installed {
    /// Asks dpkg once for all of them.
    pub fn read() -> Self {
        let mut query = Command::new("dpkg-query");
        query.args(["-W", "-f", "${Package} ${db:Status-Abbrev}\n", CLIPPY, "llvm-[0-9]*-dev", "libpolly-*-dev"]);
        query.args(COMPILER).args(super::linker::LIBRARIES);
        // dpkg-query fails when any name is unknown, and still prints the others.
        let names = query.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let names = names.unwrap_or_default();
        let installed = names.lines().filter_map(|line| line.trim_end().strip_suffix(" ii"));
        Self(installed.map(str::to_owned).collect())
    }

    /// Those of `names` that are not there.
    pub fn missing<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        names.iter().copied().filter(|name| !self.0.contains(*name)).collect()
    }
}

/// Whether Debian's packages can be installed here.
pub fn is_debian() -> bool {
    tools::find("apt-get").is_some() && tools::find("dpkg-query").is_some()
}

/// The tools, for display.
pub fn tool_names() -> String {
    TOOLS
        .iter()
        .map(|(tool, _)| *tool)
        .chain(super::promtool::PROGRAMS)
        .chain(super::flows::PROGRAMS)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Makes sure that the programs of the tests and the demo are there.
pub fn ensure_tools() -> Result<()> {
    let programs = TOOLS.iter().filter(|(tool, _)| tools::find(tool).is_none());
    let files = FILES.iter().filter(|(file, _)| is_debian() && !fs::exists(file).unwrap_or(false));
    let missing: BTreeSet<&str> = programs.chain(files).map(|(_, package)| *package).collect();
    install("tools", &missing.into_iter().collect::<Vec<_>>())
}

/// Makes sure that there is a compiler for C++.
pub fn ensure_cxx() -> Result<()> {
    let is_there = std::env::var_os("CXX").is_some() || tools::find("c++").is_some() || tools::find("g++").is_some();
    install("C++ compiler", if is_there { &[] } else { &["g++"] })
}

/// Installs packages, or says how.
pub fn install(name: &str, packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !is_debian() {
        bail!("{name} missing: install what Debian calls {list}, then run `cargo xtask setup` again");
    }
    if !geteuid().is_root() {
        bail!("{name} missing: as root, run `apt-get install --no-install-recommends {list}`");
    }
    if lists_are_stale() {
        update();
    }
    console::doing(name, &format!("apt-get install {list}"));
    if console::run_logged(&mut install_command(packages)).is_ok() {
        return Ok(());
    }
    // Most often the lists name a version that the mirror has replaced.
    update();
    console::run_logged(&mut install_command(packages))
}

/// Unpacks packages below `target/tools` instead of installing them: without what they depend on, and without the
/// services that they would start.
pub fn unpack(name: &str, packages: &[&str]) -> Result<()> {
    if lists_are_stale() {
        update();
    }
    console::doing(name, &format!("unpacking Debian's {}", packages.join(", ")));
    let tools = tools::target_dir().join("tools");
    let downloads = tools.join(format!("unpack-{name}"));
    fs::create_dir_all(&downloads)?;
    // The unprivileged user that apt downloads as may not reach this directory.
    let download = ["-o", "APT::Sandbox::User=root", "download"];
    console::run_logged(apt_get().args(download).args(packages).current_dir(&downloads))?;
    for package in fs::read_dir(&downloads)?.flatten() {
        console::run_logged(Command::new("dpkg-deb").arg("--extract").arg(package.path()).arg(&tools))?;
    }
    Ok(fs::remove_dir_all(&downloads)?)
}

/// Makes sure that programs are there of which no more is wanted than their files: the libraries of the first package are
/// installed, and all packages unpacked.
pub fn ensure_unpacked(programs: &[&str], packages: &[&str]) -> Result<()> {
    let is_there = |program: &&str| tools::find(program).is_some_and(|program| is_linked(&program));
    let Some(name) = packages.first().filter(|_| !programs.iter().all(is_there)) else { return Ok(()) };
    if !is_debian() {
        bail!("{name} is missing: install it, or put its `{}` on the PATH", programs.join("` and `"));
    }
    let libraries = libraries_of(name);
    install(name, &libraries.iter().map(String::as_str).collect::<Vec<_>>())?;
    if programs.iter().any(|program| tools::find(program).is_none()) {
        unpack(name, packages)?;
    }
    Ok(())
}

/// `apt-get` that asks nothing and waits for another installer to finish.
pub fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Whether apt knows a package by this name.
pub fn is_known(package: &str) -> bool {
    output(Command::new("apt-cache").args(["show", "--no-all-versions", package])).is_some_and(|text| !text.is_empty())
}

/// The libraries that a package is linked with, whatever this release calls them; nothing else that it depends on.
pub fn libraries_of(package: &str) -> Vec<String> {
    if lists_are_stale() {
        update();
    }
    let depends = output(Command::new("apt-cache").env("LC_ALL", "C").args(["depends", package])).unwrap_or_default();
    let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.filter(|name| name.starts_with("lib") || name.starts_with("zlib")).map(str::to_owned).collect()
}

/// Whether all libraries of a program are there.
pub fn is_linked(program: &Path) -> bool {
    output(Command::new("ldd").arg(program)).is_some_and(|libraries| !libraries.contains("not found"))
}

/// Reads the package lists. A mirror that is not needed may be away: installing tells.
pub fn update() {
    console::doing("package lists", "apt-get update");
    if let Err(error) = console::run_logged(apt_get().arg("update")) {
        println!("  {error:#}");
    }
}

fn install_command(packages: &[&str]) -> Command {
    let mut command = apt_get();
    command.args(["install", "-y", "--no-install-recommends"]).args(packages);
    command
}

/// Whether the package lists are empty or old.
pub fn lists_are_stale() -> bool {
    let newest = fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    let newest = newest.filter(|entry| entry.file_name().to_string_lossy().contains("_Packages"));
    // apt keeps the server's modification time; the change time tells when it last wrote the file.
    let newest =
        newest.filter_map(|entry| std::os::unix::fs::MetadataExt::ctime(&entry.metadata().ok()?).try_into().ok());
    let Some(newest) = newest.max() else { return true };
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(newest));
    age.is_ok_and(|age| age > LISTS_STALE)
}
