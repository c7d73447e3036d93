//! Whether a trail is whole: reads its files from the first to the last, one line at a time, and says where something is
//! wrong. It asks no daemon, and changes nothing.

use super::chain::{BEGUN, BROKEN, Flaw, Follower, Head, Link};
use super::folder::{Folder, file_name};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// Bytes that a line has at most. No entry comes near it.
pub(super) const LONGEST: usize = 8 << 20;
/// Bytes that are read at once.
const BLOCK: usize = 1 << 20;
/// How many flaws are told of one by one.
const MOST: usize = 16;
/// The last line may be one that a daemon is just writing: so often it is looked again whether the rest has come.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A flaw, and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// An entry at the edge of what is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge {
    /// Its number.
    pub seq: u64,
    /// When it was written, as it says.
    pub time: String,
}

/// With what the files that are there begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// With the first entry of the trail.
    Trail,
    /// With a later one: the files before it are not there.
    Later,
    /// With the first of a chain that the daemon began because the one before was broken.
    Break,
}

/// How a head that was written down compares with what is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compared {
    /// The entry is there, and it is the same.
    Same,
    /// There is another entry of that number.
    Other(Head),
    /// The trail ends before it.
    CutOff(u64),
    /// The trail begins after it.
    Before(u64),
    /// No entry of that number is there, and later ones are.
    Absent,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// How many files there are.
    pub files: usize,
    /// How many lines with entries in them are what was written.
    pub entries: u64,
    /// With what they begin; `None` if there is no entry.
    pub begins: Option<Beginning>,
    /// The first of them.
    pub first: Option<Edge>,
    /// The last of them.
    pub last: Option<Edge>,
    /// What to write down.
    pub head: Option<Head>,
    /// The first flaws, in the order of files and lines.
    pub flaws: Vec<Found>,
    /// How many more there are.
    pub more_flaws: u64,
    /// How the head that was written down compares, if there is one.
    pub compared: Option<Compared>,
}

impl Report {
    /// Whether there is a trail, nothing is wrong with it, and what was written down is in it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.head.is_some() && self.flaws.is_empty() && matches!(self.compared, None | Some(Compared::Same))
    }
}

/// Verifies what is in a folder. `progress` is told now and then how many bytes of how many have been read.
///
/// # Errors
/// If it cannot be read.
pub fn verify(path: &Path, expected: Option<Head>, progress: &mut dyn FnMut(u64, u64)) -> io::Result<Report> {
    let folder = Folder::at(path);
    let files = folder.files()?;
    let sizes = files.iter().map(|first| Ok(folder.file(*first).metadata()?.len()));
    let all: u64 = sizes.sum::<io::Result<u64>>()?;
    let mut verifying = Verifying { expected, report: Report::default(), follower: Follower::default() };
    let mut read = 0;
    for (at, first) in files.iter().enumerate() {
        let looks = if at + 1 == files.len() { LOOKS } else { 0 };
        verifying.report.files += 1;
        let mut told = read;
        let mut follower = std::mem::take(&mut verifying.follower);
        let end = walk(folder.open(*first)?, *first, &mut follower, looks, &mut |line| {
            verifying.line(*first, &line);
            if read + line.end >= told + BLOCK as u64 {
                told = read + line.end;
                progress(told, all);
            }
            ControlFlow::Continue(())
        })?;
        verifying.follower = follower;
        read += end.whole + end.rest;
        if end.rest > 0 {
            verifying.found(*first, end.lines + 1, Flaw::Unfinished);
        } else if end.lines == 0 {
            verifying.found(*first, 1, Flaw::Empty);
        }
    }
    progress(read, all);
    Ok(verifying.done())
}

struct Verifying {
    expected: Option<Head>,
    report: Report,
    follower: Follower,
}

