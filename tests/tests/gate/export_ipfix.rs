//! Flows and denials arrive at a real collector, and are understood by whoever knows the standard.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    net::{IpAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, Namespace, Process, World, tools, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cli::admin;
use crate::recipe::{Recipe, all_sent, filled};
use crate::scene::{Apps, SOON, V4, V6, is_kept_out, reaches};

/// Where the pages have collectors.
const COLLECTOR: &str = "flows.example.org:4739";
const HERE: &str = "127.0.0.1:4739";
/// What every record has, as tshark shows it.
const NUMBERED: &str = "Type 1: Value (hex bytes)";

#[test]
fn every_flow_and_denial_arrives_at_nfcapd_as_the_page_says() -> Result<()> {
    let page = Recipe::read("ipfix.md")?;
    let world = World::new()?;
    let folder = world.scratch().join("flows");
    fs::create_dir_all(&folder)?;
    let files = folder.display().to_string();
    let commands = page.blocks("sh");
    let [collect, show] = &commands[..] else { anyhow::bail!("{} commands", commands.len()) };
    let (collect, show) = (command_line(collect, &files)?, command_line(show, &files)?);
    let mut collector = run(&world.gateway, &collect, &world.scratch().join("nfcapd.log"))?;
    is_bound(&world.gateway, ":4739")?;
    let capture = Capture::start(&world.gateway, "udp port 4739", world.scratch())?;
    let export = page.block("toml", &[(COLLECTOR, HERE)])?;
    let gate = Gate::inside(world, |config| format!("{config}\n{export}begin = \"oldest\"\n"))?;
    let flows = flows_of_both_families(&gate, "flows")?;

    // Its last file is written when it ends.
    ensure!(collector.terminate(SOON)?.success(), "{}", collector.output());
    let mut nfdump = tools::command(&show[0])?;
    let shown = printed(nfdump.args(&show[1..]).env("TZ", "UTC"))?;
    let shown: Value = serde_json::from_str(&shown).with_context(|| shown.clone())?;
    let mut shown = shown.as_array().context("no list")?.clone();
    ensure!(shown.len() == flows.len(), "{} arrived of {}: {shown:#?}", shown.len(), flows.len());
    for flow in &flows {
        let expected = as_nfdump_has_it(flow)?;
        let is_it = |shown: &Value| {
            expected.as_object().is_some_and(|fields| fields.iter().all(|(name, value)| shown[name] == *value))
        };
        let at = shown.iter().position(is_it).with_context(|| format!("no {expected} in {shown:#?}"))?;
        shown.remove(at);
    }
    let decoded = capture.decoded("udp.port", flows.len())?;
    says_all(&decoded, &flows)
}

#[test]
fn messages_over_tcp_are_understood_without_any_fault() -> Result<()> {
    let page = Recipe::read("ipfix.md")?;
    let world = World::new()?;
    let listener = world.gateway.enter(|| TcpListener::bind(HERE))??;
    let reading = thread::spawn(move || -> Result<usize> {
        let (mut connection, _) = listener.accept()?;
        Ok(connection.read_to_end(&mut Vec::new())?)
    });
    let capture = Capture::start(&world.gateway, "tcp port 4739", world.scratch())?;
    let export = page.block("toml", &[(COLLECTOR, HERE)])?;
    let export = format!("{export}transport = \"tcp\"\nbegin = \"oldest\"\n");
    let mut gate = Gate::inside(world, |config| format!("{config}\n{export}"))?;
    let flows = flows_of_both_families(&gate, "flows")?;
    let decoded = capture.decoded("tcp.port", flows.len())?;
    says_all(&decoded, &flows)?;
    gate.daemon.stop()?;
    let read = reading.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    ensure!(read > 1_000, "{read} bytes");
    Ok(())
}

/// Words of a command of the page, with the folder of the test.
fn command_line(command: &str, folder: &str) -> Result<Vec<String>> {
    let command = filled(command, &[("/var/cache/nfdump", folder)])?;
    Ok(command.split_whitespace().map(str::to_owned).collect())
}

fn run(host: &Namespace, line: &[String], log: &Path) -> Result<Process> {
    let (program, args) = line.split_first().context("no command")?;
    ensure!(tools::find(program).is_some(), "`{program}` is not installed: run `cargo xtask setup`");
    let mut command = host.command(program)?;
    command.args(args);
    Process::spawn(command, log)
}

