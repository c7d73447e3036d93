//! What docs/export/http.md says is done: a gateway with its lines of configuration passes every record on.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{
    Cli, Gate, World,
    peer::{Authority, Collector, ocsf_faults},
    wait_until,
};
use serde_json::{Value, json};

use crate::cli::admin;
use crate::recipe::{Recipe, filled};
use crate::scene::{Apps, SOON, V4, V6, is_kept_out, reaches};

#[test]
fn every_record_reaches_every_receiver_of_the_page_and_is_valid_there() -> Result<()> {
    let world = World::new()?;
    let authority = Authority::new()?;
    let address: SocketAddr = "127.0.0.1:9200".parse()?;
    let collector = Collector::start(&world.gateway, address, &authority)?;
    let exports = exports(&collector, &authority)?;
    let mut gate = Gate::inside(world, |config| {
        format!("{}\n{exports}", config.replace("[records]", "[records]\nflow_update = \"1s\""))
    })?;
    let admin = admin(&gate)?;
    collector.fail(3)?;
    something_of_everything(&gate)?;
    // Whatever was not taken is taken after a restart.
    assert_eq!(gate.daemon.stop()?, 0);
    gate.daemon.restart()?;
    assert_eq!(gate.try_login(&gate.world.client, V4.guard0, "mallory")?.status, 401);

    let newest = newest(&admin)?;
    wait_until("all exports to have passed everything on", SOON, || {
        let list = admin.json(&["--json", "export", "list"]).ok()?;
        let exports = list["items"].as_array()?;
        let is_done = |export: &Value| export["after"].as_u64() >= Some(newest) && export["problem"].is_null();
        (exports.len() == 4 && exports.iter().all(is_done)).then_some(())
    })?;
    let recorded = recorded(&admin, newest)?;
    let kinds: Vec<&str> = recorded.values().filter_map(|record| record["type"].as_str()).collect();
    for kind in [
        "login",
        "login_failed",
        "session_end",
        "regranted",
        "admin",
        "flow_start",
        "flow_update",
        "flow_end",
        "denied",
    ] {
        ensure!(kinds.contains(&kind), "nothing of {kind} was recorded");
    }

    let taken = collector.taken()?;
    let of = |path: &str| taken.get(path).with_context(|| format!("nothing came to {path}"));
    let hostname = gate.world.gateway.run(&["hostname"])?;
    for (path, record_of) in [
        ("/portcullis", (|taken| taken) as fn(&Value) -> &Value),
        ("/services/collector/event", |taken| &taken["event"]),
        ("/_bulk", |taken| taken),
    ] {
        let found = by_sequence(of(path)?.iter().map(record_of), "/sequence", newest)?;
        ensure!(found.keys().eq(recorded.keys()), "{path}: {:?}", found.keys());
        for (sequence, record) in &recorded {
            let found = &found[sequence];
            ensure!(found["gateway"] == hostname.trim(), "{found}");
            for (field, value) in record.as_object().context("an object")? {
                ensure!(&found[field] == value, "{path} has another {field} than {record}: {found}");
            }
        }
    }
    ensure!(
        of("/_bulk")?.len() == by_sequence(of("/_bulk")?, "/sequence", u64::MAX)?.len(),
        "a document is there twice"
    );
    let sourcetypes = of("/services/collector/event")?.iter().map(|event| &event["sourcetype"]);
    ensure!(sourcetypes.filter(|kind| **kind == "portcullis:denied").count() >= 3);

    let events = of("/ocsf")?;
    let found = by_sequence(events, "/metadata/sequence", newest)?;
    ensure!(found.keys().eq(recorded.keys()), "{:?}", found.keys());
    for (event, faults) in events.iter().zip(ocsf_faults(&gate.world.gateway, &authority, events)?) {
        ensure!(faults.is_empty(), "{event} is not valid: {faults:?}");
    }
    // The judge does judge.
    let mut wrong = events[0].clone();
    wrong["severity_id"] = json!("high");
    ensure!(!ocsf_faults(&gate.world.gateway, &authority, &[wrong])?[0].is_empty());
    Ok(())
}

/// The page's blocks of configuration, with the receivers of this test in the place of the page's.
fn exports(collector: &Collector, authority: &Authority) -> Result<String> {
    let text: String = Recipe::read("http.md")?.blocks("toml").concat();
    let (base, root) = (collector.base(), authority.root().display().to_string());
    let token = collector.token().display().to_string();
    let replaced: [(&str, &str); 9] = [
        ("https://collector.example.org", &base),
        ("https://splunk.example.org:8088", &base),
        ("https://elastic.example.org:9200", &base),
        ("secrets/collector", &token),
        ("secrets/splunk", &token),
        ("secrets/elastic", &token),
        ("tls/collector-ca.pem", &root),
        ("tls/splunk-ca.pem", &root),
        ("tls/elastic-ca.pem", &root),
    ];
    let text = filled(&text, &replaced)?;
    ensure!(!text.contains("example.org"), "the page names a host that this test does not replace:\n{text}");
    Ok(text)
}

/// Records of every type that people and packets make.
fn something_of_everything(gate: &Gate) -> Result<()> {
    let (_apps, _apps6) = (Apps::start(&gate.world, V4)?, Apps::start(&gate.world, V6)?);
    V4.alice(gate)?;
    V4.bob(gate)?;
    reaches(&gate.world.client, V4.crm());
    is_kept_out(&gate.world.client, V4.vault());
    is_kept_out(&gate.world.client2, V4.crm());
    is_kept_out(&gate.world.client, V6.crm());
    ensure!(gate.try_login(&gate.world.client, V4.guard0, "mallory")?.status == 401);
    let _going = crate::scene::stream(&gate.world.client, V4.crm())?;
    wait_until("a flow to be reported again", SOON, || {
        gate.records().ok()?.iter().any(|record| record["type"] == "flow_update").then_some(())
    })?;
    gate.introduce("alice", "ops")?;
    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    gate.api.post_json("/v1/users/bob/disable", &json!({})).and_then(|answer| answer.ok()).map(drop)
}

fn newest(admin: &Cli) -> Result<u64> {
    let found = admin.json(&["--json", "record", "list", "--limit", "1"])?;
    found["items"][0]["sequence"].as_u64().context("no records")
}

/// What the gateway itself has recorded up to this number.
fn recorded(admin: &Cli, newest: u64) -> Result<BTreeMap<u64, Value>> {
    let found = admin.json(&["--json", "record", "list", "--limit", "100000"])?;
    by_sequence(found["items"].as_array().context("no list")?, "/sequence", newest)
}

fn by_sequence<'v>(
    values: impl IntoIterator<Item = &'v Value>,
    pointer: &str,
    newest: u64,
) -> Result<BTreeMap<u64, Value>> {
    let number = |value: &Value| value.pointer(pointer).and_then(Value::as_u64).context("a record without a number");
    let numbered = values.into_iter().map(|value| Ok((number(value)?, value.clone())));
    let all: BTreeMap<_, _> = numbered.collect::<Result<_>>()?;
    Ok(all.into_iter().filter(|(sequence, _)| *sequence <= newest).collect())
}
