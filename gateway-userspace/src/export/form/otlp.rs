//! As OpenTelemetry has it: records are log records, and what the daemon counts are metrics.
//!
//! What the semantic conventions have a name for is called by it; everything else is below `portcullis.`.

use super::unique;
use crate::export::Origin;
use crate::record::{Archived, Kind};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prometheus::proto::{LabelPair, MetricFamily, MetricType};
use serde_json::Value;
use time::OffsetDateTime;

/// Fields that the semantic conventions have a name for, and that name.
const CONVENTIONAL: [(&str, &str); 12] = [
    ("user", "user.name"),
    ("source", "source.address"),
    ("client", "source.address"),
    ("client_port", "source.port"),
    ("destination", "destination.address"),
    ("port", "destination.port"),
    ("protocol", "network.transport"),
    ("interface", "network.interface.name"),
    ("from", "client.address"),
    ("address", "server.address"),
    ("error", "error.type"),
    ("detail", "error.message"),
];

/// Why something happened: the first of them that a record has is in its sentence.
const REASONS: [&str; 7] = ["reason", "outcome", "cause", "why", "state", "action", "kernel_events"];

/// How much a record matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Severity {
    Info,
    Warn,
    Error,
}

impl Severity {
    const fn number(self) -> SeverityNumber {
        match self {
            Self::Info => SeverityNumber::Info,
            Self::Warn => SeverityNumber::Warn,
            Self::Error => SeverityNumber::Error,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// A request with these records, which were read from the archive at `observed`.
pub(in crate::export) fn logs(
    origin: &Origin,
    records: &[Archived],
    observed: OffsetDateTime,
) -> ExportLogsServiceRequest {
    let log_records = records.iter().map(|record| log_record(origin, record, observed)).collect();
    let scope_logs = vec![ScopeLogs { scope: Some(scope("portcullis.records")), log_records, ..Default::default() }];
    let resource_logs = ResourceLogs { resource: Some(resource(origin)), scope_logs, ..Default::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs] }
}

fn log_record(origin: &Origin, record: &Archived, observed: OffsetDateTime) -> LogRecord {
    let time = record.time().map_or(0, nanos);
    let severity = severity(record);
    let number = integer(record.sequence);
    // Whoever sees it twice may drop it: what was sent last is sent again after a crash.
    let unique = unique(origin, record);
    let known = [attribute("log.record.uid", Any::StringValue(unique)), attribute("portcullis.sequence", number)];
    let fields = record.fields.iter().filter(|(name, _)| !matches!(name.as_str(), "time" | "type"));
    let fields = fields.filter_map(|(name, value)| Some(attribute(&attribute_name(name), any(value)?)));
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: nanos(observed),
        severity_number: severity.number().into(),
        severity_text: severity.text().into(),
        body: Some(AnyValue { value: Some(Any::StringValue(sentence(record))) }),
        attributes: known.into_iter().chain(fields).collect(),
        event_name: format!("portcullis.{}", record.kind()),
        ..Default::default()
    }
}

/// What a field is called.
fn attribute_name(field: &str) -> String {
    let conventional = CONVENTIONAL.iter().find(|(name, _)| *name == field);
    conventional.map_or_else(|| format!("portcullis.{field}"), |(_, name)| (*name).to_owned())
}

/// A line for people: what, who, what about, and why.
fn sentence(record: &Archived) -> String {
    let text = |name: &str| {
        let value = record.fields.get(name)?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let who = text("user").or_else(|| text("by"));
    let what = text("app").or_else(|| text("object"));
    let why = REASONS.iter().find_map(|name| text(name));
    let named = [("user", who), ("app", what), ("why", why)];
    let named = named.into_iter().filter_map(|(name, value)| Some(format!(" {name}={}", value?)));
    format!("{}{}", record.kind(), named.collect::<String>())
}

fn severity(record: &Archived) -> Severity {
    if record.fields.get("alert") == Some(&Value::Bool(true)) {
        return Severity::Error;
    }
    match Kind::of(record.kind()) {
        Some(Kind::LoginFailed | Kind::Denied) => Severity::Warn,
        Some(Kind::AppHealth) => match record.text("state") {
            Some("up") => Severity::Info,
            Some("down") => Severity::Error,
            _ => Severity::Warn,
        },
        Some(Kind::Lost) => Severity::Error,
        Some(Kind::SessionEnd) if record.text("cause") == Some("trip_wire") => Severity::Error,
        _ => Severity::Info,
    }
}

/// `None` for what is not there.
fn any(value: &Value) -> Option<Any> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => Any::BoolValue(*value),
        Value::String(text) => Any::StringValue(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Any::IntValue(number),
            (None, Some(number)) => integer(number),
            (None, None) => Any::DoubleValue(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(values) => {
            Any::ArrayValue(ArrayValue { values: values.iter().map(|value| AnyValue { value: any(value) }).collect() })
        }
        Value::Object(fields) => {
            let values = fields.iter().filter_map(|(name, value)| Some(attribute(name, any(value)?)));
            Any::KvlistValue(KeyValueList { values: values.collect() })
        }
    })
}

/// Numbers are signed there: one that is larger is a text.
fn integer(number: u64) -> Any {
    i64::try_from(number).map_or_else(|_| Any::StringValue(number.to_string()), Any::IntValue)
}

fn attribute(name: &str, value: Any) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// Who says it.
fn resource(origin: &Origin) -> Resource {
    let text = |name, value: &str| attribute(name, Any::StringValue(value.to_owned()));
    let attributes = vec![
        text("service.name", "portcullis"),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", &origin.gateway),
        text("host.name", &origin.gateway),
    ];
    Resource { attributes, ..Default::default() }
}

fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope { name: name.to_owned(), version: env!("CARGO_PKG_VERSION").into(), ..Default::default() }
}

