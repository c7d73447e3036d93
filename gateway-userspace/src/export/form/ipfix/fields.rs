//! What templates are made of, and how each field of a record becomes bytes.
//!
//! Texts have a longest length, so that every record fits into the smallest message.

use super::{Described, Template};
use crate::export::form::protocol;
use crate::record::{Archived, Kind};
use serde_json::Value;
use std::net::Ipv6Addr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Whose numbers are those of the other direction (RFC 5103).
const REVERSE: u32 = 29_305;
/// A length that says that each value has its own.
const VARIABLE: u16 = 65_535;
/// Bytes of a name, at most, of an interface's, of a word's, and of a list's.
const NAME: usize = 128;
const INTERFACE: usize = 32;
const WORD: usize = 32;
const LIST: usize = 256;

/// Whose a number is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Space {
    /// IANA's.
    Common,
    /// Likewise, of what the app has sent.
    Reverse,
    /// The gateway's own.
    Own,
}

/// An element of a template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// As the page about it has it. In a message it is a number.
    #[cfg_attr(not(test), expect(dead_code, reason = "numbers are sent, and a test compares the page"))]
    pub name: &'static str,
    pub number: u16,
    pub space: Space,
    pub holds: Holds,
}

/// What an element holds: of which field of a record, and in how many bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holds {
    Source4,
    Source6,
    Destination4,
    Destination6,
    Number(&'static str, u16),
    Millis(&'static str),
    Text(&'static str, usize),
    List(&'static str, usize),
    Token(&'static str),
    Mac(&'static str),
    Protocol,
    /// Whether the client or the app opened it.
    OpenedBy,
    /// Why a flow is over.
    EndReason,
    /// What a firewall did.
    Event,
    /// What has become of packets.
    Forwarding,
    /// Whether packets came into the guarded interface, or were to leave by it.
    Direction,
    /// The number of the record in its archive.
    Sequence,
}

const fn common(name: &'static str, number: u16, holds: Holds) -> Field {
    Field { name, number, space: Space::Common, holds }
}

const fn reverse(name: &'static str, number: u16, holds: Holds) -> Field {
    Field { name, number, space: Space::Reverse, holds }
}

const fn own(name: &'static str, number: u16, holds: Holds) -> Field {
    Field { name, number, space: Space::Own, holds }
}

const ADDRESSES_4: [Field; 2] =
    [common("sourceIPv4Address", 8, Holds::Source4), common("destinationIPv4Address", 12, Holds::Destination4)];
const ADDRESSES_6: [Field; 2] =
    [common("sourceIPv6Address", 27, Holds::Source6), common("destinationIPv6Address", 28, Holds::Destination6)];
const TIMES_OF_FLOW: [Field; 2] = [
    common("flowStartMilliseconds", 152, Holds::Millis("opened_at")),
    common("flowEndMilliseconds", 153, Holds::Millis("last_seen")),
];
const TIMES_OF_DENIAL: [Field; 2] = [
    common("flowStartMilliseconds", 152, Holds::Millis("first")),
    common("flowEndMilliseconds", 153, Holds::Millis("last")),
];
const PORTS: [Field; 3] = [
    common("sourceTransportPort", 7, Holds::Number("client_port", 2)),
    common("destinationTransportPort", 11, Holds::Number("port", 2)),
    common("protocolIdentifier", 4, Holds::Protocol),
];
/// What a flow has carried: an end says it once.
const COUNTERS: [Field; 4] = [
    common("octetDeltaCount", 1, Holds::Number("to_app_bytes", 8)),
    common("packetDeltaCount", 2, Holds::Number("to_app_packets", 8)),
    reverse("reverseOctetDeltaCount", 1, Holds::Number("to_client_bytes", 8)),
    reverse("reversePacketDeltaCount", 2, Holds::Number("to_client_packets", 8)),
];
/// And what it has carried so far: updates, and then the end, repeat it.
const TOTALS: [Field; 4] = [
    common("octetTotalCount", 85, Holds::Number("to_app_bytes", 8)),
    common("packetTotalCount", 86, Holds::Number("to_app_packets", 8)),
    reverse("reverseOctetTotalCount", 85, Holds::Number("to_client_bytes", 8)),
    reverse("reversePacketTotalCount", 86, Holds::Number("to_client_packets", 8)),
];
const OF_FLOW: [Field; 2] =
    [common("flowEndReason", 136, Holds::EndReason), common("biflowDirection", 239, Holds::OpenedBy)];
const OF_DENIAL: [Field; 6] = [
    common("destinationTransportPort", 11, Holds::Number("port", 2)),
    common("protocolIdentifier", 4, Holds::Protocol),
    common("packetDeltaCount", 2, Holds::Number("packets", 8)),
    common("sourceMacAddress", 56, Holds::Mac("mac")),
    common("flowDirection", 61, Holds::Direction),
    common("forwardingStatus", 89, Holds::Forwarding),
];
const OF_ALL: [Field; 8] = [
    common("firewallEvent", 233, Holds::Event),
    common("interfaceName", 82, Holds::Text("interface", INTERFACE)),
    common("userName", 371, Holds::Text("user", NAME)),
    common("applicationName", 96, Holds::Text("app", NAME)),
    own("recordNumber", 1, Holds::Sequence),
    own("session", 2, Holds::Token("session")),
    own("zone", 3, Holds::Text("zone", NAME)),
    own("policies", 4, Holds::List("policies", LIST)),
];
const OUTCOME: [Field; 2] =
    [own("outcome", 5, Holds::Text("outcome", WORD)), own("tcpEnd", 6, Holds::Text("tcp", WORD))];
const REASON: [Field; 2] =
    [own("reason", 7, Holds::Text("reason", WORD)), own("answeredPackets", 8, Holds::Number("answered", 8))];

/// The fields of a template, in their order.
pub(super) fn of(template: Template) -> impl Iterator<Item = &'static Field> {
    let addresses = if template.is_v6 { &ADDRESSES_6 } else { &ADDRESSES_4 };
    let parts: [&'static [Field]; 6] = match template.kind {
        Kind::Denied => [&TIMES_OF_DENIAL, addresses, &OF_DENIAL, &OF_ALL, &REASON, &[]],
        Kind::FlowUpdate => [&TIMES_OF_FLOW, addresses, &PORTS, &TOTALS, &OF_FLOW, &OF_ALL],
        _ => [&TIMES_OF_FLOW, addresses, &PORTS, &COUNTERS, &OF_FLOW, &OF_ALL],
    };
    let outcome: &[Field] = if template.kind == Kind::FlowEnd { &OUTCOME } else { &[] };
    parts.into_iter().flatten().chain(outcome)
}

impl Field {
    /// Its bytes in a template: number, length, and whose the number is if it is not IANA's.
    pub fn specify(&self, enterprise: u32, to: &mut Vec<u8>) {
        let enterprise = match self.space {
            Space::Common => None,
            Space::Reverse => Some(REVERSE),
            Space::Own => Some(enterprise),
        };
        let number = if enterprise.is_some() { self.number | 0x8000 } else { self.number };
        to.extend(number.to_be_bytes());
        to.extend(self.length().to_be_bytes());
        to.extend(enterprise.into_iter().flat_map(u32::to_be_bytes));
    }

    /// Bytes of a value.
    pub const fn length(&self) -> u16 {
        match self.holds {
            Holds::Source4 | Holds::Destination4 => 4,
            Holds::Source6 | Holds::Destination6 => 16,
            Holds::Number(_, length) => length,
            Holds::Millis(_) | Holds::Token(_) | Holds::Sequence => 8,
            Holds::Text(..) | Holds::List(..) => VARIABLE,
            Holds::Mac(_) => 6,
            Holds::Protocol
            | Holds::OpenedBy
            | Holds::EndReason
            | Holds::Event
            | Holds::Forwarding
            | Holds::Direction => 1,
        }
    }

    /// The bytes of its value.
    pub(super) fn put(&self, described: &Described<'_>, to: &mut Vec<u8>) {
        let record = described.record;
        match self.holds {
            Holds::Source4 => to.extend(v4(described.source)),
            Holds::Source6 => to.extend(described.source.octets()),
            Holds::Destination4 => to.extend(v4(described.destination)),
            Holds::Destination6 => to.extend(described.destination.octets()),
            Holds::Number(field, length) => {
                let number = record.fields.get(field).and_then(Value::as_u64).unwrap_or_default();
                if length == 2 {
                    to.extend(u16::try_from(number).unwrap_or_default().to_be_bytes());
                } else {
                    to.extend(number.to_be_bytes());
                }
            }
            Holds::Millis(field) => to.extend(millis(record.text(field)).to_be_bytes()),
            Holds::Text(field, longest) => {
                let text = record.text(field).unwrap_or_default();
                variable(text.get(..text.floor_char_boundary(longest)).unwrap_or_default(), to);
            }
            Holds::List(field, longest) => variable(&listed(record.fields.get(field), longest), to),
            Holds::Token(field) => {
                let token = record.text(field).and_then(|text| u64::from_str_radix(text, 16).ok());
                to.extend(token.unwrap_or_default().to_be_bytes());
            }
            Holds::Mac(field) => to.extend(mac(record.text(field))),
            Holds::Protocol => {
                let name = record.text("protocol").unwrap_or_default();
                to.push(protocol(name, described.template.is_v6).unwrap_or_default());
            }
            Holds::OpenedBy => to.push(if record.text("opened_by") == Some("app") { 2 } else { 1 }),
            Holds::EndReason => to.push(end_reason(described.template.kind, record.text("outcome"))),
            Holds::Event => to.push(event(described.template.kind, has_passed(record))),
            // Dropped and forwarded, in general.
            Holds::Forwarding => to.push(if has_passed(record) { 64 } else { 128 }),
            Holds::Direction => to.push(u8::from(record.text("direction") == Some("to_client"))),
            Holds::Sequence => to.extend(record.sequence.to_be_bytes()),
        }
    }
}

/// Whether what is denied passed all the same, because it was only observed.
fn has_passed(record: &Archived) -> bool {
    record.fields.get("observed") == Some(&Value::Bool(true))
}

fn v4(address: Ipv6Addr) -> [u8; 4] {
    address.to_ipv4_mapped().map_or([0; 4], |address| address.octets())
}

/// Since 1970.
fn millis(time: Option<&str>) -> u64 {
    let time = time.and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
    time.and_then(|time| u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()).unwrap_or_default()
}

/// A text with its length before it.
fn variable(text: &str, to: &mut Vec<u8>) {
    match u8::try_from(text.len()) {
        Ok(length) if length < u8::MAX => to.push(length),
        _ => {
            to.push(u8::MAX);
            to.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    to.extend(text.as_bytes());
}

/// As many names as there is room for, with commas between them.
fn listed(names: Option<&Value>, longest: usize) -> String {
    let mut list = String::new();
    for name in names.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let comma = if list.is_empty() { "" } else { "," };
        if list.len() + comma.len() + name.len() > longest {
            break;
        }
        list.push_str(comma);
        list.push_str(name);
    }
    list
}

fn mac(text: Option<&str>) -> [u8; 6] {
    let mut mac = [0; 6];
    for (byte, text) in mac.iter_mut().zip(text.unwrap_or_default().split(':')) {
        *byte = u8::from_str_radix(text, 16).unwrap_or_default();
    }
    mac
}

/// As RFC 5102 has it: silent too long, active too long, an end that was seen, an end that was made, no room.
fn end_reason(kind: Kind, outcome: Option<&str>) -> u8 {
    if kind == Kind::FlowUpdate {
        return 2;
    }
    match outcome.unwrap_or_default() {
        "idle" => 1,
        "closed" | "replaced" => 3,
        "revoked" | "policy" => 4,
        "evicted" => 5,
        _ => 0,
    }
}

/// Deleted, denied, alert (for what was only observed), update.
const fn event(kind: Kind, passed: bool) -> u8 {
    match kind {
        Kind::Denied if passed => 4,
        Kind::Denied => 3,
        Kind::FlowUpdate => 5,
        _ => 2,
    }
}
