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
    /// The client's port; for ICMP, the identifier.
    pub client_port: u16,
    /// The address it goes to.
    pub destination: String,
    /// The port it goes to; 0 for ICMP.
    pub port: u16,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
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

/// Where in its life a flow is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// Only the client has spoken.
    Opening,
    /// Both have spoken.
    Open,
    /// One end has closed it, or reset it.
    Closing,
}

/// How many packets were dropped, and why.
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
}

impl Drops {
    /// The shape of one counter.
    #[must_use]
    pub fn of(interface: &str, reason: DropReason, packets: u64) -> Self {
        Self {
            interface: interface.to_owned(),
            reason: reason.label().to_owned(),
            help: reason.help().to_owned(),
            packets,
        }
    }
}
