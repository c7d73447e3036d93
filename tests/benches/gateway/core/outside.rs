//! The real daemon with its tables in the kernel.

use crate::crowd::{self, Crowd};
use crate::filled::Filled;
use crate::measure::row::Row;
use anyhow::{Context as _, Result};
use gateway_tests::api::Api;
use gateway_tests::process::{memory, time_at_work};
use gateway_tests::{Gate, wait_until};
use std::time::{Duration, Instant};

/// Revocations that are measured.
const REVOCATIONS: u32 = 200;
/// Generations that are put in force one after the other.
const GENERATIONS: u32 = 3;
/// How long after a change of all sessions nothing is left to be done.
const SETTLING: Duration = Duration::from_secs(10);
/// How long a look at all of it may take.
const PATIENCE: Duration = Duration::from_secs(600);

pub fn measure(count: u32) -> Result<Vec<Row>> {
    let mut filled = Filled::new(Crowd::of(count))?;
    let ready = filled.start()?;
    let (idle, Gate { api, daemon, .. }) = (filled.idle, &filled.gate);
    let kilobytes = |name| anyhow::Ok(memory(daemon.pid(), name)? as f64);
    let (resident, peak) = (kilobytes("VmRSS")?, kilobytes("VmHWM")?);
    let (enforced, seen) = revocations(api, count)?;
    let rested = busy(daemon.pid())?;
    let round = round(api)?;
    let replaced = generations(api)?;
    // The log's thread has a line to write for each session and generation.
    std::thread::sleep(SETTLING);
    let after = kilobytes("VmRSS")?;
    let per = |kilobytes: f64| vec![kilobytes * 1024.0 / f64::from(count)];
    let row = |metric, unit, values| Row::new("daemon", metric, unit, values).size(count as usize);
    Ok(vec![
        row("resident, without a session", "kB", vec![idle]),
        row("resident", "kB", vec![resident]),
        row("resident, per session", "B", per(resident)),
        row("resident beyond idle, per session", "B", per(resident - idle)),
        row("resident at most, per session", "B", per(peak)),
        row("resident after generations, per session", "B", per(after)),
        row("start to ready, all taken up", "ms", vec![ready]),
        row("revocation, taken up to in force", "µs", enforced),
        row("revocation, seen by curl", "µs", seen),
        row("share of a CPU while nothing happens", "%", vec![rested]),
        row("all tables looked at once", "ms", vec![round]),
        row("generation for all, seen by curl", "ms", replaced),
    ])
}

fn revocations(api: &Api, count: u32) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut enforced, mut seen) = (Vec::new(), Vec::new());
    for number in 0..REVOCATIONS {
        let token = crowd::token(number * (count / REVOCATIONS));
        let began = Instant::now();
        let receipt = api.delete(&format!("/v1/sessions/{token}"))?.ok()?;
        seen.push(began.elapsed().as_secs_f64() * 1e6);
        enforced.push(receipt["enforced_after_us"].as_f64().with_context(|| format!("{receipt}"))?);
    }
    Ok((enforced, seen))
}

/// The daemon's own writes to its tables are in this; putting the records into words is not.
fn generations(api: &Api) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for round in 1..=GENERATIONS {
        let began = Instant::now();
        let text = crowd::policies(round % 2 == 1);
        api.send("PUT", "/v1/policy", Some(("text/plain", text.as_str())))?.ok()?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

/// How long it takes the daemon to look at all that is in its tables.
fn round(api: &Api) -> Result<f64> {
    wait_until("all tables to be looked at", PATIENCE, || {
        let text = api.get("/metrics").ok()?.text;
        let line = text.lines().find_map(|line| line.strip_prefix("portcullis_map_round_seconds "))?;
        line.parse::<f64>().ok().filter(|seconds| *seconds > 0.0).map(|seconds| seconds * 1e3)
    })
}

/// How much of a CPU the daemon uses in two seconds without a request, in percent.
fn busy(pid: u32) -> Result<f64> {
    let before = time_at_work(pid)?;
    std::thread::sleep(Duration::from_secs(2));
    Ok((time_at_work(pid)? - before).as_secs_f64() / 2.0 * 100.0)
}
