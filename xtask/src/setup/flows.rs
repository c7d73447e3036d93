//! Collectors and readers of flows, which the tests send IPFIX to: nfdump and Wireshark's tshark. Debian's packages would start
//! a service, or ask who may capture; only the programs are wanted, so they are unpacked, and their libraries installed.

use anyhow::{Result, bail};
use gateway_tests::tools;

use super::packages;

/// What is wanted: the programs, and the package that has them.
const WANTED: [(&str, &[&str]); 3] =
    [("nfdump", &["nfcapd", "nfdump"]), ("tshark", &["tshark"]), ("wireshark-common", &["dumpcap"])];

/// The programs, for display.
pub fn programs() -> impl Iterator<Item = &'static str> {
    WANTED.iter().flat_map(|(_, programs)| programs.iter().copied())
}

/// Makes sure that they are there.
pub fn ensure() -> Result<()> {
    for (package, programs) in WANTED {
        let is_there = |program: &&str| tools::find(program).is_some_and(|program| packages::is_linked(&program));
        if programs.iter().all(is_there) {
            continue;
        }
        if !packages::is_debian() {
            bail!("{package} is missing: install it, or put its `{}` on the PATH", programs.join("` and `"));
        }
        let libraries = packages::libraries_of(package);
        packages::install(package, &libraries.iter().map(String::as_str).collect::<Vec<_>>())?;
        if programs.iter().any(|program| tools::find(program).is_none()) {
            packages::unpack(package, &[package])?;
        }
    }
    Ok(())
}
