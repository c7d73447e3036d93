//! Where records are passed on to.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Somebody outside whom records are passed on to, and how far that has come.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Export {
    /// Its name in the configuration.
    pub name: String,
    /// What kind of receiver it is.
    pub to: String,
    /// Where that is.
    pub address: String,
    /// The number of the last record that the receiver has taken; left out before that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Records that wait.
    pub behind: u64,
    /// How old the oldest of them is, in seconds; 0 if none waits.
    pub lag_seconds: f64,
    /// Records that the receiver has taken since the daemon started.
    pub sent: u64,
    /// Records that the archive gave up before.
    pub missed: u64,
    /// Why the receiver takes nothing now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
}
