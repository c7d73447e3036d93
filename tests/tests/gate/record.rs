//! What happened is told: by metrics and by the access log.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, http_get, tools, wait_until};
use serde_json::{Value, json};

use crate::scene::{Apps, FAMILIES, SOON, V4, falls_silent, is_kept_out, reaches, stream};

const SIZE: u64 = 100_000;

#[test]
fn metrics_please_promtool_and_their_sums_agree() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    reaches(&gate.world.client, V4.crm());
    is_kept_out(&gate.world.client, V4.vault());
    is_kept_out(&gate.world.client2, V4.vault());
    let text = gate.api.get("/metrics")?.text;
    promtool(&text)?;
    for interface in ["guard0", "guard1"] {
        let of = |name: &str| sum(&text, &format!("portcullis_{name}{{interface=\"{interface}\""));
        let verdict = |label: &str| {
            sum(&text, &format!("portcullis_packets_total{{interface=\"{interface}\",verdict=\"{label}\"}}"))
        };
        assert_eq!(of("packets_total"), verdict("forward") + verdict("to_host") + verdict("drop"));
        assert_eq!(of("drops_total"), verdict("drop"));
        assert!(verdict("drop") > 0.0 && verdict("to_host") > 0.0, "{interface}: {text}");
    }
    let forwarded = sum(&text, "portcullis_packets_total{interface=\"guard0\",verdict=\"forward\"}");
    // What the portal answers is forwarded too, and belongs to no app.
    let of_apps = sum(&text, "portcullis_app_packets_total{");
    assert!(of_apps > 0.0 && of_apps < forwarded, "{of_apps} of {forwarded}");
    assert_eq!(sum(&text, "portcullis_app_packets_total{app=\"vault\""), 0.0);
    assert_eq!(sum(&text, "portcullis_sessions "), 1.0);
    assert_eq!(sum(&text, "portcullis_map_capacity{map=\"sessions\"}"), 64.0);
    assert_eq!(sum(&text, "portcullis_map_drift_entries "), 0.0);
    assert_eq!(sum(&text, "portcullis_events_lost_total "), 0.0);
    let status = gate.api.get("/v1/status")?.ok()?;
    assert_eq!(json!(sum(&text, "portcullis_policy_generation ") as u64), status["policy_generation"]);

    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    let text = gate.api.get("/metrics")?.text;
    promtool(&text)?;
    assert_eq!(sum(&text, "portcullis_revocation_seconds_count "), 1.0);
    assert_eq!(sum(&text, "portcullis_sessions "), 0.0);
    Ok(())
}

