//! Prometheus metrics. Labels come from closed sets: interfaces, verdicts, reasons, apps, tables.

#[cfg(test)]
mod tests;

use super::Recorder;
use super::archive::Holding;
use super::health::HealthCollector;
use super::kind::Kind;
use crate::core::Receipt;
use crate::dataplane::attach::GuardedInterface;
use crate::dataplane::{Guarding, clock};
use crate::health::Health;
use crate::policy::{Gateway, History};
use gateway_common::KernelNanos;
use gateway_common::abi::Unrecorded;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use time::OffsetDateTime;

/// Seconds, from a microsecond to ten seconds.
const REVOCATION_BUCKETS: &[f64] = &[
    0.000_001, 0.000_002, 0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005,
    0.01, 0.1, 1.0, 10.0,
];

/// Where records are missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LostBy {
    /// In the access log.
    Log,
    /// In the archive.
    Archive,
    /// In both: there were too many to be told apart.
    Both,
}

impl LostBy {
    const fn label(self) -> &'static str {
        match self {
            Self::Log => "access_log",
            Self::Archive => "archive",
            Self::Both => "both",
        }
    }
}

/// What may be lost, and where.
fn losses() -> impl Iterator<Item = (LostBy, Kind)> {
    let everywhere = [LostBy::Log, LostBy::Archive].into_iter().flat_map(|by| Kind::ALL.map(|kind| (by, kind)));
    everywhere.chain([(LostBy::Both, Kind::Denied)])
}

