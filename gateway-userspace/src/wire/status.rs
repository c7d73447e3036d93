//! How the gateway is.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// The gateway at a glance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// When the daemon started.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// The number of the policy state in force.
    pub policy_generation: u64,
    /// How many users there are.
    pub users: usize,
    /// How many apps there are.
    pub apps: usize,
    /// How many of them do not answer, as their health checks find.
    #[serde(default)]
    pub apps_down: usize,
    /// How many sessions there are.
    pub sessions: usize,
    /// The guarded interfaces.
    pub interfaces: Vec<Interface>,
    /// How full the tables of the kernel are.
    pub tables: Vec<TableUse>,
    /// Entries in which the tables and the intent differed when last compared. Anything but 0 is a reason to look.
    pub drift_entries: u64,
    /// Events that were lost between kernel and daemon since it started.
    pub events_lost: u64,
}

/// A guarded interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// `enforce` or `observe`.
    pub mode: String,
    /// Where the ingress program runs: `native`, in the driver, or `generic`, in the network stack.
    pub xdp: String,
    /// Whether the programs are attached.
    pub attached: bool,
    /// The VLANs that it carries.
    #[serde(default)]
    pub vlans: Vec<Vlan>,
}

/// A VLAN on a guarded interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Vlan {
    /// The number in its 802.1Q tag, or those in its 802.1ad tag and in the 802.1Q tag inside it: `10`, `100.20`.
    pub id: String,
    /// Its zone.
    pub zone: String,
}

/// How full a table is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TableUse {
    /// The table, as the configuration names it.
    pub table: String,
    /// Entries in it.
    pub entries: usize,
    /// Entries it has room for.
    pub capacity: usize,
}
