//! One task for each export: from its cursor on through the archive, batch by batch, until the receiver has taken each.

use super::cursor::{CursorFile, Found};
use super::metrics::{ExportMetrics, OneExport};
use super::settings::{Begin, Destination, ExportSettings};
use super::to::Receiver;
use super::to::otlp::Pusher;
use super::{Failure, Unusable};
use crate::record::{Archive, Archived, SearchError};
use prometheus::Registry;
use rand::RngExt as _;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};

/// How often it is looked whether there is more.
const PAUSE: Duration = Duration::from_millis(250);
/// How often what is behind is counted while a receiver is left alone.
const LOOK: Duration = Duration::from_secs(1);
/// How long a receiver is left alone after a first failure; twice as long after each further one.
const FIRST_REST: Duration = Duration::from_millis(500);
/// And at most.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// How long a receiver may ask to be left alone.
const LONGEST_ASKED: Duration = Duration::from_secs(600);
/// How often the cursor is written, at most: what has been sent since is sent again after a crash.
const KEEP: Duration = Duration::from_secs(1);

/// What receivers are told of where records come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The gateway's name.
    pub gateway: String,
}

/// What has to be ended when the daemon ends.
type Tasks = Vec<JoinHandle<()>>;

/// All exports. Cheap to clone.
#[derive(Clone, Default)]
pub struct Exports(Arc<[Arc<Export>]>);

/// An export.
pub struct Export {
    settings: ExportSettings,
    cursor: CursorFile,
    metrics: OneExport,
    progress: Mutex<Progress>,
}

#[derive(Clone, Default)]
struct Progress {
    /// The number of the last record that the receiver has taken; `None` before that is known.
    after: Option<u64>,
    /// What the disk has of that.
    kept: Option<u64>,
    behind: u64,
    /// When the oldest record was made that waits.
    waiting_since: Option<OffsetDateTime>,
    /// Why the receiver takes nothing now, and since when.
    failing: Option<(Failure, OffsetDateTime)>,
}

/// How an export is.
#[derive(Clone, PartialEq, Debug)]
pub struct ExportStatus {
    /// Its name.
    pub name: String,
    /// As `to` says it.
    pub to: &'static str,
    /// Where that is.
    pub address: String,
    /// The number of the last record that the receiver has taken; `None` before that is known.
    pub after: Option<u64>,
    /// Records that wait.
    pub behind: u64,
    /// How old the oldest of them is, in seconds.
    pub lag: f64,
    /// Records that the receiver has taken since the daemon started.
    pub sent: u64,
    /// Records that were given up before that, or were in a damaged segment.
    pub missed: u64,
    /// Why the receiver takes nothing now, and since when.
    pub failing: Option<(Failure, OffsetDateTime)>,
}

/// Starts a task for each.
///
/// # Errors
/// If one of them cannot be set up: its name, and why.
pub fn start(
    settings: &[ExportSettings],
    archive: &Archive,
    folder: &Path,
    registry: &Registry,
    origin: Origin,
) -> Result<(Exports, Tasks), Unusable> {
    if settings.is_empty() {
        return Ok((Exports::default(), Vec::new()));
    }
    // Another family of these names would be a mistake in the program, which the tests of the metrics would have found.
    let metrics = ExportMetrics::new(registry).map_err(|error| Unusable::new("", error))?;
    let origin = Arc::new(origin);
    let (mut exports, mut receivers, mut pushers) = (Vec::new(), Vec::new(), Vec::new());
    for settings in settings {
        receivers.push(receiver(settings, &origin)?);
        if let Destination::Otlp(otlp) = &settings.destination {
            let pushes = || metrics.pushes(&settings.name);
            let pusher = Pusher::new(&settings.name, otlp, &origin, registry, pushes);
            pushers.extend(pusher.map_err(|error| Unusable::new(&settings.name, error))?);
        }
        exports.push(Arc::new(Export {
            settings: settings.clone(),
            cursor: CursorFile::of(folder, &settings.name),
            metrics: metrics.of(&settings.name),
            progress: Mutex::default(),
        }));
    }
    let run =
        |(export, receiver): (&Arc<Export>, Receiver)| tokio::spawn(Arc::clone(export).run(archive.clone(), receiver));
    let pushing = pushers.into_iter().map(|pusher| tokio::spawn(pusher.run()));
    let tasks = exports.iter().zip(receivers).map(run).chain(pushing).collect();
    Ok((Exports(exports.into()), tasks))
}

/// Whether they could be started: the files that they name are there.
///
/// # Errors
/// The name of the first that could not, and why.
pub fn check(settings: &[ExportSettings]) -> Result<(), Unusable> {
    let origin = Arc::new(Origin { gateway: String::new() });
    settings.iter().try_for_each(|settings| receiver(settings, &origin).map(drop))
}

