//! The daemon, built with the tables of the next ABI: what an upgrade brings, and what going back takes away.

#[path = "../src/bin/portcullisd.rs"]
mod portcullisd;

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullisd::main()
}
