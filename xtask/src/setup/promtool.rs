//! promtool, which checks the metrics. Its Debian package is the whole Prometheus server, started
//! on installation with a dozen dependencies; only the one program is wanted.

use anyhow::{Result, bail};
use gateway_tests::tools;

use super::packages;

/// Makes sure that promtool is there.
pub fn ensure() -> Result<()> {
    if tools::find("promtool").is_some() {
        return Ok(());
    }
    if !packages::is_debian() {
        bail!("promtool is missing: install Prometheus, or put its `promtool` on the PATH");
    }
    packages::unpack("promtool", &["prometheus"])
}
