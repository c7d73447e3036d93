//! Applying plans: to the kernel, or to an in-memory twin that runs the same law.

use crate::policy::{Capacities, Plan, SessionToken, TableSet};
use gateway_common::KernelNanos;

/// Where plans are applied and traffic is judged.
pub trait DataPlane: Send {
    /// Applies a plan, step by step. Stops at the first step that fails.
    ///
    /// # Errors
    /// The step that failed; those before it are in force.
    fn apply(&mut self, plan: &Plan) -> Result<Vec<EndedSession>, DataPlaneError>;

    /// What is in the tables now.
    ///
    /// # Errors
    /// If a table cannot be read.
    fn actual(&self) -> Result<TableSet, DataPlaneError>;

    /// What the tables hold at most.
    fn capacities(&self) -> Capacities;

    /// The boot clock.
    fn now(&self) -> KernelNanos;

    /// Forgets the flows of a session that ended. How many there were.
    ///
    /// # Errors
    /// If the table cannot be written.
    fn forget_flows(&mut self, token: SessionToken) -> Result<usize, DataPlaneError>;
}

/// What the data plane says about a session that it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedSession {
    /// Which.
    pub token: SessionToken,
    /// From when on it forwards nothing.
    pub enforced_at: KernelNanos,
    /// When it last forwarded a packet, if it ever did.
    pub last_forwarded: Option<KernelNanos>,
}

/// Why the data plane could not do something.
#[derive(Debug, thiserror::Error)]
pub enum DataPlaneError {
    /// A table did not take a write.
    #[error("table `{table}`: {source}")]
    Table {
        /// Which.
        table: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A table has no room.
    #[error("table `{table}` is full ({capacity} entries); raise `capacity.{table}` in the configuration")]
    Full {
        /// Which, as the configuration names it.
        table: &'static str,
        /// How many entries it holds.
        capacity: usize,
    },
    /// A session that is not there.
    #[error("session `{0}` is not in the tables")]
    UnknownSession(SessionToken),
}
