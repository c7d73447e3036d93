//! What was recorded, and sums of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A record: what a line of the access log says, and its number.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// Its number: grows from record to record, also across restarts.
    pub sequence: u64,
    /// `time`, `type`, and what else records of that type say.
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
}

/// What a user has had to do with an app.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reached {
    /// Who; absent if that was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What; absent if that was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// When there first was a connection; absent if all were denied.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub first: Option<OffsetDateTime>,
    /// And when a packet of one was last recorded.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last: Option<OffsetDateTime>,
    /// Connections.
    pub connections: u64,
    /// Bytes to the app, of connections that have ended.
    pub to_app_bytes: u64,
    /// Bytes to the client, of the same.
    pub to_client_bytes: u64,
    /// Packets that were denied.
    pub denied: u64,
}

/// Equal denials, added up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Denied {
    /// Whose packets they were; absent if that was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where they came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The app, if they got so far that it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Where they were to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// To which port.
    pub port: u16,
    /// `tcp`, `udp`, `sctp`, `icmp`, or the number of another protocol.
    pub protocol: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub packets: u64,
    /// When the first was seen.
    #[serde(with = "time::serde::rfc3339")]
    pub first: OffsetDateTime,
    /// And the last.
    #[serde(with = "time::serde::rfc3339")]
    pub last: OffsetDateTime,
}
