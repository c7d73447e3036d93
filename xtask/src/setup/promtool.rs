//! Prometheus and its promtool, which check the metrics, the rules and the dashboard. Debian's package would start a
//! service on installation, with a dozen dependencies; only the two programs are wanted.

use anyhow::{Result, bail};
use gateway_tests::tools;

use super::packages;

/// What is wanted of the package.
pub const PROGRAMS: [&str; 2] = ["promtool", "prometheus"];

/// Makes sure that both are there.
pub fn ensure() -> Result<()> {
    if PROGRAMS.iter().all(|program| tools::find(program).is_some()) {
        return Ok(());
    }
    if !packages::is_debian() {
        bail!("Prometheus is missing: install it, or put its `prometheus` and `promtool` on the PATH");
    }
    packages::unpack("prometheus", &["prometheus"])
}
