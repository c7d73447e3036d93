//! Applying plans: to the kernel, or to an in-memory twin that runs the same law.
//!
//! Knows tables, sessions by token, interfaces and counters. Knows no users, no policies and no HTTP.

pub mod attach;
pub mod barrier;
pub mod capture;
pub mod clock;
mod constants;
mod denials;
mod device;
pub mod explain;
mod filter;
mod flows;
mod grants;
pub mod guarding;
mod index;
pub mod interfaces;
pub mod kernel;
pub mod load;
pub mod mapped;
pub mod memory;
pub mod monitor;
pub mod neighbours;
mod netlink;
pub mod next_hops;
pub mod ports;
pub mod programs;
pub mod resets;
mod rows;
pub mod services;
pub mod slots;
pub mod translate;
pub mod ways;

use crate::policy::table::SessionEntry;
use crate::policy::{Capacities, Plan, SessionToken, TableSet};
use aya::maps::MapError;
use gateway_common::KernelNanos;
use gateway_common::abi::{FlowCopy, FlowKey, Grant, GrantKey};
use std::path::PathBuf;

pub use barrier::{Barrier, BarrierChoice};
pub use denials::Written;
pub use explain::{Explain, Explainer};
pub use flows::FlowTable;
pub use guarding::Guarding;
pub use kernel::KernelDataPlane;
pub use load::PlaneSettings;
pub use memory::MemoryDataPlane;
pub use monitor::Monitor;
pub use ports::AppSide;
pub use programs::{Program, Programs};
pub use ways::Ways;

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

    /// Removes flows that nobody may use any more. They hold no authority: this only makes room.
    fn forget_flows(&mut self, flows: &[FlowKey]);

    /// Tells both ends of these connections that they are over. Best effort.
    fn reset_flows(&mut self, flows: &[(FlowKey, FlowCopy)]);

    /// Waits until the place of what was removed can be used again.
    fn rest(&mut self);

    /// Cleans slots of sessions that ended a while ago, and what was counted for sessions that are no more.
    fn sweep(&mut self);

    /// What stands for a session, where packets would find it.
    fn session(&self, token: SessionToken) -> Seen;

    /// Writes what should stand for a session, whatever stands there.
    ///
    /// # Errors
    /// If there is no room.
    fn mend(&mut self, token: SessionToken, entry: &SessionEntry) -> Result<(), DataPlaneError>;

    /// Ends whoever is live in so many slots from this one on and was never opened; how many did, and the slot to go on with,
    /// if there are more.
    fn expel_strangers(&mut self, from: u32, most: usize) -> (usize, Option<u32>);

    /// What a list grants, where packets would find it.
    fn grant(&self, key: &GrantKey) -> Option<Grant>;

    /// The grants that packets would find in so many slots from this one on, and the slot to go on with, if there are more.
    fn grants_from(&self, from: u32, most: usize) -> (Vec<GrantKey>, Option<u32>);

    /// The prefixes and ports of apps that are in the tables now.
    ///
    /// # Errors
    /// If a table cannot be read.
    fn rules(&self) -> Result<TableSet, DataPlaneError>;

    /// Removes all flows: whatever they remember is judged anew.
    fn forget_all_flows(&mut self);

    /// The daemon lives, and its word counts for another while: see [`gateway_common::abi::Epoch::lease_until`]. How many
    /// words of the epoch somebody else had written meanwhile; they are put right.
    fn renew_lease(&mut self) -> usize;

    /// Sessions that should be live and that a program has revoked by itself: they touched a trip-wire.
    fn revoked_in_kernel(&self) -> Vec<SessionToken>;
}

/// Brings the tables from whatever is in them to what should be, by difference.
///
/// There is room for both at once, unless this was broken off before: then there may be what was there before that, too.
/// In this case the sessions reach nothing until it is done.
///
/// # Errors
/// If the tables cannot be read, or a step fails.
pub fn reconcile(plane: &mut dyn DataPlane, wanted: &TableSet) -> Result<(), DataPlaneError> {
    let found = plane.actual()?;
    let Err(error) = plane.apply(&Plan::between(&found, wanted)) else { return Ok(()) };
    let DataPlaneError::Full { .. } = error else { return Err(error) };
    tracing::warn!(%error, "there is no room for what is there and what should be; sessions reach nothing meanwhile");
    let found = plane.actual()?;
    let emptied = found.without_rules();
    plane.apply(&Plan::between(&found, &emptied))?;
    plane.rest();
    plane.apply(&Plan::between(&emptied, wanted)).map(drop)
}

/// What stands for a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// This.
    Entry(SessionEntry),
    /// A program has revoked it.
    Revoked,
    /// Nothing that packets would find.
    Nothing,
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
    /// A table could not be read or written.
    #[error("table `{table}`: {source}")]
    Table {
        /// Which.
        table: &'static str,
        /// What the kernel said.
        source: MapError,
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
    /// The object lacks a map or a program: it was built from another source.
    #[error("the eBPF object has no `{0}`; the installation is incomplete, install it again")]
    Incomplete(&'static str),
    /// The kernel did not accept the object.
    #[error("the kernel refused the eBPF object: {0}; Linux 6.6 or newer, root and CAP_BPF are needed")]
    Load(#[source] Box<aya::EbpfError>),
    /// The kernel did not accept a program.
    #[error("the kernel refused the program `{program}`: {source}")]
    Program {
        /// Which.
        program: &'static str,
        /// What the kernel said.
        source: Box<aya::programs::ProgramError>,
    },
    /// A program could not be put on an interface.
    #[error("interface `{interface}`: {source}")]
    Attach {
        /// Which.
        interface: String,
        /// What the kernel said.
        source: Box<aya::programs::ProgramError>,
    },
    /// A link could not be kept or taken over.
    #[error("link `{path}`: {problem}")]
    Link {
        /// Its pin.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// The second barrier could not be raised or lowered.
    #[error("the barrier in the forward hook: {0}")]
    Barrier(String),
    /// An interface that does not exist.
    #[error("interface `{0}` does not exist; see `ip link` for those that do")]
    UnknownInterface(String),
    /// Two zones that the kernel could not tell apart.
    #[error("zones `{0}` and `{1}` happen to have the same number; rename one of them")]
    ZonesCollide(String, String),
    /// The kernel does not tell what the interfaces are able to do.
    #[error("what the interfaces are able to do cannot be asked: {0}")]
    Devices(#[source] nix::Error),
    /// More interfaces than the counters have rows for.
    #[error("{0} interfaces are configured and at most 63 can be guarded")]
    TooManyInterfaces(usize),
    /// The folder for pins is not on a BPF file system.
    #[error("`{path}` is not on a BPF file system: mount one with `mount -t bpf bpf {mount}`")]
    NotBpffs {
        /// The folder.
        path: PathBuf,
        /// Where to mount.
        mount: PathBuf,
    },
    /// The folder for pins, or a pin, could not be made or removed.
    #[error("`{path}`: {source}")]
    Pins {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// Removing what is not there is no failure: plans may be applied again after a crash.
fn ignore_missing(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(nix::libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// The name of the interface with this number, if there is one.
#[must_use]
pub fn interface_name(index: u32) -> Option<String> {
    nix::net::if_::if_indextoname(index).ok()?.into_string().ok()
}

/// Wraps a map error with the table's name.
fn table(table: &'static str) -> impl FnOnce(MapError) -> DataPlaneError {
    move |source| DataPlaneError::Table { table, source }
}
