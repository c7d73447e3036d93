//! What can happen to a gateway, and what comes of it.

use super::cedar::Faults;
use super::model::{
    Answers, App, AppName, Generation, GroupName, InvalidName, Proof, Session, SessionToken, Source, User, UserName,
};
use super::{Bundle, Plan, PolicyError, PolicySet};
use gateway_common::KernelNanos;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Something that happened, or that somebody wants.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody has proved who they are.
    Login {
        /// Random, drawn by the caller, never 0.
        token: SessionToken,
        /// Who.
        user: UserName,
        /// Where their packets come from. A session of the same user there is replaced; of another user, refused.
        source: Source,
        /// How they proved it, and when.
        proof: Proof,
        /// When the session is to end, on the boot clock.
        deadline: KernelNanos,
    },
    /// End sessions, each for the same cause.
    End {
        /// Which.
        which: Selector,
        /// Why.
        cause: EndCause,
    },
    /// Create a user, or replace what is known of them.
    PutUser(User),
    /// Remove a user, and with them their sessions.
    RemoveUser(UserName),
    /// Create a group. Nothing happens if it exists.
    PutGroup(GroupName),
    /// Make users members of a group, and others not. It is created if it is not there.
    Members {
        /// The group.
        group: GroupName,
        /// Who is in it from now on. Every one of them exists.
        joined: BTreeSet<UserName>,
        /// Who is not any more.
        left: BTreeSet<UserName>,
    },
    /// Remove a group, and everybody's membership in it.
    RemoveGroup(GroupName),
    /// Create an app, or replace its definition.
    PutApp(App),
    /// Remove an app.
    RemoveApp(AppName),
    /// Replace all policies.
    PutPolicy {
        /// By these.
        policy: Box<PolicySet>,
        /// Refuse unless this generation is in force.
        if_match: Option<Generation>,
    },
    /// Put a bundle in force.
    Apply {
        /// All that is declared.
        bundle: Box<Bundle>,
        /// Refuse unless this generation is in force.
        if_match: Option<Generation>,
    },
    /// Names of apps lead to these addresses now, and to no others; with an empty set, nowhere. What names lead to that no
    /// app has any more is forgotten.
    Resolved(Answers),
    /// Time has passed: end what is past its deadline, and decide anew if policies see another time.
    Tick,
}

impl Input {
    /// Replace all policies by those of a text.
    ///
    /// # Errors
    /// [`Refusal::Policy`], with all that is wrong with it.
    pub fn put_policy(text: &str, if_match: Option<Generation>) -> Result<Self, Refusal> {
        let policy = Box::new(PolicySet::parse(text).map_err(Refusal::Policy)?);
        Ok(Self::PutPolicy { policy, if_match })
    }
}

/// Which sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selector {
    /// One.
    Session(SessionToken),
    /// All of a user.
    User(UserName),
    /// Those of these that there are.
    Sessions(BTreeSet<SessionToken>),
    /// Every one that may reach an app.
    App(AppName),
    /// Every one that is bound to an interface, by the kernel's number of it.
    Interface(u32),
    /// All.
    All,
}

/// Why a session ended before, or at, its deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EndCause {
    /// The user logged out.
    Logout,
    /// An administrator or a program revoked it.
    Revoked,
    /// The user was disabled.
    UserDisabled,
    /// The user's provider says that they have no access.
    UserSuspended,
    /// The user was removed.
    UserRemoved,
    /// Its deadline passed.
    Expired,
    /// The same user logged in again at the same source.
    Replaced,
    /// The user got another password.
    PasswordChanged,
    /// The user's provider says that they have logged out there, or that their session there is over.
    ProviderLogout,
    /// The user's provider was asked whether the session may go on, and says no.
    ProviderRefused,
    /// The user's provider says that what they prove who they are with has changed, or is known to others.
    CredentialChanged,
    /// The user's provider says that it is less sure of them than it was.
    AssuranceLowered,
    /// The user's provider says that they are at risk.
    RiskRaised,
    /// What the gateway knows of a service has changed: its binding or its certificate.
    ServiceChanged,
    /// It touched a trip-wire.
    TripWire,
    /// It could not be carried over when the daemon started: its interface is gone, or the host was restarted.
    Orphaned,
}

