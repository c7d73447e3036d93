//! Flows a second, end to end: packets of so many connections cross the real gateway, and each connection's start, and its end
//! when access ends, are in the archive.

use crate::measure::row::Row;
use crate::revocation::caller::Caller;
use anyhow::{Context as _, Result, ensure};
use gateway_tests::flood::Volley;
use gateway_tests::gate::Gate;
use gateway_tests::wait_until;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

/// Connections, all of one session.
pub const FLOWS: u32 = 1 << 17;
const SOON: Duration = Duration::from_secs(60);

pub fn measure(rounds: usize) -> Result<Vec<Row>> {
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        // More than the usual budget of one CPU, which makes all of them here.
        let gate = Gate::open_wide(2 * FLOWS, |config| {
            config.replace("[records]", "[records]\nevents_per_second = 1_000_000")
        })?;
        let [requests, _] = Volley::of_both_sides(&gate.world, FLOWS)?;
        starts.push(rate(&gate, "starts", || requests.send_in_turns(FLOWS))?);
        let end = || gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok().map(drop);
        ends.push(rate(&gate, "ends", end)?);
    }
    let row = |metric, values| Row::new("end to end", metric, "k/s", values).size(FLOWS as usize);
    Ok(vec![
        row("starts of flows in the archive, thousands in a second", starts),
        row("ends of flows in the archive, thousands in a second", ends),
    ])
}

/// Thousands in a second, from just before something is done until there is a record of it in the archive for each flow.
fn rate(gate: &Gate, what: &str, make: impl FnOnce() -> Result<()>) -> Result<f64> {
    // Over a connection that stays open: to ask has to cost little.
    let reader = Caller::administrator(gate)?;
    let newest = || reader.call(&Method::GET, "/v1/records?limit=1", None).ok();
    let last = || Some(newest()?.body["items"][0]["sequence"].as_u64().unwrap_or(0));
    let (before, began) = (last().unwrap_or(0), Instant::now());
    make()?;
    let flows = flows(gate)?;
    let made = || last().map(|last| last - before);
    let waited = wait_until(what, SOON, || made().filter(|made| *made >= flows));
    let took = began.elapsed();
    ensure!(waited.is_ok(), "{what}: {:?} records of {flows} flows; {:?}", made(), lost(gate)?);
    Ok(flows as f64 / took.as_secs_f64() / 1e3)
}

/// How many there are: each has carried one packet. A card loses some that come too fast for it.
fn flows(gate: &Gate) -> Result<u64> {
    let metrics = gate.api.get("/metrics")?.text;
    let forwarded = "portcullis_app_packets_total{app=\"bulk\",direction=\"to_app\"} ";
    let flows = metrics.lines().find_map(|line| line.strip_prefix(forwarded)).context("no packet was forwarded")?;
    let flows: u64 = flows.parse()?;
    ensure!(flows > u64::from(FLOWS) / 2, "only {flows} flows were opened");
    Ok(flows)
}

/// What is missing, as the metrics say.
fn lost(gate: &Gate) -> Result<Vec<String>> {
    let metrics = gate.api.get("/metrics")?.text;
    let is_lost = |line: &&str| line.contains("lost") && !line.starts_with('#') && !line.ends_with(" 0");
    Ok(metrics.lines().filter(is_lost).map(str::to_owned).collect())
}
