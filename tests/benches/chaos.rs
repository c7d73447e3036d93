//! A storm: the daemon is killed, stopped, paused and replaced, policies change, people are revoked and come back, programs
//! and entries of tables are taken away; and from outside, on the applications' own sockets, it is watched what passes.
//!
//! Run by `cargo xtask chaos`, and for a minute by `cargo xtask test`. What happens when follows from the seed.

#[path = "../tests/gate/scene.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod scene;

use anyhow::{Context as _, Result, bail, ensure};
use gateway_tests::gate::POLICIES;
use gateway_tests::{Gate, Namespace, Stream, wait_until};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use scene::{Apps, FAMILIES, SOON, V4, goes_on, reaches, stream};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where markers go: an app of which people have a grant.
const BEACON: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 20, 0, 10), 9_999);
/// Who is permitted.
const ALICE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Who was never permitted anything, on the second client.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 66);
/// Between two of a stranger's markers.
const MARKERS: Duration = Duration::from_millis(1);
/// Packets of the flood before it rests for a moment, because the machine has other things to do.
const BURST: usize = 64;
/// How long what was on its way when a receipt was written may take to arrive.
const ON_ITS_WAY: Duration = Duration::from_millis(100);
/// How long then nothing may come.
const NOTHING: Duration = Duration::from_millis(200);
const REPORT_EVERY: Duration = Duration::from_secs(10);

struct Options {
    minutes: f64,
    seed: u64,
    json: Option<PathBuf>,
}

impl Options {
    fn read() -> Result<Self> {
        let mut options = Self { minutes: 1.0, seed: rand::random(), json: None };
        let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
            match &*argument {
                "--minutes" => options.minutes = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                "--json" => options.json = Some(value.into()),
                _ => bail!("unknown option {argument}"),
            }
        }
        ensure!(options.minutes > 0.0 && options.minutes <= 24.0 * 60.0, "--minutes is from 0 to a day");
        Ok(options)
    }
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Kill,
    Restart,
    OtherTables,
    Pause,
    PolicySwap,
    Revocation,
    RevocationAndKill,
    PinRemoved,
    InterfaceRemade,
    InterfaceRemadeAlone,
}

impl Event {
    /// As often as each is here.
    const ALL: [Self; 13] = [
        Self::Kill,
        Self::Kill,
        Self::Kill,
        Self::Restart,
        Self::OtherTables,
        Self::Pause,
        Self::PolicySwap,
        Self::Revocation,
        Self::Revocation,
        Self::RevocationAndKill,
        Self::PinRemoved,
        Self::InterfaceRemade,
        Self::InterfaceRemadeAlone,
    ];

    /// As the report calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kills",
            Self::Restart => "restarts",
            Self::OtherTables => "replacements_of_tables",
            Self::Pause => "pauses",
            Self::PolicySwap => "policy_swaps",
            Self::Revocation => "revocations",
            Self::RevocationAndKill => "revocations_then_killed",
            Self::PinRemoved => "pins_removed",
            Self::InterfaceRemade => "interfaces_remade",
            Self::InterfaceRemadeAlone => "interfaces_remade_alone",
        }
    }
}

/// What must be 0.
#[derive(Default, Debug)]
struct Broken {
    lost_connections: u64,
    forwarded_after_receipt: u64,
    lost_revocations: u64,
}

struct Storm {
    gate: Gate,
    dice: SmallRng,
    /// Of alice, who is permitted all the time.
    permitted: Vec<Stream>,
    /// Of bob, who is revoked now and then.
    bob: Option<(String, Stream)>,
    events: BTreeMap<Event, u64>,
    broken: Broken,
    is_large: bool,
    is_other_policy: bool,
}

fn policies(is_other: bool) -> String {
    let beacon = r#"@id("beacon") permit (principal in Group::"finance", action, resource == App::"beacon");"#;
    let other = r#"@id("other") permit (principal in Group::"ops", action, resource == App::"beacon");"#;
    format!("{POLICIES}\n{beacon}\n{}", if is_other { other } else { "" })
}

impl Storm {
    fn begin(seed: u64) -> Result<Self> {
        let gate = Gate::open()?;
        let beacon = json!({ "prefixes": [BEACON.ip()], "services": [format!("{}/udp", BEACON.port())] });
        gate.api.put("/v1/apps/beacon", &beacon)?.ok()?;
        gate.put_policy(&policies(false))?.ok()?;
        gate.world.client2.ip(&[format!("address add {STRANGER}/24 dev eth0")])?;
        Ok(Self {
            gate,
            dice: SmallRng::seed_from_u64(seed),
            permitted: Vec::new(),
            bob: None,
            events: BTreeMap::new(),
            broken: Broken::default(),
            is_large: false,
            is_other_policy: false,
        })
    }

