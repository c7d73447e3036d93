//! Writing the access log: a thread of its own, a bounded queue before it, and a file that may be rotated.

use super::line::Record;
use super::lot::Lot;
use bytes::{BufMut as _, BytesMut};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes that are written at once.
const BATCH: usize = 64 * 1024;
/// Records that may wait to be written.
const QUEUE: usize = 65_536;

/// Where lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sink {
    /// Nowhere.
    Nowhere,
    /// Standard output.
    Stdout,
    /// The end of a file, made if it is not there, opened anew on [`AccessLog::reopen`].
    File(PathBuf),
}

enum Message {
    Record(Arc<Record>),
    Lot(Lot),
    Reopen,
    /// Answers when everything before it is written.
    Flush(SyncSender<()>),
}

/// The way to the log. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    queue: Option<SyncSender<Message>>,
}

impl AccessLog {
    /// Opens the sink and starts the thread.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn start(sink: Sink) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match &sink {
            Sink::Nowhere => return Ok(Self { queue: None }),
            Sink::Stdout => Box::new(io::stdout()),
            Sink::File(path) => Box::new(open(path)?),
        };
        let (queue, messages) = sync_channel(QUEUE);
        let writer = Writer { out, sink, lines: BytesMut::with_capacity(BATCH) };
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(&messages, writer))?;
        Ok(Self { queue: Some(queue) })
    }

    /// Queues a record. False if the queue is full or the thread is gone.
    #[must_use]
    pub(super) fn put(&self, record: &Arc<Record>) -> bool {
        let Some(queue) = &self.queue else { return true };
        queue.try_send(Message::Record(Arc::clone(record))).is_ok()
    }

    /// Queues many records as one. False if the queue is full or the thread is gone.
    #[must_use]
    pub(super) fn put_lot(&self, lot: &Lot) -> bool {
        let Some(queue) = &self.queue else { return true };
        queue.try_send(Message::Lot(lot.clone())).is_ok()
    }

    /// Opens the file anew, after it was moved away.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue
            && queue.try_send(Message::Reopen).is_err()
        {
            tracing::warn!("the access log is too busy to be opened anew");
        }
    }

    /// Waits until everything that is queued is written.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if let Some(queue) = &self.queue
            && queue.send(Message::Flush(done)).is_ok()
        {
            // An error means that the thread is gone, and with it whatever was left to write.
            let _ = written.recv();
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path);
    file.map_err(|error| io::Error::new(error.kind(), format!("access log `{}`: {error}", path.display())))
}

/// Lines that wait to be written, and where to. What cannot be written is dropped, and said so.
struct Writer {
    out: Box<dyn Write + Send>,
    sink: Sink,
    lines: BytesMut,
}

fn write(messages: &Receiver<Message>, mut writer: Writer) {
    while let Ok(message) = messages.recv() {
        let mut next = Some(message);
        while let Some(message) = next.take() {
            writer.take(message);
            next = messages.try_recv().ok();
        }
        writer.flush();
    }
}

impl Writer {
    fn take(&mut self, message: Message) {
        match message {
            Message::Record(record) => self.line(&record),
            Message::Lot(lot) => (0..lot.len()).filter_map(|at| lot.record(at)).for_each(|record| self.line(&record)),
            Message::Reopen => {
                self.flush();
                if let Sink::File(path) = &self.sink {
                    report(open(path).map(|file| self.out = Box::new(file)));
                }
            }
            Message::Flush(done) => {
                self.flush();
                // Whoever waited may have given up.
                let _ = done.send(());
            }
        }
    }

    fn line(&mut self, record: &Record) {
        let complete = self.lines.len();
        match serde_json::to_writer((&mut self.lines).writer(), record) {
            Ok(()) => self.lines.put_u8(b'\n'),
            Err(error) => {
                // Half a line would spoil the next one.
                self.lines.truncate(complete);
                report(Err(error.into()));
            }
        }
        if self.lines.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        report(self.out.write_all(&self.lines).and_then(|()| self.out.flush()));
        self.lines.clear();
    }
}

fn report(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "the access log could not be written");
    }
}
