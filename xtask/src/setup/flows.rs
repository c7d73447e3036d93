//! nfdump, a collector of flows, which the tests send IPFIX to. Debian's package would start a service.

use anyhow::Result;

use super::packages;

/// What is wanted of it, for display, too.
pub const PROGRAMS: [&str; 2] = ["nfcapd", "nfdump"];

/// Makes sure that they are there.
pub fn ensure() -> Result<()> {
    packages::ensure_unpacked(&PROGRAMS, &["nfdump"])
}
