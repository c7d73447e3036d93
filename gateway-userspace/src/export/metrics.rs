//! What exports count, by their names, of which there are few.

use super::Failure;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Of all exports.
#[derive(Clone)]
pub(super) struct ExportMetrics {
    records: IntCounterVec,
    failures: IntCounterVec,
    missed: IntCounterVec,
    behind: IntGaugeVec,
    lag: GaugeVec,
    pushes: IntCounterVec,
}

/// Pushes of metrics, of one.
pub(super) struct Pushes {
    pub sent: IntCounter,
    pub dropped: IntCounter,
}

/// Of one.
#[derive(Clone)]
pub(super) struct OneExport {
    name: String,
    failures: IntCounterVec,
    pub records: IntCounter,
    pub missed: IntCounter,
    pub behind: IntGauge,
    pub lag: Gauge,
}

impl ExportMetrics {
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            records: IntCounterVec::new(
                Opts::new("portcullis_export_records_total", "Records that a receiver has taken, by export."),
                &["export"],
            )?,
            failures: IntCounterVec::new(
                Opts::new(
                    "portcullis_export_failures_total",
                    "Attempts to pass records on that a receiver did not take, by export and reason. They are sent again.",
                ),
                &["export", "why"],
            )?,
            missed: IntCounterVec::new(
                Opts::new(
                    "portcullis_export_missed_total",
                    "Numbers of records that were given up, or damaged, before a receiver took them. Raise `records.keep_bytes`, mend the receiver.",
                ),
                &["export"],
            )?,
            behind: IntGaugeVec::new(
                Opts::new(
                    "portcullis_export_behind_records",
                    "Records that wait for a receiver, by export. If that grows, is the receiver there, and fast enough?",
                ),
                &["export"],
            )?,
            lag: GaugeVec::new(
                Opts::new(
                    "portcullis_export_lag_seconds",
                    "How old the oldest record is that waits for a receiver; 0 if none does. Alert if it grows.",
                ),
                &["export"],
            )?,
            pushes: IntCounterVec::new(
                Opts::new(
                    "portcullis_export_metrics_total",
                    "Pushes of metrics, by export and result. What was `dropped` is not sent again: the next has it all.",
                ),
                &["export", "result"],
            )?,
        };
        registry.register(Box::new(metrics.records.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        registry.register(Box::new(metrics.missed.clone()))?;
        registry.register(Box::new(metrics.behind.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.pushes.clone()))?;
        Ok(metrics)
    }

    /// Of an export that sends metrics too.
    pub fn pushes(&self, name: &str) -> Pushes {
        let of = |result| self.pushes.with_label_values(&[name, result]);
        Pushes { sent: of("sent"), dropped: of("dropped") }
    }

    pub fn of(&self, name: &str) -> OneExport {
        for why in Failure::LABELS {
            self.failures.with_label_values(&[name, why]).inc_by(0);
        }
        OneExport {
            name: name.to_owned(),
            failures: self.failures.clone(),
            records: self.records.with_label_values(&[name]),
            missed: self.missed.with_label_values(&[name]),
            behind: self.behind.with_label_values(&[name]),
            lag: self.lag.with_label_values(&[name]),
        }
    }
}

impl OneExport {
    pub fn failed(&self, failure: &Failure) {
        self.failures.with_label_values(&[self.name.as_str(), failure.label()]).inc();
    }
}