#[test]
fn the_access_log_tells_who_reached_what_by_which_policy_and_how_much() -> Result<()> {
    for family in FAMILIES {
        let gate = Gate::open()?;
        let client = &gate.world.client;
        let _apps = Apps::start(&gate.world, family)?;
        is_kept_out(client, family.vault());
        let login = family.alice(&gate)?;
        let (_, body) = http_get(client, family.crm(), &format!("/bytes/{SIZE}"), SOON)?;
        assert_eq!(body.len() as u64, SIZE);
        is_kept_out(client, family.vault());
        let cut = stream(client, family.crm())?;
        gate.api.post("/v1/users/alice/disable")?.ok()?;
        falls_silent(&cut)?;

        let of_alice = |record: &Value| record["session"] == json!(login.token);
        let begun = wait_for(&gate, "login", of_alice)?;
        assert_eq!((&begun["user"], &begun["source"]), (&json!("alice"), &json!(family.client)));
        assert_eq!((&begun["interface"], &begun["apps"]), (&json!("guard0"), &json!(["crm"])));
        let ended = wait_for(&gate, "session_end", of_alice)?;
        assert_eq!(
            (&ended["cause"], &ended["by"], &ended["user"]),
            (&json!("user_disabled"), &json!("admin"), &json!("alice"))
        );
        // The download closed a moment ago and counts as open until its last acknowledgements are surely over.
        assert!(ended["flows_cut"].as_u64() >= Some(1), "{ended}");

        let names = |record: &Value| {
            assert_eq!((&record["user"], &record["app"]), (&json!("alice"), &json!("crm")), "{record}");
            assert_eq!(record["policies"], json!(["finance-crm"]), "{record}");
            assert_eq!((&record["client"], &record["destination"]), (&json!(family.client), &json!(family.crm)));
            assert_eq!((&record["port"], &record["protocol"]), (&json!(8080), &json!("tcp")), "{record}");
        };
        let start = wait_for(&gate, "flow_start", of_alice)?;
        names(&start);
        let end =
            wait_for(&gate, "flow_end", |record| of_alice(record) && record["client_port"] == start["client_port"])?;
        names(&end);
        let number = |key: &str| end[key].as_u64().unwrap_or_default();
        let (bytes, packets) = (number("to_client_bytes"), number("to_client_packets"));
        // Headers of IP and TCP, with options; segments that are sent in one piece count as one packet.
        let headers = packets * if family.client.is_ipv4() { 60 } else { 80 };
        assert!(bytes > SIZE && bytes < SIZE + 200 + headers, "{end}");
        assert!(number("to_app_packets") > 0 && number("to_app_bytes") > number("to_app_packets") * 40, "{end}");
        let other = |record: &Value| of_alice(record) && record["client_port"] != start["client_port"];
        assert_eq!(wait_for(&gate, "flow_end", other)?["outcome"], "revoked");

        let stranger = wait_for(&gate, "denied", |record| record["reason"] == "no_session" && record["port"] == 8080)?;
        assert_eq!((&stranger["source"], &stranger["user"]), (&json!(family.client), &Value::Null));
        let denied = wait_for(&gate, "denied", |record| record["reason"] == "no_grant")?;
        assert_eq!((&denied["user"], &denied["app"]), (&json!("alice"), &json!("vault")));
        assert!(denied["packets"].as_u64() >= Some(1), "{denied}");
        for record in gate.records()? {
            assert!(record["time"].is_string() && record["type"].is_string(), "{record}");
        }
    }
    Ok(())
}

#[test]
fn many_denials_of_one_kind_become_one_record_with_their_number() -> Result<()> {
    let gate = Gate::with(|config| config.replace("denial_window = \"1s\"", "denial_window = \"2s\""))?;
    let client = &gate.world.client;
    let before = gate.drops()?;
    let target = V4.vault();
    client.enter(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        (0..50).try_for_each(|_| socket.send_to(b"?", target).map(drop))
    })??;
    let denied = |record: &&Value| record["type"] == "denied" && record["protocol"] == "udp";
    let records = wait_until("50 denials", SOON, || {
        let records = gate.records().ok()?;
        let records: Vec<Value> = records.iter().filter(denied).cloned().collect();
        let packets: u64 = records.iter().filter_map(|record| record["packets"].as_u64()).sum();
        (packets == 50).then_some(records)
    })?;
    // A window may end in between.
    assert!(records.len() <= 2, "{records:?}");
    assert_eq!(gate.reasons_since(&before)?, ["guard0/no_session"]);
    Ok(())
}

/// The first record of this type that meets the condition, as soon as it is there.
pub fn wait_for(gate: &Gate, kind: &str, condition: impl Fn(&Value) -> bool) -> Result<Value> {
    let find = || gate.records().ok()?.into_iter().find(|record| record["type"] == kind && condition(record));
    wait_until(&format!("a record `{kind}`"), SOON, find).with_context(|| format!("{:#?}", gate.records()))
}

/// The sum of all samples that begin so.
pub fn sum(text: &str, prefix: &str) -> f64 {
    let samples = text.lines().filter(|line| line.starts_with(prefix));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn promtool(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut command = tools::command("promtool")?;
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().context("promtool has no input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success() && said.is_empty(), "promtool: {}", String::from_utf8_lossy(&said));
    Ok(())
}
