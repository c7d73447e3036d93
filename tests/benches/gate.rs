//! What the gate costs, measured on the real daemon with real packets: revocation, and memory with many sessions.
//!
//! Run by `cargo xtask bench`. Prints a table; with `--json FILE` also writes one object a row.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use gateway_tests::api::Api;
use gateway_tests::gate::{self, Gate};
use gateway_tests::{HttpServer, World, wait_until, world::at};
use gateway_userspace::dataplane::{clock, interfaces::zone_number};
use gateway_userspace::identity::SecretHash;
use gateway_userspace::policy::{AllowListId, Factor, Session, SessionToken, Source, UserName};
use gateway_userspace::store::{FileStore, Store as _, StoredSession, Write};
use serde_json::{Value, json};

/// Revocations that are measured.
const ROUNDS: u32 = 200;
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
    let rows = measure()?;
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

/// The daemon idle; the same with many sessions taken up from the store; then those with an address of the client are
/// revoked one after the other, each in the middle of a download as fast as the link gives.
fn measure() -> Result<Vec<Row>> {
    let config = gate::config().split("\n[capacity]\n").next().unwrap_or_default().to_owned() + CAPACITY;
    let Gate { world, mut daemon, api } = Gate::with(|_| config.clone())?;
    let pins = pins(&world.bpffs().join("portcullis"))?;
    // Making the users took memory for their passwords' hashes, which an idle daemon does not have.
    daemon.restart()?;
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
    rows.extend(revocation(&world, &api, &case)?);
    Ok(rows)
}

fn revocation(world: &World, api: &Api, case: &str) -> Result<Vec<Row>> {
    let server = HttpServer::start(&world.app, SocketAddr::new(at::APP, 8080), "")?;
    let (mut enforced, mut last, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        let IpAddr::V4(source) = address(number) else { bail!("an IPv4 address was wanted") };
        world.client.ip(&[format!("address add {source}/24 dev eth0")])?;
        let bytes = download(world, source, server.address()?)?;
        wait_until("the download to flow", SOON, || (bytes.load(Ordering::Relaxed) > 1_000_000).then_some(()))?;
        let began = Instant::now();
        let receipt = api.delete(&format!("/v1/sessions/{}", token(number)))?.ok()?;
        seen.push(began.elapsed().as_secs_f64() * 1e6);
        enforced.push(receipt["enforced_after_us"].as_f64().with_context(|| format!("{receipt}"))?);
        last.push(receipt["last_packet_after_request_us"].as_f64().with_context(|| format!("{receipt}"))?.max(0.0));
    }
    Ok(vec![
        Row::new("revocation", case, "request taken up → in force", "µs", enforced),
        Row::new("revocation", case, "request taken up → last packet", "µs", last),
        Row::new("revocation", case, "seen by curl, TLS handshake and all", "µs", seen),
    ])
}

/// Downloads from one of the client's addresses on a thread of its own, for as long as it is let. The bytes so far.
fn download(world: &World, source: Ipv4Addr, server: SocketAddr) -> Result<Arc<AtomicU64>> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    let SocketAddr::V4(server) = server else { bail!("an IPv4 address was wanted") };
    let stream = world.client.enter(|| -> Result<TcpStream> {
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0)))?;
        connect(fd.as_raw_fd(), &SockaddrIn::from(server))?;
        Ok(TcpStream::from(fd))
    })??;
    let bytes = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&bytes);
    // A stream that is cut is not reset: the thread gives up when nothing has come for a while.
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    std::thread::spawn(move || {
        let mut stream = stream;
        let mut buffer = vec![0; 65_536];
        if stream.write_all(b"GET /stream/2000000000 HTTP/1.0\r\n\r\n").is_err() {
            return;
        }
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            counter.fetch_add(read as u64, Ordering::Relaxed);
        }
    });
    Ok(bytes)
}

/// The address of a session: the first ones are the client's.
fn address(number: u32) -> IpAddr {
    let first = if number < ROUNDS { Ipv4Addr::new(10, 77, 0, 10) } else { Ipv4Addr::new(10, 99, 0, 0) };
    IpAddr::from(Ipv4Addr::from(u32::from(first) + number))
}

fn token(number: u32) -> SessionToken {
    SessionToken(0xbe7c_0000 + u64::from(number))
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
            let source = Source {
                address: address(*number),
                zone: zone_number("guard0"),
                zone_name: "guard0".into(),
                interface,
                interface_name: "guard0".into(),
                mac: Some([2, 0x77, 0, 0, 0, 2]),
            };
            let session = Session {
                token: token(*number),
                user: user.clone(),
                source,
                factors: [Factor::Password].into(),
                authenticated_at: now,
                deadline: now.after(3_600_000_000_000),
                permitted: Arc::clone(&permitted),
                allow_list: AllowListId::default(),
            };
            let wall_deadline = time::OffsetDateTime::now_utc() + Duration::from_secs(3_600);
            let secret = SecretHash::from_bytes([0; 32]);
            Write::PutSession(StoredSession { session, boot_id: boot_id.as_str().into(), secret, wall_deadline })
        };
        store.commit(&batch.iter().map(write).collect::<Vec<_>>())?;
    }
    Ok(())
}
