//! As the access log has it, with the gateway's name and the number in its archive.

use super::is_unprinted;
use crate::export::Origin;
use crate::record::Archived;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Map, Value};
use std::io;

/// A record, for whoever knows nothing of this gateway.
#[derive(Serialize)]
pub(in crate::export) struct Line<'r> {
    gateway: &'r str,
    sequence: u64,
    #[serde(flatten)]
    fields: &'r Map<String, Value>,
}

/// The object.
pub(in crate::export) fn line<'r>(origin: &'r Origin, record: &'r Archived) -> Line<'r> {
    Line { gateway: &origin.gateway, sequence: record.sequence, fields: &record.fields }
}

/// Appends an object as one line; every character that could end a line is escaped in it.
pub(super) fn put(object: &impl Serialize, text: &mut Vec<u8>) -> serde_json::Result<()> {
    object.serialize(&mut Serializer::with_formatter(text, Printed))
}

/// JSON need not escape all that some receivers take for an end of line, or replace because it is not printed.
struct Printed;

impl Formatter for Printed {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for piece in fragment.split_inclusive(is_unprinted) {
            match piece.chars().next_back().filter(|letter| is_unprinted(*letter)) {
                None => writer.write_all(piece.as_bytes())?,
                Some(letter) => {
                    writer.write_all(piece.trim_end_matches(letter).as_bytes())?;
                    write!(writer, "\\u{:04x}", u32::from(letter))?;
                }
            }
        }
        Ok(())
    }
}
