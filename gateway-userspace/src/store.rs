//! State at rest: what has to survive a restart, behind a small interface.
//!
//! A commit is all or nothing, and on the disk when it returns. Stored shapes live in `shape`, apart from the model,
//! and are converted with total destructuring. No decision is made here.

pub mod record;

mod file;
mod shape;

use crate::identity::scim::{Resource, ResourceId, ResourceKind};
use crate::identity::{ApiToken, Identities, PasswordHash, ProviderSession, SecretHash, Service, TokenId};
use crate::policy::{
    Answers, App, AppId, AppName, DnsName, Generation, GroupName, HistoryEntry, PolicyFile, ProviderName, Session,
    SessionToken, Settings, User, UserName,
};
use arcstr::ArcStr;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use time::OffsetDateTime;

pub use file::FileStore;

/// The version of the stored shapes that this program writes. Those of 1 know no `opens`, `trip_wire` and `budget` of
/// apps, and no protocols but TCP, UDP and ICMP: a program that knows only them would take a trip-wire for an app. Those
/// of 2 know no identity providers and no services: a program that knows only them would let those in again who were
/// suspended. Those of 3 know one text of policies.
pub const SCHEMA: u32 = 4;
/// The first version, and the oldest that is read.
const FIRST_SCHEMA: u32 = 1;

/// Where the state is kept.
pub trait Store: Send {
    /// Writes a batch, all of it or none. It is durable when this returns.
    ///
    /// # Errors
    /// If it could not be written. Then the batch may be missing or complete, never in part, until the next commit
    /// succeeds, were it of nothing: that one undoes first what the failed ones have put. What they have removed is to be
    /// removed again.
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError>;

    /// Reads everything.
    ///
    /// # Errors
    /// If it cannot be read, or makes no sense.
    fn load(&self) -> Result<Stored, StoreError>;
}

/// One change.
#[derive(Clone, Debug)]
pub enum Write {
    /// Create or replace a user.
    PutUser(User),
    /// Remove a user, with their password, and with what they prove themselves with if they are a service.
    RemoveUser(UserName),
    /// Set a user's password.
    PutPassword(UserName, PasswordHash),
    /// Create a group.
    PutGroup(GroupName),
    /// Remove a group.
    RemoveGroup(GroupName),
    /// Create or replace an app.
    PutApp {
        /// The app.
        app: App,
        /// Its number, which its name keeps for ever.
        id: AppId,
    },
    /// Remove an app; its number stays taken.
    RemoveApp(AppName),
    /// Replace the settings.
    PutSettings(Settings),
    /// Keep where a name of apps leads; forget it with no address.
    PutAnswer(DnsName, BTreeSet<IpAddr>),
    /// Replace the policies. Former texts are kept for a while.
    PutPolicy(StoredPolicy),
    /// Keep who has made a generation, and what undoes it.
    PutHistory(Box<HistoryEntry>),
    /// Forget it.
    RemoveHistory(Generation),
    /// The generation in force.
    SetGeneration(Generation),
    /// The next free numbers.
    SetCounters(Counters),
    /// Create or replace how a service proves itself.
    PutService(Service),
    /// Remove that; the user stays.
    RemoveService(UserName),
    /// Bind a subject of a provider to a user.
    PutIdentity(ProviderName, String, UserName),
    /// End that.
    RemoveIdentity(ProviderName, String),
    /// Keep what a session has of its provider's.
    PutProviderSession(SessionToken, ProviderSession),
    /// Keep what a provider has pushed.
    PutResource(Arc<Resource>),
    /// Forget it.
    RemoveResource(ProviderName, ResourceKind, ResourceId),
    /// Create or replace a session.
    PutSession(StoredSession),
    /// Remove a session, with what it has of its provider's.
    RemoveSession(SessionToken),
    /// Create or replace an API token.
    PutApiToken(ApiToken),
    /// Remove an API token.
    RemoveApiToken(TokenId),
}

/// Everything that is kept.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Users.
    pub users: Vec<User>,
    /// Passwords of the users who have one.
    pub passwords: BTreeMap<UserName, PasswordHash>,
    /// Groups.
    pub groups: BTreeSet<GroupName>,
    /// Apps.
    pub apps: Vec<App>,
    /// The numbers of all apps, also of those that were removed.
    pub app_ids: BTreeMap<AppName, AppId>,
    /// What holds for all policies.
    pub settings: Settings,
    /// Where the names of apps lead.
    pub answers: Answers,
    /// The policies in force, if any were ever set.
    pub policy: Option<StoredPolicy>,
    /// The generations that are remembered, the oldest first.
    pub history: Vec<HistoryEntry>,
    /// The generation in force.
    pub generation: Generation,
    /// The next free numbers.
    pub counters: Counters,
    /// Sessions.
    pub sessions: Vec<StoredSession>,
    /// API tokens.
    pub tokens: Vec<ApiToken>,
    /// Services, in the order of their names.
    pub services: Vec<Service>,
    /// Who the people of the providers are.
    pub identities: Identities,
    /// What providers have pushed.
    pub resources: Vec<Resource>,
    /// What sessions have of their provider's.
    pub provider_sessions: BTreeMap<SessionToken, ProviderSession>,
}

/// Policies, and the generation that they began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredPolicy {
    /// The generation.
    pub generation: Generation,
    /// Files of Cedar, as they are evaluated.
    pub files: Vec<PolicyFile>,
}

/// The next free numbers. None is ever used twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Of apps.
    pub next_app: u32,
    /// Of app sets.
    pub next_app_set: u32,
    /// Of allow-lists.
    pub next_allow_list: u32,
    /// Of blocks.
    pub next_block: u32,
}

impl Default for Counters {
    fn default() -> Self {
        Self { next_app: 1, next_app_set: 1, next_allow_list: 1, next_block: 1 }
    }
}

/// A session, with what is needed to take it up again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredSession {
    /// The session. Its times are those of the boot below.
    pub session: Session,
    /// The boot during which it began, as the kernel names it.
    pub boot_id: ArcStr,
    /// The hash of what its client proves it with.
    pub secret: SecretHash,
    /// Its deadline on the wall clock, for a restart of the host.
    pub wall_deadline: OffsetDateTime,
}

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("state file `{0}` is in use by another portcullisd; stop that one first")]
    InUse(PathBuf),
    /// It was written by a newer version.
    #[error(
        "state file `{path}` has schema {found} and this portcullisd knows {SCHEMA}; \
         install the newer version again, or restore a backup"
    )]
    NewerSchema {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// What it holds makes no sense.
    #[error("state file `{path}` is damaged: {problem}; restore a backup, or move it away to start empty")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        problem: String,
    },
    /// No room.
    #[error("no space is left for state file `{0}`; free some on its file system")]
    DiskFull(PathBuf),
    /// The system refused something else.
    #[error("state file `{path}`: {source}; check its file system and that portcullisd may write there")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests;
