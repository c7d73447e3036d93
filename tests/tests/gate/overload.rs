//! More than the gateway can do is asked of it: it does what it can, says no to the rest, and stays of use. How fast it is
//! is for the benches to say; here are only bounds that no machine should come near.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use gateway_tests::flood::{Target, Volley};
use gateway_tests::process::memory;
use gateway_tests::{Gate, gate, http_get, wait_until, world::at};
use serde_json::json;

use crate::record::sum;
use crate::scene::{Apps, SOON, V4, falls_silent, goes_on, is_kept_out, stream};

/// For an answer of a gateway that is of use.
const USABLE: Duration = Duration::from_secs(5);
/// More memory than a daemon has that has checked a password, in kilobytes. A flood was seen to take 8 MB; without a bound
/// it takes hundreds.
const MORE_MEMORY: u64 = 100_000;
/// From which logins come, and how many from each.
const ADDRESSES: u8 = 60;
const FROM_EACH: usize = 20;
/// Packets of a flood.
const FLOOD: u32 = 3_000_000;

/// How much memory the daemon has had at most, in kilobytes.
fn most_memory(gate: &Gate) -> Result<u64> {
    memory(gate.daemon.pid(), "VmHWM")
}

/// Does something with the API for as long as `until` goes on, and at least once; how long each took at most.
fn usable_until(mut until: impl FnMut() -> bool, ask: impl Fn() -> Result<()>) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    loop {
        let began = Instant::now();
        ask()?;
        longest = longest.max(began.elapsed());
        ensure!(longest < USABLE, "an answer took {longest:?}");
        if until() {
            return Ok(longest);
        }
    }
}

