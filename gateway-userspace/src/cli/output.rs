//! Answers on the standard output: tables and sentences for people, the API's JSON for programs.

use super::CliError;
use super::arguments::Global;
use super::client::Answer;
use super::table::{Listed, Shown, list, show};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
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

    /// Text as it is, to a file if one is named. It names people: nobody else may read a file that was not there before.
    pub(super) fn deliver(self, text: &str, to: Option<&Path>) -> Result<(), CliError> {
        let Some(path) = to else { return Self::print(text) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = || File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
        let written =
            fs::create_dir_all(folder).and_then(|()| file()).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|source| CliError::Unwritable { path: path.into(), source })?;
        self.say(&format!("written to {}", path.display()))
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
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_written_to_a_new_file_only_its_owner_reads_and_an_old_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reports/october.html");
        let output = Output { json: true, color: false };
        for text in ["a longer text", "text"] {
            output.deliver(text, Some(&path)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = output.deliver("text", Some(folder.path())).unwrap_err();
        assert!(matches!(refused, CliError::Unwritable { .. }), "{refused}");
    }

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}\n"), "a\u{fffd}[31mb\u{fffd}\u{fffd}");
        assert_eq!(plain_lines("é µ\nsecond\tline"), "é µ\nsecond\u{fffd}line");
    }
}
