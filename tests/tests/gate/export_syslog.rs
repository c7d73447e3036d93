//! What rsyslog and syslog-ng receive of a gateway, both configured as `docs/export/syslog.md` says, is what it has recorded.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Cli, Gate, Listening, LogReceiver, Make, World, wait_until};
use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::cli::admin;
use crate::recipe::Recipe;
use crate::scene::{Apps, SOON, V4, is_kept_out, reaches};

/// For what is sent again after pauses.
const LATER: Duration = Duration::from_secs(60);
/// A policy whose name wants to be a second message, another field and an order to a terminal.
const HOSTILE: &str = r#"@id("x\n<13>1 - - - - - - forged\r| suser=root ] \"\\ \u{1b}[2J \u{2028}\u{85}\u{7f} é")
    permit (principal in Group::"finance", action, resource == App::"crm");"#;

/// A file of the page, in which every name of the example is replaced by the test's.
fn from_page(name: &str, replaced: &[(&str, &str)]) -> Result<String> {
    Recipe::read("syslog.md")?.file(name, replaced)
}

/// The certificates of both ends, in files below this folder.
fn certificates(folder: &Path) -> Result<()> {
    let mut params = CertificateParams::default();
    // Other than that of those below it, which would pass for signed by themselves.
    params.distinguished_name.push(DnType::CommonName, "an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    fs::write(folder.join("ca.pem"), authority.as_ref().pem())?;
    for (file, name) in [("gateway", "gw1.example.org"), ("logs", "localhost")] {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &authority)?;
        fs::write(folder.join(format!("{file}.pem")), certificate.pem())?;
        fs::write(folder.join(format!("{file}.key")), key.serialize_pem())?;
    }
    Ok(())
}

/// A receiver on the gateway's own host, as the page has it.
fn receiver(world: &World, make: Make, name: &str, listening: Listening) -> Result<LogReceiver> {
    let folder = world.scratch().join(name);
    let (tls, log) = (world.scratch().display().to_string(), folder.join("log"));
    let shown = log.display().to_string();
    let written = format!("/var/log/{}", name.replace("rsyslog", "portcullis").replace("syslog-ng", "portcullis"));
    let written = format!("{}.log", written.trim_end_matches(".conf"));
    let mut replaced = vec![(written.as_str(), shown.as_str())];
    match name {
        "rsyslog-tls.conf" => replaced.push(("/etc/rsyslog.d/tls", &tls)),
        "syslog-ng.conf" => replaced.push(("/etc/syslog-ng/tls", &tls)),
        _ => {}
    }
    LogReceiver::start(make, &world.gateway, &folder, &from_page(name, &replaced)?, listening, &log)
}

/// A gateway with exports of the page.
fn exporting(world: World, names: &[&str]) -> Result<Gate> {
    let mut exports = String::new();
    for name in names {
        let mut replaced = vec![("logs.example.org", "localhost")];
        if !matches!(*name, "gateway-tcp.toml" | "gateway-udp.toml") {
            replaced.push(("/etc/portcullis/export", "{scratch}"));
        }
        exports.push_str(&from_page(name, &replaced)?);
    }
    Gate::inside(world, |config| format!("{config}\n{exports}"))
}

/// Logins, flows, denials, administration and an ended session, by a policy with the worst of names: those of users and apps are plain.
fn live(gate: &Gate) -> Result<()> {
    let _apps = Apps::start(&gate.world, V4)?;
    gate.put_policy(HOSTILE)?.ok()?;
    gate.introduce("carol", "finance")?;
    V4.alice(gate)?;
    reaches(&gate.world.client, V4.crm());
    is_kept_out(&gate.world.client, V4.vault());
    is_kept_out(&gate.world.client2, V4.crm());
    ensure!(gate.try_login(&gate.world.client, V4.guard0, "mallory")?.status == 401);
    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    let has = |kind: &str| gate.records().is_ok_and(|records| records.iter().any(|record| record["type"] == kind));
    wait_until("records of every type", SOON, || {
        ["login", "login_failed", "admin", "flow_start", "flow_end", "denied", "session_end"]
            .into_iter()
            .all(has)
            .then_some(())
    })
}

