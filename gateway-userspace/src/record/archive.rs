//! The archive of records: everything that is recorded, in segments that others can open, kept for as long as the
//! configuration says, and searched.
//!
//! A segment is an SQLite file. One is appended to, by one thread behind a bounded queue; it is always whole, also after a
//! crash in the middle of a write. Nobody who records waits for it: where there is not room for all, the least important is
//! lost first, and counted.

mod catalog;
mod digest;
mod row;
mod search;
mod segment;
mod writer;

pub(super) use catalog::Holding;

pub use digest::{Digest, EventKey, Latencies, RefusedKey, RefusedSum};
pub use search::{
    Answer, Archived, Asking, DeniedKey, DeniedSum, Filter, PageFrom, ReachedKey, ReachedSum, SearchError,
};

use super::Metrics;
use super::kind::{Kind, Weight};
use super::line::Record;
use super::lot::Lot;
use catalog::Catalog;
use segment::Segment;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use time::OffsetDateTime;
use writer::Writer;

/// Records that may wait to be written.
const QUEUE: usize = 65_536;
/// How many segments a full archive is made of at least, so that it never gives up much of it at once.
const PARTS: u64 = 16;
const HOUR: Duration = Duration::from_secs(3_600);
/// A segment of fewer records is not sealed after an hour, but after a day: a quiet gateway has few files.
const FEW: u64 = 50_000;

/// Where the archive is, and how much is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiveSettings {
    /// The folder of the segments. Nothing else should be in it.
    pub folder: PathBuf,
    /// Older records go.
    pub keep: Duration,
    /// The oldest ones go when there is more than that.
    pub keep_bytes: u64,
    /// Records in a segment, at most.
    pub segment: u64,
}

impl ArchiveSettings {
    /// Records in a segment, usually.
    pub const SEGMENT: u64 = 1_000_000;

    fn is_full(&self, open: &Segment, now: OffsetDateTime) -> bool {
        let (records, age) = (open.extent.records(), (now - open.begun).unsigned_abs());
        records >= self.segment
            || open.names() >= segment::MOST_NAMES
            || (records != 0 && age >= 24 * HOUR)
            || (records >= FEW && age >= HOUR)
            || open.size() >= self.keep_bytes / PARTS
    }

    /// How far apart the first numbers of a segment that cannot be read and of the next one are: no segment holds more
    /// records, however large the last transaction was.
    const fn gap(&self) -> u64 {
        self.segment.saturating_add(QUEUE as u64)
    }
}

enum Message {
    Record(Arc<Record>),
    Lot(Lot),
    /// Answers when everything before it is written, or given up.
    Flush(SyncSender<()>),
}

struct Shared {
    catalog: Catalog,
    /// How many records and lots are in the queue.
    waiting: AtomicUsize,
    /// How many want everything to be written or given up now.
    hurried: AtomicUsize,
    /// Whether nothing can be written now.
    failing: AtomicBool,
    /// How many search.
    asking: AtomicUsize,
}

/// The way to the archive. Cheap to clone.
#[derive(Clone)]
pub struct Archive {
    parts: Option<(SyncSender<Message>, Arc<Shared>)>,
}

impl Archive {
    /// Keeps nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { parts: None }
    }

    /// Starts the thread that writes. A folder that cannot be used is said in the log and tried again: recording never
    /// keeps a gateway from starting.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(settings: ArchiveSettings, metrics: Metrics) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            catalog: Catalog::default(),
            waiting: AtomicUsize::new(0),
            hurried: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            asking: AtomicUsize::new(0),
        });
        let (queue, messages) = sync_channel(QUEUE);
        let writer = Writer::new(settings, Arc::clone(&shared), metrics)?;
        std::thread::Builder::new().name("archive".into()).spawn(move || writer.run(&messages))?;
        Ok(Self { parts: Some((queue, shared)) })
    }

    /// Queues a record. False if it is lost: because the queue is full for what is no more important than that, or
    /// because the thread is gone.
    #[must_use]
    pub(super) fn put(&self, record: &Arc<Record>) -> bool {
        self.send(record.kind(), || Message::Record(Arc::clone(record)))
    }

    /// Queues many records as one.
    #[must_use]
    pub(super) fn put_lot(&self, lot: &Lot) -> bool {
        self.send(lot.kind(), || Message::Lot(lot.clone()))
    }

    fn send(&self, kind: Kind, message: impl FnOnce() -> Message) -> bool {
        let Some((queue, shared)) = &self.parts else { return true };
        if shared.waiting.fetch_add(1, Ordering::Relaxed) < room(kind) {
            match queue.try_send(message()) {
                Ok(()) => return true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
        shared.waiting.fetch_sub(1, Ordering::Relaxed);
        false
    }

    /// Waits until everything that is queued is written, or cannot be.
    pub fn flush(&self) {
        let Some((queue, shared)) = &self.parts else { return };
        let (done, written) = sync_channel(1);
        shared.hurried.fetch_add(1, Ordering::Relaxed);
        if queue.send(Message::Flush(done)).is_ok() {
            // An error means that the thread is gone, and with it whatever was left to write.
            let _ = written.recv();
        }
        shared.hurried.fetch_sub(1, Ordering::Relaxed);
    }

    /// A place among those who search, to be given up when the answer is there.
    ///
    /// # Errors
    /// If nothing is kept, not everything is known yet, or enough others search.
    pub fn ask(&self) -> Result<Asking, SearchError> {
        let Some((_, shared)) = &self.parts else { return Err(SearchError::Off) };
        Asking::begin(shared)
    }

    /// The oldest records after a number, with everything that there is: for whoever passes them on.
    ///
    /// # Errors
    /// If nothing is kept, not everything is known yet, or what comes next cannot be read now.
    pub fn after(&self, sequence: u64, limit: usize) -> Result<Vec<Archived>, SearchError> {
        let Some((_, shared)) = &self.parts else { return Err(SearchError::Off) };
        Asking::beside(shared).following(sequence, limit)
    }

    /// From the number of the oldest record to that of the next one to come; `None` if nothing is kept, or not everything is
    /// known yet.
    #[must_use]
    pub fn extent(&self) -> Option<Range<u64>> {
        let (_, shared) = self.parts.as_ref()?;
        shared.catalog.extent()
    }
}

/// How much of the queue records of this kind may fill.
const fn room(kind: Kind) -> usize {
    match kind.weight() {
        Weight::Light => QUEUE / 2,
        Weight::Usual => QUEUE / 8 * 7,
        Weight::Heavy => QUEUE,
    }
}

#[cfg(test)]
mod tests;