    fn permit(&mut self) -> Result<()> {
        for family in FAMILIES {
            family.alice(&self.gate)?;
            self.permitted.push(stream(&self.gate.world.client, family.crm())?);
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Kill => {
                self.gate.daemon.kill9()?;
                self.rest();
                self.gate.daemon.restart()?;
            }
            Event::Restart => self.gate.daemon.restart()?,
            Event::OtherTables => {
                self.is_large = !self.is_large;
                let (before, after) = if self.is_large { ("= 1024", "= 2048") } else { ("= 2048", "= 1024") };
                let path = self.gate.daemon.config().to_owned();
                fs::write(
                    &path,
                    fs::read_to_string(&path)?.replace(&format!("flows {before}"), &format!("flows {after}")),
                )?;
                self.gate.daemon.restart()?;
            }
            Event::Pause => {
                self.gate.daemon.pause()?;
                self.rest();
                self.gate.daemon.resume()?;
            }
            Event::PolicySwap => {
                self.is_other_policy = !self.is_other_policy;
                self.gate.put_policy(&policies(self.is_other_policy))?.ok()?;
            }
            Event::Revocation | Event::RevocationAndKill => self.revoke(event == Event::RevocationAndKill)?,
            Event::PinRemoved => self.remove_a_pin()?,
            Event::InterfaceRemade => self.remake_interface()?,
            Event::InterfaceRemadeAlone => {
                self.gate.daemon.kill9()?;
                self.remake_interface()?;
                self.rest();
                self.gate.daemon.restart()?;
            }
        }
        *self.events.entry(event).or_default() += 1;
        self.look(event)
    }

    /// A moment in which nothing is done: up to a fifth of a second.
    fn rest(&mut self) {
        std::thread::sleep(Duration::from_millis(self.dice.random_range(0..200)));
    }

    /// Those who are permitted go on, and get new connections.
    fn look(&mut self, event: Event) -> Result<()> {
        let Self { permitted, gate, broken, .. } = self;
        let client = &gate.world.client;
        for (stream, family) in permitted.iter_mut().zip(FAMILIES) {
            if let Err(error) = goes_on(stream) {
                println!("after {event:?}: a permitted connection is lost: {error:#}");
                broken.lost_connections += 1;
                *stream = scene::stream(client, family.crm())?;
            }
        }
        reaches(client, V4.crm());
        Ok(())
    }

    /// bob is in the middle of a download, and is thrown out.
    fn revoke(&mut self, and_kill: bool) -> Result<()> {
        if self.bob.is_none() {
            let login = V4.bob(&self.gate)?;
            self.bob = Some((login.token, stream(&self.gate.world.client2, V4.vault())?));
        }
        let Some((token, download)) = self.bob.take() else { return Ok(()) };
        self.gate.api.delete(&format!("/v1/sessions/{token}"))?.ok()?;
        if and_kill {
            self.gate.daemon.kill9()?;
        }
        std::thread::sleep(ON_ITS_WAY);
        let before = download.bytes();
        std::thread::sleep(NOTHING);
        let came = download.bytes() - before;
        if came > 0 {
            println!("{came} bytes came after the receipt of {token}");
            self.broken.forwarded_after_receipt += 1;
        }
        if and_kill {
            self.gate.daemon.restart()?;
        }
        let answer = self.gate.api.get(&format!("/v1/sessions/{token}"))?;
        if answer.status != 404 {
            println!("the session {token} is there although its end was acknowledged: {}", answer.text);
            self.broken.lost_revocations += 1;
        }
        Ok(())
    }

    /// The stranger's interface is another one, and bob's session is over.
    fn remake_interface(&mut self) -> Result<()> {
        let world = &self.gate.world;
        world.gateway.ip(&["link del guard1"])?;
        world.remake_guard1()?;
        world.client2.ip(&[format!("address add {STRANGER}/24 dev eth0")])?;
        self.bob = None;
        Ok(())
    }

    /// A link loses its pin, and gets another one.
    fn remove_a_pin(&mut self) -> Result<()> {
        let folder = self.gate.world.bpffs().join("portcullis/links");
        let mut pins: Vec<PathBuf> = fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).collect();
        pins.retain(|path| path.is_file());
        pins.sort();
        let pin = pins.get(self.dice.random_range(0..pins.len().max(1))).context("no link is pinned")?;
        fs::remove_file(pin)?;
        wait_until("the link to be pinned again", SOON, || pin.exists().then_some(()))
    }
}

