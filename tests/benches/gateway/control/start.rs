//! The start of a daemon that knows many sessions: into empty tables, and into those that an earlier one has left.

use super::filled::{Filled, SESSIONS, resident};
use crate::measure::row::{Row, grouped};
use anyhow::{Result, ensure};
use std::time::Instant;

/// Times of both, and memory.
pub fn measure(filled: &mut Filled, rounds: usize) -> Result<Vec<Row>> {
    let case = format!("daemon, {} sessions", grouped(SESSIONS as usize));
    let pins = filled.gate.world.bpffs().join("portcullis");
    let (mut fresh, mut adopting) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        if filled.gate.daemon.is_running()? {
            filled.gate.daemon.stop()?;
        }
        std::fs::remove_dir_all(&pins)?;
        fresh.push(start(filled)?);
        filled.gate.daemon.stop()?;
        adopting.push(start(filled)?);
    }
    let memory = vec![resident(filled.gate.daemon.pid())?];
    Ok(vec![
        Row::new("daemon, idle", "resident memory", "kB", vec![filled.idle]),
        Row::new(&case, "resident memory", "kB", memory).against("idle", &[filled.idle]),
        Row::new(&case, "start into empty tables", "ms", fresh),
        Row::new(&case, "start into tables of an earlier one", "ms", adopting),
    ])
}

/// Milliseconds until it is ready, and has taken up all sessions.
fn start(filled: &mut Filled) -> Result<f64> {
    let began = Instant::now();
    filled.gate.daemon.restart()?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    let sessions = filled.gate.api.get("/v1/status")?.ok()?["sessions"].clone();
    ensure!(sessions == SESSIONS, "only {sessions} of {SESSIONS} sessions were taken up");
    Ok(took)
}
