//! What a record looks like to those who receive it. Functions from a record to text; no clock, no socket.

pub(super) mod cef;
pub(super) mod ipfix;
pub(super) mod json;
pub(super) mod ocsf;
pub(super) mod otlp;
#[cfg(test)]
pub(super) mod samples;

use super::Origin;
use super::settings::Form;
use crate::record::Archived;

/// Appends a record in this form: one line without its end, whatever is in the record.
pub(super) fn put(form: Form, origin: &Origin, record: &Archived, line: &mut Vec<u8>) -> serde_json::Result<()> {
    match form {
        Form::Ocsf => json::put(&ocsf::event(origin, record), line),
        Form::Json => json::put(&json::line(origin, record), line),
        Form::Cef => {
            cef::put(origin, record, line);
            Ok(())
        }
    }
}

/// Whether somebody may take it for the end of a line, or for an order to a terminal.
fn is_unprinted(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}
