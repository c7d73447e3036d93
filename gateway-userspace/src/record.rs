//! Who reached what, and why not: the access log, the archive, and the metrics.
//!
//! Everything that happens passes through the [`Recorder`]. It never waits: what log and archive cannot take is counted as
//! lost.

mod archive;
pub mod audit;
mod capture;
mod denials;
mod events;
mod flows;
mod health;
mod interfaces;
mod kind;
mod line;
mod log;
mod lot;
mod metrics;
mod names;

pub use archive::{
    Answer, Archive, ArchiveSettings, Archived, Asking, DeniedKey, DeniedSum, Digest, EventKey, Filter, Latencies,
    PageFrom, ReachedKey, ReachedSum, RefusedKey, RefusedSum, SearchError,
};
pub use audit::AuditTrail;
pub use capture::{Asked, CaptureError, Captures, LONGEST as LONGEST_CAPTURE};
pub use denials::Denials;
pub use events::follow;
use flows::End;
pub use flows::{FlowTracker, TrackedFlow};
pub(crate) use kind::Kind;
pub(crate) use line::described;
pub use line::protocol;
pub use log::{AccessLog, Sink};
pub use metrics::Metrics;

use crate::core::{Actor, Done, Receipt};
use crate::dataplane::{Monitor, resets};
use crate::health::Turn;
use crate::policy::{AppName, Gateway, Input, Regranted, SessionToken};
use gateway_common::KernelNanos;
use gateway_common::abi::{Flow, FlowCopy, FlowKey, Unrecorded};
use line::Record;
use lot::Lot;
use metrics::LostBy;
use names::Names;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use time::OffsetDateTime;

/// How many sessions are looked after while their names are locked.
const AT_ONCE: usize = 1_024;
/// How many records of one request are put into words at once.
const FEW: usize = 1_024;

/// The way into the records. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

/// The flows of a session that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cut {
    /// All that were known.
    pub keys: Vec<FlowKey>,
    /// How many of them were open: neither reset nor closed from both ends.
    pub open: usize,
    /// Those of them that are TCP connections, as they were.
    pub connections: Vec<(FlowKey, FlowCopy)>,
    /// When the last of them carried a packet.
    pub last_seen: Option<KernelNanos>,
}

impl Cut {
    fn of(taken: &[(FlowKey, TrackedFlow)]) -> Self {
        let connections = taken.iter().filter(|(key, flow)| resets::is_due(key, &flow.copy));
        Self {
            keys: taken.iter().map(|(key, _)| *key).collect(),
            open: taken.iter().filter(|(_, flow)| !Flow::is_over(flow.copy.ends)).count(),
            connections: connections.map(|(key, flow)| (*key, flow.copy)).collect(),
            last_seen: taken.iter().map(|(_, flow)| KernelNanos(flow.copy.last_seen)).max(),
        }
    }
}

/// The ends of flows that are recorded together, and what is in no record without them.
#[derive(Default)]
#[must_use = "they are recorded by `Recorder::flows_cut`"]
pub struct FlowEnds {
    records: Vec<Arc<Record>>,
    gap: Unrecorded,
}

/// What was forwarded and denied, and is in no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gaps {
    /// Because there was no room, in the kernel or here.
    pub lost: Unrecorded,
    /// Because policies want no record of it.
    pub left_out: Unrecorded,
    /// In the access log alone, whose queue had no room for it.
    pub log: Unrecorded,
    /// In the archive alone, likewise.
    pub archive: Unrecorded,
}