/// A thread that does something with a socket again and again, and counts.
struct Running {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(
        host: &Namespace,
        bind: SocketAddrV4,
        mut act: impl FnMut(&UdpSocket) -> u64 + Send + 'static,
    ) -> Result<Self> {
        let socket = host.enter(|| UdpSocket::bind(bind))??;
        // What a full queue refuses is not counted, and a reader looks whether it is to stop.
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                counter.fetch_add(act(&socket), Ordering::Relaxed);
            }
        });
        Ok(Self { stop, count, thread: Some(thread) })
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn main() -> Result<()> {
    let options = Options::read()?;
    let (minutes, seed) = (options.minutes, options.seed);
    println!("chaos for {minutes} minutes, seed {seed}");
    let mut storm = Storm::begin(seed)?;
    let (client, client2, app) =
        (storm.gate.world.client.clone(), storm.gate.world.client2.clone(), storm.gate.world.app.clone());
    let _apps =
        FAMILIES.map(|family| Apps::start(&storm.gate.world, family)).into_iter().collect::<Result<Vec<_>>>()?;
    storm.permit()?;
    let marker = |byte: u8| {
        move |socket: &UdpSocket| {
            std::thread::sleep(MARKERS);
            u64::from(socket.send_to(&[byte], BEACON).is_ok())
        }
    };
    // One socket hears both: what strangers send would be counted, and what alice sends shows that it hears.
    let heard = Arc::new(AtomicU64::new(0));
    let heard_alice = Arc::clone(&heard);
    let leaks = Running::start(&app, BEACON, move |socket| {
        let mut datagram = [0; 8];
        match socket.recv(&mut datagram) {
            Ok(1..) if datagram.first() == Some(&b'a') => {
                heard_alice.fetch_add(1, Ordering::Relaxed);
                0
            }
            Ok(1..) => 1,
            _ => 0,
        }
    })?;
    let permitted = Running::start(&client, SocketAddrV4::new(ALICE, 0), marker(b'a'))?;
    let strangers = Running::start(&client2, SocketAddrV4::new(STRANGER, 0), marker(b'x'))?;
    let mut number = 0_u32;
    let flood = Running::start(&client2, SocketAddrV4::new(STRANGER, 0), move |socket| {
        let mut sent = 0;
        for _ in 0..BURST {
            number = number.wrapping_add(1);
            let to = SocketAddr::from((Ipv4Addr::new(10, 20, 0, 10), (number % 60_000) as u16 + 1));
            sent += u64::from(socket.send_to(b"flood", to).is_ok());
        }
        std::thread::sleep(Duration::from_micros(500));
        sent
    })?;
    let (began, mut reported) = (Instant::now(), Instant::now());
    let end = Duration::from_secs_f64(minutes * 60.0);
    while began.elapsed() < end {
        let event = Event::ALL[storm.dice.random_range(0..Event::ALL.len())];
        storm.happen(event).with_context(|| format!("{event:?}, seed {seed}\n{}", storm.gate.daemon.log()))?;
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            let events: u64 = storm.events.values().sum();
            println!(
                "… {:.0} s: {events} events, {} leaks, {:?}",
                began.elapsed().as_secs_f64(),
                leaks.count(),
                storm.broken
            );
        }
    }
    let (leaked, heard) = (leaks.count(), heard.load(Ordering::Relaxed));
    let Broken { lost_connections, forwarded_after_receipt, lost_revocations } = storm.broken;
    let mut report = json!({
        "minutes": began.elapsed().as_secs_f64() / 60.0, "seed": seed,
        "leaks": leaked, "lost_connections": lost_connections,
        "forwarded_after_receipt": forwarded_after_receipt, "lost_revocations": lost_revocations,
        "forbidden_markers": strangers.count(), "flood_packets": flood.count(),
        "permitted_markers": permitted.count(), "permitted_markers_heard": heard,
    });
    for event in Event::ALL {
        report[event.name()] = json!(storm.events.get(&event).copied().unwrap_or_default());
    }
    println!();
    for (name, value) in report.as_object().into_iter().flatten() {
        println!("  {name:<26} {value:>12}");
    }
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    let checks = [
        ("no_marker_of_a_stranger_was_received", leaked == 0 && strangers.count() > 0),
        ("the_markers_of_those_who_are_permitted_were_received", heard * 10 > permitted.count() * 9),
        ("no_permitted_connection_was_lost", lost_connections == 0),
        ("nothing_was_forwarded_after_a_receipt", forwarded_after_receipt == 0),
        ("no_acknowledged_revocation_was_lost", lost_revocations == 0),
    ];
    println!();
    for (name, holds) in checks {
        println!("test {name} ... {}", if holds { "ok" } else { "FAILED" });
    }
    let failed = checks.iter().filter(|(_, holds)| !holds).count();
    let (word, passed) = (if failed == 0 { "ok" } else { "FAILED" }, checks.len() - failed);
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; finished in {:.2}s",
        began.elapsed().as_secs_f64()
    );
    ensure!(failed == 0, "repeat it with --seed {seed}");
    Ok(())
}
