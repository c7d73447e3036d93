//! The columns of the archive. Flows and denials, of which there are many, are kept as columns alone; of everything else
//! the line of the access log is kept beside the columns that it is found by.
//!
//! Texts are numbers of the segment's table `name`; an IPv4 address is a number, an IPv6 address its 16 bytes; times are
//! microseconds.

use crate::record::line::{Administered, Carried, FlowNames, Record, Refused, SessionEnd, What};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use std::net::IpAddr;
use time::OffsetDateTime;

/// All columns but the first, `sequence`, in their order.
pub(super) const COLUMNS: [&str; 33] = [
    "time",
    "type",
    "session",
    "user",
    "app",
    "policies",
    "alert",
    "client",
    "client_port",
    "destination",
    "port",
    "protocol",
    "opened_by",
    "direction",
    "interface",
    "zone",
    "outcome",
    "tcp",
    "reason",
    "first_before",
    "last_before",
    "to_app_packets",
    "to_app_bytes",
    "to_client_packets",
    "to_client_bytes",
    "packets",
    "answered",
    "observed",
    "incomplete",
    "mac",
    "generation",
    "action",
    "line",
];

/// What a column holds.
#[derive(Debug)]
pub(super) enum Cell<'r> {
    /// A number.
    Number(i64),
    /// A text, by its number in `name`.
    Name(&'r str),
    /// A list of texts, kept in `name` as JSON.
    Names(&'r [String]),
    /// An address.
    Address(IpAddr),
    /// A text of this row alone.
    Text(String),
}

/// The columns of a record that hold something, by their place in [`COLUMNS`].
#[derive(Debug, Default)]
pub(super) struct Row<'r>(pub(super) Vec<(usize, Cell<'r>)>);

/// The place of a column, at compile time.
macro_rules! at {
    ($name:literal) => {
        const { place($name) }
    };
}

