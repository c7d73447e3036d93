//! The thread that writes the trail: entries become lines, lines become batches, and a batch is kept when the disk has it.
//!
//! What cannot be written is tried again until it can, while others wait in the queue before it. What is found otherwise than
//! it was written is left as it is: a new chain begins, in a file of its own, with an entry that says so.

use super::chain::{Flaw, Follower, Hash, Head, seal};
use super::check::{self, End, Found, LONGEST};
use super::entry::{Body, Broken, Entry, Lot};
use super::folder::{AppendError, Folder, file_name};
use super::{Kept, Message, Settings, Shared};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::time::Instant;
use time::OffsetDateTime;

/// Bytes that are written at once.
const BATCH: usize = 1 << 20;
/// Names that are tried for a new file.
const MOST_NAMES: u64 = 1_000;

/// The last entry of a file and when it was written, or the first flaw.
type Last = Result<(Head, OffsetDateTime), Found>;

/// The end of the chain, as the disk has it.
#[derive(Clone, Copy, Debug)]
struct Tail {
    /// The file, by the number of its first entry.
    file: u64,
    /// Its bytes and lines.
    length: u64,
    lines: u64,
    /// Its last entry.
    head: Head,
}

/// Entries that wait for the disk, without their numbers.
#[derive(Default)]
struct Pending {
    bodies: Vec<u8>,
    /// Where each ends, what type it has and when it happened.
    entries: Vec<(usize, &'static str, OffsetDateTime)>,
    /// How many of them came through the queue.
    queued: usize,
}

pub(super) struct Writer {
    folder: Folder,
    settings: Settings,
    gateway: String,
    shared: Arc<Shared>,
    /// For what the look at the older files finds.
    queue: Sender<Message>,
    tail: Tail,
    pending: Pending,
    flushes: Vec<SyncSender<()>>,
    /// Whether a failed write may have left something behind the end.
    is_torn: bool,
    /// Whether it is known that nothing can be written.
    is_failing: bool,
    /// Whether nobody sends anything any more.
    is_over: bool,
}

impl Writer {
    pub fn new(
        folder: Folder,
        settings: Settings,
        gateway: String,
        shared: Arc<Shared>,
        queue: Sender<Message>,
    ) -> Self {
        let head = Head { seq: 0, hash: Hash::NONE };
        let tail = Tail { file: 0, length: 0, lines: 0, head };
        Self {
            folder,
            settings,
            gateway,
            shared,
            queue,
            tail,
            pending: Pending::default(),
            flushes: Vec::new(),
            is_torn: false,
            is_failing: false,
            is_over: false,
        }
    }

    /// Until nobody is left who could send something, or it is to stop and cannot write.
    pub fn run(mut self, messages: &Receiver<Message>) {
        while let Err(error) = self.begin() {
            if !self.wait(&error) {
                return self.give_up();
            }
        }
        while let Ok(message) = messages.recv() {
            self.take(message);
            self.gather(messages);
            if !self.commit() {
                return self.give_up();
            }
            if self.is_over {
                return;
            }
            self.tell_of_losses();
            self.flushes.drain(..).for_each(|flush| {
                // Whoever waited may have given up.
                let _ = flush.send(());
            });
        }
    }

    /// Takes what comes within a moment: the disk is asked once for all of it.
    fn gather(&mut self, messages: &Receiver<Message>) {
        let until = Instant::now() + self.settings.gather;
        while !self.is_over && self.flushes.is_empty() && self.pending.bodies.len() < BATCH {
            match messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(message) => self.take(message),
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Lot(Lot { time, entries, count, kind: _ }) => {
                let mut made = 0;
                for entry in entries {
                    made += 1;
                    self.pending.queued += 1;
                    self.add(time, &entry);
                    if self.pending.bodies.len() >= BATCH && !self.commit() {
                        return;
                    }
                }
                self.shared.wrote(count.saturating_sub(made));
            }
            Message::Checked(flaws, more) => self.tell_of_flaws(flaws, more),
            Message::Flush(done) => self.flushes.push(done),
            Message::End => self.is_over = true,
        }
    }

