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
use gateway_common::Packet;
use time::OffsetDateTime;

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

/// Records in this form, one a line.
pub(super) fn lines(form: Form, origin: &Origin, records: &[Archived]) -> serde_json::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for record in records {
        put(form, origin, record, &mut lines)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// What tells a record from all others, however often it is sent. The time is part of it: the numbers of an archive that is
/// begun anew are those of others.
pub(super) fn unique(origin: &Origin, record: &Archived) -> String {
    let time = record.time().unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!("{}-{}-{}", origin.gateway, record.sequence, time.unix_timestamp_nanos() / 1_000)
}

/// Whether somebody may take it for the end of a line, or for an order to a terminal.
pub(super) fn is_unprinted(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}

/// The number of a protocol that records have the name of. That of ICMP goes by the family; `None` if it is no protocol.
fn protocol(name: &str, is_v6: bool) -> Option<u8> {
    match name {
        "tcp" => Some(Packet::TCP),
        "udp" => Some(Packet::UDP),
        "sctp" => Some(Packet::SCTP),
        "icmp" if is_v6 => Some(Packet::ICMPV6),
        "icmp" => Some(Packet::ICMP),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_has_the_number_that_its_record_was_made_of() {
        for number in 0..=u8::MAX {
            let name = crate::record::protocol(number);
            assert_eq!(protocol(&name, number == Packet::ICMPV6), Some(number), "{name}");
        }
        assert_eq!((protocol("", false), protocol("gre", true)), (None, None));
    }
}
