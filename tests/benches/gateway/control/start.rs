//! The start of a daemon that knows many sessions: into empty tables, and into those that an earlier one has left.

use crate::crowd::Crowd;
use crate::filled::Filled;
use crate::measure::row::Row;
use anyhow::Result;
use gateway_tests::process::memory;

const SESSIONS: u32 = 100_000;

/// Times of both, and memory.
pub fn measure(rounds: usize) -> Result<Vec<Row>> {
    let mut filled = Filled::new(Crowd::of(SESSIONS))?;
    let pins = filled.gate.world.bpffs().join("portcullis");
    let (mut fresh, mut adopting) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        if filled.gate.daemon.is_running()? {
            filled.gate.daemon.stop()?;
        }
        std::fs::remove_dir_all(&pins)?;
        fresh.push(filled.start()?);
        filled.gate.daemon.stop()?;
        adopting.push(filled.start()?);
    }
    let resident = vec![memory(filled.gate.daemon.pid(), "VmRSS")? as f64];
    let row = |metric, unit, values| Row::new("daemon", metric, unit, values).size(SESSIONS as usize);
    Ok(vec![
        Row::new("daemon, idle", "resident memory", "kB", vec![filled.idle]),
        row("resident memory", "kB", resident).against("idle", &[filled.idle]),
        row("start into empty tables", "ms", fresh),
        row("start into tables of an earlier one", "ms", adopting),
    ])
}
