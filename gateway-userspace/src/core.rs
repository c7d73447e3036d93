//! The one task that owns the state of the gateway. Others send it requests over a bounded channel.
//!
//! A request is decided by the policy core, then stored and applied. What gives access is stored first: after a crash
//! nothing is in force that is not known. What takes access away reaches the data plane first: a full disk never delays
//! a revocation, and what could not be stored is tried again until it is.

mod apply;
mod arrive;
mod decide;
mod provision;
mod run;
mod service;
mod signal;
mod truth;
mod uses;
mod writes;

pub use apply::Apply;
pub(crate) use provision::directory;
pub use run::{Core, start};
pub(crate) use truth::note as note_repairs;
pub(crate) use writes::{counters, restored};

use crate::identity::scim::{Decided, Directory, Operation, ScimError};
use crate::identity::ssf::Order;
use crate::identity::{
    Accounts, ApiToken, Arrival, ArrivalRefusal, Credential, PasswordHash, ProviderSession, SecretHash, Service,
    ServiceRefusal, TokenId,
};
use crate::policy::{
    EndCause, Gateway, Generation, History, Input, Proof, ProviderName, Refusal, Regranted, Session, SessionToken,
    Source, UserName,
};
use gateway_common::KernelNanos;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// Everything that the gateway knows. Owned by the core's thread.
pub struct State {
    /// Users, groups, apps, policies, sessions.
    pub gateway: Gateway,
    /// Passwords and API tokens.
    pub accounts: Accounts,
    /// Users and groups as identity providers have pushed them.
    pub directory: Directory,
    /// The generations of policy.
    pub history: History,
}

impl State {
    /// The sessions that began with one at a provider: of a subject, or those of one of its sessions, or both. A subject is
    /// looked up; all sessions are looked at only where a provider names nobody.
    #[must_use]
    pub fn begun_at(
        &self,
        provider: &ProviderName,
        subject: Option<&str>,
        sid: Option<&str>,
    ) -> BTreeSet<SessionToken> {
        let kept = &self.accounts.provider_sessions;
        let is_meant = |kept: &ProviderSession| {
            kept.provider == *provider
                && subject.is_none_or(|subject| kept.subject == subject)
                && sid.is_none_or(|sid| kept.sid.as_deref() == Some(sid))
        };
        match subject {
            Some(subject) => {
                let user = self.accounts.identities.user(provider, subject);
                let sessions = user.into_iter().flat_map(|user| self.gateway.sessions_of(user));
                sessions.map(|session| session.token).filter(|token| kept.get(token).is_some_and(is_meant)).collect()
            }
            None => kept.iter().filter(|(_, kept)| is_meant(kept)).map(|(token, _)| *token).collect(),
        }
    }
}

/// Who asks for something, for the records.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The user, the service, the provider, the API token's name, or `local`.
    pub name: String,
    /// Where the request came from; `None` for the daemon itself.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// An identity provider, which asks from there, or was asked by the daemon.
    #[must_use]
    pub fn provider(name: &ProviderName, address: Option<IpAddr>) -> Self {
        Self { name: format!("provider {name}"), address }
    }
}

/// Something to be done.
#[derive(Debug)]
pub enum Request {
    /// Somebody has proved who they are.
    Login(Box<Login>),
    /// A provider was asked about a session that goes on: what it says now.
    Renewed(Renewed),
    /// A provider pushes a user or a group.
    Scim(Box<Operation>),
    /// A provider's event orders something.
    Signal(ProviderName, Box<Order>),
    /// Put a bundle in force, or what was in force before.
    Apply(Box<Apply>),
    /// Keep the generation that would be undone otherwise; if one is named, that one.
    Confirm(Option<Generation>),
    /// Whatever else policy decides about.
    Policy(Input),
    /// Create a user or replace what is known of them, with their password if one is given.
    PutUser {
        /// The user.
        user: crate::policy::User,
        /// The hash of a new password.
        password: Option<PasswordHash>,
    },
    /// Set a user's password.
    SetPassword {
        /// Whose.
        user: UserName,
        /// Its hash.
        password: PasswordHash,
    },
    /// Create a service, or replace what is known of it. Its user comes and goes with it.
    PutService {
        /// The user.
        user: crate::policy::User,
        /// How it proves itself; of the same name.
        service: Service,
    },
    /// Remove a service, and with it its sessions.
    RemoveService(UserName),
    /// Create an API token.
    PutApiToken(ApiToken),
    /// Remove an API token.
    RemoveApiToken(TokenId),
}

