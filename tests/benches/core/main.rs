//! What a session costs the control plane, with ten thousand of them up to a million: memory, a start, a revocation,
//! another generation for all of them.
//!
//! By hand: `cargo bench -p gateway-tests --bench core`, as root. `--sizes 10000,100000` measures fewer, `--inside` only
//! what needs no daemon, `--daemon PATH` another daemon than the one that is built here, `--json FILE` also writes one
//! object a row.

mod fill;
mod inside;
mod outside;
mod row;

use anyhow::{Context as _, Result};
use row::{Row, print};
use std::fs;

const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let sizes = match value("--sizes") {
        Some(text) => text.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>().context("--sizes")?,
        None => SIZES.to_vec(),
    };
    let mut rows = Vec::new();
    for size in sizes {
        rows.extend(inside::measure(size)?);
        if !arguments.iter().any(|argument| argument == "--inside") {
            rows.extend(outside::measure(size, value("--daemon").as_deref())?);
        }
    }
    row::compare(&mut rows);
    print(&rows);
    if let Some(path) = value("--json") {
        fs::write(path, serde_json::to_string_pretty(&rows.iter().map(Row::report).collect::<Vec<_>>())? + "\n")?;
    }
    Ok(())
}
