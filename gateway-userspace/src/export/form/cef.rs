//! ArcSight's Common Event Format, version 0: a header of seven parts, and an extension of keys of its dictionary.
//!
//! Every field of a record has one place, [`FIELDS`], which the documentation repeats. Nothing in a record can end a part, a
//! value or the line.

use crate::export::Origin;
use crate::record::Archived;
use serde_json::Value;
use std::fmt::Write as _;
use std::net::IpAddr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Where a field goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum As {
    /// To this key of the dictionary.
    Key(&'static str),
    /// To this one, which is free, with the field's name as its label.
    Labelled(&'static str),
    /// To this one, in milliseconds since 1970.
    Time(&'static str),
    /// The same, which is free, with a label.
    LabelledTime(&'static str),
    /// To the first if it is of IPv4, otherwise to the second, with this label.
    Address(&'static str, &'static str, &'static str),
    /// To `deviceDirection`: 0 towards the app, 1 towards the client.
    Direction,
    /// To `act`, which says `observed` then.
    Observed,
}

/// The addresses of both ends. The dictionary has its own keys for those of IPv6.
const SOURCE: As = As::Address("src", "c6a2", "Source IPv6 Address");
const DESTINATION: As = As::Address("dst", "c6a3", "Destination IPv6 Address");

/// Where every field goes, in the order in which they are written; those of one type of record before those of all.
///
/// `suser` is whoever uses the client's end, which is `src`: whose session it is, or who administers. The dictionary's `app`
/// is a protocol, not one of our apps.
const FIELDS: [(Option<&str>, &str, As); 56] = [
    (None, "time", As::Time("rt")),
    (None, "type", As::Key("cat")),
    (None, "session", As::Labelled("cs3")),
    (None, "user", As::Key("suser")),
    (Some("admin"), "by", As::Key("suser")),
    (None, "by", As::Labelled("cs4")),
    (None, "app", As::Labelled("cs1")),
    (None, "policies", As::Labelled("cs2")),
    (None, "alert", As::Labelled("flexNumber1")),
    (None, "source", SOURCE),
    (None, "client", SOURCE),
    (Some("admin"), "from", SOURCE),
    (None, "from", As::Labelled("flexString1")),
    (None, "client_port", As::Key("spt")),
    (None, "mac", As::Key("smac")),
    (None, "destination", DESTINATION),
    (None, "address", DESTINATION),
    (None, "port", As::Key("dpt")),
    (None, "protocol", As::Key("proto")),
    (None, "direction", As::Direction),
    (None, "opened_by", As::Labelled("flexString1")),
    (None, "interface", As::Key("deviceInboundInterface")),
    (None, "zone", As::Labelled("cs5")),
    (None, "action", As::Key("act")),
    (None, "observed", As::Observed),
    (None, "outcome", As::Key("outcome")),
    (None, "state", As::Key("outcome")),
    (None, "reason", As::Key("reason")),
    (None, "why", As::Key("reason")),
    (None, "cause", As::Key("reason")),
    (None, "error", As::Key("reason")),
    (None, "detail", As::Key("msg")),
    (None, "was", As::Labelled("flexString1")),
    (None, "tcp", As::Labelled("flexString2")),
    (None, "incomplete", As::Labelled("flexNumber2")),
    (None, "opened_at", As::Time("start")),
    (None, "first", As::Time("start")),
    (None, "since", As::Time("start")),
    (None, "last_seen", As::Time("end")),
    (None, "last", As::Time("end")),
    (None, "until", As::LabelledTime("deviceCustomDate1")),
    (None, "requested_at", As::LabelledTime("deviceCustomDate1")),
    (None, "last_packet_at", As::LabelledTime("deviceCustomDate2")),
    (None, "to_app_bytes", As::Key("in")),
    (None, "to_client_bytes", As::Key("out")),
    (None, "to_app_packets", As::Labelled("cn1")),
    (None, "to_client_packets", As::Labelled("cn2")),
    (None, "packets", As::Key("cnt")),
    (None, "answered", As::Labelled("cn1")),
    (None, "flows_cut", As::Labelled("cn1")),
    (None, "generation", As::Labelled("cn1")),
    (None, "kernel_events", As::Labelled("cn1")),
    (None, "records", As::Labelled("cn2")),
    (None, "enforced_after_us", As::Labelled("cfp1")),
    (None, "last_packet_after_request_us", As::Labelled("cfp2")),
    (None, "object", As::Labelled("cs4")),
];
/// Lists of a type of their own, of which a session has at most two.
const LISTS: [(&str, As); 4] = [
    ("factors", As::Labelled("cs4")),
    ("apps", As::Labelled("cs6")),
    ("gained", As::Labelled("cs4")),
    ("lost", As::Labelled("cs6")),
];

/// Appends a record.
pub(super) fn put(origin: &Origin, record: &Archived, line: &mut Vec<u8>) {
    let mut text = String::from("CEF:0|Portcullis|Portcullis|");
    let signature = signature(record);
    let severity = severity(record).to_string();
    for part in [env!("CARGO_PKG_VERSION"), &signature, name(record), &severity] {
        header(part, &mut text);
        text.push('|');
    }
    // Nothing comes before the first key.
    let begin = text.len();
    for (key, value) in [("externalId", record.sequence.to_string()), ("dvchost", origin.gateway.clone())] {
        extend(key, &value, &mut text, begin);
    }
    if let Some(act) = act(record) {
        extend("act", act, &mut text, begin);
    }
    match record.kind() {
        "login" => extend("outcome", "success", &mut text, begin),
        "login_failed" => extend("outcome", "failure", &mut text, begin),
        _ => {}
    }
    let places: Vec<_> = places(record.kind()).collect();
    let is_foreign = |field: &str| !places.iter().any(|(known, _)| *known == field);
    for (field, value) in record.fields.iter().filter(|(field, _)| is_foreign(field)) {
        extend(&foreign(field), &shown(value), &mut text, begin);
    }
    for (field, place) in places {
        if let Some(value) = record.fields.get(field).filter(|value| !value.is_null()) {
            put_field(field, place, value, &mut text, begin);
        }
    }
    line.extend_from_slice(text.as_bytes());
}

/// The places of the fields of a type.
fn places(kind: &str) -> impl Iterator<Item = (&'static str, As)> {
    let fields = FIELDS.iter().filter_map(move |(of, field, place)| {
        let is_special = |(of, other, _): &(Option<&str>, &str, As)| *of == Some(kind) && other == field;
        let is_meant = of.map_or_else(|| !FIELDS.iter().any(is_special), |of| of == kind);
        is_meant.then_some((*field, *place))
    });
    fields.chain(LISTS)
}

fn put_field(field: &str, place: As, value: &Value, text: &mut String, begin: usize) {
    let mut put = |key: &str, value: &str| extend(key, value, text, begin);
    let shown = shown(value);
    match place {
        As::Key(key) => put(key, &shown),
        As::Time(key) => put(key, &millis(&shown)),
        As::Labelled(key) | As::LabelledTime(key) => {
            // A number, where the dictionary wants one.
            let flag = (key.starts_with("flexNumber") && value.is_boolean()).then(|| u8::from(*value == true));
            let shown = if matches!(place, As::LabelledTime(_)) { millis(&shown) } else { shown };
            put(key, &flag.map_or(shown, |flag| flag.to_string()));
            put(&format!("{key}Label"), field);
        }
        As::Address(key, key6, label) => {
            if matches!(shown.parse(), Ok(IpAddr::V6(_))) {
                put(key6, &shown);
                put(&format!("{key6}Label"), label);
            } else {
                put(key, &shown);
            }
        }
        As::Direction => put("deviceDirection", if shown == "to_client" { "1" } else { "0" }),
        As::Observed => {}
    }
}

/// The type, and what tells its records apart.
fn signature(record: &Archived) -> String {
    let kind = record.kind();
    match qualifier(kind).and_then(|field| record.text(field)) {
        Some(text) => format!("{kind}:{text}"),
        None => kind.to_owned(),
    }
}

/// The field that tells records of a type apart.
fn qualifier(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "login_failed" => "why",
        "session_end" => "cause",
        "admin" => "action",
        "flow_end" => "outcome",
        "denied" => "reason",
        "app_health" => "state",
        _ => return None,
    })
}

fn name(record: &Archived) -> &'static str {
    match record.kind() {
        "login" => "Session began",
        "login_failed" => "Login refused",
        "session_end" => "Session ended",
        "regranted" => "Apps of a session changed",
        "admin" => "Administration",
        "flow_start" => "Flow opened",
        "flow_update" => "Flow goes on",
        "flow_end" => "Flow ended",
        "denied" => "Packets denied",
        "app_health" => "Health of an app changed",
        "lost" => "Records lost",
        _ => "Record",
    }
}

/// What was done, where no field says it.
fn act(record: &Archived) -> Option<&'static str> {
    Some(match record.kind() {
        "login" | "flow_start" | "flow_update" | "flow_end" => "allowed",
        "denied" if record.fields.get("observed").is_some_and(|observed| *observed == true) => "observed",
        "denied" | "login_failed" => "denied",
        "session_end" => "ended",
        "regranted" => "changed",
        _ => return None,
    })
}

/// How much it matters, from 0 to 10.
pub(in crate::export) fn severity(record: &Archived) -> u8 {
    let kind = record.kind();
    let qualifier = qualifier(kind).and_then(|field| record.text(field)).unwrap_or_default();
    let is_alert = record.fields.get("alert").is_some_and(|alert| *alert == true);
    match (kind, qualifier) {
        ("denied" | "session_end", "trip_wire") => 9,
        ("denied", "scan_detected") => 8,
        _ if is_alert => 8,
        ("lost", _) => 7,
        ("app_health", "down") => 6,
        ("denied" | "login_failed", _) => 5,
        ("session_end", "logout" | "expired" | "replaced" | "orphaned") => 2,
        ("session_end", _) | ("app_health", "partly") => 4,
        ("flow_end", "revoked" | "policy") => 3,
        ("flow_start" | "flow_update" | "flow_end", _) => 1,
        _ => 3,
    }
}

/// A field that is not known here, as of a later version.
fn foreign(field: &str) -> String {
    let letters = field.chars().filter(char::is_ascii_alphanumeric);
    letters.fold(String::from("portcullis"), |mut key, letter| {
        key.push(letter);
        key
    })
}

/// A text as it is, everything else as JSON writes it.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn millis(moment: &str) -> String {
    let parsed = OffsetDateTime::parse(moment, &Rfc3339);
    parsed.map_or_else(|_| moment.to_owned(), |time| time.unix_timestamp_nanos().div_euclid(1_000_000).to_string())
}

/// A part of the header.
fn header(part: &str, text: &mut String) {
    for letter in part.chars() {
        match letter {
            '\\' | '|' => text.extend(['\\', letter]),
            _ => printable(letter, text),
        }
    }
}

fn extend(key: &str, value: &str, text: &mut String, begin: usize) {
    if text.len() > begin {
        text.push(' ');
    }
    text.push_str(key);
    text.push('=');
    for letter in value.chars() {
        match letter {
            '\\' | '=' => text.extend(['\\', letter]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            _ => printable(letter, text),
        }
    }
}

/// What is not printed has no escape in this format: it is named, as `\u001b`.
fn printable(letter: char, text: &mut String) {
    if super::is_unprinted(letter) {
        // A `String` takes everything.
        let _ = write!(text, "\\\\u{:04x}", u32::from(letter));
    } else {
        text.push(letter);
    }
}

#[cfg(test)]
mod tests;
