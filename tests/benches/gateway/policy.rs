//! Bundles: how long it takes to check one, as large as a large company's, and how much memory; and to put it in force.

mod apply;
mod check;
mod large;

use crate::measure::options::Options;
use crate::measure::progress::Progress;
use crate::measure::row::{Row, grouped};
use anyhow::Result;

const SIZES: [usize; 2] = [1_000, 10_000];

pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let progress = Progress::new();
    let mut rows = Vec::new();
    for size in SIZES {
        progress.say(&format!("policy: a bundle of {} policies", grouped(size)));
        rows.extend(check::measure(size, options.rounds)?);
        progress.say(&format!("policy: {} policies are put in force for 100,000 sessions", grouped(size)));
        rows.extend(apply::measure(size, options.rounds)?);
    }
    Ok(rows)
}