fn receiver(settings: &ExportSettings, origin: &Arc<Origin>) -> Result<Receiver, Unusable> {
    Receiver::new(settings, origin).map_err(|error| Unusable::new(&settings.name, error))
}

impl Exports {
    /// How they are.
    #[must_use]
    pub fn status(&self) -> Vec<ExportStatus> {
        self.0.iter().map(|export| export.status()).collect()
    }

    /// Writes all cursors, after the tasks have been ended.
    pub fn keep(&self) {
        self.0.iter().for_each(|export| export.keep());
    }
}

impl Export {
    fn with<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn status(&self) -> ExportStatus {
        let Progress { after, behind, waiting_since, failing, .. } = self.with(|progress| progress.clone());
        ExportStatus {
            name: self.settings.name.clone(),
            to: self.settings.destination.label(),
            address: self.settings.destination.address(),
            after,
            behind,
            lag: lag(waiting_since),
            sent: self.metrics.records.get(),
            missed: self.metrics.missed.get(),
            failing,
        }
    }

    async fn run(self: Arc<Self>, archive: Archive, mut receiver: Receiver) {
        let mut after = self.begin(&archive).await;
        let (mut kept_at, mut hindrance) = (Instant::now(), None);
        loop {
            let read = self.read(&archive, after).await;
            self.tell(&mut hindrance, read.as_ref().err());
            let is_idle = read.as_ref().map_or(true, Vec::is_empty);
            after = match read {
                Ok(read) if !read.is_empty() => self.pass_on(&archive, &mut receiver, after, read).await,
                Ok(_) => self.pass_over(&archive, after),
                Err(_) => self.stay(&archive, after),
            };
            self.with(|progress| progress.after = Some(after));
            if is_idle {
                sleep(PAUSE).await;
            }
            if kept_at.elapsed() >= KEEP {
                let export = Arc::clone(&self);
                // A cursor that could not be written has been complained of.
                drop(spawn_blocking(move || export.keep()).await);
                kept_at = Instant::now();
            }
        }
    }

    /// Where to go on, once the archive knows what is in it.
    async fn begin(&self, archive: &Archive) -> u64 {
        let extent = loop {
            match archive.extent() {
                Some(extent) => break extent,
                None => sleep(PAUSE).await,
            }
        };
        let oldest = extent.start.saturating_sub(1);
        let newest = extent.end.saturating_sub(1);
        let found = self.cursor.read().unwrap_or_else(|error| {
            tracing::error!(path = %self.cursor.path().display(), %error, "the cursor of an export cannot be read");
            Found::Unreadable
        });
        let after = match found {
            // The archive has been begun anew since: nothing in it has been sent.
            Found::After(after) if after > newest => {
                tracing::warn!(
                    export = self.settings.name,
                    after,
                    newest,
                    "the archive has no record as new as the last that was passed on; going on with its oldest"
                );
                oldest
            }
            Found::After(after) => after,
            Found::New if self.settings.begin == Begin::Now => newest,
            Found::New => oldest,
            Found::Unreadable => {
                let export = self.settings.name.as_str();
                tracing::warn!(export, "nobody knows how far it has come: all that is kept is passed on again");
                oldest
            }
        };
        self.with(|progress| progress.after = Some(after));
        if found != Found::After(after) {
            self.keep();
        }
        after
    }