/// Microseconds since 1970.
pub(super) fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// The time of so many microseconds since 1970.
pub(super) fn moment(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Numbers of the kernel that are larger than any that a column holds are the largest.
fn number(count: u64) -> Cell<'static> {
    Cell::Number(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A session's token as a column holds it: the same 64 bits.
pub(super) const fn token(token: u64) -> i64 {
    token.cast_signed()
}

impl<'r> Row<'r> {
    /// Empties it for another record.
    pub(super) fn fill(&mut self, record: &'r Record) {
        self.0.clear();
        self.put(at!("time"), Cell::Number(micros(record.time)));
        self.put(at!("type"), Cell::Name(record.kind().label()));
        match &record.what {
            What::FlowStart(names) => self.flow(names),
            What::FlowUpdate { names, so_far } => {
                self.flow(names);
                self.carried(record.time, so_far);
            }
            What::FlowEnd { names, outcome, incomplete, tcp, carried } => {
                self.flow(names);
                self.put(at!("outcome"), Cell::Name(outcome));
                self.put_some(at!("tcp"), tcp.map(Cell::Name));
                self.carried(record.time, carried);
                self.put_some(at!("incomplete"), incomplete.then_some(Cell::Number(1)));
            }
            What::Denied(refused) => self.denied(record.time, refused),
            other => {
                self.found_by(other);
                // A record that cannot be written as JSON is none that is made here.
                self.put_some(at!("line"), serde_json::to_string(record).ok().map(Cell::Text));
            }
        }
    }

    fn put(&mut self, at: usize, cell: Cell<'r>) {
        self.0.push((at, cell));
    }

    fn put_some(&mut self, at: usize, cell: Option<Cell<'r>>) {
        if let Some(cell) = cell {
            self.put(at, cell);
        }
    }

    fn flow(&mut self, names: &'r FlowNames) {
        let FlowNames {
            session,
            user,
            app,
            policies,
            alert,
            client,
            client_port,
            destination,
            port,
            protocol,
            opened_by,
            interface,
            zone,
        } = names;
        self.put(at!("session"), Cell::Number(token(session.0)));
        self.put_some(at!("user"), user.as_ref().map(|user| Cell::Name(user.as_str())));
        self.put_some(at!("app"), app.as_ref().map(|app| Cell::Name(app.as_str())));
        self.put(at!("policies"), Cell::Names(policies.names()));
        self.put_some(at!("alert"), alert.then_some(Cell::Number(1)));
        self.put(at!("client"), Cell::Address(*client));
        self.put(at!("client_port"), Cell::Number((*client_port).into()));
        self.put(at!("destination"), Cell::Address(*destination));
        self.put(at!("port"), Cell::Number((*port).into()));
        self.put(at!("protocol"), Cell::Number((*protocol).into()));
        self.put(at!("opened_by"), Cell::Name(opened_by));
        self.put_some(at!("interface"), interface.as_ref().map(|name| Cell::Name(name)));
        self.put_some(at!("zone"), zone.as_ref().map(|name| Cell::Name(name)));
    }

    fn carried(&mut self, time: OffsetDateTime, carried: &Carried) {
        let Carried { opened_at, last_seen, to_app_packets, to_app_bytes, to_client_packets, to_client_bytes } =
            carried;
        self.span(time, *opened_at, *last_seen);
        self.put(at!("to_app_packets"), number(*to_app_packets));
        self.put(at!("to_app_bytes"), number(*to_app_bytes));
        self.put(at!("to_client_packets"), number(*to_client_packets));
        self.put(at!("to_client_bytes"), number(*to_client_bytes));
    }

    /// As distances from `time`: they are short numbers.
    fn span(&mut self, time: OffsetDateTime, first: OffsetDateTime, last: OffsetDateTime) {
        let before = |moment| Cell::Number(micros(time).saturating_sub(micros(moment)));
        self.put(at!("first_before"), before(first));
        self.put(at!("last_before"), before(last));
    }

    fn denied(&mut self, time: OffsetDateTime, refused: &'r Refused) {
        let Refused {
            reason,
            source,
            mac,
            destination,
            port,
            protocol,
            direction,
            interface,
            zone,
            observed,
            session,
            user,
            app,
            packets,
            answered,
            policies,
            alert,
            first,
            last,
        } = refused;
        self.put(at!("reason"), Cell::Name(reason));
        self.put(at!("client"), Cell::Address(*source));
        self.put(at!("mac"), Cell::Number(mac.iter().fold(0, |number, byte| (number << 8) | i64::from(*byte))));
        self.put(at!("destination"), Cell::Address(*destination));
        self.put(at!("port"), Cell::Number((*port).into()));
        self.put(at!("protocol"), Cell::Number((*protocol).into()));
        self.put(at!("direction"), Cell::Name(direction));
        self.put(at!("interface"), Cell::Name(interface));
        self.put_some(at!("zone"), zone.as_ref().map(|name| Cell::Name(name)));
        self.put_some(at!("observed"), observed.then_some(Cell::Number(1)));
        self.put_some(at!("session"), session.map(|session| Cell::Number(token(session.0))));
        self.put_some(at!("user"), user.as_ref().map(|user| Cell::Name(user.as_str())));
        self.put_some(at!("app"), app.as_ref().map(|app| Cell::Name(app.as_str())));
        self.put(at!("packets"), number(*packets));
        self.put_some(at!("answered"), answered.map(number));
        self.put_some(at!("policies"), policies.as_ref().map(|policies| Cell::Names(policies.names())));
        self.put_some(at!("alert"), alert.then_some(Cell::Number(1)));
        self.span(time, *first, *last);
    }

    /// What all others are searched by.
    fn found_by(&mut self, what: &'r What) {
        match what {
            What::Login { session, user, source, zone, interface, .. } => {
                self.who(session, user, *source);
                self.put(at!("interface"), Cell::Name(interface));
                self.put(at!("zone"), Cell::Name(zone));
            }
            What::LoginFailed { user, source, why } => {
                self.put(at!("user"), Cell::Name(user));
                self.put(at!("client"), Cell::Address(*source));
                self.put(at!("reason"), Cell::Name(why));
            }
            What::SessionEnd(SessionEnd { session, user, source, interface, cause, .. }) => {
                self.who(session, user, *source);
                self.put(at!("interface"), Cell::Name(interface));
                self.put(at!("reason"), Cell::Name(cause));
            }
            What::Regranted { session, user, .. } => {
                self.put_some(at!("session"), session_of(session));
                self.put(at!("user"), Cell::Name(user));
            }
            What::Admin(Administered { by, from, action, generation, .. }) => {
                self.put(at!("user"), Cell::Name(by));
                self.put_some(at!("client"), from.map(Cell::Address));
                self.put(at!("action"), Cell::Name(action));
                self.put_some(at!("generation"), generation.map(number));
            }
            What::AppHealth { app, state, address, error, .. } => {
                self.put(at!("app"), Cell::Name(app));
                self.put(at!("outcome"), Cell::Name(state));
                self.put(at!("destination"), Cell::Address(*address));
                self.put_some(at!("reason"), error.map(Cell::Name));
            }
            What::FlowStart(_) | What::FlowUpdate { .. } | What::FlowEnd { .. } | What::Denied(_) => {}
            What::Lost { .. } => {}
        }
    }

    fn who(&mut self, session: &str, user: &'r str, source: IpAddr) {
        self.put_some(at!("session"), session_of(session));
        self.put(at!("user"), Cell::Name(user));
        self.put(at!("client"), Cell::Address(source));
    }
}

fn session_of(session: &str) -> Option<Cell<'static>> {
    u64::from_str_radix(session, 16).ok().map(|session| Cell::Number(token(session)))
}

const fn place(name: &str) -> usize {
    let mut at = 0;
    while at < COLUMNS.len() {
        if is_same(COLUMNS[at].as_bytes(), name.as_bytes()) {
            return at;
        }
        at += 1;
    }
    panic!("no column has this name")
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// An address in a column.
pub(super) struct Stored(pub(super) IpAddr);

impl ToSql for Stored {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            IpAddr::V4(address) => ToSqlOutput::Owned(Value::Integer(address.to_bits().into())),
            IpAddr::V6(address) => ToSqlOutput::Owned(Value::Blob(address.octets().into())),
        })
    }
}

impl Stored {
    /// The address in a column; `None` if there is none.
    pub(super) fn read(value: ValueRef<'_>) -> Option<IpAddr> {
        match value {
            ValueRef::Integer(bits) => u32::try_from(bits).ok().map(|bits| IpAddr::V4(bits.into())),
            ValueRef::Blob(octets) => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
            _ => None,
        }
    }
}