/// All records that the gateway has, by their numbers.
fn recorded(admin: &Cli) -> Result<BTreeMap<u64, Value>> {
    let list = admin.json(&["--json", "record", "list", "--limit", "1000"])?;
    let items = list["items"].as_array().context("no items")?;
    items.iter().map(|item| Ok((item["sequence"].as_u64().context("no number")?, item.clone()))).collect()
}

/// What a receiver has written: of each message its kind, its structured data and its text.
fn received(receiver: &LogReceiver, text: &str) -> Result<BTreeMap<u64, (String, String, String)>> {
    let mut found = BTreeMap::new();
    for line in receiver.lines() {
        let parts = || {
            let (kind, rest) = line.split_once(' ')?;
            let at = rest.find(text)?;
            let (data, message) = rest.split_at(at);
            let number = data.split_once(" sequence=\"")?.1.split_once('"')?.0.parse().ok()?;
            Some((number, (kind.to_owned(), data.to_owned(), message.to_owned())))
        };
        let (number, parts): (u64, _) = parts().with_context(|| format!("not one of ours: {line:?}"))?;
        let before = found.insert(number, parts.clone());
        ensure!(before.is_none_or(|before| before == parts), "{number} came twice, and not the same: {line}");
    }
    Ok(found)
}

/// Waits until everything that is recorded now has come, and compares.
fn has_everything(
    admin: &Cli,
    receiver: &LogReceiver,
    text: &str,
    is_like: fn(&Value, &str) -> Result<()>,
) -> Result<()> {
    let records = recorded(admin)?;
    ensure!(records.len() > 10, "only {records:?}");
    let is_hostile = |record: &Value| record["policies"].to_string().contains("forged");
    ensure!(records.values().any(is_hostile), "no record has the worst of names: {records:?}");
    let found = wait_until("every record", LATER, || {
        let found = received(receiver, text).ok()?;
        records.keys().all(|number| found.contains_key(number)).then_some(found)
    });
    let found = found.with_context(|| {
        format!(
            "{} of {} lines: {:#?}\n{}",
            receiver.lines().len(),
            records.len(),
            receiver.lines(),
            receiver.process.output()
        )
    })?;
    let version = "[origin enterpriseId=\"32473\" software=\"portcullis\" swVersion=\"";
    for (number, record) in &records {
        let (kind, data, message) = &found[number];
        ensure!(record["type"] == json!(kind), "{kind}: {record}");
        ensure!(data.starts_with(version) && data.contains(&format!("[meta sequenceId=\"{number}\"]")), "{data}");
        ensure!(!data.contains("cutFrom"), "{data}");
        is_like(record, message).with_context(|| format!("{record} and {message}"))?;
    }
    Ok(())
}

fn json_is_like(record: &Value, message: &str) -> Result<()> {
    let mut found: Value = serde_json::from_str(message)?;
    let gateway = found.as_object_mut().and_then(|fields| fields.remove("gateway")).context("no gateway")?;
    ensure!(gateway.as_str().is_some_and(|name| !name.is_empty()), "{gateway}");
    ensure!(found == *record, "they differ");
    Ok(())
}

fn cef_is_like(record: &Value, message: &str) -> Result<()> {
    let keys = cef(message)?;
    // What the format has no escape for is named.
    let named =
        |text: String| text.replace('\u{2028}', "\\u2028").replace('\u{85}', "\\u0085").replace('\u{7f}', "\\u007f");
    let user = if record["type"] == "admin" { "by" } else { "user" };
    let source = if record["client"].is_null() { "source" } else { "client" };
    for (field, key) in [
        ("sequence", "externalId"),
        ("type", "cat"),
        (user, "suser"),
        (source, "src"),
        ("client_port", "spt"),
        ("destination", "dst"),
        ("port", "dpt"),
        ("protocol", "proto"),
        ("app", "cs1"),
        ("policies", "cs2"),
        ("session", "cs3"),
        ("to_client_bytes", "out"),
        ("packets", "cnt"),
    ] {
        let value = &record[field];
        let expected = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        ensure!(keys.get(key) == Some(&named(expected)), "{field} is {value}, {key} is {:?}", keys.get(key));
    }
    Ok(())
}

