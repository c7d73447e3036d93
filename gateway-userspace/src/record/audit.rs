//! The audit trail: who got in and what they were granted, who lost it and when, who has changed what. Lines that are only
//! appended, each with the hash of the one before, so that nobody changes one without it being found.
//!
//! Whoever tells something never waits: it is queued, and a thread of its own makes lines of it and brings them to the disk.
//! What is kept is what the disk has; the head tells how far that is.

mod chain;
mod check;
mod entry;
mod folder;
mod look;
mod metrics;
mod tell;
mod writer;

pub use chain::{Flaw, Hash, Head, NotAHead};
pub use check::{Beginning, Compared, Edge, Found, Report, verify};
pub use look::{Look, Looked, NotAPlace, Place};

use entry::{Because, Detail, Entry, Lot, kind};
use folder::Folder;
use metrics::AuditMetrics;
use prometheus::Registry;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tell::Refusals;
use time::OffsetDateTime;
use writer::Writer;

/// How many flaws are remembered.
const MOST_FLAWS: usize = 16;

/// How a trail is written.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes after which another file begins.
    pub file_size: u64,
    /// How long entries are gathered before the disk is asked to keep them.
    pub gather: Duration,
    /// How often it is tried again to write what could not be written.
    pub retry: Duration,
    /// Entries that may wait. Where one more may, a lot may, whatever its size: nobody revokes more sessions than there are.
    pub waiting: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file_size: 64 << 20,
            gather: Duration::from_millis(50),
            retry: Duration::from_millis(500),
            waiting: 262_144,
        }
    }
}

/// The way into the trail, and to what is in it. Cheap to clone; the thread ends when the last one is dropped.
#[derive(Clone)]
pub struct AuditTrail {
    kept: Option<Arc<Writing>>,
}

struct Writing {
    queue: Sender<Message>,
    shared: Arc<Shared>,
    folder: Folder,
    thread: Thread,
}

enum Message {
    Lot(Lot),
    /// What is wrong with files that were written before the daemon started, and how much more.
    Checked(Vec<Found>, u64),
    /// Answers when everything before it is on the disk.
    Flush(SyncSender<()>),
    End,
}

/// The last entry that the disk has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// What to write down.
    pub head: Head,
    /// When it was written.
    pub time: OffsetDateTime,
    /// The file that it is in, by the number of its first entry.
    file: u64,
    /// How many bytes of that are the trail's.
    length: u64,
}

/// How a trail is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Condition {
    /// The last entry that the disk has; `None` before the first.
    pub kept: Option<Kept>,
    /// Where it was found broken since the daemon started.
    pub flaws: Vec<Found>,
    /// Entries that wait for the disk.
    pub waiting: usize,
    /// Entries that were lost since the daemon started.
    pub lost: u64,
}

/// What the thread and those who ask share.
struct Shared {
    metrics: AuditMetrics,
    kept: Mutex<Option<Kept>>,
    flaws: Mutex<Vec<Found>>,
    waiting: AtomicUsize,
    most_waiting: usize,
    lost: Mutex<Losses>,
    refusals: Mutex<Refusals>,
    failed_logins: Mutex<Refusals>,
    is_to_stop: AtomicBool,
}

/// What nobody has been told of yet: since when, and how many of each type.
#[derive(Default)]
struct Losses {
    since: Option<OffsetDateTime>,
    entries: BTreeMap<&'static str, u64>,
}

impl AuditTrail {
    /// None: what is told is forgotten.
    #[must_use]
    pub const fn none() -> Self {
        Self { kept: None }
    }

    /// Carries on the trail in a folder, or begins one there. The disk is waited for by the trail's own thread.
    ///
    /// # Errors
    /// If the thread cannot be started, or another trail counts in the same registry.
    pub fn start(path: &Path, gateway: &str, registry: &Registry, settings: Settings) -> io::Result<Self> {
        Self::start_in(Folder::at(path), gateway, registry, settings)
    }