    /// What comes next.
    async fn read(&self, archive: &Archive, after: u64) -> Result<Vec<Archived>, SearchError> {
        let (archive, batch) = (archive.clone(), self.settings.batch);
        // Nothing if the daemon stops.
        spawn_blocking(move || archive.after(after, batch)).await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    /// Says what keeps records from being read: once, and again when it is something else.
    fn tell(&self, known: &mut Option<String>, hindrance: Option<&SearchError>) {
        let export = self.settings.name.as_str();
        let hindrance = hindrance.map(ToString::to_string);
        match &hindrance {
            Some(error) if known.as_ref() != Some(error) => {
                tracing::warn!(export, error, "records cannot be read to be passed on: they wait");
            }
            None if known.is_some() => tracing::info!(export, "records can be read again to be passed on"),
            _ => {}
        }
        *known = hindrance;
    }

    /// Passes on what was read, and returns how far that is.
    async fn pass_on(&self, archive: &Archive, receiver: &mut Receiver, after: u64, read: Vec<Archived>) -> u64 {
        let (Some(first), Some(last)) = (read.first(), read.last().map(|record| record.sequence)) else { return after };
        let passed = last.saturating_sub(after);
        self.missed(passed.saturating_sub(read.len() as u64));
        self.look(archive, after, first.time());
        self.deliver(archive, receiver, after, self.wanted(read)).await;
        last
    }

    /// There is nothing: all that was to come may be gone.
    fn pass_over(&self, archive: &Archive, after: u64) -> u64 {
        let oldest = archive.extent().map_or(0, |extent| extent.start);
        self.missed(oldest.saturating_sub(after).saturating_sub(1));
        let after = after.max(oldest.saturating_sub(1));
        self.look(archive, after, None);
        after
    }

    /// What comes next cannot be read now: it waits, and if nothing waited before nobody knows since when.
    fn stay(&self, archive: &Archive, after: u64) -> u64 {
        let since = self.with(|progress| progress.waiting_since).unwrap_or_else(OffsetDateTime::now_utc);
        self.look(archive, after, Some(since));
        after
    }

    fn wanted(&self, mut records: Vec<Archived>) -> Vec<Archived> {
        let types: BTreeSet<_> = self.settings.types.iter().copied().collect();
        if !types.is_empty() {
            records.retain(|record| types.contains(record.kind()));
        }
        records
    }

    /// So many numbers are gone: the archive gave them up, or they were in a segment that was damaged. When the one that is
    /// appended to is damaged nobody knows how far it went, and the next one begins behind all that it may have held: then
    /// many of these numbers nobody had.
    fn missed(&self, missed: u64) {
        if missed > 0 {
            self.metrics.missed.inc_by(missed);
            tracing::error!(
                export = self.settings.name,
                missed,
                "records that were not passed on yet were given up, or were in a damaged segment; raise `records.keep_bytes`, look at the disk"
            );
        }
    }

    fn look(&self, archive: &Archive, after: u64, waiting_since: Option<OffsetDateTime>) {
        let newest = archive.extent().map_or(0, |extent| extent.end.saturating_sub(1));
        let behind = newest.saturating_sub(after);
        self.metrics.behind.set(i64::try_from(behind).unwrap_or(i64::MAX));
        self.metrics.lag.set(lag(waiting_since));
        self.with(|progress| {
            progress.behind = behind;
            progress.waiting_since = waiting_since;
        });
    }

    /// Sends a batch until it is taken.
    async fn deliver(&self, archive: &Archive, receiver: &mut Receiver, after: u64, records: Vec<Archived>) {
        let waiting_since = records.first().and_then(Archived::time);
        let mut rest = FIRST_REST;
        while let Err(failure) = if records.is_empty() { Ok(()) } else { receiver.send(&records).await } {
            self.metrics.failed(&failure);
            self.failed(&failure);
            let asked = failure.retry_after().map_or(Duration::ZERO, |asked| asked.min(LONGEST_ASKED));
            // Many gateways whose receiver comes back do not all come at once.
            let wait = rest.mul_f64(rand::rng().random_range(0.75..1.25)).max(asked);
            rest = (rest * 2).min(LONGEST_REST);
            let until = Instant::now() + wait;
            while Instant::now() < until {
                self.look(archive, after, waiting_since);
                sleep(LOOK.min(until - Instant::now())).await;
            }
        }
        self.metrics.records.inc_by(records.len() as u64);
        if let Some((_, since)) = self.with(|progress| progress.failing.take()) {
            let export = self.settings.name.as_str();
            tracing::info!(
                export,
                seconds = (OffsetDateTime::now_utc() - since).whole_seconds(),
                "it takes records again"
            );
        }
    }

    /// Says so once, and again when the reason is another.
    fn failed(&self, failure: &Failure) {
        let is_known = self.with(|progress| {
            let known = progress.failing.take();
            let is_known = known.as_ref().is_some_and(|(known, _)| known == failure);
            let since = known.map_or_else(OffsetDateTime::now_utc, |(_, since)| since);
            progress.failing = Some((failure.clone(), since));
            is_known
        });
        if !is_known {
            let ExportSettings { name, destination, .. } = &self.settings;
            let address = destination.address();
            tracing::warn!(export = name, address, %failure, "a receiver does not take records: they are kept, and sent again");
        }
    }

    /// Writes the cursor, if it has moved.
    fn keep(&self) {
        let (after, kept) = self.with(|progress| (progress.after, progress.kept));
        let Some(after) = after.filter(|after| Some(*after) != kept) else { return };
        match self.cursor.write(after) {
            Ok(()) => self.with(|progress| progress.kept = Some(after)),
            Err(error) => {
                let path = self.cursor.path().display();
                tracing::error!(%path, %error, "the cursor of an export cannot be written: after a restart records are sent again");
            }
        }
    }
}

/// Seconds since then; 0 if nothing waits.
fn lag(waiting_since: Option<OffsetDateTime>) -> f64 {
    waiting_since.map_or(0.0, |since| (OffsetDateTime::now_utc() - since).as_seconds_f64().max(0.0))
}
