//! What happens to packets, for people: flows, and drops by reason.

use gateway_common::DropReason;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// One connection of a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// The session's name.
    pub token: String,
    /// Whose it is, while the session is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The app, while it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The client's address.
    pub client: String,
    /// The client's port; for ICMP, the identifier if the client asks. 0 for protocols without ports.
    pub client_port: u16,
    /// The app's address.
    pub destination: String,
    /// The app's port; for ICMP, the identifier if the app asks. 0 for protocols without ports.
    pub port: u16,
    /// `tcp`, `udp`, `sctp`, `icmp`, or the number of another protocol.
    pub protocol: String,
    /// Who opened it.
    pub opened_by: Opener,
    /// Packets from the client.
    pub packets_from_client: u64,
    /// Bytes from the client.
    pub bytes_from_client: u64,
    /// Packets to the client.
    pub packets_to_client: u64,
    /// Bytes to the client.
    pub bytes_to_client: u64,
    /// When its first packet was forwarded.
    #[serde(with = "time::serde::rfc3339")]
    pub opened_at: OffsetDateTime,
    /// When its last packet was forwarded.
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen: OffsetDateTime,
    /// Where in its life it is.
    pub state: FlowState,
}

/// Who opened a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Opener {
    /// The client.
    Client,
    /// The app.
    App,
}

/// Where in its life a flow is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// Only the side that opened it has spoken.
    Opening,
    /// Both have spoken.
    Open,
    /// One end has closed it, or reset it.
    Closing,
}

/// How many packets were dropped, or would have been, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Drops {
    /// The guarded interface.
    pub interface: String,
    /// Why.
    pub reason: String,
    /// What that means, and what to do.
    pub help: String,
    /// How many.
    pub packets: u64,
    /// How many would have been, and passed because the interface only observes.
    #[serde(default)]
    pub observed: u64,
}

impl Drops {
    /// The shape of the counters of one reason.
    #[must_use]
    pub fn of(interface: &str, reason: DropReason, packets: u64, observed: u64) -> Self {
        Self {
            interface: interface.to_owned(),
            reason: reason.label().to_owned(),
            help: reason.help().to_owned(),
            packets,
            observed,
        }
    }
}
