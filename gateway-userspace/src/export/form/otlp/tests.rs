//! What a collector reads.

use super::*;
use crate::export::form::samples::{denied, flow_end, hostile, origin, record, with};
use prometheus::{Gauge as PromGauge, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use prost::Message as _;
use serde_json::json;
use std::collections::BTreeMap;

const OBSERVED: OffsetDateTime = time::macros::datetime!(2026-03-02 09:14:23 UTC);

/// What arrives of one record.
fn read(record: &Archived) -> LogRecord {
    let bytes = logs(&origin(), std::slice::from_ref(record), OBSERVED).encode_to_vec();
    let request = ExportLogsServiceRequest::decode(&*bytes).unwrap();
    let [ResourceLogs { scope_logs, .. }] = &request.resource_logs[..] else { panic!("{request:?}") };
    let [ScopeLogs { log_records, .. }] = &scope_logs[..] else { panic!("{request:?}") };
    let [log] = &log_records[..] else { panic!("{request:?}") };
    log.clone()
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, Any> {
    let value = |attribute: &KeyValue| attribute.value.clone().and_then(|value| value.value).unwrap();
    let found: BTreeMap<_, _> = attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute))).collect();
    assert_eq!(found.len(), attributes.len(), "a name is there twice: {attributes:?}");
    found
}

fn text(text: &str) -> Any {
    Any::StringValue(text.into())
}

#[test]
fn a_flow_is_said_in_the_words_of_the_semantic_conventions() {
    let log = read(&flow_end());
    assert_eq!(log.time_unix_nano, 1_772_442_862_000_930_000);
    assert_eq!(log.observed_time_unix_nano, 1_772_442_863_000_000_000);
    assert_eq!((log.severity_number, log.severity_text.as_str()), (9, "INFO"));
    assert_eq!(log.event_name, "portcullis.flow_end");
    assert_eq!(log.body.unwrap().value, Some(text("flow_end user=ada app=payroll why=revoked")));
    let found = attributes(&log.attributes);
    for (name, value) in [
        ("log.record.uid", text("gate-1-41-1772442862000930")),
        ("user.name", text("ada")),
        ("source.address", text("10.9.0.23")),
        ("source.port", Any::IntValue(51_522)),
        ("destination.address", text("198.51.100.34")),
        ("destination.port", Any::IntValue(443)),
        ("network.transport", text("tcp")),
        ("network.interface.name", text("eth1")),
        ("portcullis.sequence", Any::IntValue(41)),
        ("portcullis.session", text("8c4f0e3a91d2b775")),
        ("portcullis.to_client_bytes", Any::IntValue(11_840_222)),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name}");
    }
    let Some(Any::ArrayValue(policies)) = found.get("portcullis.policies") else { panic!("{found:?}") };
    assert_eq!(policies.values.len(), 2);
    // Every field is there once, but time and type, and two are added.
    assert_eq!(found.len(), flow_end().fields.len());
}

#[test]
fn what_somebody_should_look_at_is_a_warning_and_an_alert_is_an_error() {
    let severity = |record: &Archived| read(record).severity_text;
    let of = |kind: &str, more: Value| {
        let mut fields = json!({ "time": "2026-03-02T08:00:00Z", "type": kind });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        severity(&record(1, fields))
    };
    assert_eq!(severity(&denied()), "WARN");
    assert_eq!(severity(&with(&denied(), "alert", json!(true))), "ERROR");
    assert_eq!(of("login", json!({})), "INFO");
    assert_eq!(of("login_failed", json!({ "why": "refused" })), "WARN");
    assert_eq!(of("session_end", json!({ "cause": "logout" })), "INFO");
    assert_eq!(of("session_end", json!({ "cause": "trip_wire" })), "ERROR");
    for (state, expected) in [("up", "INFO"), ("partly", "WARN"), ("unknown", "WARN"), ("down", "ERROR")] {
        assert_eq!(of("app_health", json!({ "state": state })), expected, "{state}");
    }
    assert_eq!(of("lost", json!({ "kernel_events": 1_204, "records": 0 })), "ERROR");
}

