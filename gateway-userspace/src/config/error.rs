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

impl Place {
    /// The place of a byte of `text`.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
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
    pub(super) fn syntax(origin: &Path, text: &str, errors: &[toml::de::Error]) -> Self {
        let errors = errors.iter().map(|error| ConfigError {
            place: Some(Place::of(text, error.span().map_or(text.len(), |Range { start, .. }| start))),
            key: String::new(),
            problem: error.message().replace('\n', ", "),
            fix: String::new(),
        });
        let mut errors: Vec<_> = errors.collect();
        errors.sort_by_key(|error| error.place);
        errors.dedup_by_key(|error| error.place.map(|place| place.line));
        Self { origin: origin.into(), errors }
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