/// A proven login.
#[derive(Debug)]
pub struct Login {
    /// Random, never 0.
    pub token: SessionToken,
    /// Hash of what the client will prove the session with.
    pub secret: SecretHash,
    /// Who.
    pub who: Who,
    /// Where their packets come from.
    pub source: Source,
    /// How they proved it, and when.
    pub proof: Proof,
    /// When the session is to end, on the boot clock.
    pub deadline: KernelNanos,
}

/// Who has proved who they are.
#[derive(Debug)]
pub enum Who {
    /// A user, at this gateway.
    Known(UserName),
    /// A service, by what it has proved itself with: which is asked again where it is decided.
    Service(UserName, Credential),
    /// Somebody for whom a provider vouches.
    Arrived(Box<(Arrival, ProviderSession)>),
}

/// A session that goes on, as its provider says.
#[derive(Clone, Debug)]
pub struct Renewed {
    /// Which.
    pub token: SessionToken,
    /// Who that is, as the provider says now; `None` if it only says that the session goes on.
    pub arrival: Option<Arrival>,
    /// What is kept of their session there.
    pub session: ProviderSession,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    /// The session that began.
    pub opened: Option<Session>,
    /// One for each session that ended.
    pub receipts: Vec<Receipt>,
    /// The sessions whose grants changed.
    pub regranted: Arc<Vec<Regranted>>,
    /// The sessions about which something was decided otherwise, those of `regranted` among them.
    pub redecided: Vec<SessionToken>,
    /// The generation in force now, if it changed.
    pub generation: Option<Generation>,
    /// What a provider's operation came to.
    pub decided: Option<Decided>,
}

/// Proof of a revocation.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The session, as it was.
    pub session: Session,
    /// Why it ended.
    pub cause: EndCause,
    /// Who asked.
    pub by: String,
    /// When the request had been read and was handed to the core.
    pub requested_at: OffsetDateTime,
    /// From then to the moment from which the kernel forwards nothing.
    pub enforced_after: Duration,
    /// When the session's last packet was forwarded; `None` if it never sent one.
    pub last_packet_at: Option<OffsetDateTime>,
    /// How long after the request that was, in nanoseconds; negative if it was before.
    pub last_packet_after_request_nanos: Option<i64>,
    /// How many of its flows were open.
    pub flows_cut: usize,
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The rules forbid it, or it makes no sense. Nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The state could not be written. Nothing changed, but for revocations, which are in force.
    #[error("the store failed: {0}")]
    Store(#[from] crate::store::StoreError),
    /// The kernel refused a write. The data plane is being reconciled.
    #[error("the data plane failed: {0}")]
    DataPlane(#[from] crate::dataplane::DataPlaneError),
    /// A provider vouches for somebody who does not come in.
    #[error(transparent)]
    Arrival(#[from] ArrivalRefusal),
    /// A service is not put, or does not get in; or an address is one's.
    #[error(transparent)]
    Service(#[from] ServiceRefusal),
    /// A provider's operation makes no sense. Nothing changed.
    #[error("{}", .0.detail)]
    Scim(ScimError),
    /// A generation waits for being confirmed, and until then nothing else is put in force.
    #[error("generation {} is not confirmed yet; confirm it, or roll it back, and try again", .0.0)]
    Unconfirmed(Generation),
    /// No generation waits for that.
    #[error("no generation waits for being confirmed")]
    NothingToConfirm,
    /// No API token with this id.
    #[error("API token `{0}` does not exist")]
    UnknownApiToken(TokenId),
    /// Too many requests are waiting.
    #[error("the gateway is busy; retry in a moment")]
    Busy,
    /// The daemon is shutting down.
    #[error("the gateway is shutting down")]
    Stopped,
}

#[cfg(test)]
mod tests;