#[test]
fn who_sends_is_said_once() {
    let request = logs(&origin(), &[flow_end(), denied()], OBSERVED);
    let resource = request.resource_logs[0].resource.clone().unwrap();
    let found = attributes(&resource.attributes);
    assert_eq!(found.get("service.name"), Some(&text("portcullis")));
    assert_eq!(found.get("service.version"), Some(&text(env!("CARGO_PKG_VERSION"))));
    assert_eq!(found.get("host.name"), Some(&text("gate-1")));
    assert_eq!(request.resource_logs.len(), 1);
    assert_eq!(request.resource_logs[0].scope_logs[0].log_records.len(), 2);
}

#[test]
fn whatever_is_in_a_field_stays_there() {
    let name = hostile();
    let log = read(&with(&flow_end(), "user", json!(name)));
    let found = attributes(&log.attributes);
    assert_eq!(found.get("user.name"), Some(&text(&name)));
    assert_eq!(found.get("portcullis.app"), Some(&text("payroll")));
    for (value, expected) in [
        (json!(u64::MAX), Some(text("18446744073709551615"))),
        (json!(-1), Some(Any::IntValue(-1))),
        (json!(38.5), Some(Any::DoubleValue(38.5))),
        (json!(true), Some(Any::BoolValue(true))),
        (Value::Null, None),
    ] {
        let log = read(&with(&flow_end(), "odd", value.clone()));
        assert_eq!(attributes(&log.attributes).get("portcullis.odd"), expected.as_ref(), "{value}");
    }
}

#[test]
fn counters_gauges_and_histograms_arrive_as_such() {
    let registry = Registry::new();
    let counter = IntCounterVec::new(Opts::new("portcullis_drops_total", "Dropped."), &["reason"]).unwrap();
    let gauge = PromGauge::new("portcullis_state_bytes", "How much.").unwrap();
    let options = HistogramOpts::new("portcullis_round_seconds", "How long.").buckets(vec![1.0, 2.0, 5.0]);
    let timer = HistogramVec::new(options, &["what"]).unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    registry.register(Box::new(gauge.clone())).unwrap();
    registry.register(Box::new(timer.clone())).unwrap();
    counter.with_label_values(&["no_grant"]).inc_by(7);
    gauge.set(2.5);
    for seconds in [0.5, 1.5, 1.6, 4.0, 9.0, 9.0] {
        timer.with_label_values(&["all"]).observe(seconds);
    }
    let start = OBSERVED - time::Duration::hours(1);
    let bytes = metrics(&origin(), &registry.gather(), start, OBSERVED).encode_to_vec();
    let request = ExportMetricsServiceRequest::decode(&*bytes).unwrap();
    let found = &request.resource_metrics[0].scope_metrics[0].metrics;
    let of = |name: &str| found.iter().find(|metric| metric.name == name).unwrap().clone();

    let drops = of("portcullis_drops_total");
    assert_eq!((drops.description.as_str(), drops.unit.as_str()), ("Dropped.", ""));
    let Some(Data::Sum(sum)) = drops.data else { panic!("{drops:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    let [point] = &sum.data_points[..] else { panic!("{sum:?}") };
    assert_eq!(point.value, Some(Number::AsDouble(7.0)));
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (nanos(start), nanos(OBSERVED)));
    assert_eq!(attributes(&point.attributes).get("reason"), Some(&text("no_grant")));

    let bytes = of("portcullis_state_bytes");
    assert_eq!(bytes.unit, "By");
    let Some(Data::Gauge(gauge)) = bytes.data else { panic!("{bytes:?}") };
    assert_eq!(gauge.data_points[0].value, Some(Number::AsDouble(2.5)));

    let round = of("portcullis_round_seconds");
    assert_eq!(round.unit, "s");
    let Some(Data::Histogram(histogram)) = round.data else { panic!("{round:?}") };
    assert_eq!(histogram.aggregation_temporality, 2);
    let point = &histogram.data_points[0];
    assert_eq!(point.explicit_bounds, [1.0, 2.0, 5.0]);
    assert_eq!(point.bucket_counts, [1, 2, 1, 2]);
    assert_eq!((point.count, point.sum), (6, Some(25.6)));
}

#[test]
fn the_page_has_every_name_and_no_other() {
    let page = include_str!("../../../../../docs/export/opentelemetry.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix("` |")?.split_once("` | `"));
    let rows: Vec<_> = rows.filter(|(_, attribute)| !attribute.contains(' ')).collect();
    assert_eq!(rows, CONVENTIONAL);
}