/// What a command prints that has to succeed.
fn printed(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_bound(host: &Namespace, address: &str) -> Result<()> {
    wait_until(address, SOON, || host.run(&["ss", "-Hnlu"]).ok()?.contains(address).then_some(()))
}

/// Flows that are over and denials, which an export has passed on; in IPv4 and in IPv6.
fn flows_of_both_families(gate: &Gate, export: &str) -> Result<Vec<Value>> {
    for family in [V4, V6] {
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(gate)?;
        reaches(&gate.world.client, family.crm());
        is_kept_out(&gate.world.client, family.vault());
        gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    }
    let admin = admin(gate)?;
    let is_flow = |record: &Value| ["flow_end", "denied"].contains(&record["type"].as_str().unwrap_or_default());
    let is_whole = |records: &[Value]| {
        let of = |kind: &str, address: IpAddr| {
            let address = address.to_string();
            records.iter().any(|record| record["type"] == kind && record["destination"] == address)
        };
        [V4, V6].iter().all(|family| of("flow_end", family.crm) && of("denied", family.vault))
    };
    Ok(all_sent(&admin, export, is_whole)?.into_iter().filter(is_flow).collect())
}

/// What nfdump says of a record.
fn as_nfdump_has_it(flow: &Value) -> Result<Value> {
    let text = |field: &str| flow[field].as_str().with_context(|| format!("{flow} has no {field}"));
    // It has no zone in its times, and milliseconds.
    let time = |field: &str| Ok::<_, anyhow::Error>(json!(millis(text(field)?)?));
    let is_v6 = text("destination")?.contains(':');
    let (source, destination) = if is_v6 { ("src6_addr", "dst6_addr") } else { ("src4_addr", "dst4_addr") };
    let protocol = match text("protocol")? {
        "tcp" => 6,
        "udp" => 17,
        "icmp" if is_v6 => 58,
        "icmp" => 1,
        other => other.parse()?,
    };
    let mut expected = if flow["type"] == "denied" {
        json!({
            source: flow["source"], "in_packets": flow["packets"],
            "first": time("first")?, "last": time("last")?,
        })
    } else {
        json!({
            source: flow["client"], "src_port": flow["client_port"],
            "in_packets": flow["to_app_packets"], "in_bytes": flow["to_app_bytes"],
            "out_packets": flow["to_client_packets"], "out_bytes": flow["to_client_bytes"],
            "first": time("opened_at")?, "last": time("last_seen")?,
        })
    };
    expected[destination] = flow["destination"].clone();
    expected["proto"] = json!(protocol);
    // It takes an ICMP port for a type and a code.
    if protocol != 1 && protocol != 58 {
        expected["dst_port"] = flow["port"].clone();
    }
    Ok(expected)
}

/// A time of a record to the millisecond, without its zone.
fn millis(text: &str) -> Result<String> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)?;
    let (date, clock) = (time.date(), time.time());
    Ok(format!("{date}T{:02}:{:02}:{:02}.{:03}", clock.hour(), clock.minute(), clock.second(), clock.millisecond()))
}

/// Packets that a real analyzer takes down. Dropping ends it.
struct Capture {
    file: PathBuf,
    tshark: Process,
}

impl Capture {
    fn start(host: &Namespace, filter: &str, folder: &Path) -> Result<Self> {
        let file = folder.join("flows.pcapng");
        let words = ["tshark", "-q", "-i", "lo", "-f", filter, "-w"].map(str::to_owned);
        let line: Vec<_> = words.into_iter().chain([file.display().to_string()]).collect();
        let tshark = run(host, &line, &folder.join("tshark.log"))?;
        wait_until("tshark to listen", 3 * SOON, || tshark.output().contains("Capture started").then_some(()))
            .with_context(|| tshark.output())?;
        Ok(Self { file, tshark })
    }

    /// What it makes of them, once so many records are there.
    fn decoded(mut self, port: &str, records: usize) -> Result<String> {
        let program = tools::find("tshark").context("`tshark` is not installed: run `cargo xtask setup`")?;
        let read = || {
            let mut tshark = Command::new(&program);
            tshark.arg("-r").arg(&self.file).args(["-d", &format!("{port}==4739,cflow"), "-V"]);
            tshark
        };
        // Packets reach the file a little later; its end may be half written, which tshark complains of.
        wait_until("tshark to have taken all down", 3 * SOON, || {
            let output = read().output().ok()?;
            (String::from_utf8_lossy(&output.stdout).matches(NUMBERED).count() >= records).then_some(())
        })?;
        self.tshark.signal(Signal::SIGINT)?;
        self.tshark.wait(SOON)?;
        printed(&mut read())
    }
}

/// That everything is there that only the gateway knows, and nothing was misunderstood.
fn says_all(decoded: &str, flows: &[Value]) -> Result<()> {
    let lower = decoded.to_lowercase();
    for fault in ["malformed", "no template found", "unreassembled", "expert info (error"] {
        ensure!(!lower.contains(fault), "{fault}: {decoded}");
    }
    let said = |text: &str| decoded.matches(text).count();
    ensure!(said("User Name: alice") >= 4, "{decoded}");
    for kind in [("flow_end", "crm"), ("denied", "vault")] {
        ensure!(flows.iter().any(|flow| flow["type"] == kind.0 && flow["app"] == kind.1), "no {kind:?}");
    }
    let mut wanted = BTreeSet::new();
    for flow in flows {
        for field in ["app", "interface", "zone", "reason", "outcome", "tcp"] {
            wanted.extend(flow[field].as_str().map(str::to_owned));
        }
        let policies = flow["policies"].as_array().into_iter().flatten().filter_map(Value::as_str);
        wanted.extend([policies.collect::<Vec<_>>().join(",")].into_iter().filter(|list| !list.is_empty()));
        if let Some(session) = flow["session"].as_str() {
            let token = u64::from_str_radix(session, 16)?.to_be_bytes();
            let bytes = token.map(|byte| format!("{byte:02x}")).join(" ");
            ensure!(decoded.contains(&format!("Type 2: Value (hex bytes): {bytes}\n")), "{session}: {decoded}");
        }
    }
    for text in wanted {
        // It has no names for what is the gateway's own, and shows bytes.
        let bytes: Vec<_> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        let hex = bytes.join(" ");
        ensure!(
            decoded.contains(&format!(": {text}\n")) || decoded.contains(&format!(": {hex}\n")),
            "{text} ({hex}) is not there: {decoded}"
        );
    }
    // This is what it calls the number without a choice.
    ensure!(said("(Example Enterprise Number for Documentation Use)") >= 4 * flows.len(), "{decoded}");
    Ok(())
}
