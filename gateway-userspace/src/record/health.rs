//! What the health checks of apps find, as metrics. Read from the book at each scrape, so that an app that is gone has no
//! series.

use crate::health::{Book, FailureKind, Health, State};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts};

pub(super) struct HealthCollector {
    health: Health,
    descriptions: Vec<Desc>,
}

struct Families {
    up: IntGaugeVec,
    seconds: GaugeVec,
    checks: IntCounterVec,
}

impl Families {
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            up: IntGaugeVec::new(
                Opts::new(
                    "portcullis_app_up",
                    "Whether an app with a health check answers at one of its addresses. If 0, ask whoever owns the app.",
                ),
                &["app"],
            )?,
            seconds: GaugeVec::new(
                Opts::new(
                    "portcullis_app_health_seconds",
                    "How long the last answer to a health check took, at the slowest address. If it grows, look at the app.",
                ),
                &["app"],
            )?,
            checks: IntCounterVec::new(
                Opts::new(
                    "portcullis_app_health_checks_total",
                    "Health checks of apps by result. If those of many apps fail alike, look at the network behind the gate.",
                ),
                &["result"],
            )?,
        })
    }

    fn collectors(&self) -> [&dyn Collector; 3] {
        let Self { up, seconds, checks } = self;
        [up, seconds, checks]
    }

    fn fill(&self, book: &Book) {
        for (app, found) in book.all().filter(|(_, found)| found.state != State::Unknown) {
            self.up.with_label_values(&[app.as_str()]).set((found.state != State::Down).into());
            let slowest = found.addresses.iter().filter(|at| at.state == State::Up).filter_map(|at| at.took).max();
            if let Some(slowest) = slowest {
                self.seconds.with_label_values(&[app.as_str()]).set(slowest.as_secs_f64());
            }
        }
        for result in FailureKind::ALL.iter().copied().map(Some).chain([None]) {
            let label = result.map_or("ok", FailureKind::label);
            let count = book.results().get(&result).copied().unwrap_or_default();
            self.checks.with_label_values(&[label]).inc_by(count);
        }
    }
}

impl HealthCollector {
    pub(super) fn new(health: Health) -> prometheus::Result<Self> {
        let families = Families::new()?;
        let descriptions = families.collectors().iter().flat_map(|family| family.desc()).cloned().collect();
        Ok(Self { health, descriptions })
    }
}

impl Collector for HealthCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(families) = Families::new() else { return Vec::new() };
        self.health.book(|book| families.fill(book));
        families.collectors().iter().flat_map(|family| family.collect()).collect()
    }
}
