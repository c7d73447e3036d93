//! What the trail counts.

use super::entry::kind;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

#[derive(Clone)]
pub(super) struct AuditMetrics {
    entries: IntCounterVec,
    lost: IntCounter,
    intact: IntGauge,
    head: IntGauge,
}

impl AuditMetrics {
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            entries: IntCounterVec::new(
                Opts::new(
                    "portcullis_audit_entries_total",
                    "Entries of the audit trail that are on the disk, by type. Many of `admin_refused` are somebody trying.",
                ),
                &["type"],
            )?,
            lost: IntCounter::new(
                "portcullis_audit_lost_total",
                "Entries of the audit trail that were lost because the disk took none for too long. Look at the state folder's disk.",
            )?,
            intact: IntGauge::new(
                "portcullis_audit_intact",
                "0 if the audit trail on the disk is not what was written; else 1. Run `portcullis audit verify`; see the runbook.",
            )?,
            head: IntGauge::new(
                "portcullis_audit_head",
                "Number of the last entry of the audit trail that is on the disk. It never falls: if it does, the trail was cut off.",
            )?,
        };
        registry.register(Box::new(metrics.entries.clone()))?;
        registry.register(Box::new(metrics.lost.clone()))?;
        registry.register(Box::new(metrics.intact.clone()))?;
        registry.register(Box::new(metrics.head.clone()))?;
        metrics.intact.set(1);
        for kind in kind::ALL {
            metrics.entries.with_label_values(&[kind]).inc_by(0);
        }
        Ok(metrics)
    }

    pub fn kept(&self, kind: &str, head: u64) {
        self.entries.with_label_values(&[kind]).inc();
        self.head.set(i64::try_from(head).unwrap_or(i64::MAX));
    }

    pub fn lost(&self, count: usize) {
        self.lost.inc_by(count as u64);
    }

    pub fn lost_so_far(&self) -> u64 {
        self.lost.get()
    }

    pub fn broken(&self) {
        self.intact.set(0);
    }
}