impl EndCause {
    /// The name used in records and the API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revoked => "revoked",
            Self::UserDisabled => "user_disabled",
            Self::UserSuspended => "user_suspended",
            Self::UserRemoved => "user_removed",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::PasswordChanged => "password_changed",
            Self::ProviderLogout => "provider_logout",
            Self::ProviderRefused => "provider_refused",
            Self::CredentialChanged => "credential_changed",
            Self::AssuranceLowered => "assurance_lowered",
            Self::RiskRaised => "risk_raised",
            Self::ServiceChanged => "service_changed",
            Self::TripWire => "trip_wire",
            Self::Orphaned => "orphaned",
        }
    }
}

/// What an input led to.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// The steps that bring the kernel's tables to the new state.
    pub plan: Plan,
    /// The session that began.
    pub opened: Option<Session>,
    /// The sessions that ended.
    pub ended: Vec<Ended>,
    /// The sessions whose grants changed.
    pub regranted: Vec<Regranted>,
    /// The sessions about which something was decided otherwise, those of `regranted` among them: the others reach the same
    /// apps, by other policies or with other limits, or are denied otherwise.
    pub redecided: Vec<SessionToken>,
    /// The generation now in force, if it changed.
    pub generation: Option<Generation>,
    /// Policies that could not be evaluated, by name, and why. Whoever they concerned was denied.
    pub faults: Faults,
    /// Why not everybody gets what policies give them now that it is later: whoever would have lost something has lost all.
    pub cramped: Option<Refusal>,
}

/// A session that ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// As it was.
    pub session: Session,
    /// Why.
    pub cause: EndCause,
}

/// A session that may reach more, or less, than before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Regranted {
    /// Which.
    pub token: SessionToken,
    /// Whose.
    pub user: UserName,
    /// Apps it may reach now. Shared by sessions that gain and lose the same.
    pub gained: Arc<[AppName]>,
    /// Apps it may no longer reach.
    pub lost: Arc<[AppName]>,
}

/// Why an input was refused. Nothing has changed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Refusal {
    /// A name with other characters than the permitted ones.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// No such user.
    #[error("user `{0}` is not defined")]
    UnknownUser(UserName),
    /// No such group.
    #[error("group `{0}` is not defined")]
    UnknownGroup(GroupName),
    /// No such app.
    #[error("app `{0}` is not defined")]
    UnknownApp(AppName),
    /// No such session.
    #[error("session `{0}` does not exist")]
    UnknownSession(SessionToken),
    /// Disabled users cannot log in.
    #[error("user `{0}` is disabled")]
    UserDisabled(UserName),
    /// Their provider says that they have no access.
    #[error("user `{0}` has no access, says their identity provider")]
    UserSuspended(UserName),
    /// What is known of them comes from their provider.
    #[error("user `{0}` is managed by identity provider `{1}`; change them there")]
    Managed(UserName, super::model::ProviderName),
    /// One user per source.
    #[error("address `{address}` already belongs to a session of another user; they must log out first")]
    SourceTaken {
        /// The source.
        address: std::net::IpAddr,
    },
    /// The app could not be compiled into the tables.
    #[error("app `{app}`: {problem}")]
    App {
        /// Which.
        app: AppName,
        /// What is wrong with it.
        problem: AppProblem,
    },
    /// The policies do not parse or do not fit the schema.
    #[error("policy: {} error(s)", .0.len())]
    Policy(Vec<PolicyError>),
    /// Somebody else changed the policy meanwhile.
    #[error("generation {expected} was expected but {found} is in force; read it again and retry", expected = .expected.0, found = .found.0)]
    GenerationMismatch {
        /// What the caller had seen.
        expected: Generation,
        /// What is in force.
        found: Generation,
    },
    /// The token of a login is that of another session.
    #[error("session `{0}` exists already; draw another token")]
    TokenTaken(SessionToken),
    /// A login that would be over before it begins.
    #[error("the deadline of the session has already passed")]
    DeadlinePassed,
    /// Ids are not used again, and one kind of them has come to its end.
    #[error("the numbers for `{0}` are used up; restart the gateway with empty tables")]
    NumbersUsedUp(&'static str),
    /// A table of the kernel would not hold the result.
    #[error(
        "table `{table}` would need {needed} entries and holds {capacity}; raise `capacity.{table}` in the configuration"
    )]
    TableFull {
        /// Which, as the configuration names it.
        table: &'static str,
        /// How many entries it would have to hold at once.
        needed: usize,
        /// How many it holds.
        capacity: usize,
    },
}

