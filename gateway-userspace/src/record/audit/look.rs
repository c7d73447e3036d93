//! Looking for entries, the newest first: files are read from their ends, and no more of them than a question may cost.

use super::check::LONGEST;
use super::folder::Folder;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::str::FromStr;
use time::{Duration, OffsetDateTime};

/// Bytes that one question may cost.
const MOST_BYTES: u64 = 32 << 20;
/// Bytes that are read at once.
const BLOCK: usize = 256 << 10;
/// An entry so much older than what is asked for ends the search: clocks are set back, but not by more than this without
/// anybody asking for everything.
const SLACK: Duration = Duration::hours(1);

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Of this type.
    pub kind: Option<String>,
    /// About this user.
    pub user: Option<String>,
    /// Done by this one.
    pub by: Option<String>,
    /// Not before.
    pub since: Option<OffsetDateTime>,
    /// Before.
    pub until: Option<OffsetDateTime>,
    /// At most so many.
    pub limit: usize,
    /// Before this place; from the end if it is left out.
    pub before: Option<Place>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// Lines of the trail, as they stand there.
    pub lines: Vec<Box<RawValue>>,
    /// Where to go on; `None` if there is nothing more. Without a line it may go on, too: a question has its price.
    pub next: Option<Place>,
}

/// A place between two entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file, by the number of its first entry.
    pub(super) file: u64,
    /// The byte in it.
    pub(super) offset: u64,
}

/// Something that is no place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no cursor of the audit trail; pass the `next_cursor` of the page before, or none")]
pub struct NotAPlace(pub String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.file, self.offset)
    }
}

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text
            .split_once('-')
            .and_then(|(file, offset)| Some(Self { file: file.parse().ok()?, offset: offset.parse().ok()? }));
        parts.ok_or_else(|| NotAPlace(text.to_owned()))
    }
}

/// What a question can be about.
#[derive(Deserialize)]
struct Seen<'l> {
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    #[serde(rename = "type", borrow)]
    kind: Cow<'l, str>,
    #[serde(borrow)]
    user: Option<Cow<'l, str>>,
    #[serde(borrow)]
    by: Option<Cow<'l, str>>,
}

impl Look {
    fn matches(&self, seen: &Seen<'_>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&Cow<'_, str>>| {
            wanted.as_ref().is_none_or(|wanted| found.is_some_and(|found| found == wanted))
        };
        is(&self.kind, Some(&seen.kind))
            && is(&self.user, seen.user.as_ref())
            && is(&self.by, seen.by.as_ref())
            && self.since.is_none_or(|since| seen.time >= since)
            && self.until.is_none_or(|until| seen.time < until)
    }

    fn is_over(&self, seen: &Seen<'_>) -> bool {
        let since = self.since.and_then(|since| since.checked_sub(SLACK));
        since.is_some_and(|since| seen.time < since)
    }
}

/// Looks before `end`, which is where the trail ends.
pub(super) fn look(folder: &Folder, end: Place, look: &Look) -> io::Result<Looked> {
    let from = look.before.filter(|place| (place.file, place.offset) <= (end.file, end.offset)).unwrap_or(end);
    let (mut looked, mut left) = (Looked::default(), MOST_BYTES);
    for first in folder.files()?.into_iter().rev().filter(|first| *first <= from.file) {
        let file = folder.open(first)?;
        let length = file.metadata()?.len();
        let to = if first == from.file { from.offset.min(length) } else { length };
        let outcome = backwards(&file, to, &mut |offset, line| {
            left = left.saturating_sub(line.len() as u64 + 1);
            // What is no entry is for `verify` to tell.
            if let Ok(seen) = serde_json::from_slice::<Seen<'_>>(line) {
                if look.is_over(&seen) {
                    looked.next = None;
                    return ControlFlow::Break(());
                }
                if look.matches(&seen) {
                    looked.lines.extend(serde_json::from_slice(line));
                }
            }
            if looked.lines.len() >= look.limit || left == 0 {
                looked.next = Some(Place { file: first, offset });
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if outcome.is_break() {
            break;
        }
    }
    Ok(looked)
}

/// The lines of a file up to a place, the last first, with where each begins. What has no end is no line.
fn backwards(
    file: &File,
    mut end: u64,
    each: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let (mut size, mut block) = (BLOCK, Vec::new());
    while end > 0 {
        let length = usize::try_from(end).unwrap_or(usize::MAX).min(size);
        let start = end - length as u64;
        block.resize(length, 0);
        file.read_exact_at(&mut block, start)?;
        // All that begins within the block; the whole of it where that is the beginning of the file.
        let ends = block.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        let mut edges: Vec<usize> = (start == 0).then_some(0).into_iter().chain(ends).collect();
        let Some(mut to) = edges.pop().filter(|_| !edges.is_empty()) else {
            // Half a line.
            if start == 0 {
                return Ok(ControlFlow::Continue(()));
            }
            if size > LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of the audit trail has no end"));
            }
            size *= 2;
            continue;
        };
        for from in edges.into_iter().rev() {
            let line = block.get(from..to.saturating_sub(1)).unwrap_or_default();
            if each(start + from as u64, line).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            to = from;
        }
        (end, size) = (start + to as u64, BLOCK);
    }
    Ok(ControlFlow::Continue(()))
}