    /// Puts an entry into words.
    fn add(&mut self, time: OffsetDateTime, entry: &Entry) {
        let Pending { bodies, entries, .. } = &mut self.pending;
        let before = bodies.len();
        let written = serde_json::to_writer(&mut *bodies, &Body { time, entry });
        // Room for the number, and what seals it.
        let is_too_long = bodies.len() - before > LONGEST - 1024;
        if let Err(error) = written {
            tracing::error!(%error, kind = entry.kind(), "an entry of the audit trail cannot be put into words");
            bodies.truncate(before);
            self.shared.lose(entry.kind(), 1);
        } else if is_too_long {
            tracing::error!(kind = entry.kind(), "an entry of the audit trail is too long");
            bodies.truncate(before);
            self.shared.lose(entry.kind(), 1);
        } else {
            entries.push((bodies.len(), entry.kind(), time));
        }
    }

    /// Brings what waits to the disk. False if it is to stop and cannot.
    fn commit(&mut self) -> bool {
        while !self.pending.entries.is_empty() {
            if let Err(error) = self.try_commit()
                && !self.wait(&error)
            {
                return false;
            }
        }
        let queued = std::mem::take(&mut self.pending.queued);
        self.shared.wrote(queued);
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("the audit trail can be written again");
        }
        true
    }

    fn try_commit(&mut self) -> io::Result<()> {
        if self.tail.length >= self.settings.file_size {
            self.turn_over()?;
        }
        if self.is_torn {
            self.folder.cut(self.tail.file, self.tail.length)?;
            self.is_torn = false;
        }
        let (lines, head) = lines(&self.pending, self.tail.head);
        match self.folder.append(self.tail.file, self.tail.length, &lines) {
            Ok(()) => {}
            Err(AppendError::Io(error)) if error.kind() == io::ErrorKind::NotFound && self.folder.path.is_dir() => {
                return self.restart_after(Flaw::Empty);
            }
            Err(AppendError::Io(error)) => {
                self.is_torn = true;
                return Err(error);
            }
            Err(AppendError::Otherwise { expected, found }) => {
                tracing::error!(
                    file = file_name(self.tail.file),
                    expected,
                    found,
                    "somebody else wrote to the audit trail"
                );
                return self.restart_after(Flaw::Resized);
            }
        }
        let Tail { file, length, lines: before, .. } = self.tail;
        let entries = std::mem::take(&mut self.pending.entries);
        self.pending.bodies.clear();
        self.tail = Tail { file, length: length + lines.len() as u64, lines: before + entries.len() as u64, head };
        self.publish(&entries);
        Ok(())
    }

