//! Records and metrics arrive where OpenTelemetry's own library reads them, as the page about it says.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, World, peer::OtlpCollector, wait_until};
use serde_json::{Map, Value, json};

use crate::cli::admin;
use crate::recipe::{Recipe, all_sent};
use crate::record::sum;
use crate::scene::{Apps, SOON, V4, V6, is_kept_out, reaches};

#[test]
fn every_record_arrives_at_a_collector_as_its_page_says() -> Result<()> {
    let page = Recipe::read("opentelemetry.md")?;
    let world = World::new()?;
    let folder = world.scratch().join("otel");
    fs::create_dir_all(&folder)?;
    let (token, lines) = (folder.join("token"), folder.join("otlp.jsonl"));
    fs::write(&token, "a token of both\n")?;
    let (token, file) = (token.display().to_string(), lines.display().to_string());
    let collector = page.block(
        "yaml",
        &[
            ("192.0.2.20:4318", "127.0.0.1:4318"),
            ("/etc/otelcol/portcullis.token", &token),
            ("/var/log/portcullis/otlp.jsonl", &file),
        ],
    )?;
    let collector = OtlpCollector::start(&world.gateway, &collector, &folder)?;
    // Whatever is refused at first, and how, is sent again.
    let refusals = json!([
        { "rejected": 1 },
        { "status": 429, "headers": { "Retry-After": "1" } },
        { "status": 500 },
    ]);
    collector.fails("/v1/logs", &refusals)?;
    collector.fails("/v1/metrics", &json!([{ "status": 503 }]))?;
    let export = page.block(
        "toml",
        &[
            ("https://collector.example.org:4318", "http://127.0.0.1:4318"),
            ("/etc/portcullis/secrets/otel", &token),
            ("\"60s\"", "\"1s\""),
        ],
    )?;
    let gate = Gate::inside(world, |config| format!("{config}\n{export}begin = \"oldest\"\n"))?;
    let admin = admin(&gate)?;
    for family in [V4, V6] {
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        reaches(&gate.world.client, family.crm());
        is_kept_out(&gate.world.client, family.vault());
        gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    }
    ensure!(gate.try_login(&gate.world.client, V4.guard0, "mallory")?.status == 401);
    let is_whole = |records: &[Value]| {
        let of = |kind: &str| records.iter().filter(|record| record["type"] == kind).count();
        of("denied") >= 2 && of("flow_end") >= 2 && of("session_end") >= 2 && of("login_failed") >= 1
    };
    let records = all_sent(&admin, "otel", is_whole).with_context(|| collector.log())?;

    let names: BTreeMap<_, _> = page.pairs().into_iter().collect();
    let requests = requests(&lines)?;
    let logs = logs(&requests)?;
    for record in &records {
        let sequence = record["sequence"].to_string();
        let log = logs.get(&sequence).with_context(|| format!("{record} has not arrived"))?;
        is_the_same(log, record, &names)?;
    }
    ensure!(logs.len() == records.len(), "{} arrived of {}", logs.len(), records.len());
    let kinds: std::collections::BTreeSet<_> = records.iter().filter_map(|record| record["type"].as_str()).collect();
    for kind in ["admin", "login", "login_failed", "flow_start", "flow_end", "denied", "session_end"] {
        ensure!(kinds.contains(kind), "no {kind} was recorded");
    }
    let text = gate.api.get("/metrics")?.text;
    let failures =
        |why: &str| sum(&text, &format!("portcullis_export_failures_total{{export=\"otel\",why=\"{why}\"}}"));
    ensure!((failures("refused"), failures("busy")) == (2.0, 1.0), "{text}");
    metrics_arrive(&gate, &lines)
}

/// What the collector has written, a request a line.
fn requests(lines: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(lines)?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Names and values.
fn attributes(of: &Value) -> Map<String, Value> {
    let pair = |pair: &Value| Some((pair["key"].as_str()?.to_owned(), pair["value"].clone()));
    list(of, "attributes").iter().filter_map(pair).collect()
}

/// Log records by the number of the record, each once.
fn logs(requests: &[Value]) -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for of_resource in requests.iter().flat_map(|request| list(request, "resourceLogs")) {
        let resource = attributes(&of_resource["resource"]);
        ensure!(resource["service.name"] == json!({ "stringValue": "portcullis" }), "{resource:?}");
        for log in list(of_resource, "scopeLogs").iter().flat_map(|scope| list(scope, "logRecords")) {
            let number = attributes(log)["portcullis.sequence"]["intValue"].as_str().context("no number")?.to_owned();
            ensure!(found.insert(number, log.clone()).is_none(), "{log} has arrived twice");
        }
    }
    Ok(found)
}

