//! How records, and sums of them, are listed.

use super::rows::endpoint;
use super::{Listed, Value};
use crate::cli::field::{self, number, port, text};
use crate::cli::output::plain;
use crate::cli::sentence::{ago, bytes, moment};
use crate::wire::{Denied, Reached, Record};
use time::OffsetDateTime;

fn kind(record: &Record) -> String {
    text(record, &["type"]).unwrap_or_default()
}

fn known(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn from(record: &Record) -> String {
    let address = text(record, &["client", "source", "from"]);
    known(address.map(|address| endpoint(&address, port(record, "client_port"))))
}

fn to(record: &Record) -> String {
    let address = text(record, &["destination", "address"]);
    known(address.map(|address| endpoint(&address, port(record, "port"))))
}

/// What happened, by what each type says of it.
fn what(record: &Record) -> String {
    let said = |names: &[&str]| text(record, names);
    let carried = || {
        let both = number(record, "to_app_bytes").zip(number(record, "to_client_bytes"));
        both.map(|(sent, received)| format!("{} sent, {} received", bytes(sent), bytes(received)))
    };
    let packets = || number(record, "packets").map(|packets| format!("{packets} packets"));
    let parts = match kind(record).as_str() {
        "flow_end" => vec![said(&["outcome"]), said(&["tcp"]), carried()],
        "flow_update" => vec![carried()],
        "denied" => vec![said(&["reason"]), packets()],
        "login_failed" => vec![said(&["why"])],
        "session_end" => vec![said(&["cause"]), said(&["by"]).map(|by| format!("by {by}"))],
        "admin" => vec![said(&["action"]), said(&["object"])],
        "app_health" => vec![said(&["state"]), said(&["error"])],
        "regranted" => {
            let apps = |name: &str| said(&[name]).filter(|apps| !apps.is_empty()).map(|apps| format!("{name} {apps}"));
            vec![apps("gained"), apps("lost")]
        }
        "lost" => vec![
            said(&["kernel_events"]).map(|events| format!("{events} events")),
            said(&["records"]).map(|records| format!("{records} records")),
        ],
        _ => vec![said(&["policies"])],
    };
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

fn is_odd(record: &Record) -> bool {
    matches!(kind(record).as_str(), "denied" | "login_failed" | "lost") || record.fields.contains_key("alert")
}

impl Listed for Record {
    const HEADER: &'static [&'static str] = &["time", "type", "user", "app", "from", "to", "what"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let kind = kind(self);
        vec![
            field::moment(self).into(),
            if is_odd(self) { Value::Odd(kind) } else { kind.into() },
            known(text(self, if self.fields.contains_key("user") { &["user"] } else { &["by"] })).into(),
            known(text(self, &["app"])).into(),
            from(self).into(),
            to(self).into(),
            what(self).into(),
        ]
    }
}

/// A record in one line, for whoever follows.
pub(in crate::cli) fn line(record: &Record) -> String {
    let cells = record.row(OffsetDateTime::UNIX_EPOCH).into_iter().map(|value| match value {
        Value::Usual(text) | Value::Odd(text) => plain(&text),
    });
    cells.collect::<Vec<_>>().join("  ")
}

impl Listed for Reached {
    const HEADER: &'static [&'static str] =
        &["user", "app", "first", "last", "connections", "sent", "received", "denied"];

    fn row(&self, now: OffsetDateTime) -> Vec<Value> {
        let Self { user, app, first, last, connections, to_app_bytes, to_client_bytes, denied } = self;
        let denied = if *denied == 0 { "-".into() } else { Value::Odd(denied.to_string()) };
        vec![
            known(user.clone()).into(),
            known(app.clone()).into(),
            known(first.map(moment)).into(),
            known(last.map(|last| ago(last, now))).into(),
            connections.into(),
            bytes(*to_app_bytes).into(),
            bytes(*to_client_bytes).into(),
            denied,
        ]
    }
}

impl Listed for Denied {
    const HEADER: &'static [&'static str] =
        &["user", "from", "app", "destination", "protocol", "reason", "packets", "first", "last"];

    fn row(&self, now: OffsetDateTime) -> Vec<Value> {
        let Self { user, source, app, destination, port, protocol, reason, packets, first, last } = self;
        let destination = destination.as_deref().map(|address| endpoint(address, *port));
        vec![
            known(user.clone()).into(),
            known(source.clone()).into(),
            known(app.clone()).into(),
            known(destination).into(),
            protocol.into(),
            reason.into(),
            packets.into(),
            moment(*first).into(),
            ago(*last, now).into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn said(record: Json) -> String {
        line(&serde_json::from_value(record).unwrap())
    }

    #[test]
    fn a_record_is_a_line_that_says_who_what_and_how_it_went() {
        let flow = json!({
            "sequence": 7, "time": "2026-03-02T09:14:22.000930Z", "type": "flow_end", "user": "ada", "app": "payroll",
            "client": "10.9.0.23", "client_port": 51522, "destination": "2001:db8::7", "port": 443,
            "outcome": "revoked", "tcp": "cut", "to_app_bytes": 1500, "to_client_bytes": 10
        });
        assert_eq!(
            said(flow),
            "2026-03-02 09:14:22Z  flow_end  ada  payroll  10.9.0.23:51522  [2001:db8::7]:443  revoked, cut, 1.5 kB sent, 10 B \
             received"
        );
        let admin = json!({
            "sequence": 8, "time": "2026-03-02T09:14:22Z", "type": "admin", "by": "ci", "from": "192.0.2.70",
            "action": "app_put", "object": "a\u{1b}[2J"
        });
        assert_eq!(said(admin), "2026-03-02 09:14:22Z  admin  ci  -  192.0.2.70  -  app_put, a\u{fffd}[2J");
        assert_eq!(said(json!({ "sequence": 9 })), "    -  -  -  -  -");
    }
}
