//! Denied packets, captured by the command line and read by tshark, which nobody here wrote.

use std::{
    fs,
    net::UdpSocket,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{
    Gate, Namespace, Process, Scapy,
    gate::{POLICIES, binary},
    tools, wait_until,
    world::at,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cli::admin;
use crate::record::wait_for;
use crate::scene::{Apps, PORT, SOON, V4, V6, is_kept_out, on, reaches};

/// Longer than any of these tests.
const LONG: &str = "5m";
const END: Duration = Duration::from_secs(30);

/// What tshark is asked of each frame.
const FIELDS: [&str; 8] = [
    "frame.interface_name",
    "frame.comment",
    "frame.len",
    "frame.time_epoch",
    "ip.dst",
    "ipv6.dst",
    "vlan.id",
    "udp.payload",
];

/// A frame, as tshark tells of it.
#[derive(Debug)]
struct Frame(Vec<String>);

impl Frame {
    fn get(&self, field: &str) -> &str {
        let place = FIELDS.iter().position(|name| *name == field);
        place.and_then(|place| self.0.get(place)).map_or("", String::as_str)
    }

    fn comment(&self) -> &str {
        self.get("frame.comment")
    }
}

/// What tshark finds in a file. One that is cut off, or not as it should be, is an error.
fn tshark(file: &Path) -> Result<Vec<Frame>> {
    let mut command = tools::command("tshark")?;
    command.arg("-r").arg(file).args(["-T", "fields", "-E", "separator=/t"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(|line| Frame(line.split('\t').map(str::to_owned).collect())).collect())
}

/// The command line at work.
struct Capturing {
    process: Process,
    file: PathBuf,
}

impl Capturing {
    /// Begins; the kernel captures from then on.
    fn begin(gate: &Gate, name: &str, args: &[&str]) -> Result<Self> {
        let (scratch, state) = (gate.world.scratch(), gate.world.scratch().join("state"));
        let file = scratch.join(format!("{name}.pcapng"));
        let mut command = gate.world.gateway.command(binary("portcullis")?)?;
        command.args(["drops", "capture", "--output"]).arg(&file).args(args);
        command.env("PORTCULLIS_URL", "https://127.0.0.1:8443").env("PORTCULLIS_CA", state.join("api.crt"));
        command.env("PORTCULLIS_TOKEN_FILE", state.join("admin.token"));
        let process = Process::spawn(command, &scratch.join(format!("{name}.log")))?;
        let mut capturing = Self { process, file };
        // What the file begins with is sent when the programs know. One that was refused has ended without it.
        let begun = wait_until("a capture to begin", SOON, || {
            (capturing.size() > 0 || !matches!(capturing.process.exited(), Ok(None))).then_some(())
        });
        begun.with_context(|| capturing.process.output())?;
        ensure!(capturing.size() > 0, "{}", capturing.process.output());
        Ok(capturing)
    }

    fn size(&self) -> u64 {
        fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    /// It ends by itself; what it says.
    fn ends(&mut self) -> Result<String> {
        let status = self.process.wait(END).with_context(|| self.process.output())?;
        ensure!(status.success(), "{}", self.process.output());
        Ok(self.process.output())
    }

    /// It ends by itself; the numbers that it prints.
    fn ends_with_numbers(&mut self) -> Result<Value> {
        let said = self.ends()?;
        let json = said.find('{').and_then(|from| said.get(from..)).with_context(|| said.clone())?;
        Ok(serde_json::from_str(json)?)
    }
}

/// Sends datagrams that nobody may send.
fn datagrams(host: &Namespace, count: usize) -> Result<()> {
    host.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        (0..count).try_for_each(|_| socket.send_to(b"?", V4.crm()).map(drop))
    })??;
    Ok(())
}

#[test]
fn a_capture_tells_wireshark_why_each_packet_was_dropped_and_whose_it_was() -> Result<()> {
    let gate = Gate::with(on("guard1", "mode = \"observe\""))?;
    let _apps = Apps::start(&gate.world, V4)?;
    let closed = "@id(\"vault-closed\") @log(\"alert\") forbid (principal, action, resource == App::\"vault\");";
    gate.put_policy(&format!("{POLICIES}\n{closed}"))?.ok()?;
    let login = V4.alice(&gate)?;
    let mut scapy = Scapy::start(&gate.world.client, "eth0")?;
    let before = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let mut capturing = Capturing::begin(&gate, "why", &["--count", "5", "--for", LONG, "--json"])?;
    reaches(&gate.world.client, V4.crm());
    is_kept_out(&gate.world.client, V4.vault());
    is_kept_out(&gate.world.client, V6.vault());
    // Nobody hears it: the app's host says so, and that answers nothing that a session has asked.
    gate.world.client2.enter(|| UdpSocket::bind("0.0.0.0:0")?.send_to(b"?", (at::APP, 9)))??;
    wait_for(&gate, "denied", |record| record["observed"] == json!(true) && record["direction"] == "to_client")?;
    scapy.send(
        "Ether(src='02:00:00:00:00:77', dst='02:00:00:00:00:78')/Dot1Q(vlan=7)/IP(src='10.77.0.2', \
                dst='10.20.0.11')/UDP(sport=5, dport=6)/Raw(b'portcullis')",
    )?;
    let numbers = capturing.ends_with_numbers()?;
    assert_eq!(
        (&numbers["captured"], &numbers["matched"], &numbers["ended"]),
        (&json!(5), &json!(5), &json!("complete"))
    );
    let frames = tshark(&capturing.file)?;
    let [grant, session, observed, unasked, vlan] = &frames[..] else { panic!("{frames:#?}") };
    let (token, now) = (&login.token, SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64());
    for frame in &frames {
        let at: f64 = frame.get("frame.time_epoch").parse()?;
        assert!(before <= at && at <= now, "{before} {frame:?} {now}");
    }
    let comment = grant.comment();
    assert!(
        comment.starts_with("dropped: no_grant (The app exists; this session's policy does not permit it) "),
        "{comment}"
    );
    let whose = format!(" direction=to_app session={token} user=alice zone=guard0 app=vault policies=vault-closed");
    assert!(comment.ends_with(&whose), "{comment}");
    assert_eq!((grant.get("frame.interface_name"), grant.get("ip.dst")), ("guard0", V4.vault.to_string().as_str()));
    assert!(
        session.comment().starts_with("dropped: no_session (") && !session.comment().contains("user="),
        "{session:?}"
    );
    assert_eq!(session.get("ipv6.dst"), V6.vault.to_string());
    assert!(observed.comment().starts_with("would be dropped: no_session ("), "{observed:?}");
    assert_eq!((observed.get("frame.interface_name"), observed.get("frame.len")), ("guard1", "43"));
    assert!(unasked.comment().contains(" direction=to_client"), "{unasked:?}");
    // The error, and the datagram that it quotes.
    assert_eq!(unasked.get("ip.dst"), format!("{},{}", at::CLIENT2, at::APP));
    assert!(vlan.comment().starts_with("dropped: vlan_unknown ("), "{vlan:?}");
    assert_eq!((vlan.get("vlan.id"), vlan.get("udp.payload")), ("7", "706f727463756c6c6973"));
    assert_eq!(vlan.get("frame.len"), (14 + 4 + 20 + 8 + 10).to_string());
    Ok(())
}

#[test]
fn of_a_flood_as_many_are_captured_as_were_asked_for_and_the_others_are_counted() -> Result<()> {
    let gate = Gate::open()?;
    let before = gate.drops()?;
    let args = ["--rate", "20/s", "--for", "4s", "--interface", "guard0", "--json"];
    let mut capturing = Capturing::begin(&gate, "flood", &args)?;
    for _ in 0..20 {
        datagrams(&gate.world.client, 200)?;
        std::thread::yield_now();
    }
    datagrams(&gate.world.client2, 10)?;
    let numbers = capturing.ends_with_numbers()?;
    let number = |name: &str| numbers[name].as_u64().unwrap_or_default();
    let dropped = |interface: &str| {
        let key = (interface.to_owned(), "no_session".to_owned());
        let now = gate.drops()?.get(&key).copied().unwrap_or_default();
        anyhow::Ok(now - before.get(&key).copied().unwrap_or_default())
    };
    assert_eq!((number("matched"), dropped("guard1")?), (dropped("guard0")?, 10), "{numbers}");
    assert!((1..=100).contains(&number("captured")) && number("matched") >= 1_000, "{numbers}");
    assert_eq!(number("over_rate"), number("matched") - number("captured"), "{numbers}");
    assert_eq!((number("no_room"), number("too_slow")), (0, 0), "{numbers}");
    assert_eq!(tshark(&capturing.file)?.len() as u64, number("captured"));
    Ok(())
}

#[test]
fn a_user_is_captured_alone_and_the_audit_trail_tells_who_looked() -> Result<()> {
    let gate = Gate::open()?;
    V4.alice(&gate)?;
    let mut capturing = Capturing::begin(&gate, "user", &["--user", "alice", "--count", "1", "--for", LONG])?;
    datagrams(&gate.world.client2, 5)?;
    is_kept_out(&gate.world.client, V4.vault());
    let said = capturing.ends()?;
    assert!(said.contains("1 of 1 packets captured"), "{said}");
    let frames = tshark(&capturing.file)?;
    let [frame] = &frames[..] else { panic!("{frames:#?}") };
    assert!(frame.comment().contains(" user=alice "), "{frame:?}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&capturing.file)?.permissions());
    assert_eq!(mode & 0o777, 0o600);

    let audited = |action: &str| {
        wait_until(action, SOON, || {
            let entries = gate.api.get("/v1/audit?type=admin&by=admin").ok()?.ok().ok()?;
            entries["items"].as_array()?.iter().find(|entry| entry["action"] == action).cloned()
        })
    };
    assert_eq!(audited("capture_began")?["object"], "for=300s rate=100/s snaplen=2048 user=alice count=1");
    assert_eq!(audited("capture_ended")?["object"], "1 packet");
    let recorded = wait_for(&gate, "admin", |record| record["action"] == "capture_began")?;
    assert_eq!((&recorded["by"], &recorded["from"]), (&json!("admin"), &json!("127.0.0.1")));
    Ok(())
}

#[test]
fn one_captures_at_a_time_and_however_it_ends_the_file_is_whole_and_the_next_may() -> Result<()> {
    let mut gate = Gate::open()?;
    let cli = admin(&gate)?;
    let path = |name: &str| gate.world.scratch().join(format!("{name}.pcapng")).display().to_string();
    let (mut first, second) = (Capturing::begin(&gate, "first", &["--for", LONG])?, path("second"));
    let refused = cli.run(&["drops", "capture", "--output", &second])?;
    assert_eq!((refused.code, Path::new(&second).exists()), (1, false), "{refused:?}");
    assert!(
        refused.stderr.contains("`admin` captures, for ") && !refused.stderr.contains("capturing to"),
        "{refused:?}"
    );
    // Ctrl-C.
    let before = first.size();
    datagrams(&gate.world.client, 1)?;
    wait_until("a packet in the file", SOON, || (first.size() > before).then_some(()))?;
    first.process.signal(Signal::SIGINT)?;
    assert!(first.ends()?.contains("1 of 1 packets captured"), "{}", first.process.output());
    assert_eq!(tshark(&first.file)?.len(), 1);
    // Nobody says goodbye.
    let begins = |name: &str| {
        wait_until(name, SOON, || {
            let _ = fs::remove_file(path(name));
            Capturing::begin(&gate, name, &["--for", LONG]).ok()
        })
    };
    begins("killed")?.process.kill()?;
    // The daemon stops.
    let mut last = begins("last")?;
    let before = last.size();
    datagrams(&gate.world.client, 1)?;
    wait_until("a packet in the file", SOON, || (last.size() > before).then_some(()))?;
    gate.daemon.stop()?;
    assert!(last.ends()?.contains("1 of 1 packets captured"), "{}", last.process.output());
    assert_eq!(tshark(&last.file)?.len(), 1);
    Ok(())
}

#[test]
fn what_cannot_be_captured_is_refused_with_what_can() -> Result<()> {
    let gate = Gate::open()?;
    let cli = admin(&gate)?;
    let file = gate.world.scratch().join("refused.pcapng").display().to_string();
    for (args, said) in [
        (["--interface", "eth9"], "interface `eth9` is not guarded; use one of `guard0`, `guard1`"),
        (["--reason", "tired"], "`tired` is not a reason"),
        (["--session", "xyz"], "session token `xyz` is not valid"),
        (["--client", "10.9"], "neither an address nor a prefix"),
        (["--for", "1h"], "`3600` is not within 1 and 540"),
        (["--snaplen", "1"], "`1` is not within 64 and 16383"),
    ] {
        let ran = cli.run(&[&["drops", "capture", "--output", &file][..], &args].concat())?;
        assert!(ran.code == 1 && ran.stderr.contains(said), "{args:?}: {ran:?}");
        assert!(!Path::new(&file).exists(), "{args:?}");
    }
    fs::write(&file, "mine")?;
    let ran = cli.run(&["drops", "capture", "--output", &file])?;
    assert!(ran.code == 1 && ran.stderr.contains("is there already"), "{ran:?}");
    assert_eq!(fs::read_to_string(&file)?, "mine");
    // Without a verb it counts, as ever.
    is_kept_out(&gate.world.client, V4.vault());
    let counted = cli.run(&["drops"])?;
    assert!(counted.code == 0 && counted.stdout.contains("no_session"), "{counted:?}");
    assert_eq!(PORT, V4.vault().port());
    let reader = json!({ "name": "reader", "scopes": ["read", "audit:read"] });
    let reader = gate.api.post_json("/v1/tokens", &reader)?.ok()?;
    let api = gate.api.clone().bearer(reader["secret"].as_str().context("no secret")?);
    api.get("/v1/drops/capture")?.problem(403)?;
    Ok(())
}
