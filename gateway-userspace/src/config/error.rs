//! What is wrong with a file, as whoever wrote it needs to hear it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where something stands in a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// Where the lines of a text begin: a file with many errors is walked through once.
pub(crate) struct Places<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Places<'t> {
    /// Those of a text.
    pub(crate) fn of(text: &'t str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, starts: std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect() }
    }

    /// The place of a byte; of the end, for one that is not there or within a character.
    pub(crate) fn at(&self, offset: usize) -> Place {
        let offset = if self.text.is_char_boundary(offset) { offset } else { self.text.len() };
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        Place { line, column: before.chars().count() + 1 }
    }
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Where; `None` if the file could not even be read.
    pub place: Option<Place>,
    /// The path of the key, like `interface[0].name`; empty if it is not about one.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it; empty if the problem says it.
    pub fix: String,
}

/// All that is wrong with a file. Displayed as the finished message, one error or more lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors {
    /// The file.
    pub origin: PathBuf,
    /// What is wrong, in the order of the file; never empty.
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    pub(super) fn unreadable(origin: &Path, error: &std::io::Error) -> Self {
        let fix = "name a file that exists and that this process may read".to_owned();
        let problem = format!("cannot be read: {error}");
        Self { origin: origin.into(), errors: vec![ConfigError { place: None, key: String::new(), problem, fix }] }
    }

    /// The text is not TOML. One error a line: what follows on the same line is mostly a consequence.
    pub(super) fn syntax(text: &str, errors: &[toml::de::Error]) -> Vec<ConfigError> {
        let places = Places::of(text);
        let errors = errors.iter().map(|error| ConfigError {
            place: Some(places.at(error.span().map_or(text.len(), |Range { start, .. }| start))),
            key: String::new(),
            problem: error.message().replace('\n', ", "),
            fix: String::new(),
        });
        let mut errors: Vec<_> = errors.collect();
        errors.sort_by_key(|error| error.place);
        errors.dedup_by_key(|error| error.place.map(|place| place.line));
        errors
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", OneLine(&self.key))?;
        }
        write!(f, "{}", OneLine(&self.problem))?;
        if self.fix.is_empty() { Ok(()) } else { write!(f, "; {}", OneLine(&self.fix)) }
    }
}

/// What stands in a file may have line breaks, or what a terminal takes for a command: they are written as escapes.
struct OneLine<'t>(&'t str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(char::is_control) {
            let plain = part.trim_end_matches(char::is_control);
            write!(f, "{plain}{}", part[plain.len()..].escape_default())?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            let space = if error.place.is_some() { "" } else { " " };
            write!(f, "{newline}{}:{space}{error}", self.origin.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
