//! The command line. Does what `gateway_userspace::cli` says.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway_userspace::cli::run()
}