/// That a log record says what the record says, and nothing else.
fn is_the_same(log: &Value, record: &Value, names: &BTreeMap<&str, &str>) -> Result<()> {
    let mut found = attributes(log);
    let kind = record["type"].as_str().context("no type")?;
    ensure!(log["eventName"] == format!("portcullis.{kind}"), "{log}");
    ensure!(log["body"]["stringValue"].as_str().is_some_and(|body| body.starts_with(kind)), "{log}");
    ensure!(nanos(log)? == time(record)?, "{log} and {record}");
    let uid = found.remove("log.record.uid").context("no name of its own")?;
    ensure!(uid["stringValue"].as_str().is_some_and(|uid| uid.contains(&record["sequence"].to_string())), "{uid}");
    for (field, value) in record.as_object().into_iter().flatten() {
        if field == "time" || field == "type" || value.is_null() {
            continue;
        }
        let name = names.get(field.as_str()).map_or_else(|| format!("portcullis.{field}"), |name| (*name).to_owned());
        let arrived = found.remove(&name).with_context(|| format!("{log} has no `{name}`"))?;
        ensure!(arrived == in_the_protocols_json(value), "{name}: {arrived} and {value}");
    }
    ensure!(found.is_empty(), "{record} has no {found:?}");
    Ok(())
}

fn in_the_protocols_json(value: &Value) -> Value {
    match value {
        Value::Bool(value) => json!({ "boolValue": value }),
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::Array(values) if values.is_empty() => json!({ "arrayValue": {} }),
        Value::Array(values) => {
            json!({ "arrayValue": { "values": values.iter().map(in_the_protocols_json).collect::<Vec<_>>() } })
        }
        other => json!({ "stringValue": other }),
    }
}

fn nanos(log: &Value) -> Result<i128> {
    Ok(log["timeUnixNano"].as_str().context("no time")?.parse()?)
}

fn time(record: &Value) -> Result<i128> {
    let text = record["time"].as_str().context("no time")?;
    Ok(time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)?.unix_timestamp_nanos())
}

/// That what is counted arrives, as the gateway itself tells it.
fn metrics_arrive(gate: &Gate, lines: &Path) -> Result<()> {
    let text = gate.api.get("/metrics")?.text;
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|line| line.split_once(' '));
    let kinds: BTreeMap<_, _> = names.collect();
    ensure!(kinds.len() > 40, "only {} metrics", kinds.len());
    let permitted = sum(&text, "portcullis_logins_total{result=\"permitted\"}");
    ensure!(permitted == 2.0, "{permitted} logins");
    let newest = || -> Option<BTreeMap<String, Value>> {
        let requests = requests(lines).ok()?;
        let newest = requests.iter().rev().find(|request| request.get("resourceMetrics").is_some())?;
        let metrics = list(newest, "resourceMetrics").iter().flat_map(|of| list(of, "scopeMetrics"));
        let metrics = metrics.flat_map(|scope| list(scope, "metrics"));
        Some(metrics.map(|metric| (metric["name"].as_str().unwrap_or_default().to_owned(), metric.clone())).collect())
    };
    let point = |metrics: &BTreeMap<String, Value>| -> Option<Value> {
        let points = list(&metrics.get("portcullis_logins_total")?["sum"], "dataPoints");
        let is_it = |point: &&Value| attributes(point).get("result") == Some(&json!({ "stringValue": "permitted" }));
        points.iter().find(is_it).cloned()
    };
    let metrics = wait_until("metrics with both logins", SOON, || {
        newest().filter(|metrics| point(metrics).is_some_and(|point| point["asDouble"] == permitted))
    })?;
    for (name, kind) in &kinds {
        let metric = metrics.get(*name).with_context(|| format!("{name} does not arrive"))?;
        let member = match *kind {
            "counter" => "sum",
            "gauge" => "gauge",
            other => other,
        };
        ensure!(!list(&metric[member], "dataPoints").is_empty(), "{name} is no {kind}: {metric}");
    }
    let logins = &metrics["portcullis_logins_total"]["sum"];
    let is_cumulative = logins["aggregationTemporality"] == "AGGREGATION_TEMPORALITY_CUMULATIVE";
    ensure!(is_cumulative && logins["isMonotonic"] == true, "{logins}");
    let revocations = &list(&metrics["portcullis_revocation_seconds"]["histogram"], "dataPoints")[0];
    let count = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let in_buckets: u64 = list(revocations, "bucketCounts").iter().map(count).sum();
    ensure!(count(&revocations["count"]) == 2 && in_buckets == 2, "{revocations}");
    let pushes = |result: &str| {
        let text = gate.api.get("/metrics").map(|answer| answer.text).unwrap_or_default();
        sum(&text, &format!("portcullis_export_metrics_total{{export=\"otel\",result=\"{result}\"}}"))
    };
    ensure!(pushes("dropped") == 1.0 && pushes("sent") >= 1.0, "{} were dropped", pushes("dropped"));
    Ok(())
}
