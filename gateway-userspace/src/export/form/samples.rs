//! Records that tests of the forms have in common.

use crate::export::Origin;
use crate::record::Archived;
use serde_json::{Value, json};

pub(in crate::export) fn origin() -> Origin {
    Origin { gateway: "gate-1".into() }
}

pub(in crate::export) fn record(sequence: u64, fields: Value) -> Archived {
    let Value::Object(fields) = fields else { panic!("{fields} is no record") };
    Archived { sequence, fields }
}

/// The record with another value of a field.
pub(in crate::export) fn with(record: &Archived, field: &str, value: Value) -> Archived {
    let mut other = record.clone();
    other.fields.insert(field.into(), value);
    other
}

pub(in crate::export) fn flow_end() -> Archived {
    record(
        41,
        json!({
            "time": "2026-03-02T09:14:22.00093Z", "type": "flow_end", "session": "8c4f0e3a91d2b775", "user": "ada",
            "app": "payroll", "policies": ["finance-books", "all-staff"], "client": "10.9.0.23", "client_port": 51_522,
            "destination": "198.51.100.34", "port": 443, "protocol": "tcp", "opened_by": "client",
            "interface": "eth1", "zone": "branch", "outcome": "revoked", "tcp": "cut",
            "opened_at": "2026-03-02T08:00:05.220118Z", "last_seen": "2026-03-02T09:14:22.000127Z",
            "to_app_packets": 4_101, "to_app_bytes": 301_554, "to_client_packets": 8_011, "to_client_bytes": 11_840_222,
        }),
    )
}

pub(in crate::export) fn denied() -> Archived {
    record(
        42,
        json!({
            "time": "2026-03-02T08:00:12.000412Z", "type": "denied", "reason": "no_grant", "source": "2001:db8::17",
            "mac": "02:00:5e:10:00:17", "destination": "2001:db8:1::50", "port": 5_432, "protocol": "icmp",
            "direction": "to_client", "interface": "eth1", "session": "8c4f0e3a91d2b775", "user": "ada",
            "app": "ledger-db", "packets": 7, "answered": 3, "policies": ["ledger-closed"],
            "first": "2026-03-02T08:00:05.000102Z", "last": "2026-03-02T08:00:11.870001Z",
        }),
    )
}

/// Nobody's name is like that; whoever makes one gets no further than its field.
pub(in crate::export) fn hostile() -> String {
    "\u{0}\r\n\u{1b}[2J\"},{\u{202e}ü".repeat(4_096)
}