/// Nanoseconds since 1970; 0, which stands for nothing known, before that.
fn nanos(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos()).unwrap_or_default()
}

/// A request with all that is counted, by a process that began to count at `start`.
pub(in crate::export) fn metrics(
    origin: &Origin,
    families: &[MetricFamily],
    start: OffsetDateTime,
    now: OffsetDateTime,
) -> ExportMetricsServiceRequest {
    let (start, now) = (nanos(start), nanos(now));
    let metrics = families.iter().filter_map(|family| metric(family, start, now)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope("portcullis.metrics")), metrics, ..Default::default() }];
    let resource_metrics = ResourceMetrics { resource: Some(resource(origin)), scope_metrics, ..Default::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }
}

fn metric(family: &MetricFamily, start: u64, now: u64) -> Option<Metric> {
    let points = |start: u64, value: fn(&prometheus::proto::Metric) -> f64| {
        let point = |metric: &prometheus::proto::Metric| NumberDataPoint {
            attributes: labels(metric.get_label()),
            start_time_unix_nano: start,
            time_unix_nano: now,
            value: Some(Number::AsDouble(value(metric))),
            ..Default::default()
        };
        family.get_metric().iter().map(point).collect()
    };
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match family.get_field_type() {
        MetricType::COUNTER => Data::Sum(Sum {
            data_points: points(start, |metric| metric.get_counter().get_value()),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricType::GAUGE => Data::Gauge(Gauge { data_points: points(0, |metric| metric.get_gauge().get_value()) }),
        MetricType::HISTOGRAM => Data::Histogram(Histogram {
            data_points: family.get_metric().iter().map(|metric| histogram(metric, start, now)).collect(),
            aggregation_temporality: cumulative,
        }),
        // The library makes none of these.
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    Some(Metric {
        name: family.name().to_owned(),
        description: family.help().to_owned(),
        unit: unit(family.name()).into(),
        data: Some(data),
        ..Default::default()
    })
}

/// Prometheus counts what is up to a bound, OpenTelemetry what is between two of them.
fn histogram(metric: &prometheus::proto::Metric, start: u64, now: u64) -> HistogramDataPoint {
    let histogram = metric.get_histogram();
    let (mut explicit_bounds, mut bucket_counts, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        explicit_bounds.push(bucket.upper_bound());
        bucket_counts.push(bucket.cumulative_count().saturating_sub(below));
        below = bucket.cumulative_count();
    }
    bucket_counts.push(histogram.get_sample_count().saturating_sub(below));
    HistogramDataPoint {
        attributes: labels(metric.get_label()),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: histogram.get_sample_count(),
        sum: Some(histogram.get_sample_sum()),
        bucket_counts,
        explicit_bounds,
        ..Default::default()
    }
}

fn labels(labels: &[LabelPair]) -> Vec<KeyValue> {
    labels.iter().map(|label| attribute(label.name(), Any::StringValue(label.value().to_owned()))).collect()
}

/// The unit that a name ends with.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit_once('_') {
        Some((_, "seconds")) => "s",
        Some((_, "bytes")) => "By",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
