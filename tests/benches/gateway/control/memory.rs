//! What the kernel charges for each session, flow and grant of the capacity: the difference between two capacities, over
//! all maps, whichever they are.

use crate::measure::plane::SETTINGS;
use crate::measure::row::Row;
use anyhow::{Context as _, Result};
use gateway_tests::scratch::Scratch;
use gateway_tests::tools;
use gateway_userspace::dataplane::KernelDataPlane;
use gateway_userspace::policy::Capacities;
use serde_json::Value;
use std::path::Path;

const SMALL: usize = 1 << 18;
const LARGE: usize = 1 << 19;

/// For each of the three.
pub fn measure() -> Result<Vec<Row>> {
    let small = Capacities { sessions: SMALL, flows: SMALL, grants: SMALL, ..Capacities::default() };
    let least = charged(small)?;
    let cases = [
        ("session of the capacity", Capacities { sessions: LARGE, ..small }),
        ("flow of the capacity", Capacities { flows: LARGE, ..small }),
        ("grant of the capacity", Capacities { grants: LARGE, ..small }),
    ];
    let row = |(case, capacities)| -> Result<Row> {
        let bytes = (charged(capacities)? - least) / (LARGE - SMALL) as f64;
        Ok(Row::new(case, "kernel memory", "B", vec![bytes]))
    };
    cases.into_iter().map(row).collect()
}

/// Bytes of all maps together.
fn charged(capacities: Capacities) -> Result<f64> {
    let scratch = Scratch::new()?;
    let (kernel, _programs) = KernelDataPlane::open(&scratch.bpffs().join("portcullis"), capacities, SETTINGS)?;
    let pins = std::fs::read_dir(kernel.pins())?;
    pins.map(|pin| of_map(&pin?.path())).sum()
}

fn of_map(pin: &Path) -> Result<f64> {
    let output = tools::command("bpftool")?.args(["--json", "map", "show", "pinned"]).arg(pin).output()?;
    let shown: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("bpftool: {output:?}"))?;
    shown["bytes_memlock"].as_f64().with_context(|| format!("bpftool: {shown}"))
}
