//! What a record looks like to those who receive it. Functions from a record to text; no clock, no socket.

pub(super) mod ipfix;
pub(super) mod json;
pub(super) mod otlp;
#[cfg(test)]
pub(super) mod samples;

use super::Origin;
use super::settings::Form;
use crate::record::Archived;

/// Appends a record in this form: one line without its end, whatever is in the record.
pub(super) fn put(form: Form, origin: &Origin, record: &Archived, line: &mut Vec<u8>) -> serde_json::Result<()> {
    match form {
        Form::Json => serde_json::to_writer(line, &json::line(origin, record)),
    }
}
