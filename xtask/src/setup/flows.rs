//! nfdump, a collector of flows, which the tests send IPFIX to. Debian's package would start a service; only its programs are
//! wanted, so they are unpacked, and their libraries installed.

use anyhow::{Result, bail};
use gateway_tests::tools;

use super::packages;

const PACKAGE: &str = "nfdump";
/// What is wanted of it, for display, too.
pub const PROGRAMS: [&str; 2] = ["nfcapd", "nfdump"];

/// Makes sure that they are there.
pub fn ensure() -> Result<()> {
    let is_there = |program: &&str| tools::find(program).is_some_and(|program| packages::is_linked(&program));
    if PROGRAMS.iter().all(is_there) {
        return Ok(());
    }
    if !packages::is_debian() {
        bail!("{PACKAGE} is missing: install it, or put its `{}` on the PATH", PROGRAMS.join("` and `"));
    }
    let libraries = packages::libraries_of(PACKAGE);
    packages::install(PACKAGE, &libraries.iter().map(String::as_str).collect::<Vec<_>>())?;
    if PROGRAMS.iter().any(|program| tools::find(program).is_none()) {
        packages::unpack(PACKAGE, &[PACKAGE])?;
    }
    Ok(())
}
