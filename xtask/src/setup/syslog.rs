//! rsyslog and syslog-ng, which receive what the gateway exports. Their Debian packages are services, of which a machine has
//! one at most; only their files are wanted, so they are unpacked below the target directory, and the libraries are installed.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};
use gateway_tests::tools;

use super::packages;
use crate::toolchain::output;

/// Each program, and the packages that have it and its modules.
const RECEIVERS: [(&str, &[&str]); 2] =
    [("rsyslogd", &["rsyslog", "rsyslog-openssl"]), ("syslog-ng", &["syslog-ng-core"])];

/// Makes sure that both are there.
pub fn ensure() -> Result<()> {
    for (program, names) in RECEIVERS {
        if !packages::is_debian() {
            if tools::find(program).is_none() {
                bail!("`{program}` is missing: install what Debian calls {}", names.join(" "));
            }
            continue;
        }
        if tools::unpacked(program).is_none() {
            packages::unpack(program, names)?;
        }
        if tools::unpacked(program).is_some_and(|path| !is_linked(&path)) {
            let libraries: Vec<String> = names.iter().flat_map(|name| packages::libraries_of(name)).collect();
            packages::install(program, &libraries.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// The programs, for display.
pub fn names() -> String {
    RECEIVERS.map(|(program, _)| program).join(", ")
}

/// Whether all libraries of a program are there, with those that came with it.
fn is_linked(program: &Path) -> bool {
    let mut ldd = Command::new("ldd");
    output(ldd.envs(tools::libraries(program)).arg(program)).is_some_and(|libraries| !libraries.contains("not found"))
}