impl Verifying {
    fn line(&mut self, file: u64, line: &Line<'_>) {
        if let Some(flaw) = line.flaw {
            self.found(file, line.number, flaw);
        }
        let Some(link) = line.link.filter(|link| link.is_own) else { return };
        let report = &mut self.report;
        report.entries += 1;
        if report.first.is_none() {
            report.begins = Some(match link.kind {
                BEGUN => Beginning::Trail,
                BROKEN => Beginning::Break,
                _ => Beginning::Later,
            });
            report.first = Some(Edge { seq: link.seq, time: link.time.to_owned() });
            // The entry before the first one is known by its hash alone.
            let before = Head { seq: link.seq.saturating_sub(1), hash: link.prev };
            report.compared = self.expected.and_then(|expected| compared(expected, before));
        }
        if !matches!(line.flaw, Some(Flaw::OutOfPlace(_))) {
            match &mut report.last {
                // Once a line there is none for the time alone.
                Some(last) => {
                    last.seq = link.seq;
                    last.time.clear();
                    last.time.push_str(link.time);
                }
                None => report.last = Some(Edge { seq: link.seq, time: link.time.to_owned() }),
            }
            report.head = Some(link.head());
        }
        if report.compared.is_none() {
            report.compared = self.expected.and_then(|expected| compared(expected, link.head()));
        }
    }

    fn found(&mut self, file: u64, line: u64, flaw: Flaw) {
        if self.report.flaws.len() < MOST {
            self.report.flaws.push(Found { file: file_name(file), line, flaw });
        } else {
            self.report.more_flaws += 1;
        }
    }

    fn done(mut self) -> Report {
        if let (Some(expected), None) = (self.expected, &self.report.compared) {
            let (first, last) = (self.report.first.as_ref(), self.report.last.as_ref());
            self.report.compared = Some(match (first, last) {
                (Some(first), _) if expected.seq < first.seq => Compared::Before(first.seq),
                (_, Some(last)) if expected.seq < last.seq => Compared::Absent,
                (_, last) => Compared::CutOff(last.map_or(0, |last| last.seq)),
            });
        }
        self.report
    }
}

fn compared(expected: Head, found: Head) -> Option<Compared> {
    match found.seq == expected.seq {
        true if found.hash == expected.hash => Some(Compared::Same),
        true => Some(Compared::Other(found)),
        false => None,
    }
}

/// A line that was read.
pub(super) struct Line<'l> {
    /// From 1.
    pub number: u64,
    /// How many bytes of the file there are up to its end.
    pub end: u64,
    pub link: Option<Link<'l>>,
    pub flaw: Option<Flaw>,
}

/// What a file came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct End {
    /// Lines that have an end.
    pub lines: u64,
    /// Their bytes.
    pub whole: u64,
    /// Bytes behind them.
    pub rest: u64,
}

/// Reads a file line by line, for as long as `each` wants more. Where the last line has no end, it is looked so often
/// whether the rest has come.
pub(super) fn walk(
    file: File,
    first: u64,
    follower: &mut Follower,
    looks: u32,
    each: &mut dyn FnMut(Line<'_>) -> ControlFlow<()>,
) -> io::Result<End> {
    let mut reader = BufReader::with_capacity(BLOCK, file);
    let (mut end, mut line) = (End { lines: 0, whole: 0, rest: 0 }, Vec::new());
    let mut looks = 0..looks;
    follower.begins(first);
    loop {
        let room = (LONGEST + 1).saturating_sub(line.len());
        let read = reader.by_ref().take(room as u64).read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\n") {
            Some(whole) => {
                let is_long = end.rest > 0;
                end = End { lines: end.lines + 1, whole: end.whole + end.rest + line.len() as u64, rest: 0 };
                // The end of a line whose beginning is forgotten is no line.
                let whole = if is_long { &[] } else { whole };
                let (link, flaw) = follower.follow(whole);
                let more = each(Line { number: end.lines, end: end.whole, link, flaw });
                line.clear();
                if more.is_break() {
                    return Ok(end);
                }
            }
            // Too long for a line: its beginning is forgotten, and what is left of it is no entry either.
            None if line.len() > LONGEST => {
                end.rest += line.len() as u64;
                line.clear();
            }
            None if read == 0 => {
                let is_over = (line.is_empty() && end.rest == 0) || looks.next().is_none();
                if is_over {
                    end.rest += line.len() as u64;
                    return Ok(end);
                }
                std::thread::sleep(BETWEEN_LOOKS);
            }
            None => {}
        }
    }
}