/// The extension of a message of CEF, with its escapes undone.
fn cef(message: &str) -> Result<BTreeMap<String, String>> {
    let extension = message.splitn(8, '|').nth(7).context("no extension")?;
    let (mut keys, mut key, mut value) = (BTreeMap::new(), String::new(), String::new());
    let mut letters = extension.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => value.push(match letters.next().context("nothing is escaped")? {
                'n' => '\n',
                'r' => '\r',
                same => same,
            }),
            '=' => {
                // The next key stands behind the last space.
                let (before, next) = value.rsplit_once(' ').unwrap_or(("", &value));
                let (before, next) = (before.to_owned(), next.to_owned());
                keys.insert(std::mem::replace(&mut key, next), before);
                value.clear();
            }
            _ => value.push(letter),
        }
    }
    keys.insert(key, value);
    Ok(keys)
}

#[test]
fn rsyslog_receives_every_record_by_udp_tcp_and_tls_as_the_page_says() -> Result<()> {
    let world = World::new()?;
    certificates(world.scratch())?;
    let tls = receiver(&world, Make::Rsyslog, "rsyslog-tls.conf", Listening::Tcp(6514))?;
    let tcp = receiver(&world, Make::Rsyslog, "rsyslog-tcp.conf", Listening::Tcp(601))?;
    let udp = receiver(&world, Make::Rsyslog, "rsyslog-udp.conf", Listening::Udp(514))?;
    let gate = exporting(world, &["gateway-tls.toml", "gateway-tcp.toml", "gateway-udp.toml"])?;
    live(&gate)?;
    let admin = admin(&gate)?;
    has_everything(&admin, &tls, "CEF:0|", cef_is_like)?;
    has_everything(&admin, &tcp, "{\"gateway\"", json_is_like)?;
    has_everything(&admin, &udp, "{\"gateway\"", json_is_like)
}

#[test]
fn syslog_ng_receives_every_record_by_tls_as_the_page_says() -> Result<()> {
    let world = World::new()?;
    certificates(world.scratch())?;
    let tls = receiver(&world, Make::SyslogNg, "syslog-ng.conf", Listening::Tcp(6514))?;
    let gate = exporting(world, &["gateway-syslog-ng.toml"])?;
    live(&gate)?;
    has_everything(&admin(&gate)?, &tls, "{\"gateway\"", json_is_like)
}

#[test]
fn a_receiver_that_stands_still_and_is_killed_has_every_record_when_it_is_back() -> Result<()> {
    let world = World::new()?;
    let receive = |world: &World| receiver(world, Make::Rsyslog, "rsyslog-tcp.conf", Listening::Tcp(601));
    let mut tcp = receive(&world)?;
    let gate = exporting(world, &["gateway-tcp.toml"])?;
    let admin = admin(&gate)?;
    // Something has been received.
    wait_until("a first message", LATER, || (!tcp.lines().is_empty()).then_some(()))?;
    tcp.process.signal(Signal::SIGSTOP)?;
    live(&gate)?;
    // Its system has taken all of that, which the gateway believes, and it will read none of it.
    let newest = recorded(&admin)?.into_keys().last().context("no records")?;
    wait_until("all to be taken", LATER, || {
        let text = gate.api.get("/metrics").ok()?.text;
        let taken =
            text.lines().find_map(|line| line.strip_prefix("portcullis_export_records_total{export=\"siem-tcp\"} "));
        (taken?.parse::<u64>().ok()? >= newest).then_some(())
    })?;
    tcp.process.kill()?;
    let before = tcp.lines().len();
    let back = receive(&gate.world)?;
    // What comes next brings it along.
    gate.api.put("/v1/groups/next", &json!({}))?.ok()?;
    has_everything(&admin, &back, "{\"gateway\"", json_is_like)?;
    ensure!(back.lines().len() > before, "nothing came");
    Ok(())
}
