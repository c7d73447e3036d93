//! The folder of the archive: which segments there are, and what they hold. The writer changes it, whoever searches looks.

use super::segment::{self, Extent, SegmentError};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const BEFORE: &str = "records-";
const AFTER: &str = ".sqlite";
/// What the files of a segment have at their ends: SQLite's log and its index are part of it while it is open.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// All segments, by the number of the first record.
#[derive(Default)]
pub(super) struct Catalog {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    is_read: bool,
    /// The number that the next record had at least when the folder was read.
    next: u64,
    segments: BTreeMap<u64, Entry>,
}

/// A segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) extent: Extent,
    pub(super) state: State,
}

/// Where in its life a segment is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// It is appended to.
    Open,
    /// It is not, and has no indexes yet.
    Full,
    /// It never changes again.
    Sealed,
    /// Somebody has found that it is damaged while it was appended to.
    Damaged,
}

/// What is there, for the metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::record) struct Holding {
    pub(in crate::record) segments: usize,
    pub(in crate::record) bytes: u64,
    /// In microseconds since 1970; `None` while there is no record.
    pub(in crate::record) oldest: Option<i64>,
}

impl Catalog {
    fn with<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Learns what is in a folder. What is damaged is set aside. Returns the number that the next record has at least.
    pub(super) fn read(&self, folder: &Path, gap: u64) -> io::Result<u64> {
        let (mut segments, mut next) = (BTreeMap::new(), 1);
        let files = list(folder)?;
        let last = files.last().map(|(first, _)| *first);
        for (first, path) in files {
            // All numbers of others are below those of the next one.
            let beyond = if last == Some(first) { first.saturating_add(gap) } else { first };
            match segment::look(&path, first) {
                Ok((extent, is_sealed)) => {
                    next = next.max(extent.next);
                    let state = if is_sealed { State::Sealed } else { State::Full };
                    segments.insert(first, Entry { path, extent, state });
                }
                // One that was only begun to be made is made when it is opened to be written.
                Err(SegmentError::Unmade) => next = next.max(first),
                Err(error) if error.is_lasting() => {
                    set_aside(&path, &error);
                    next = next.max(beyond);
                }
                Err(error) => {
                    let path = path.display();
                    tracing::error!(%path, %error, "a segment of the archive cannot be read; it is left as it is");
                    next = next.max(beyond);
                }
            }
        }
        self.with(|held| *held = Held { is_read: true, next, segments });
        Ok(next)
    }

    /// All of them, the oldest first; `None` before the folder has been read.
    pub(super) fn all(&self) -> Option<Vec<Entry>> {
        self.with(|held| held.is_read.then(|| held.segments.values().cloned().collect()))
    }

    /// From the number of the oldest record to that of the next one to come; `None` before the folder has been read.
    pub(super) fn extent(&self) -> Option<Range<u64>> {
        self.with(|held| {
            let extents = || held.segments.values().map(|entry| entry.extent);
            let next = extents().map(|extent| extent.next).fold(held.next, u64::max);
            let oldest = extents().filter(|extent| extent.records() != 0).map(|extent| extent.first).min();
            held.is_read.then(|| oldest.unwrap_or(next)..next)
        })
    }

    pub(super) fn put(&self, entry: Entry) {
        self.with(|held| held.segments.insert(entry.extent.first, entry));
    }

    /// The segment has another state now.
    pub(super) fn turn(&self, first: u64, state: State) {
        self.with(|held| held.segments.get_mut(&first).map(|entry| entry.state = state));
    }

    /// The open segment holds more.
    pub(super) fn grow(&self, extent: Extent) {
        self.with(|held| held.segments.get_mut(&extent.first).map(|entry| entry.extent = extent));
    }

    pub(super) fn state(&self, first: u64) -> Option<State> {
        self.with(|held| held.segments.get(&first).map(|entry| entry.state))
    }

    pub(super) fn forget(&self, first: u64) {
        self.with(|held| held.segments.remove(&first));
    }

    /// Whoever searches has found that a segment is damaged. The writer looks after the one that it appends to.
    pub(super) fn damaged(&self, entry: &Entry, error: &SegmentError) {
        let first = entry.extent.first;
        match self.state(first) {
            Some(State::Open) => self.turn(first, State::Damaged),
            Some(State::Full | State::Sealed) => {
                self.forget(first);
                set_aside(&entry.path, error);
            }
            Some(State::Damaged) | None => {}
        }
    }

    /// Removes the oldest segments as long as there is more than `most` bytes, and those with nothing later than `since`. The
    /// open one stays.
    pub(super) fn retain(&self, most: u64, since: i64) {
        let entries = self.all().unwrap_or_default();
        let mut bytes: u64 = entries.iter().map(|entry| size(&entry.path)).sum();
        for entry in entries {
            let is_over = bytes > most || entry.extent.latest < since;
            if !is_over || matches!(entry.state, State::Open | State::Damaged) {
                break;
            }
            let held = size(&entry.path);
            match remove(&entry.path) {
                Ok(()) => {
                    bytes = bytes.saturating_sub(held);
                    self.forget(entry.extent.first);
                }
                Err(error) => {
                    tracing::error!(path = %entry.path.display(), %error, "a segment of the archive cannot be removed");
                    break;
                }
            }
        }
    }

    pub(super) fn holding(&self) -> Holding {
        let entries = self.all().unwrap_or_default();
        let oldest = entries.iter().filter(|entry| entry.extent.records() != 0).map(|entry| entry.extent.earliest);
        Holding {
            segments: entries.len(),
            bytes: entries.iter().map(|entry| size(&entry.path)).sum(),
            oldest: oldest.min(),
        }
    }
}

/// The file of the segment whose first record has this number.
pub(super) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{BEFORE}{first:016}{AFTER}"))
}

fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(BEFORE)?.strip_suffix(AFTER));
        if let Some(first) = number.and_then(|number| number.parse().ok()) {
            found.push((first, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn part(path: &Path, part: &str) -> PathBuf {
    let mut whole = OsString::from(path);
    whole.push(part);
    whole.into()
}

pub(super) fn size(path: &Path) -> u64 {
    let parts = PARTS.iter().filter(|name| **name != "-shm").map(|name| part(path, name));
    parts.filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum()
}

fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    for name in PARTS.iter().filter(|name| !name.is_empty()) {
        match std::fs::remove_file(part(path, name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Renames a damaged segment, so that nobody searches it and somebody can look at it.
pub(super) fn set_aside(path: &Path, error: &SegmentError) {
    let aside = part(path, ".damaged");
    let mut renamed = Ok(());
    for name in PARTS {
        let from = part(path, name);
        if from.exists() {
            renamed = renamed.and(std::fs::rename(&from, part(&aside, name)));
        }
    }
    let path = path.display();
    match renamed {
        Ok(()) => tracing::error!(
            %path, %error, aside = %aside.display(),
            "a segment of the archive is damaged and has been set aside; the others are searched"
        ),
        Err(problem) => {
            tracing::error!(%path, %error, %problem, "a segment of the archive is damaged and could not be set aside");
        }
    }
}
