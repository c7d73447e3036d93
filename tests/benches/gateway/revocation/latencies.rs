//! What a way to end access took: until the last packet, and until whoever asked was answered.

use super::caller::{Answered, Caller};
use super::markers::Markers;
use crate::measure::row::Row;
use anyhow::{Context as _, Result};
use reqwest::Method;
use std::time::Duration;

/// How long what was on its way may take to arrive.
const ON_ITS_WAY: Duration = Duration::from_millis(5);

/// When the last packet of each of these sources arrived. Nobody sends any more who may not.
pub fn last_packets(markers: &Markers, numbers: &[u32]) -> Vec<i128> {
    std::thread::sleep(ON_ITS_WAY);
    numbers.iter().filter_map(|number| markers.last(*number)).collect()
}

/// What was measured of one way.
#[derive(Default)]
pub struct Latencies {
    in_force: Vec<f64>,
    last_packet: Vec<f64>,
    seen: Vec<f64>,
    floor: Vec<f64>,
    apart: Vec<f64>,
}

impl Latencies {
    /// Of what the caller has been answered, and when the last packet of each source arrived.
    pub fn add(&mut self, caller: &Caller, answered: &Answered, last: &[i128]) -> Result<()> {
        self.seen.push(micros(answered.took));
        let (first, latest) = last.iter().min().zip(last.iter().max()).context("nobody sent")?;
        self.last_packet.push(micros(latest - answered.sent));
        if last.len() > 1 {
            self.apart.push(micros(latest - first));
        }
        let receipt = if answered.body["receipts"].is_array() { &answered.body["receipts"][0] } else { &answered.body };
        self.in_force.extend(receipt["enforced_after_us"].as_f64());
        // The same connection, and nothing to do.
        self.floor.push(micros(caller.call(&Method::GET, "/healthz", None)?.took));
        Ok(())
    }

    /// As rows.
    pub fn rows(self, case: &str, size: u32, pattern: &'static str) -> Vec<Row> {
        let row = |metric, values| Row::new(case, metric, "µs", values).size(size as usize).pattern(pattern);
        let mut rows = Vec::new();
        // Not every answer has a receipt.
        if !self.in_force.is_empty() {
            rows.push(row("request read → in force", self.in_force));
        }
        rows.push(row("sent → last packet", self.last_packet));
        rows.push(row("seen by the caller", self.seen).against("a request that does nothing", &self.floor));
        if !self.apart.is_empty() {
            rows.push(row("between the last packets of two people", self.apart));
        }
        rows
    }
}

fn micros(nanos: i128) -> f64 {
    nanos as f64 / 1e3
}
