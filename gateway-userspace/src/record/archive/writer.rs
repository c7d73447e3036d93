//! The thread that writes the archive. It alone changes segments; what it cannot write waits, and is tried again each second.

use super::catalog::{self, Catalog, Entry, State};
use super::row::micros;
use super::segment::{self, Segment, SegmentError};
use super::{ArchiveSettings, Message, Shared};
use crate::record::Metrics;
use crate::record::line::Record;
use crate::record::lot::Lot;
use crate::record::metrics::LostBy;
use nix::sys::statvfs::statvfs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// Records in one transaction, at most.
const BATCH: usize = 8_192;
/// For how long the first record of a transaction waits for others: so much is lost by a power cut.
const LINGER: Duration = Duration::from_millis(100);
/// How often the archive is looked after, and tried again after a failure.
const TICK: Duration = Duration::from_secs(1);
/// How often old segments are looked for, besides each time that one is sealed.
const RETAIN: Duration = Duration::from_secs(60);
/// How soon the thread notices that it is to stop while it waits for the disk.
const STEP: Duration = Duration::from_millis(50);

/// So many bytes of the disk are left to the state and the audit trail, which lie on it, too: without room for these no daemon
/// starts.
const LEFT: u64 = 256 << 20;
/// Of a small disk it is this part.
const LEFT_PART: u64 = 8;

pub(super) struct Writer {
    settings: ArchiveSettings,
    shared: Arc<Shared>,
    metrics: Metrics,
    open: Option<Segment>,
    /// The number of the next record; `None` before the folder has been read.
    next: Option<u64>,
    /// The segment that is to be gone on with when none is open, by its first number.
    unfinished: Option<u64>,
    pending: Vec<Arc<Record>>,
    /// What is left of a lot, and where it goes on.
    lot: Option<(Lot, usize)>,
    /// When to try again, after a failure.
    retry: Option<Instant>,
    looked: Instant,
    written: Instant,
    retained: Instant,
    sealer: Sender<Entry>,
}

impl Writer {
    pub(super) fn new(settings: ArchiveSettings, shared: Arc<Shared>, metrics: Metrics) -> std::io::Result<Self> {
        let (sealer, full) = channel();
        let for_sealer = Arc::clone(&shared);
        std::thread::Builder::new().name("archive-seal".into()).spawn(move || seal(&for_sealer.catalog, &full))?;
        let now = Instant::now();
        Ok(Self {
            settings,
            shared,
            metrics,
            open: None,
            next: None,
            unfinished: None,
            pending: Vec::with_capacity(BATCH),
            lot: None,
            retry: None,
            looked: now,
            written: now,
            retained: now,
            sealer,
        })
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        self.begin();
        loop {
            let collected = self.collect(messages);
            if matches!(collected, Collected::End) {
                self.shared.hurried.fetch_add(1, Ordering::Relaxed);
            }
            self.write();
            if let Collected::Flush(done) = collected {
                while !self.pending.is_empty() || self.lot.is_some() {
                    self.fill();
                    self.write();
                }
                self.look_after();
                // Whoever waited may have given up.
                let _ = done.send(());
            } else if matches!(collected, Collected::End) {
                return;
            }
            if self.looked.elapsed() >= TICK {
                self.look_after();
            }
        }
    }

    /// Whether whatever waits is to be given up rather than tried again.
    fn is_hurried(&self) -> bool {
        self.shared.hurried.load(Ordering::Relaxed) != 0
    }

    /// Waits for records until there are enough for a transaction, or the first of them has waited long enough.
    fn collect(&mut self, messages: &Receiver<Message>) -> Collected {
        self.fill();
        let mut until = Instant::now() + if self.pending.is_empty() { TICK } else { LINGER };
        if let Some(retry) = self.retry.filter(|_| !self.pending.is_empty()) {
            until = retry;
        }
        loop {
            let now = Instant::now();
            if self.pending.len() >= BATCH {
                if self.retry.is_none() || self.is_hurried() || now >= until {
                    return Collected::Some;
                }
                // What comes meanwhile waits in the queue, where the least important is refused first.
                std::thread::park_timeout(STEP.min(until - now));
                continue;
            }
            match messages.recv_timeout(until.saturating_duration_since(now)) {
                Ok(Message::Record(record)) => {
                    self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                    if self.pending.is_empty() && self.retry.is_none() {
                        until = Instant::now() + LINGER;
                    }
                    self.pending.push(record);
                }
                Ok(Message::Lot(lot)) => {
                    self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.lot = Some((lot, 0));
                    self.fill();
                    return Collected::Some;
                }
                Ok(Message::Flush(done)) => return Collected::Flush(done),
                Err(RecvTimeoutError::Timeout) => return Collected::Some,
                Err(RecvTimeoutError::Disconnected) => return Collected::End,
            }
        }
    }