/// What is wrong with an app.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppProblem {
    /// Nowhere.
    #[error("it has neither a prefix nor a name")]
    NoPrefix,
    /// More names than [`AppProblem::MOST_NAMES`].
    #[error("it has {count} names, more than {most}; make several apps of it", count = .0, most = Self::MOST_NAMES)]
    TooManyNames(usize),
    /// Nothing that could be within.
    #[error("it says what its names are `within`, and has none")]
    WithinWithoutNames,
    /// No way in.
    #[error("it has no service")]
    NoService,
    /// Two apps claim the same destination.
    #[error("it claims {prefix} {service} which app `{other}` claims too; one of them must be narrower")]
    Ambiguous {
        /// Where.
        prefix: ipnet::IpNet,
        /// How.
        service: String,
        /// The other app.
        other: AppName,
    },
    /// First port above last, port 0, or ports where the protocol has none.
    #[error(
        "service `{0}` is not valid: ports go from 1 to 65535, the first not above the last, and only TCP, UDP and SCTP \
         have them"
    )]
    InvalidService(String),
    /// An IP protocol that has a name, or whose packets never pass.
    #[error("IP protocol {0} cannot be granted by its number")]
    NotGrantable(u8),
    /// Host bits in the prefix.
    #[error("prefix `{prefix}` has host bits; write `{suggestion}`")]
    HostBits {
        /// What was given.
        prefix: ipnet::IpNet,
        /// What was probably meant.
        suggestion: ipnet::IpNet,
    },
    /// A range of more than [`AppProblem::LONGEST_RANGE`] ports.
    #[error(
        "service `{service}` spans {ports} ports, more than {}; name the ports that are in use, or give it any port",
        Self::LONGEST_RANGE
    )]
    RangeTooLong {
        /// What was given.
        service: String,
        /// How many ports that is.
        ports: usize,
    },
    /// A prefix that no host on a routed network can be in.
    #[error("prefix `{0}` does not lie in routed unicast space")]
    NotRoutable(ipnet::IpNet),
}

impl AppProblem {
    /// Most ports in one range of an app: each of them is an entry in a table of the kernel.
    pub const LONGEST_RANGE: usize = 4_096;
    /// Names of one app: each is looked up again and again.
    pub const MOST_NAMES: usize = 64;
}

/// How full the tables may become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacities {
    /// Sessions.
    pub sessions: usize,
    /// Flows; the least recently used give way, so this one is never "full".
    pub flows: usize,
    /// Prefixes of apps, all app sets together. A change of apps needs twice as many for a moment.
    pub app_prefixes: usize,
    /// Ports of apps, all app sets together. A change of apps needs twice as many for a moment.
    pub app_ports: usize,
    /// Grants, all allow-lists together.
    pub grants: usize,
    /// Apps that can be counted.
    pub apps: usize,
    /// Sessions with apps that have a budget, as pairs.
    pub budgets: usize,
    /// Fragmented packets on their way; the least recently used give way.
    pub fragments: usize,
    /// Sources that speak to the gateway itself; the least recently used give way.
    pub sources: usize,
}

impl Default for Capacities {
    fn default() -> Self {
        Self {
            sessions: 65_536,
            flows: 262_144,
            app_prefixes: 16_384,
            app_ports: 65_536,
            grants: 262_144,
            apps: 4_096,
            budgets: 65_536,
            fragments: 4_096,
            sources: 16_384,
        }
    }
}
