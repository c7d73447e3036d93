//! As the access log has it, with the gateway's name and the number in its archive.

use crate::export::Origin;
use crate::record::Archived;
use serde::Serialize;
use serde_json::{Map, Value};

/// A record, for whoever knows nothing of this gateway.
#[derive(Serialize)]
pub(in crate::export) struct Line<'r> {
    gateway: &'r str,
    sequence: u64,
    #[serde(flatten)]
    fields: &'r Map<String, Value>,
}

/// The object; every character that could end a line is escaped in it.
pub(in crate::export) fn line<'r>(origin: &'r Origin, record: &'r Archived) -> Line<'r> {
    Line { gateway: &origin.gateway, sequence: record.sequence, fields: &record.fields }
}
