//! What the gate costs, measured on the real daemon with real packets: revocation, and memory with many sessions.
//!
//! Run by `cargo xtask bench`. Prints a table; with `--json FILE` also writes one object a row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::gate::{self, Gate};
use gateway_tests::{HttpServer, Stream, wait_until, world::at};
use gateway_userspace::dataplane::{clock, interfaces::zone_number};
use gateway_userspace::identity::SecretHash;
use gateway_userspace::policy::{AllowListId, Factor, Session, SessionToken, Source, UserName};
use gateway_userspace::store::{FileStore, Store as _, StoredSession, Write};
use serde_json::{Value, json};

/// Revocations that are measured.
const ROUNDS: usize = 200;
/// Sessions in the large gateway.
const SESSIONS: u32 = 10_000;
const SOON: Duration = Duration::from_secs(20);
/// Small enough to start at once, large enough for what is measured.
const CAPACITY: &str = "\n[capacity]\nsessions = 65_536\nflows = 262_144\n";

struct Row {
    suite: &'static str,
    case: String,
    metric: &'static str,
    unit: &'static str,
    /// Sorted.
    values: Vec<f64>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments.iter().position(|argument| argument == "--json").and_then(|place| arguments.get(place + 1));
    let mut rows = revocation()?;
    rows.extend(memory()?);
    print(&rows);
    if let Some(path) = json {
        fs::write(path, serde_json::to_string_pretty(&rows.iter().map(Row::report).collect::<Vec<_>>())? + "\n")?;
    }
    Ok(())
}

impl Row {
    fn new(suite: &'static str, case: &str, metric: &'static str, unit: &'static str, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { suite, case: case.to_owned(), metric, unit, values }
    }