    /// What the disk has can be shown.
    fn publish(&self, entries: &[(usize, &'static str, OffsetDateTime)]) {
        let Tail { file, length, head, .. } = self.tail;
        let Some((.., time)) = entries.last() else { return };
        for (_, kind, _) in entries {
            self.shared.metrics.kept(kind, head.seq);
        }
        self.shared.publish(Kept { head, time: *time, file, length });
    }

    /// Says what had to be left out, now that there is room again.
    fn tell_of_losses(&mut self) {
        if !self.shared.has_much_room() {
            return;
        }
        if let Some((since, entries)) = self.shared.losses() {
            self.add(OffsetDateTime::now_utc(), &Entry::EntriesLost { since, entries });
            // It is tried again with what comes next, if it must be.
            self.commit();
        }
    }

    /// Logs a failure, once, and waits. False if it is to stop instead.
    fn wait(&mut self, error: &io::Error) -> bool {
        if !std::mem::replace(&mut self.is_failing, true) {
            let folder = self.folder.path.display();
            tracing::error!(%error, %folder, "the audit trail cannot be written; entries wait, and it is tried again");
        }
        if !self.shared.is_to_stop() {
            std::thread::park_timeout(self.settings.retry);
        }
        !self.shared.is_to_stop()
    }

    fn give_up(&self) {
        tracing::error!(
            entries = self.shared.waiting(),
            "the daemon stops, and the audit trail lacks what could not be written"
        );
    }

    /// The next file begins, which carries on the chain.
    fn turn_over(&mut self) -> io::Result<()> {
        let first = self.tail.head.seq.saturating_add(1);
        let after = file_name(self.tail.file);
        let begun = Entry::FileBegun { gateway: self.gateway.clone(), after };
        match self.create(first, self.tail.head.hash, &begun) {
            // Not ours.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = Found { file: file_name(first), line: 1, flaw: Flaw::Unreadable };
                self.restart(first.saturating_add(1), found, Some(first))
            }
            created => created,
        }
    }

    fn create(&mut self, first: u64, prev: Hash, entry: &Entry) -> io::Result<()> {
        let time = OffsetDateTime::now_utc();
        let mut bodies = Vec::new();
        serde_json::to_writer(&mut bodies, &Body { time, entry })?;
        let entries = vec![(bodies.len(), entry.kind(), time)];
        let before = Head { seq: first.saturating_sub(1), hash: prev };
        let (lines, head) = lines(&Pending { bodies, entries: entries.clone(), queued: 0 }, before);
        self.folder.create(first, &lines)?;
        self.is_torn = false;
        self.tail = Tail { file: first, length: lines.len() as u64, lines: 1, head };
        self.publish(&entries);
        Ok(())
    }

    /// Finds the end of the chain, or begins one.
    fn begin(&mut self) -> io::Result<()> {
        self.folder.make()?;
        let files = self.folder.files()?;
        let Some(last) = files.last().copied() else {
            let gateway = self.gateway.clone();
            return self.create(1, Hash::NONE, &Entry::TrailBegan { gateway, version: env!("CARGO_PKG_VERSION") });
        };
        let (end, outcome) = self.look_at_the_last(last)?;
        match outcome {
            Err(found) => self.restart(last.saturating_add(end.lines), found, Some(last))?,
            Ok((head, time)) => {
                let End { lines, whole, rest } = end;
                if rest > 0 {
                    let moved_to = self.folder.put_aside(last, whole)?;
                    let file = file_name(last);
                    tracing::warn!(file, moved_to, "the last line of the audit trail had no end, and was moved aside");
                    let unfinished = Entry::UnfinishedLine { file, line: lines + 1, bytes: rest, moved_to };
                    self.add(OffsetDateTime::now_utc(), &unfinished);
                }
                self.tail = Tail { file: last, length: whole, lines, head };
                self.shared.publish(Kept { head, time, file: last, length: whole });
            }
        }
        self.look_at_the_others(files);
        Ok(())
    }

    /// What the last file came to.
    fn look_at_the_last(&self, last: u64) -> io::Result<(End, Last)> {
        let (mut follower, mut flaw, mut head) = (Follower::default(), None, None);
        let end = check::walk(self.folder.open(last)?, last, &mut follower, 0, &mut |line| {
            if let Some(found) = line.flaw {
                flaw.get_or_insert(Found { file: file_name(last), line: line.number, flaw: found });
            }
            head = line.link.map(|link| (link.head(), moment(link.time)));
            ControlFlow::Continue(())
        })?;
        let at_the_end = |flaw| Found { file: file_name(last), line: end.lines + 1, flaw };
        let outcome = match (flaw, head) {
            (Some(found), _) => Err(found),
            (None, Some(head)) if end.rest <= LONGEST as u64 => Ok(head),
            (None, Some(_)) => Err(at_the_end(Flaw::Unreadable)),
            (None, None) => Err(at_the_end(if end.rest > 0 { Flaw::Unfinished } else { Flaw::Empty })),
        };
        Ok((end, outcome))
    }

    /// What is behind the end of the chain is not what was written there: a new one begins.
    fn restart_after(&mut self, flaw: Flaw) -> io::Result<()> {
        let Tail { file, lines, head, .. } = self.tail;
        let found = Found { file: file_name(file), line: lines + 1, flaw };
        self.restart(head.seq.saturating_add(1), found, Some(file))
    }

    /// Begins a chain with the number `first` or a later one.
    fn restart(&mut self, first: u64, found: Found, broken: Option<u64>) -> io::Result<()> {
        let files = self.folder.files()?;
        let taken = |first: &u64| !files.contains(first);
        let first = (first..first.saturating_add(MOST_NAMES)).find(taken).ok_or(io::ErrorKind::AlreadyExists)?;
        let sha256 = broken.and_then(|file| self.fingerprint(file).ok());
        let Found { file, line, flaw } = found.clone();
        tracing::error!(
            file,
            line,
            flaw = flaw.label(),
            "the audit trail is broken; it is left as it is, and a new chain begins"
        );
        let entry = Entry::ChainBroken { gateway: self.gateway.clone(), found: broken_at(&found), sha256 };
        self.create(first, Hash::NONE, &entry)?;
        self.shared.broken(vec![found]);
        Ok(())
    }

    /// Of a file as it was found, so that nobody puts another one in its place later.
    fn fingerprint(&self, file: u64) -> io::Result<String> {
        let (mut file, mut digest) = (self.folder.open(file)?, Digester(Sha256::new()));
        io::copy(&mut file, &mut digest)?;
        let hash: [u8; 32] = digest.0.finalize().into();
        Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn tell_of_flaws(&mut self, flaws: Vec<Found>, more: u64) {
        let Some(first) = flaws.first() else { return };
        let Found { file, line, flaw } = first;
        tracing::error!(
            file,
            line,
            flaw = flaw.label(),
            "the audit trail is broken; `portcullis audit verify` says more"
        );
        let more = more.saturating_add(flaws.len() as u64 - 1);
        self.add(OffsetDateTime::now_utc(), &Entry::BreakFound { found: broken_at(first), more });
        self.shared.broken(flaws);
    }

    /// Verifies the files before the last one, on a thread of its own: entries do not wait for that.
    fn look_at_the_others(&self, files: Vec<u64>) {
        if files.len() < 2 {
            return;
        }
        let (folder, shared, queue) = (self.folder.clone(), Arc::clone(&self.shared), self.queue.clone());
        let look = move || match others(&folder, &files, &shared) {
            Ok((flaws, _)) if flaws.is_empty() => {}
            // The writer is gone when the daemon stops.
            Ok((flaws, more)) => drop(queue.send(Message::Checked(flaws, more))),
            Err(error) => tracing::error!(%error, "older files of the audit trail cannot be read"),
        };
        if let Err(error) = std::thread::Builder::new().name("audit-check".into()).spawn(look) {
            tracing::error!(%error, "older files of the audit trail are not verified");
        }
    }
}

/// Flaws of all files but the last, and of how that follows them.
fn others(folder: &Folder, files: &[u64], shared: &Shared) -> io::Result<(Vec<Found>, u64)> {
    let (mut follower, mut flaws, mut more) = (Follower::default(), Vec::new(), 0_u64);
    for (at, first) in files.iter().enumerate() {
        let is_last = at + 1 == files.len();
        let mut found = |line, flaw| {
            if flaws.len() < 16 {
                flaws.push(Found { file: file_name(*first), line, flaw });
            } else {
                more = more.saturating_add(1);
            }
        };
        let end = check::walk(folder.open(*first)?, *first, &mut follower, 0, &mut |line| {
            if let Some(flaw) = line.flaw {
                found(line.number, flaw);
            }
            if is_last || shared.is_to_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if shared.is_to_stop() {
            break;
        }
        if !is_last && end.rest > 0 {
            found(end.lines + 1, Flaw::Unfinished);
        } else if !is_last && end.lines == 0 {
            found(1, Flaw::Empty);
        }
    }
    Ok((flaws, more))
}

/// The lines of what waits, and the last of them.
fn lines(pending: &Pending, mut head: Head) -> (Vec<u8>, Head) {
    let mut lines = Vec::with_capacity(pending.bodies.len() + pending.entries.len() * 192);
    let mut from = 0;
    for (to, ..) in &pending.entries {
        let (begin, seq) = (lines.len(), head.seq.saturating_add(1));
        // Writing to memory does not fail.
        let _ = write!(lines, "{{\"seq\":{seq},");
        lines.extend_from_slice(pending.bodies.get(from + 1..*to).unwrap_or_default());
        head = Head { seq, hash: seal(&mut lines, begin, head.hash) };
        from = *to;
    }
    (lines, head)
}

fn broken_at(found: &Found) -> Broken {
    let Found { file, line, flaw } = found;
    Broken { file: file.clone(), line: *line, flaw: flaw.label(), means: flaw.to_string() }
}

/// When an entry was written, as it says.
fn moment(time: &str) -> OffsetDateTime {
    OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

struct Digester(Sha256);

impl io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("tail", &self.tail).finish_non_exhaustive()
    }
}