/// What the daemon counts itself, and the registry that holds everything. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    sessions: IntGauge,
    generation: IntGauge,
    entries: IntGaugeVec,
    capacity: IntGaugeVec,
    revocation: Histogram,
    last_packet: Histogram,
    flows_cut: IntCounter,
    logins: IntCounterVec,
    renewals: IntCounterVec,
    signals: IntCounterVec,
    streams: IntGaugeVec,
    records_lost: IntCounterVec,
    archive_bytes: IntGauge,
    archive_segments: IntGauge,
    archive_oldest: Gauge,
    records_left_out: IntCounter,
    store_failures: IntCounter,
    unsaved: IntGauge,
    lookups: IntCounterVec,
    names: IntGaugeVec,
    answers_refused: IntCounter,
    addresses_refused: IntGaugeVec,
    bundle_valid: IntGauge,
    data_plane_failures: IntCounter,
    policy_faults: IntGauge,
    drift: IntGauge,
    repaired: IntCounter,
    round: Gauge,
    put_back: IntCounter,
    build: IntGaugeVec,
    policy_changed: IntGauge,
    unconfirmed: IntGauge,
    barrier: IntGauge,
    certificate_expires: IntGauge,
    reported: Arc<[AtomicU64; 2]>,
    /// When the core was last alive, on the boot clock; 0 before it begins.
    alive: Arc<AtomicU64>,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// If two families have the same name.
    pub fn new() -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| IntGauge::with_opts(Opts::new(name, help));
        let counter = |name: &str, help: &str| IntCounter::with_opts(Opts::new(name, help));
        let latency = |name: &str, help: &str| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(REVOCATION_BUCKETS.to_vec()))
        };
        let metrics = Self {
            registry: Registry::new(),
            sessions: gauge("portcullis_sessions", "Sessions in force.")?,
            generation: gauge(
                "portcullis_policy_generation",
                "Number of the policy state in force. A change that nobody announced is worth a look at the log.",
            )?,
            entries: IntGaugeVec::new(
                Opts::new("portcullis_map_entries", "Entries in a table. Raise its capacity before they meet."),
                &["map"],
            )?,
            capacity: IntGaugeVec::new(
                Opts::new(
                    "portcullis_map_capacity",
                    "Entries that a table holds; see `[capacity]` in the configuration.",
                ),
                &["map"],
            )?,
            revocation: latency(
                "portcullis_revocation_seconds",
                "From a request to end a session to the moment from which the kernel forwards nothing. Alert if it grows.",
            )?,
            last_packet: latency(
                "portcullis_revocation_last_packet_seconds",
                "From a request to end a session to its last forwarded packet; 0 if that was before. Alert if it grows.",
            )?,
            flows_cut: counter(
                "portcullis_revocation_flows_cut_total",
                "Open flows of sessions that ended. Many at once are many people who were at work.",
            )?,
            logins: IntCounterVec::new(
                Opts::new("portcullis_logins_total", "Logins by result. Many refused ones are somebody guessing."),
                &["result"],
            )?,
            renewals: IntCounterVec::new(
                Opts::new(
                    "portcullis_renewals_total",
                    "Questions to identity providers whether a session may go on, by answer. Errors: is the provider there?",
                ),
                &["result"],
            )?,
            signals: IntCounterVec::new(
                Opts::new(
                    "portcullis_signals_total",
                    "Security events of identity providers that are in force, by effect. Many at once are an incident there.",
                ),
                &["effect"],
            )?,
            streams: IntGaugeVec::new(
                Opts::new(
                    "portcullis_signal_stream_alive",
                    "Whether security events of an identity provider arrive. If 0, leavers are cut off by its other ways only.",
                ),
                &["provider"],
            )?,
            records_lost: IntCounterVec::new(
                Opts::new(
                    "portcullis_records_lost_total",
                    "Records that were not written, by type and where. Look at the disk of the access log, and of the archive.",
                ),
                &["kind", "sink"],
            )?,
            archive_bytes: gauge(
                "portcullis_archive_bytes",
                "Bytes of the archive of records. The oldest go when they pass `records.keep_bytes`: raise it to keep more.",
            )?,
            archive_segments: gauge(
                "portcullis_archive_segments",
                "Files of the archive of records. Many small ones are many days: lower `records.keep` if nobody asks for them.",
            )?,
            archive_oldest: Gauge::with_opts(Opts::new(
                "portcullis_archive_oldest_record_timestamp_seconds",
                "When the oldest record in the archive was made; 0 if there is none. If that is too late, raise `records.keep_bytes`.",
            ))?,
            records_left_out: counter(
                "portcullis_records_left_out_total",
                "Records that were not written because a policy says so by `@log(\"off\")`. Many are what it is for.",
            )?,
            store_failures: counter(
                "portcullis_store_failures_total",
                "Writes of the state that failed. Look at the disk of the state folder.",
            )?,
            unsaved: gauge(
                "portcullis_store_unsaved",
                "Changes that are in force and not on the disk. Make the disk of the state folder work; stop nothing before.",
            )?,
            lookups: IntCounterVec::new(
                Opts::new(
                    "portcullis_dns_lookups_total",
                    "Questions for names of apps, by result. If others than `answer` and `nothing` grow, look at the DNS servers.",
                ),
                &["result"],
            )?,
            names: IntGaugeVec::new(
                Opts::new(
                    "portcullis_app_names",
                    "Names of apps, by state. Alert on `stale`: nobody confirms where they lead; see the runbook.",
                ),
                &["state"],
            )?,
            answers_refused: counter(
                "portcullis_dns_answers_refused_total",
                "Answers for names of apps that could not be put in force. Look at the log; raise the capacity that it names.",
            )?,
            addresses_refused: IntGaugeVec::new(
                Opts::new(
                    "portcullis_app_addresses_refused",
                    "Addresses that names of apps lead to and that are not theirs, by reason. `app show` says which.",
                ),
                &["reason"],
            )?,
            bundle_valid: gauge(
                "portcullis_bundle_valid",
                "0 if the bundle in the directory of `[policy]` is not valid and so not in force; else 1. Look at the log.",
            )?,
            data_plane_failures: counter(
                "portcullis_data_plane_failures_total",
                "Plans that could be neither applied nor repaired. Look at the log, then restart the daemon.",
            )?,
            policy_faults: gauge(
                "portcullis_policy_faults",
                "Policies that could not be evaluated for somebody, who was denied. `portcullis policy show` names them.",
            )?,
            drift: gauge(
                "portcullis_map_drift_entries",
                "Entries that were not as they should be when tables and intent were last compared.",
            )?,
            repaired: counter(
                "portcullis_map_repairs_total",
                "Entries that were found to be otherwise than they should be, and put right. Look who else writes to the tables.",
            )?,
            round: Gauge::with_opts(Opts::new(
                "portcullis_map_round_seconds",
                "How long it last took to look at all tables: so long may an entry be wrong before that is found.",
            ))?,
            put_back: counter(
                "portcullis_programs_put_back_total",
                "Guarded interfaces that somebody had taken the programs off. Find out who.",
            )?,
            build: IntGaugeVec::new(
                Opts::new(
                    "portcullis_build_info",
                    "1, with the version of the daemon. Two of them at once: finish the upgrade.",
                ),
                &["version"],
            )?,
            policy_changed: gauge(
                "portcullis_policy_changed_timestamp_seconds",
                "When apps, policies or settings last changed; 0 if never. `portcullis policy history` says who and why.",
            )?,
            unconfirmed: gauge(
                "portcullis_policy_unconfirmed",
                "1 while a change waits for being confirmed, and is undone if nobody does. `portcullis policy confirm`.",
            )?,
            barrier: gauge(
                "portcullis_barrier",
                "0 if nothing keeps a guarded interface without its program from forwarding. Install nftables.",
            )?,
            certificate_expires: gauge(
                "portcullis_certificate_expires_timestamp_seconds",
                "When the certificate of API and login is no longer valid. Replace it before, then send SIGHUP.",
            )?,
            reported: Arc::default(),
            alive: Arc::default(),
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> prometheus::Result<()> {
        let Self {
            registry,
            sessions,
            generation,
            entries,
            capacity,
            revocation,
            last_packet,
            flows_cut,
            logins,
            renewals,
            signals,
            streams,
            records_lost,
            archive_bytes,
            archive_segments,
            archive_oldest,
            records_left_out,
            store_failures,
            unsaved,
            lookups,
            names,
            answers_refused,
            addresses_refused,
            bundle_valid,
            data_plane_failures,
            policy_faults,
            drift,
            repaired,
            round,
            put_back,
            build,
            policy_changed,
            unconfirmed,
            barrier,
            certificate_expires,
            reported: _,
            alive: _,
        } = self;
        registry.register(Box::new(sessions.clone()))?;
        registry.register(Box::new(generation.clone()))?;
        registry.register(Box::new(entries.clone()))?;
        registry.register(Box::new(capacity.clone()))?;
        registry.register(Box::new(revocation.clone()))?;
        registry.register(Box::new(last_packet.clone()))?;
        registry.register(Box::new(flows_cut.clone()))?;
        registry.register(Box::new(logins.clone()))?;
        registry.register(Box::new(renewals.clone()))?;
        registry.register(Box::new(signals.clone()))?;
        registry.register(Box::new(streams.clone()))?;
        // All are there from the beginning: a series that begins with a loss hides it from whoever watches its increase.
        losses().for_each(|(by, kind)| records_lost.with_label_values(&[kind.label(), by.label()]).reset());
        registry.register(Box::new(records_lost.clone()))?;
        registry.register(Box::new(archive_bytes.clone()))?;
        registry.register(Box::new(archive_segments.clone()))?;
        registry.register(Box::new(archive_oldest.clone()))?;
        registry.register(Box::new(records_left_out.clone()))?;
        registry.register(Box::new(store_failures.clone()))?;
        bundle_valid.set(1);
        registry.register(Box::new(bundle_valid.clone()))?;
        registry.register(Box::new(unsaved.clone()))?;
        registry.register(Box::new(lookups.clone()))?;
        registry.register(Box::new(names.clone()))?;
        registry.register(Box::new(answers_refused.clone()))?;
        registry.register(Box::new(addresses_refused.clone()))?;
        registry.register(Box::new(data_plane_failures.clone()))?;
        registry.register(Box::new(policy_faults.clone()))?;
        registry.register(Box::new(drift.clone()))?;
        registry.register(Box::new(repaired.clone()))?;
        registry.register(Box::new(round.clone()))?;
        registry.register(Box::new(put_back.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build.clone()))?;
        registry.register(Box::new(policy_changed.clone()))?;
        registry.register(Box::new(unconfirmed.clone()))?;
        registry.register(Box::new(barrier.clone()))?;
        registry.register(Box::new(certificate_expires.clone()))?;
        // A rate does not see the first of anything: what alerts look at begins with none.
        let begins_with = |family: &IntCounterVec, labels: &[&str]| {
            labels.iter().for_each(|label| drop(family.with_label_values(&[*label])));
        };
        begins_with(logins, &["permitted", "refused", "throttled", "disabled"]);
        begins_with(renewals, &["goes_on", "ended"]);
        begins_with(signals, &["end_sessions", "suspend", "resume", "remove"]);
        begins_with(lookups, &["answer", "nothing", "timeout", "refused", "servfail", "unreachable", "malformed"]);
        Ok(())
    }

    /// Adds what the kernel counts, read at each scrape.
    ///
    /// # Errors
    /// If two families have the same name.
    pub fn watch(&self, recorder: &Recorder, guarding: Guarding) -> prometheus::Result<()> {
        self.registry.register(Box::new(KernelCollector::new(recorder.clone(), guarding)?))
    }

    /// Adds what the health checks of apps find, read at each scrape.
    ///
    /// # Errors
    /// If two families have the same name.
    pub fn watch_health(&self, health: &Health) -> prometheus::Result<()> {
        self.registry.register(Box::new(HealthCollector::new(health.clone())?))
    }

    pub(crate) fn state(&self, gateway: &Gateway) {
        let (tables, capacities) = (gateway.entries(), gateway.capacities());
        self.sessions.set(signed(tables.sessions));
        self.generation.set(i64::try_from(gateway.generation().0).unwrap_or(i64::MAX));
        self.policy_faults.set(signed(gateway.faults().len()));
        for (map, entries, capacity) in [
            ("sessions", tables.sessions, capacities.sessions),
            ("app_prefixes", tables.app_prefixes, capacities.app_prefixes),
            ("app_ports", tables.app_ports, capacities.app_ports),
            ("grants", tables.grants, capacities.grants),
        ] {
            self.entries.with_label_values(&[map]).set(signed(entries));
            self.capacity.with_label_values(&[map]).set(signed(capacity));
        }
        for (map, capacity) in [
            ("flows", capacities.flows),
            ("budgets", capacities.budgets),
            ("fragments", capacities.fragments),
            ("sources", capacities.sources),
        ] {
            self.capacity.with_label_values(&[map]).set(signed(capacity));
        }
    }

    /// What the history says of the state in force.
    pub(crate) fn history(&self, history: &History) {
        let newest = history.entries().next().map_or(0, |entry| entry.at.unix_timestamp());
        self.policy_changed.set(newest);
        self.unconfirmed.set(history.unconfirmed().is_some().into());
    }

    /// Whether something keeps guarded interfaces without a program from forwarding.
    pub(crate) fn barrier(&self, is_there: bool) {
        self.barrier.set(is_there.into());
    }

    /// Until when the certificate of API and login is valid.
    pub(crate) fn certificate_expires(&self, at: OffsetDateTime) {
        self.certificate_expires.set(at.unix_timestamp());
    }

    pub(crate) fn revoked(&self, receipt: &Receipt) {
        self.revocation.observe(receipt.enforced_after.as_secs_f64());
        if let Some(nanos) = receipt.last_packet_after_request_nanos {
            self.last_packet.observe(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)).as_secs_f64());
        }
        self.flows_cut.inc_by(receipt.flows_cut as u64);
    }

    pub(crate) fn signalled(&self, effect: &str) {
        self.signals.with_label_values(&[effect]).inc();
    }

    pub(crate) fn stream(&self, provider: &str, is_alive: bool) {
        self.streams.with_label_values(&[provider]).set(is_alive.into());
    }

    pub(crate) fn renewed(&self, result: &str) {
        self.renewals.with_label_values(&[result]).inc();
    }

    pub(crate) fn logged_in(&self, result: &str) {
        self.logins.with_label_values(&[result]).inc();
    }

    /// So many records of this type are missing there.
    pub(super) fn lost(&self, by: LostBy, kind: Kind, records: usize) {
        self.records_lost.with_label_values(&[kind.label(), by.label()]).inc_by(records as u64);
    }

    /// What the archive holds.
    pub(super) fn archived(&self, holding: &Holding) {
        let Holding { segments, bytes, oldest } = *holding;
        self.archive_segments.set(signed(segments));
        self.archive_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.archive_oldest.set(oldest.map_or(0.0, |micros| micros as f64 / 1e6));
    }

    pub(crate) fn record_left_out(&self) {
        self.records_left_out.inc();
    }

    pub(crate) fn store_failed(&self) {
        self.store_failures.inc();
    }

    /// The core is alive.
    pub(crate) fn alive(&self, now: KernelNanos) {
        self.alive.store(now.0, Ordering::Relaxed);
    }

    /// For how long it has not been.
    pub(crate) fn silent(&self) -> Duration {
        match self.alive.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            alive => Duration::from_nanos(clock::boot().since(KernelNanos(alive))),
        }
    }

    /// How much is in force and not on the disk.
    pub(crate) fn unsaved(&self, changes: usize) {
        self.unsaved.set(signed(changes));
    }

    pub(crate) fn looked_up(&self, result: &str) {
        self.lookups.with_label_values(&[result]).inc();
    }

    /// So many names of apps are in this state.
    pub(crate) fn names(&self, state: &str, count: usize) {
        self.names.with_label_values(&[state]).set(signed(count));
    }

    pub(crate) fn answer_refused(&self) {
        self.answers_refused.inc();
    }

    /// So many addresses of names are refused for this reason.
    pub(crate) fn addresses_refused(&self, reason: &str, count: usize) {
        self.addresses_refused.with_label_values(&[reason]).set(signed(count));
    }

    pub(crate) fn bundle_is_valid(&self, is_valid: bool) {
        self.bundle_valid.set(is_valid.into());
    }

    pub(crate) fn data_plane_failed(&self) {
        self.data_plane_failures.inc();
    }

    /// The registry that holds everything.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Entries that were not as they should be when tables and intent were last compared.
    #[must_use]
    pub fn drift(&self) -> u64 {
        u64::try_from(self.drift.get()).unwrap_or_default()
    }

    pub(crate) fn repaired(&self, entries: usize) {
        self.repaired.inc_by(entries as u64);
    }

    pub(crate) fn put_back(&self, interfaces: usize) {
        self.put_back.inc_by(interfaces as u64);
    }

    pub(crate) fn looked(&self, took: Duration) {
        self.round.set(took.as_secs_f64());
    }

    pub(crate) fn drifted(&self, entries: usize) {
        self.drift.set(signed(entries));
    }

    /// Events and records lost since the last call; `None` if none were.
    pub(super) fn newly_lost(&self, events: u64) -> Option<(u64, u64)> {
        let [seen_events, seen_records] = &*self.reported;
        let of = |(by, kind): (LostBy, Kind)| self.records_lost.with_label_values(&[kind.label(), by.label()]).get();
        let records: u64 = losses().map(of).sum();
        let lost = (
            events.saturating_sub(seen_events.swap(events, Ordering::Relaxed)),
            records.saturating_sub(seen_records.swap(records, Ordering::Relaxed)),
        );
        (lost != (0, 0)).then_some(lost)
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Reads the kernel's counters when it is asked.
struct KernelCollector {
    recorder: Recorder,
    guarding: Guarding,
    descriptions: Vec<Desc>,
}

/// The families that the kernel fills, empty.
struct KernelFamilies {
    packets: IntCounterVec,
    drops: IntCounterVec,
    observed: IntCounterVec,
    app_packets: IntCounterVec,
    app_bytes: IntCounterVec,
    events_lost: IntCounter,
    unrecorded_packets: IntCounterVec,
    unrecorded_bytes: IntCounterVec,
    flows: IntGauge,
    enforced: IntGaugeVec,
    silent: Gauge,
}

impl KernelFamilies {
    fn new() -> prometheus::Result<Self> {
        let vector = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        Ok(Self {
            packets: vector(
                "portcullis_packets_total",
                "Packets on guarded interfaces, by verdict; those of `reject` are among those of `drop`.",
                &["interface", "verdict"],
            )?,
            drops: vector(
                "portcullis_drops_total",
                "Packets dropped, by reason; `portcullis drops` explains each of them.",
                &["interface", "reason"],
            )?,
            observed: vector(
                "portcullis_observed_total",
                "Packets that would have been dropped, by reason, on interfaces that only observe. Permit what is meant.",
                &["interface", "reason"],
            )?,
            app_packets: vector("portcullis_app_packets_total", "Packets forwarded, by app.", &["app", "direction"])?,
            app_bytes: vector("portcullis_app_bytes_total", "Bytes of IP forwarded, by app.", &["app", "direction"])?,
            events_lost: IntCounter::new(
                "portcullis_events_lost_total",
                "Kernel events over budget, or without room in the ring buffer. Packets are counted all the same.",
            )?,
            unrecorded_packets: vector(
                "portcullis_unrecorded_packets_total",
                "Packets in no record: without room for it (lost), or because policies want none (left_out).",
                &["what", "why"],
            )?,
            unrecorded_bytes: vector(
                "portcullis_unrecorded_bytes_total",
                "Bytes that were forwarded and are in no record, likewise.",
                &["what", "why"],
            )?,
            flows: IntGauge::new("portcullis_flows", "Flows that are open.")?,
            enforced: IntGaugeVec::new(
                Opts::new(
                    "portcullis_interface_enforced",
                    "1 for a guarded interface that drops, 0 for one that only observes. One that is gone is not there.",
                ),
                &["interface"],
            )?,
            silent: Gauge::new(
                "portcullis_core_silent_seconds",
                "Since when what takes access away has not got on; access ends with the lease. Look whether the disk answers.",
            )?,
        })
    }

    fn collectors(&self) -> [&dyn Collector; 11] {
        let Self { packets, drops, observed, app_packets, app_bytes, events_lost, flows, enforced, silent, .. } = self;
        let Self { unrecorded_packets, unrecorded_bytes, .. } = self;
        [
            packets,
            drops,
            observed,
            app_packets,
            app_bytes,
            events_lost,
            unrecorded_packets,
            unrecorded_bytes,
            flows,
            enforced,
            silent,
        ]
    }

    fn fill_gaps(&self, why: &str, gap: &Unrecorded) {
        for (what, packets, bytes) in [
            ("to_app", gap.to_app_packets, Some(gap.to_app_bytes)),
            ("to_client", gap.to_client_packets, Some(gap.to_client_bytes)),
            ("denied", gap.denied_packets, None),
        ] {
            self.unrecorded_packets.with_label_values(&[what, why]).inc_by(packets);
            if let Some(bytes) = bytes {
                self.unrecorded_bytes.with_label_values(&[what, why]).inc_by(bytes);
            }
        }
    }
}

impl KernelCollector {
    fn new(recorder: Recorder, guarding: Guarding) -> prometheus::Result<Self> {
        let families = KernelFamilies::new()?;
        let descriptions = families.collectors().iter().flat_map(|family| family.desc()).cloned().collect();
        Ok(Self { recorder, guarding, descriptions })
    }

    fn fill(&self, families: &KernelFamilies) -> Result<(), crate::dataplane::DataPlaneError> {
        families.silent.set(self.recorder.metrics().silent().as_secs_f64());
        families.flows.set(signed(self.recorder.flows_mut(|flows| flows.count())));
        for (why, gap) in self.recorder.gaps().all() {
            families.fill_gaps(why, gap);
        }
        let Some(monitor) = self.recorder.monitor() else { return Ok(()) };
        for GuardedInterface { name, index, settings, .. } in self.guarding.interfaces() {
            families.enforced.with_label_values(&[name.as_str()]).set((!settings.observe).into());
            let Some(counters) = monitor.interface(index)? else { continue };
            let verdict = |label: &str| families.packets.with_label_values(&[name.as_str(), label]);
            verdict("forward").inc_by(counters.forward);
            verdict("to_host").inc_by(counters.to_host);
            verdict("drop").inc_by(counters.dropped());
            verdict("reject").inc_by(counters.rejected);
            for (family, counters) in [(&families.drops, &counters.drops), (&families.observed, &counters.observed)] {
                for (reason, packets) in counters {
                    family.with_label_values(&[name.as_str(), reason.label()]).inc_by(*packets);
                }
            }
        }
        let apps: Vec<_> = self.recorder.names(|names| names.apps().map(|(id, name)| (id, name.clone())).collect());
        for (id, name) in apps {
            let traffic = monitor.app(id)?;
            let count = |family: &IntCounterVec, direction: &str, n| {
                family.with_label_values(&[name.as_str(), direction]).inc_by(n);
            };
            count(&families.app_packets, "to_app", traffic.to_app_packets);
            count(&families.app_packets, "to_client", traffic.to_client_packets);
            count(&families.app_bytes, "to_app", traffic.to_app_bytes);
            count(&families.app_bytes, "to_client", traffic.to_client_bytes);
        }
        families.events_lost.inc_by(monitor.events_lost()?);
        Ok(())
    }
}

impl Collector for KernelCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(families) = KernelFamilies::new() else { return Vec::new() };
        if let Err(error) = self.fill(&families) {
            tracing::warn!(%error, "the kernel's counters could not be read");
        }
        families.collectors().iter().flat_map(|family| family.collect()).collect()
    }
}
