//! Whether this kernel, and this user, can do what the tests and the demo need. Asked before
//! anything starts, so that nobody reads a stack trace to learn that root is missing.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use gateway_tests::tools;
use nix::{
    sched::{CloneFlags, unshare},
    sys::utsname::uname,
    unistd::geteuid,
};

/// TCX, which attaches the TC programs, came with 6.6.
const MINIMUM: (u32, u32) = (6, 6);

/// What can be told before anything is installed: the user and the kernel's version.
pub fn check_early() -> Result<()> {
    ensure!(geteuid().is_root(), "network namespaces and BPF programs need root: run this as root");
    check_version()
}

/// Fails, saying what to do, where real packets through real programs are not possible.
pub fn check() -> Result<()> {
    check_early()?;
    check_namespaces()?;
    check_bpf()
}

fn check_version() -> Result<()> {
    let release = uname()?.release().to_string_lossy().into_owned();
    let (major, minor) = MINIMUM;
    ensure!(
        parse_release(&release) >= MINIMUM,
        "this kernel is {release}, and {major}.{minor} or newer is needed (on Debian 12: linux-image-amd64 from \
         bookworm-backports)"
    );
    Ok(())
}

fn check_namespaces() -> Result<()> {
    // In a thread of its own, which ends with its namespace.
    let made = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join();
    let Ok(made) = made else { bail!("checking for network namespaces failed") };
    made.context("network namespaces are not allowed here (a container without CAP_SYS_ADMIN?)")
}

fn check_bpf() -> Result<()> {
    let listed = tools::command("bpftool")?.args(["prog", "show"]).stdout(Stdio::null()).output()?;
    ensure!(
        listed.status.success(),
        "BPF is not allowed here (a container without CAP_BPF, or a seccomp filter?): {}",
        String::from_utf8_lossy(&listed.stderr).trim()
    );
    ensure!(
        std::fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false),
        "the kernel has no type information (/sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF"
    );
    Ok(())
}

fn parse_release(release: &str) -> (u32, u32) {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::parse_release;

    #[test]
    fn kernel_releases_are_compared_by_number() {
        assert_eq!(parse_release("6.1.0-37-amd64"), (6, 1));
        assert_eq!(parse_release("6.18.44-fc-v669"), (6, 18));
        assert!(parse_release("6.10.0") > parse_release("6.6.9"));
        assert_eq!(parse_release("7"), (7, 0));
    }
}
