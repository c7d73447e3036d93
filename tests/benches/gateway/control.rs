//! What the daemon does: writing to the tables, memory, starting, logging in.

mod login;
mod memory;
mod start;
mod tables;

use crate::measure::options::Options;
use crate::measure::progress::Progress;
use crate::measure::row::Row;
use anyhow::Result;

/// All of it: first the tables by themselves, then the real daemon.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let progress = Progress::new();
    let mut rows = tables::measure(options.rounds, &progress)?;
    progress.say("control: memory of the tables");
    rows.extend(memory::measure()?);
    progress.say("control: logins");
    rows.extend(login::measure(options.rounds)?);
    progress.say("control: starts with 100,000 sessions");
    rows.extend(start::measure(options.rounds)?);
    Ok(rows)
}