impl Gaps {
    /// All of them, with the words for why.
    #[must_use]
    pub const fn all(&self) -> [(&'static str, &Unrecorded); 4] {
        let Self { lost, left_out, log, archive } = self;
        [("lost", lost), ("left_out", left_out), ("access_log", log), ("archive", archive)]
    }
}

/// Where records are kept.
pub struct Keepers {
    /// Lines.
    pub log: AccessLog,
    /// What can be searched.
    pub archive: Archive,
    /// What can be verified.
    pub audit: AuditTrail,
}

struct Shared {
    metrics: Metrics,
    log: AccessLog,
    archive: Archive,
    names: RwLock<Names>,
    flows: Mutex<FlowTracker>,
    denials: Mutex<Denials>,
    gaps: Mutex<Gaps>,
    audit: AuditTrail,
    /// The kernel's counters; none where the data plane is in memory.
    monitor: Option<Monitor>,
}

impl Recorder {
    /// Records into this log and these metrics, and keeps nothing else.
    #[must_use]
    pub fn new(metrics: Metrics, log: AccessLog, monitor: Option<Monitor>) -> Self {
        Self::keeping(metrics, Keepers { log, archive: Archive::none(), audit: AuditTrail::none() }, monitor)
    }

    /// Records into these metrics, and wherever records are kept.
    #[must_use]
    pub fn keeping(metrics: Metrics, keepers: Keepers, monitor: Option<Monitor>) -> Self {
        let Keepers { log, archive, audit } = keepers;
        let shared = Shared {
            metrics,
            log,
            archive,
            names: RwLock::default(),
            flows: Mutex::default(),
            denials: Mutex::default(),
            gaps: Mutex::default(),
            audit,
            monitor,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// What is kept.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.shared.archive
    }

    /// The kernel's counters.
    #[must_use]
    pub fn monitor(&self) -> Option<&Monitor> {
        self.shared.monitor.as_ref()
    }

    /// Learns the names of what was there when the daemon started.
    pub fn knows(&self, gateway: &Gateway) {
        self.names_mut(|names| names.learn(gateway));
    }

    /// A change was made.
    pub fn changed(&self, actor: &Actor, gateway: &Gateway, input: &Input, done: &Done) {
        if let Some(session) = &done.opened {
            self.names_mut(|names| names.opened(session));
            self.metrics().logged_in("permitted");
            self.write(Record::login(session));
        }
        // There may be very many of both, and whoever follows the kernel needs the names meanwhile.
        done.receipts.chunks(AT_ONCE).for_each(|receipts| self.names_mut(|names| names.ended(receipts)));
        let mut changed = done.redecided.clone();
        // In the order in which both sides keep them: each is found beside the one before.
        changed.sort_unstable();
        changed.chunks(AT_ONCE).for_each(|tokens| self.names_mut(|names| names.redecided(gateway, tokens)));
        if matches!(input, Input::PutApp(_) | Input::Apply { .. }) {
            self.names_mut(|names| names.learn_apps(gateway));
        }
        // Once for all who keep them: there may be a hundred thousand.
        let receipts: Arc<[Receipt]> = done.receipts.as_slice().into();
        self.write_ends(&receipts);
        self.write_regranted(&done.regranted);
        let described = line::described(input);
        if let Some((action, object)) = &described {
            self.write(Record::admin(actor, action, object, done.generation));
        }
        self.audit_change((actor, input, described), gateway, done, &receipts);
    }

    /// Something was administered that policy does not know.
    pub fn admin(&self, actor: &Actor, action: &'static str, object: &str) {
        self.write(Record::admin(actor, action, object, None));
        self.audit_admin(actor, action, object);
    }

    /// Somebody did not get in. `why` is from a closed list.
    pub fn login_failed(&self, user: &str, source: IpAddr, why: &'static str) {
        self.metrics().logged_in(why);
        self.write(Record::login_failed(user, source, why));
        self.audit_failed_login(user, source, why);
    }

    /// An app has gone down, has come back, or answers in part.
    pub fn app_turned(&self, turn: &Turn) {
        self.write(Record::app_health(turn));
    }

    /// The flows of a session that has ended: they are returned to be forgotten, and their ends to be recorded with others.
    #[must_use]
    pub fn cut(&self, token: SessionToken, ends: &mut FlowEnds) -> Cut {
        let taken = self.flows_mut(|flows| flows.take(token, self.monitor()));
        self.cut_by(&taken, "revoked", ends)
    }

    /// The flows of a session to apps that it may no longer reach, likewise.
    #[must_use]
    pub fn cut_apps(&self, token: SessionToken, lost: &[AppName], ends: &mut FlowEnds) -> Cut {
        let is_lost = |app: u32| self.names(|names| names.app(app).is_some_and(|app| lost.contains(app)));
        let taken = self.flows_mut(|flows| flows.take_apps(token, is_lost, self.monitor()));
        self.cut_by(&taken, "policy", ends)
    }

    fn cut_by(&self, taken: &[(FlowKey, TrackedFlow)], outcome: &'static str, ends: &mut FlowEnds) -> Cut {
        for (key, flow) in taken {
            let end = End::of(flow.outcome(outcome));
            let gap = self.last_seen(key, flow, &end);
            match self.names(|names| Record::flow_end(key, flow, names, end)) {
                Some(record) => {
                    ends.records.push(Arc::new(record));
                    ends.gap.add(&gap);
                }
                None => self.leave_out(&gap),
            }
        }
        Cut::of(taken)
    }

    /// Records ends of flows. However many there are they wait as one: everybody's connections may end at once, and a queue
    /// of records would not hold them. There are never more than the kernel remembers flows.
    pub fn flows_cut(&self, ends: FlowEnds) {
        let FlowEnds { records, gap } = ends;
        if !records.is_empty() {
            self.write_lot(&Lot::FlowEnds(records.into()), &gap);
        }
    }

    /// How many connections a session has open to these apps.
    #[must_use]
    pub fn count_open(&self, token: SessionToken, apps: &[AppName]) -> usize {
        let is_meant = |app: u32| self.names(|names| names.app(app).is_some_and(|app| apps.contains(app)));
        let open = self.open_flows(Some(token)).filter(|(_, flow)| !Flow::is_over(flow.copy.ends));
        open.filter(|(_, flow)| is_meant(flow.app())).count()
    }

    /// Copies of the flows that are open: those of a session, or all. These are copied some at a time, so that nobody
    /// waits for long; one that begins or ends meanwhile may or may not be among them.
    pub fn open_flows(&self, of: Option<SessionToken>) -> impl Iterator<Item = (FlowKey, TrackedFlow)> {
        let mut next = if of.is_none() { Some(0) } else { None };
        let of_session = of.map_or_else(Vec::new, |token| self.flows_mut(|flows| flows.of(token)));
        let all = std::iter::from_fn(move || {
            let from = next?;
            let (some, after) = self.flows_mut(|flows| flows.some(from, AT_ONCE));
            next = after;
            Some(some)
        });
        of_session.into_iter().chain(all.flatten())
    }

    /// How many flows are open.
    #[must_use]
    pub fn open_flow_count(&self) -> usize {
        self.flows_mut(|flows| flows.count())
    }

    /// The user of a session and the name of an app, while they are known.
    #[must_use]
    pub fn names_of(&self, token: u64, app: u32) -> (Option<String>, Option<String>) {
        self.names(|names| {
            let user = names.session(token).map(|named| named.user.to_string());
            (user, names.app(app).map(ToString::to_string))
        })
    }

    fn flow_ended(&self, key: &FlowKey, flow: &TrackedFlow, end: End) {
        let gap = self.last_seen(key, flow, &end);
        self.write_or_count(self.names(|names| Record::flow_end(key, flow, names, end)), &gap);
    }

    /// A flow is over; what is in no record without one of its end.
    fn last_seen(&self, key: &FlowKey, flow: &TrackedFlow, end: &End) -> Unrecorded {
        if let Some(monitor) = self.monitor() {
            monitor.note_last_seen(key, &flow.copy);
        }
        // What the kernel has counted as unrecorded is not counted again.
        if end.is_incomplete { Unrecorded::default() } else { gap_of(&flow.copy) }
    }

    /// A flow goes on: what it has carried so far is recorded.
    pub fn flow_goes_on(&self, key: &FlowKey, flow: &TrackedFlow) {
        self.write_or_count(self.names(|names| Record::flow_update(key, flow, names)), &Unrecorded::default());
    }

    /// Writes the ends of sessions. Where there are more than a few, they wait as one, and are put into words by the
    /// log's own thread: a queue of lines would not hold them, and the core has other things to do.
    fn write_ends(&self, receipts: &Arc<[Receipt]>) {
        if receipts.len() <= FEW {
            return receipts.iter().for_each(|receipt| self.write(Record::session_end(receipt)));
        }
        self.write_lot(&Lot::Ends(OffsetDateTime::now_utc(), Arc::clone(receipts)), &Unrecorded::default());
    }

    /// Writes what sessions have gained and lost, in the same way.
    fn write_regranted(&self, regranted: &Arc<Vec<Regranted>>) {
        if regranted.len() <= FEW {
            return regranted.iter().for_each(|changed| self.write(Record::regranted(changed)));
        }
        self.write_lot(&Lot::Regranted(OffsetDateTime::now_utc(), Arc::clone(regranted)), &Unrecorded::default());
    }

    fn write_lot(&self, lot: &Lot, gap: &Unrecorded) {
        if !self.shared.log.put_lot(lot) {
            self.metrics().lost(LostBy::Log, lot.kind(), lot.len());
            self.gaps_mut(|gaps| gaps.log.add(gap));
        }
        if !self.shared.archive.put_lot(lot) {
            self.metrics().lost(LostBy::Archive, lot.kind(), lot.len());
            self.gaps_mut(|gaps| gaps.archive.add(gap));
        }
    }

    /// Writes a record. Without one, because policies want none, or without room for it, this is what is in no record then.
    fn write_or_count(&self, record: Option<Record>, gap: &Unrecorded) {
        match record {
            Some(record) => self.write_with(record, gap),
            None => self.leave_out(gap),
        }
    }

    fn leave_out(&self, gap: &Unrecorded) {
        self.metrics().record_left_out();
        self.gaps_mut(|gaps| gaps.left_out.add(gap));
    }

    fn write(&self, record: Record) {
        self.write_with(record, &Unrecorded::default());
    }

    fn write_with(&self, record: Record, gap: &Unrecorded) {
        let record = Arc::new(record);
        if !self.shared.log.put(&record) {
            self.metrics().lost(LostBy::Log, record.kind(), 1);
            self.gaps_mut(|gaps| gaps.log.add(gap));
        }
        if !self.shared.archive.put(&record) {
            self.metrics().lost(LostBy::Archive, record.kind(), 1);
            self.gaps_mut(|gaps| gaps.archive.add(gap));
        }
    }

    /// What is in no record: what records say, and this, is what the kernel has counted.
    #[must_use]
    pub fn gaps(&self) -> Gaps {
        let mut gaps = self.gaps_mut(|gaps| *gaps);
        if let Some(kernel) = self.monitor().and_then(|monitor| monitor.unrecorded().ok()) {
            gaps.lost.add(&kernel);
        }
        gaps
    }

    fn lost_mut(&self, change: impl FnOnce(&mut Unrecorded)) {
        self.gaps_mut(|gaps| change(&mut gaps.lost));
    }

    fn gaps_mut<T>(&self, change: impl FnOnce(&mut Gaps) -> T) -> T {
        change(&mut self.shared.gaps.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn names<T>(&self, look: impl FnOnce(&Names) -> T) -> T {
        look(&self.shared.names.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn names_mut(&self, change: impl FnOnce(&mut Names)) {
        change(&mut self.shared.names.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn flows_mut<T>(&self, change: impl FnOnce(&mut FlowTracker) -> T) -> T {
        change(&mut self.shared.flows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn denials_mut<T>(&self, change: impl FnOnce(&mut Denials) -> T) -> T {
        change(&mut self.shared.denials.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is missing, if the end of this flow is.
fn gap_of(flow: &FlowCopy) -> Unrecorded {
    Unrecorded {
        flows: 1,
        to_app_packets: flow.to_app_packets,
        to_app_bytes: flow.to_app_bytes,
        to_client_packets: flow.to_client_packets,
        to_client_bytes: flow.to_client_bytes,
        denied_packets: 0,
    }
}