    /// Takes from a lot what there is room for.
    fn fill(&mut self) {
        let Some((lot, mut at)) = self.lot.take() else { return };
        while self.pending.len() < BATCH {
            let Some(record) = lot.record(at) else { return };
            at += 1;
            self.pending.push(record);
        }
        self.lot = Some((lot, at));
    }

    fn write(&mut self) {
        if self.pending.is_empty() || self.retry.is_some_and(|retry| Instant::now() < retry && !self.is_hurried()) {
            return;
        }
        match self.append() {
            Ok(()) => {
                if self.retry.take().is_some() {
                    self.shared.failing.store(false, Ordering::Relaxed);
                    tracing::info!("the archive of records is written again");
                }
                self.pending.clear();
            }
            Err(error) => self.failed(&error),
        }
    }

    fn append(&mut self) -> Result<(), Failure> {
        self.make_ready()?;
        ensure_room(&self.settings.folder)?;
        let Some(segment) = &mut self.open else { return Ok(()) };
        let appended = segment.append(&self.pending)?;
        self.written = Instant::now();
        let extent = segment.extent;
        self.next = Some(extent.next);
        self.shared.catalog.grow(extent);
        for kind in appended.refused {
            self.metrics.lost(LostBy::Archive, kind, 1);
        }
        Ok(())
    }

    /// Opens a segment to append to, unless there is one that is not full.
    fn make_ready(&mut self) -> Result<(), Failure> {
        let now = OffsetDateTime::now_utc();
        if let Some(open) = self.open.take_if(|open| self.settings.is_full(open, now)) {
            let first = open.extent.first;
            let next = open.extent.next;
            drop(open);
            self.close(first);
            self.next = Some(next);
        }
        if self.open.is_none() {
            let first = match self.next {
                Some(next) => next,
                None => self.take_up()?,
            };
            self.open = Some(self.open_segment(first, now)?);
            self.unfinished = None;
        }
        Ok(())
    }

    /// Opens the segment that goes on, or a new one.
    fn open_segment(&self, next: u64, now: OffsetDateTime) -> Result<Segment, Failure> {
        let first = self.unfinished.unwrap_or(next);
        let path = catalog::path(&self.settings.folder, first);
        let mut segment = Segment::open(&path, first, now).map_err(|error| Failure::Segment(first, error))?;
        // No number is used twice, whatever the disk has forgotten.
        segment.extent.next = segment.extent.next.max(next);
        self.shared.catalog.put(Entry { path, extent: segment.extent, state: State::Open });
        Ok(segment)
    }

    /// A segment is full: others see to it from now on.
    fn close(&mut self, first: u64) {
        let entries = self.shared.catalog.all().unwrap_or_default();
        if let Some(entry) = entries.into_iter().find(|entry| entry.extent.first == first) {
            self.shared.catalog.turn(first, State::Full);
            // The other end goes when this thread does.
            let _ = self.sealer.send(entry);
        }
        self.retain();
    }

    /// Reads the folder, and makes it if it is not there: once, so that nothing is begun anew where the disk of the folder is
    /// not mounted for a while. Of what was open when the daemon stopped, the last one goes on, and all others are sealed.
    fn take_up(&mut self) -> Result<u64, Failure> {
        let folder = &self.settings.folder;
        if !folder.is_dir() {
            std::fs::DirBuilder::new().mode(0o750).create(folder).map_err(Failure::Folder)?;
        }
        let next = self.shared.catalog.read(folder, self.settings.gap()).map_err(Failure::Folder)?;
        let mut unsealed: Vec<Entry> = self.shared.catalog.all().unwrap_or_default();
        if unsealed.last().is_some_and(|last| last.state == State::Full && last.extent.next == next) {
            self.unfinished = unsealed.pop().map(|last| last.extent.first);
        }
        for entry in unsealed.into_iter().filter(|entry| entry.state == State::Full) {
            let _ = self.sealer.send(entry);
        }
        self.next = Some(next);
        Ok(next)
    }

    fn begin(&mut self) {
        if let Err(error) = self.make_ready() {
            self.failed(&error);
        }
        self.look_after();
    }