    fn at(&self, part: f64) -> f64 {
        let last = self.values.len().saturating_sub(1);
        self.values.get((part * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }

    fn report(&self) -> Value {
        json!({
            "suite": self.suite, "case": self.case, "metric": self.metric, "unit": self.unit, "value": self.at(0.5),
            "p10": self.at(0.1), "p90": self.at(0.9), "p99": self.at(0.99), "runs": self.values.len(),
        })
    }
}

fn print(rows: &[Row]) {
    println!("{:<12} {:<22} {:<34} {:>12} {:>12} {:>6}", "suite", "case", "metric", "median", "p99", "runs");
    for row in rows {
        let Row { suite, case, metric, unit, values } = row;
        let (median, p99, runs) = (row.at(0.5), row.at(0.99), values.len());
        println!("{suite:<12} {case:<22} {metric:<34} {median:>9.1} {unit:<2} {p99:>9.1} {unit:<2} {runs:>6}");
    }
}

/// Logs in, streams as fast as the link gives, and revokes, again and again.
fn revocation() -> Result<Vec<Row>> {
    let gate = Gate::open()?;
    let server = HttpServer::start(&gate.world.app, SocketAddr::new(at::APP, 8080), "")?;
    let (mut enforced, mut last, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        gate.login(&gate.world.client, at::GUARD0, "alice")?;
        let stream = Stream::open(&gate.world.client, server.address()?, "/stream/2000000000", SOON)?;
        wait_until("the stream to flow", SOON, || (stream.bytes() > 1_000_000).then_some(()))?;
        let began = Instant::now();
        let receipts = gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
        seen.push(began.elapsed().as_secs_f64() * 1e6);
        let receipt = &receipts["receipts"][0];
        enforced.push(receipt["enforced_after_us"].as_f64().with_context(|| format!("round {round}: {receipts}"))?);
        last.push(receipt["last_packet_after_request_us"].as_f64().with_context(|| format!("{receipts}"))?.max(0.0));
    }
    let case = "one session, TCP at full speed";
    Ok(vec![
        Row::new("revocation", case, "request taken up → in force", "µs", enforced),
        Row::new("revocation", case, "request taken up → last packet", "µs", last),
        Row::new("revocation", case, "seen by curl, TLS handshake and all", "µs", seen),
    ])
}

/// The daemon idle, then the same with many sessions taken up from the store.
fn memory() -> Result<Vec<Row>> {
    let config = gate::config().split("\n[capacity]\n").next().unwrap_or_default().to_owned() + CAPACITY;
    let Gate { world, mut daemon, api } = Gate::with(|_| config.clone())?;
    let pins = pins(&world.bpffs().join("portcullis"))?;
    let mut rows = vec![Row::new("memory", "idle", "daemon, resident", "kB", vec![resident(daemon.pid())?])];
    for (case, table, per) in
        [("session slot", &["SESSIONS", "SESSION_INDEX"][..], 65_536.0), ("flow", &["FLOWS"], 262_144.0)]
    {
        let bytes = table.iter().map(|name| memlock(&pins.join(name))).sum::<Result<f64>>()?;
        rows.push(Row::new("memory", case, "kernel, bytes per entry of capacity", "B", vec![bytes / per]));
    }
    let index = world.gateway.enter(|| nix::net::if_::if_nametoindex("guard0"))??;
    daemon.stop()?;
    fill(&world.scratch().join("state/state.redb"), index)?;
    let began = Instant::now();
    daemon.restart()?;
    let ready = began.elapsed();
    let sessions = api.get("/v1/status")?.ok()?["sessions"].clone();
    ensure!(sessions == SESSIONS, "only {sessions} of {SESSIONS} sessions were taken up");
    let case = format!("{SESSIONS} sessions");
    rows.push(Row::new("memory", &case, "daemon, resident", "kB", vec![resident(daemon.pid())?]));
    rows.push(Row::new("start", &case, "start to ready, all taken up", "ms", vec![ready.as_secs_f64() * 1e3]));
    drop((daemon, api));
    Ok(rows)
}

/// The folder of the maps.
fn pins(folder: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    entries.find(|path| !path.ends_with("links")).context("no maps are pinned")
}

fn resident(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// What the kernel charges for a map.
fn memlock(pin: &Path) -> Result<f64> {
    let mut bpftool = gateway_tests::tools::command("bpftool")?;
    let output = bpftool.args(["--json", "map", "show", "pinned"]).arg(pin).output()?;
    let shown: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("bpftool: {output:?}"))?;
    shown["bytes_memlock"].as_f64().with_context(|| format!("bpftool: {shown}"))
}

/// Stores sessions of alice at many addresses, as a daemon would have.
fn fill(state: &Path, interface: u32) -> Result<()> {
    let mut store = FileStore::open(state)?;
    let (now, boot_id) = (clock::boot(), clock::boot_id()?);
    let user = UserName::new("alice")?;
    let permitted = Arc::new(BTreeMap::new());
    for batch in (0..SESSIONS).collect::<Vec<_>>().chunks(100) {
        let write = |number: &u32| {
            let address = IpAddr::from(Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 99, 0, 0)) + number));
            let source = Source {
                address,
                zone: zone_number("guard0"),
                zone_name: "guard0".into(),
                interface,
                interface_name: "guard0".into(),
                mac: Some([2, 0, 0, 0, 0, 2]),
            };
            let session = Session {
                token: SessionToken(0xbe7c_0000 + u64::from(*number)),
                user: user.clone(),
                source,
                factors: BTreeSet::from([Factor::Password]),
                authenticated_at: now,
                deadline: now.after(3_600_000_000_000),
                permitted: Arc::clone(&permitted),
                allow_list: AllowListId::default(),
            };
            let wall_deadline = time::OffsetDateTime::now_utc() + Duration::from_secs(3_600);
            let secret = SecretHash::from_bytes([0; 32]);
            Write::PutSession(StoredSession { session, boot_id: boot_id.clone(), secret, wall_deadline })
        };
        store.commit(&batch.iter().map(write).collect::<Vec<_>>())?;
    }
    Ok(())
}
