//! Answers on the standard output: tables and sentences for people, the API's JSON for programs.

use super::CliError;
use super::arguments::Global;
use super::client::Answer;
use super::table::{Listed, Shown, list, show};
use serde_json::Value;
use std::io::{self, Write as _};
use time::OffsetDateTime;

/// How to answer.
#[derive(Clone, Copy)]
pub(super) struct Output {
    /// As JSON.
    pub(super) json: bool,
    /// With colour, where there is a terminal.
    pub(super) color: bool,
}

impl Output {
    /// As the options say.
    pub(super) fn of(global: &Global) -> Self {
        let no_color = global.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json: global.json, color: !no_color }
    }

    /// A list.
    pub(super) fn list<T: Listed>(self, answer: &Answer<Vec<T>>) -> Result<(), CliError> {
        self.either(&answer.json, || list(&answer.shape, OffsetDateTime::now_utc(), self.color))
    }

    /// One thing.
    pub(super) fn show<T: Shown>(self, answer: &Answer<T>) -> Result<(), CliError> {
        self.either(&answer.json, || show(&answer.shape, OffsetDateTime::now_utc(), self.color))
    }

    /// JSON, or what people read.
    pub(super) fn either(self, json: &Value, text: impl FnOnce() -> String) -> Result<(), CliError> {
        if self.json { Self::print(&format!("{json:#}")) } else { Self::print(&text()) }
    }

    /// A sentence for people; programs have the exit code.
    pub(super) fn say(self, text: &str) -> Result<(), CliError> {
        if self.json { Ok(()) } else { Self::print(&plain(text)) }
    }

    /// Text as it is, for people and programs.
    pub(super) fn print(text: &str) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", text.trim_end_matches('\n'))?;
        Ok(stdout.flush()?)
    }
}

/// Without what a terminal would take for a command: names and descriptions come from other people.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_command(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The same, over several lines.
pub(super) fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// Control characters, and those that reverse the direction of what follows.
pub(super) fn is_command(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}\n"), "a\u{fffd}[31mb\u{fffd}\u{fffd}");
        assert_eq!(plain_lines("é µ\nsecond\tline"), "é µ\nsecond\u{fffd}line");
    }
}