    fn start_in(folder: Folder, gateway: &str, registry: &Registry, settings: Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            metrics: AuditMetrics::new(registry).map_err(io::Error::other)?,
            kept: Mutex::default(),
            flaws: Mutex::default(),
            waiting: AtomicUsize::new(0),
            most_waiting: settings.waiting,
            lost: Mutex::default(),
            refusals: Mutex::default(),
            failed_logins: Mutex::default(),
            is_to_stop: AtomicBool::new(false),
        });
        let (queue, messages) = channel();
        let writer = Writer::new(folder.clone(), settings, gateway.to_owned(), Arc::clone(&shared), queue.clone());
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&messages))?;
        let thread = thread.thread().clone();
        Ok(Self { kept: Some(Arc::new(Writing { queue, shared, folder, thread })) })
    }

    /// Queues entries. Where too many wait they are lost, counted, and told of when there is room again.
    fn put(&self, lot: Lot) {
        let Some(Writing { queue, shared, .. }) = self.kept.as_deref() else { return };
        let (kind, count) = (lot.kind, lot.count);
        if count == 0 {
            return;
        }
        if shared.waiting() >= shared.most_waiting {
            return shared.lose(kind, count);
        }
        shared.waiting.fetch_add(count, Ordering::Relaxed);
        if queue.send(Message::Lot(lot)).is_err() {
            shared.wrote(count);
            shared.lose(kind, count);
        }
    }

    fn is_none(&self) -> bool {
        self.kept.is_none()
    }

    /// How many refusals were not told of since the last one, if one is to be told of now.
    fn refused(&self, now: Instant) -> Option<u64> {
        locked(&self.kept.as_deref()?.shared.refusals).tell(tell::REFUSALS, now)
    }

    /// The same of logins that failed.
    fn failed(&self, now: Instant) -> Option<u64> {
        locked(&self.kept.as_deref()?.shared.failed_logins).tell(tell::FAILED_LOGINS, now)
    }

    /// The daemon has started.
    pub fn started(&self) {
        self.put(Lot::one(kind::STARTED, || Entry::DaemonStarted {
            version: env!("CARGO_PKG_VERSION"),
            process: std::process::id(),
        }));
    }

    /// The daemon stops: says so, and waits for what is queued, but not for longer than this.
    pub fn stop(&self, patience: Duration) {
        self.put(Lot::one(kind::STOPPED, || Entry::DaemonStopped { process: std::process::id() }));
        let is_kept = self.flush(patience);
        if let Some(Writing { shared, thread, .. }) = self.kept.as_deref()
            && !is_kept
        {
            shared.is_to_stop.store(true, Ordering::Relaxed);
            thread.unpark();
            tracing::error!(entries = shared.waiting(), "the disk did not take the end of the audit trail");
        }
    }

    /// Waits until everything that is queued is on the disk, but not for longer than this. Whether it is.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        let Some(Writing { queue, .. }) = self.kept.as_deref() else { return true };
        let (done, written) = sync_channel(1);
        queue.send(Message::Flush(done)).is_ok() && written.recv_timeout(patience).is_ok()
    }

    /// How the trail is.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let Some(Writing { shared, .. }) = self.kept.as_deref() else { return Condition::default() };
        Condition {
            kept: *locked(&shared.kept),
            flaws: locked(&shared.flaws).clone(),
            waiting: shared.waiting(),
            lost: shared.metrics.lost_so_far(),
        }
    }

    /// Looks for entries that the disk has, the newest first. Reads files, as many bytes as [`Look`] says at most.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn look(&self, look: &Look) -> io::Result<Looked> {
        let Some(Writing { shared, folder, .. }) = self.kept.as_deref() else { return Ok(Looked::default()) };
        let kept = *locked(&shared.kept);
        kept.map_or_else(
            || Ok(Looked::default()),
            |kept| look::look(folder, Place { file: kept.file, offset: kept.length }, look),
        )
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // What is queued is written before.
        let _ = self.queue.send(Message::End);
    }
}

impl Shared {
    fn publish(&self, kept: Kept) {
        *locked(&self.kept) = Some(kept);
    }

    fn broken(&self, found: Vec<Found>) {
        self.metrics.broken();
        let mut flaws = locked(&self.flaws);
        flaws.extend(found);
        flaws.truncate(MOST_FLAWS);
    }

    fn lose(&self, kind: &'static str, count: usize) {
        self.metrics.lost(count);
        let mut lost = locked(&self.lost);
        lost.since.get_or_insert_with(OffsetDateTime::now_utc);
        *lost.entries.entry(kind).or_default() += count as u64;
    }

    /// What was lost since this was last asked.
    fn losses(&self) -> Option<(OffsetDateTime, BTreeMap<&'static str, u64>)> {
        let Losses { since, entries } = std::mem::take(&mut *locked(&self.lost));
        Some((since?, entries))
    }

    /// Whether the queue is half empty: one entry tells of all that was lost while it was full.
    fn has_much_room(&self) -> bool {
        self.waiting() <= self.most_waiting / 2
    }

    fn wrote(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn is_to_stop(&self) -> bool {
        self.is_to_stop.load(Ordering::Relaxed)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
