//! What the gateway costs, beside what it is compared with, in the same run and alternately.
//!
//! Run by `cargo xtask bench`. Prints a table for each suite; with `--json FILE` also writes one object a row. Figures
//! are ratios to a floor of the same run: nanoseconds drift from machine to machine, and on one of them from hour to
//! hour.

mod control;
mod core;
mod crowd;
mod filled;
#[path = "../../tests/kernel/frames.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod frames;
mod identity;
mod measure;
mod policy;
mod program;
mod records;
mod revocation;
mod tcp;
mod veth;

use anyhow::{Context as _, Result};
use measure::options::{Options, Suite};
use measure::row;
use std::fs;

fn main() -> Result<()> {
    let options = Options::read();
    let mut rows = Vec::new();
    for suite in &options.suites {
        let name = suite.name();
        let measured = match suite {
            Suite::Program => program::measure(&options),
            Suite::Veth => veth::measure(&options),
            Suite::Tcp => tcp::measure(&options),
            Suite::Control => control::measure(&options),
            Suite::Revocation => revocation::measure(&options),
            Suite::Identity => identity::measure(&options),
            Suite::Policy => policy::measure(&options),
            Suite::Records => records::measure(&options),
            Suite::Core => core::measure(),
        };
        let measured = measured.with_context(|| format!("suite `{name}`"))?;
        row::print(name, &measured);
        rows.extend(measured.iter().map(|row| row.report(name)));
        // After each suite: what was measured is kept if a later one fails.
        if let Some(path) = &options.json {
            fs::write(path, serde_json::to_string_pretty(&rows)? + "\n").with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}