    /// Said once, and again when it goes on. Whatever the transaction held is not there, and is tried again.
    fn failed(&mut self, error: &Failure) {
        let open = self.open.take().map(|open| open.extent.first);
        self.unfinished = open.or(self.unfinished);
        if let Failure::Segment(first, error) = error
            && error.is_lasting()
        {
            self.abandon(*first, error);
        } else if let (Failure::Append(error), Some(first)) = (error, open)
            && error.is_damage()
        {
            self.abandon(first, error);
        }
        if self.retry.is_none() {
            tracing::error!(
                folder = %self.settings.folder.display(), %error,
                "the archive of records cannot be written; it is tried again each second, and what does not fit is lost"
            );
        }
        self.retry = Some(Instant::now() + TICK);
        self.shared.failing.store(true, Ordering::Relaxed);
        if self.is_hurried() {
            for record in self.pending.drain(..) {
                self.metrics.lost(LostBy::Archive, record.kind(), 1);
            }
            if let Some((lot, at)) = self.lot.take() {
                self.metrics.lost(LostBy::Archive, lot.kind(), lot.len().saturating_sub(at));
            }
        }
    }

    /// The segment that was appended to is damaged: the next one begins where no number was used.
    fn abandon(&mut self, first: u64, error: &SegmentError) {
        self.open = None;
        self.unfinished = None;
        self.shared.catalog.forget(first);
        catalog::set_aside(&catalog::path(&self.settings.folder, first), error);
        let next = first.saturating_add(self.settings.gap());
        self.next = Some(self.next.unwrap_or(next).max(next));
    }

    fn look_after(&mut self) {
        self.looked = Instant::now();
        if let Some(first) = self.open.as_ref().map(|open| open.extent.first)
            && self.shared.catalog.state(first) == Some(State::Damaged)
        {
            self.abandon(first, &SegmentError::Unsound("a search has found it damaged".into()));
        }
        if self.open.as_ref().is_some_and(|open| !open.is_in_place()) {
            self.failed(&Failure::Folder(std::io::ErrorKind::NotFound.into()));
        }
        if let Some(open) = self.open.as_mut().filter(|_| self.written.elapsed() >= TICK) {
            open.rest();
        }
        let now = OffsetDateTime::now_utc();
        if self.open.as_ref().is_some_and(|open| self.settings.is_full(open, now)) {
            // Nothing may come for long: what is full is sealed all the same.
            if let Err(error) = self.make_ready() {
                self.failed(&error);
            }
        }
        if self.retained.elapsed() >= RETAIN {
            self.retain();
        }
        self.metrics.archived(&self.shared.catalog.holding());
    }

    fn retain(&mut self) {
        self.retained = Instant::now();
        let since = micros(OffsetDateTime::now_utc())
            .saturating_sub(i64::try_from(self.settings.keep.as_micros()).unwrap_or(i64::MAX));
        self.shared.catalog.retain(self.settings.keep_bytes, since);
    }
}

enum Collected {
    /// Some records, or none.
    Some,
    /// Somebody waits until all is written.
    Flush(SyncSender<()>),
    /// Nobody sends any more.
    End,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Folder(std::io::Error),
    #[error("segment {0}: {1}")]
    Segment(u64, SegmentError),
    #[error(
        "of its disk {free} bytes are free, and {left} are left to the state; free some, or lower `records.keep_bytes`"
    )]
    Crowded { free: u64, left: u64 },
    #[error(transparent)]
    Append(#[from] SegmentError),
}

/// Records are what is lost first.
fn ensure_room(folder: &Path) -> Result<(), Failure> {
    let disk = statvfs(folder).map_err(|error| Failure::Folder(error.into()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    let (free, left) = (bytes(disk.blocks_available()), LEFT.min(bytes(disk.blocks()) / LEFT_PART));
    if free < left { Err(Failure::Crowded { free, left }) } else { Ok(()) }
}

/// Seals segments, one after the other.
fn seal(catalog: &Catalog, full: &Receiver<Entry>) {
    while let Ok(entry) = full.recv() {
        let first = entry.extent.first;
        if catalog.state(first) != Some(State::Full) {
            continue;
        }
        match segment::seal(&entry.path, first) {
            Ok(()) => catalog.turn(first, State::Sealed),
            Err(error) if error.is_damage() => catalog.damaged(&entry, &error),
            // It can be searched as it is; the next start tries again.
            Err(error) => {
                tracing::warn!(path = %entry.path.display(), %error, "a segment of the archive could not be sealed");
            }
        }
    }
}
