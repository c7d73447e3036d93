//! What a session costs the control plane, with ten thousand of them up to a million: memory, a start, a revocation,
//! another generation for all of them. Only by `--suite core`: a million sessions take some minutes.

mod inside;
mod outside;

use crate::measure::progress::Progress;
use crate::measure::row::{Row, grouped};
use anyhow::Result;

const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];

/// The policy core by itself, then the real daemon.
pub fn measure() -> Result<Vec<Row>> {
    let progress = Progress::new();
    let mut rows = Vec::new();
    for size in SIZES {
        progress.say(&format!("core: {} sessions", grouped(size as usize)));
        rows.extend(inside::measure(size)?);
        rows.extend(outside::measure(size)?);
    }
    Ok(rows)
}