#[test]
fn a_flood_of_logins_is_bounded_and_delays_no_revocation() -> Result<()> {
    let gate = Gate::open()?;
    let (client, client2) = (&gate.world.client, &gate.world.client2);
    let _apps = Apps::start(&gate.world, V4)?;
    let bob = V4.bob(&gate)?;
    let (going, before) = (stream(client2, V4.vault())?, most_memory(&gate)?);
    let addresses = (0..ADDRESSES).map(|host| format!("addr add 10.77.0.{}/24 dev eth0", 100 + host));
    client.ip(&addresses.collect::<Vec<_>>())?;
    let asked = gate.world.scratch().join("logins");
    fs::write(&asked, logins(&gate)?)?;

    let mut flood = client.command("curl")?;
    flood.args(["--silent", "--no-progress-meter", "--parallel", "--parallel-immediate", "--parallel-max", "100"]);
    let mut flood = flood.arg("--config").arg(&asked).stdout(std::process::Stdio::piped()).spawn()?;
    let output = flood.stdout.take().context("no output")?;
    let answers = thread::spawn(move || std::io::read_to_string(output));
    // Under way: somebody has been refused.
    let throttled = || gate.records().is_ok_and(|all| all.iter().any(|record| record["type"] == "login_failed"));
    wait_until("the flood to begin", SOON, || throttled().then_some(()))?;
    let began = Instant::now();
    gate.api.delete(&format!("/v1/sessions/{}", bob.token))?.ok()?;
    ensure!(began.elapsed() < USABLE, "a revocation took {:?}", began.elapsed());
    falls_silent(&going)?;
    is_kept_out(client2, V4.vault());
    let longest = usable_until(
        || flood.try_wait().is_ok_and(|end| end.is_some()),
        || gate.api.get("/v1/sessions")?.ok().map(drop),
    )?;

    let answers = answers.join().ok().context("the flood")??;
    let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
    for line in answers.lines() {
        let (status, retry_after) = line.split_once(' ').with_context(|| line.to_owned())?;
        *statuses.entry(status).or_default() += 1;
        let has_to_wait = matches!(status, "429" | "503");
        ensure!(!has_to_wait || retry_after.parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{line}");
    }
    let count = |status: &str| statuses.get(status).copied().unwrap_or_default();
    ensure!(statuses.keys().all(|status| ["200", "401", "409", "429", "503"].contains(status)), "{statuses:?}");
    ensure!(count("429") > 0 && count("401") > 0 && count("200") > 0, "{statuses:?}");
    let more = most_memory(&gate)?.saturating_sub(before);
    println!("{statuses:?}; the slowest answer {longest:?}; {more} kB more memory, at most");
    ensure!(more < MORE_MEMORY, "{more} kB more");
    V4.bob(&gate)?;
    http_get(client2, V4.vault(), "/", SOON).map(drop)
}

/// For curl: from every address some who are who they say, some who are not, and some whom nobody knows.
fn logins(gate: &Gate) -> Result<String> {
    let mut text = String::new();
    for number in 0..FROM_EACH {
        for host in 0..ADDRESSES {
            let (user, password) = match number % 4 {
                0 => ("alice".to_owned(), gate::PASSWORD),
                1 => ("alice".to_owned(), "a guess of somebody"),
                _ => (format!("nobody-{host}-{number}"), gate::PASSWORD),
            };
            if number + usize::from(host) > 0 {
                writeln!(text, "next")?;
            }
            let body = json!({ "username": user, "password": password }).to_string().replace('"', "\\\"");
            writeln!(text, "silent\nmax-time = 60\nnoproxy = \"*\"\nhttp1.1\noutput = \"/dev/null\"")?;
            writeln!(
                text,
                "url = \"https://10.77.0.1/v1/login\"\ncacert = \"{}/state/api.crt\"",
                gate.world.scratch().display()
            )?;
            writeln!(text, "interface = \"10.77.0.{}\"\nheader = \"Content-Type: application/json\"", 100 + host)?;
            writeln!(text, "data = \"{body}\"\nwrite-out = \"%{{http_code}} %header{{retry-after}}\\n\"")?;
        }
    }
    Ok(text)
}

#[test]
fn a_flood_of_denials_is_in_records_or_counted_and_holds_nobody_up() -> Result<()> {
    let gate = &Gate::open()?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.bob(gate)?;
    let going = stream(&gate.world.client2, V4.vault())?;
    let before = most_memory(gate)?;
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (at::CLIENT, at::OTHER_APP) else { bail!("not of IPv4") };
    let flood = Volley::new(client, "eth0", Target { mac: at::GUARD0_MAC, source, destination })?;
    let (took, longest) = thread::scope(|scope| -> Result<_> {
        let flooding = scope.spawn(|| {
            let began = Instant::now();
            flood.send(FLOOD)?;
            anyhow::Ok(began.elapsed())
        });
        let longest = usable_until(
            || flooding.is_finished(),
            || {
                gate.api.get("/v1/drops")?.ok()?;
                gate.api.put("/v1/groups/somebody", &json!({}))?.ok().map(drop)
            },
        )?;
        Ok((flooding.join().ok().context("the flood")??, longest))
    })?;
    goes_on(&going)?;

    // What the last window has seen is written when it ends.
    let told = || -> Option<[u64; 3]> {
        let drops: u64 = gate.drops().ok()?.values().sum();
        let metrics = gate.api.get("/metrics").ok()?.text;
        let denied = gate.records().ok()?;
        let denied = denied.iter().filter(|record| record["type"] == "denied");
        let denied: u64 = denied.filter_map(|record| record["packets"].as_u64()).sum();
        // What is missing in the archive alone is in the access log.
        let of = |why: &str| {
            sum(&metrics, &format!("portcullis_unrecorded_packets_total{{what=\"denied\",why=\"{why}\"}}")) as u64
        };
        Some([drops, denied, of("lost") + of("access_log")])
    };
    // Records by the hundred thousand are read again and again until then.
    let sums = wait_until("all drops to be accounted for", 6 * SOON, || {
        told().filter(|[drops, denied, unrecorded]| denied + unrecorded == *drops)
    });
    let [drops, denied, unrecorded] = sums.with_context(|| format!("drops, denied, unrecorded: {:?}", told()))?;
    let more = most_memory(gate)?.saturating_sub(before);
    println!(
        "{drops} drops in {took:?}: {denied} in records, {unrecorded} in none; the slowest answer {longest:?}; \
         {more} kB more memory, at most"
    );
    // Each packet goes to another port: far more kinds than there is room for. But they come from one address, and nothing is
    // lost but what the access log has no time for.
    ensure!(drops > u64::from(FLOOD) / 100 && denied > unrecorded, "{drops} {denied} {unrecorded}");
    ensure!(more < MORE_MEMORY, "{more} kB more");
    let gone = gate.api.post_json("/v1/revocations", &json!({ "user": "bob" }))?.ok()?;
    ensure!(gone["receipts"].as_array().is_some_and(|receipts| receipts.len() == 1), "{gone}");
    falls_silent(&going)
}
