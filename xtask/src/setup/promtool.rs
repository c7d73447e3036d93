//! promtool, which checks the metrics. Its Debian package is the whole Prometheus server, started
//! on installation with a dozen dependencies; only the one program is wanted, so the package is
//! unpacked below the target directory instead.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, bail};
use gateway_tests::tools;

use super::packages;
use crate::console;

/// Makes sure that promtool is there.
pub fn ensure() -> Result<()> {
    if tools::find("promtool").is_some() {
        return Ok(());
    }
    if !packages::is_debian() {
        bail!("promtool is missing: install Prometheus, or put its `promtool` on the PATH");
    }
    if packages::lists_are_stale() {
        packages::update();
    }
    console::doing("promtool", "unpacking Debian's package prometheus");
    let dir = tools::target_dir().join("tools");
    fs::create_dir_all(&dir)?;
    // The unprivileged user that apt downloads as may not reach this directory.
    let download = ["-o", "APT::Sandbox::User=root", "download", "prometheus"];
    console::run_logged(packages::apt_get().args(download).current_dir(&dir))?;
    let package = fs::read_dir(&dir)?.flatten().map(|entry| entry.path());
    let package = package.filter(|path| path.extension().is_some_and(|ext| ext == "deb")).max();
    let package = package.context("apt-get left no package")?;
    console::run_logged(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&dir))?;
    fs::remove_file(&package)?;
    Ok(())
}
