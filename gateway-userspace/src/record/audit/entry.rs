//! What the trail tells: one entry for each thing that somebody may have to answer for. Entries are put into words by the
//! trail's own thread, from what the core has decided. No field can hold a secret: there is none in what they are made of.

use crate::core::{Actor, Receipt};
use crate::dataplane::clock::WallClock;
use crate::identity::{ApiToken, Service};
use crate::policy::{
    AppName, Decision, Difference, Generation, GroupName, HistoryEntry, Input, Names, Permitted, Regranted, Session,
    UserName,
};
use crate::record::line::{Administered, SessionEnd, mac, name_as_typed};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use time::OffsetDateTime;

/// Names of one kind that are told in one entry, at most. How many more there are is told, too.
const MOST: usize = 1_000;

/// The body of an entry: all but its number and what seals it.
#[derive(Serialize)]
pub(super) struct Body<'e> {
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    #[serde(flatten)]
    pub entry: &'e Entry,
}

/// What an entry tells.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Entry {
    TrailBegan {
        gateway: String,
        version: &'static str,
    },
    FileBegun {
        gateway: String,
        after: String,
    },
    ChainBroken {
        gateway: String,
        #[serde(flatten)]
        found: Broken,
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    BreakFound {
        #[serde(flatten)]
        found: Broken,
        more: u64,
    },
    UnfinishedLine {
        file: String,
        line: u64,
        bytes: u64,
        moved_to: String,
    },
    EntriesLost {
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
        entries: BTreeMap<&'static str, u64>,
    },
    DaemonStarted {
        version: &'static str,
        process: u32,
    },
    DaemonStopped {
        process: u32,
    },
    Login {
        session: String,
        user: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider: Option<String>,
        source: IpAddr,
        zone: String,
        interface: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        mac: Option<String>,
        factors: Vec<&'static str>,
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
        granted: Vec<Granted>,
        #[serde(skip_serializing_if = "is_none")]
        more: usize,
    },
    LoginFailed {
        user: String,
        source: IpAddr,
        why: &'static str,
        #[serde(skip_serializing_if = "is_zero")]
        others: u64,
    },
    SessionEnded(SessionEnd),
    Regranted {
        session: String,
        user: String,
        gained: Vec<Granted>,
        lost: Vec<Lost>,
        #[serde(skip_serializing_if = "is_none")]
        more: usize,
        #[serde(flatten)]
        because: Because,
    },
    GenerationBegan {
        generation: u64,
        by: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<IpAddr>,
        action: String,
        object: String,
        message: String,
        #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
        confirm_until: Option<OffsetDateTime>,
        settings_changed: bool,
        groups_added: Vec<String>,
        apps: Changed,
        policies: Changed,
    },
    Admin {
        #[serde(flatten)]
        what: Administered,
        #[serde(flatten)]
        detail: Detail,
    },
    AdminRefused {
        by: String,
        from: IpAddr,
        operation: String,
        why: &'static str,
        #[serde(skip_serializing_if = "is_zero")]
        others: u64,
    },
}

/// Where a chain is broken, and how.
#[derive(Clone, Serialize)]
pub(super) struct Broken {
    pub file: String,
    pub line: u64,
    pub flaw: &'static str,
    pub means: String,
}

/// An app that somebody reaches, and the policies that say so.
#[derive(Serialize)]
pub(super) struct Granted {
    app: String,
    policies: Vec<String>,
}

/// An app that somebody does not reach any more, and the policies that forbid it, if any do.
#[derive(Serialize)]
pub(super) struct Lost {
    app: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    forbidden_by: Vec<String>,
}

/// Why sessions reach something else.
#[derive(Clone, Serialize)]
pub(super) struct Because {
    by: String,
    because: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
}

/// Names that came, changed and went.
#[derive(Serialize, Default)]
pub(super) struct Changed {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
    #[serde(skip_serializing_if = "is_none")]
    more: usize,
}

/// What else there is to say of an administrator's change.
#[derive(Serialize, Default)]
pub(super) struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    joined: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<String>,
    #[serde(skip_serializing_if = "is_none")]
    more: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<&'static str>>,
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    expires_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The type of an entry, which is a label of metrics, too.
pub(super) mod kind {
    pub(in crate::record::audit) use super::super::chain::{BEGUN, BROKEN, CONTINUED};
    pub const BREAK_FOUND: &str = "break_found";
    pub const UNFINISHED: &str = "unfinished_line";
    pub const LOST: &str = "entries_lost";
    pub const STARTED: &str = "daemon_started";
    pub const STOPPED: &str = "daemon_stopped";
    pub const LOGIN: &str = "login";
    pub const LOGIN_FAILED: &str = "login_failed";
    pub const SESSION_ENDED: &str = "session_ended";
    pub const REGRANTED: &str = "regranted";
    pub const GENERATION: &str = "generation_began";
    pub const ADMIN: &str = "admin";
    pub const ADMIN_REFUSED: &str = "admin_refused";
    /// Each of them.
    pub const ALL: [&str; 15] = [
        BEGUN,
        CONTINUED,
        BROKEN,
        BREAK_FOUND,
        UNFINISHED,
        LOST,
        STARTED,
        STOPPED,
        LOGIN,
        LOGIN_FAILED,
        SESSION_ENDED,
        REGRANTED,
        GENERATION,
        ADMIN,
        ADMIN_REFUSED,
    ];
}

impl Entry {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TrailBegan { .. } => kind::BEGUN,
            Self::FileBegun { .. } => kind::CONTINUED,
            Self::ChainBroken { .. } => kind::BROKEN,
            Self::BreakFound { .. } => kind::BREAK_FOUND,
            Self::UnfinishedLine { .. } => kind::UNFINISHED,
            Self::EntriesLost { .. } => kind::LOST,
            Self::DaemonStarted { .. } => kind::STARTED,
            Self::DaemonStopped { .. } => kind::STOPPED,
            Self::Login { .. } => kind::LOGIN,
            Self::LoginFailed { .. } => kind::LOGIN_FAILED,
            Self::SessionEnded(_) => kind::SESSION_ENDED,
            Self::Regranted { .. } => kind::REGRANTED,
            Self::GenerationBegan { .. } => kind::GENERATION,
            Self::Admin { .. } => kind::ADMIN,
            Self::AdminRefused { .. } => kind::ADMIN_REFUSED,
        }
    }

    pub fn login(session: &Session) -> Self {
        let source = &session.source;
        Self::Login {
            session: session.token.to_string(),
            user: session.user.to_string(),
            provider: session.assurance.provider.as_ref().map(ToString::to_string),
            source: source.address,
            zone: source.zone_name.to_string(),
            interface: source.interface_name.to_string(),
            mac: source.mac.map(mac),
            factors: session.factors.iter().map(|factor| factor.label()).collect(),
            until: WallClock::now().at(session.deadline),
            granted: session.permitted.iter().take(MOST).map(|(app, decision)| granted(app, Some(decision))).collect(),
            more: session.permitted.len().saturating_sub(MOST),
        }
    }

    pub fn login_failed(user: String, source: IpAddr, why: &'static str, others: u64) -> Self {
        let user = name_as_typed(&user);
        Self::LoginFailed { user, source, why, others }
    }

    pub fn session_ended(receipt: &Receipt, from: Option<IpAddr>) -> Self {
        Self::SessionEnded(SessionEnd::of(receipt, from))
    }

    /// `permitted` is what the session reaches now.
    pub fn regranted(regranted: &Regranted, permitted: Option<&Permitted>, because: Because) -> Self {
        let Regranted { token, user, gained, lost } = regranted;
        let decision = |app: &AppName| permitted.and_then(|permitted| permitted.decision(app));
        Self::Regranted {
            session: token.to_string(),
            user: user.to_string(),
            gained: gained.iter().take(MOST).map(|app| granted(app, decision(app))).collect(),
            lost: lost.iter().take(MOST).map(|app| no_more(app, decision(app))).collect(),
            more: gained.len().saturating_sub(MOST) + lost.len().saturating_sub(MOST),
            because,
        }
    }

    pub fn generation(entry: HistoryEntry, from: Option<IpAddr>, difference: &Difference) -> Self {
        let HistoryEntry { generation, at: _, author, message, action, object, confirm_until, undo: _ } = entry;
        let Difference { settings, groups, apps, policies } = difference;
        Self::GenerationBegan {
            generation: generation.0,
            by: author,
            from,
            action,
            object,
            message,
            confirm_until,
            settings_changed: *settings,
            groups_added: groups.iter().take(MOST).map(ToString::to_string).collect(),
            apps: apps.into(),
            policies: policies.into(),
        }
    }

    pub fn admin(
        actor: Actor,
        action: &'static str,
        object: String,
        generation: Option<Generation>,
        detail: Detail,
    ) -> Self {
        Self::Admin { what: Administered::by(actor, action, object, generation), detail }
    }
}

impl Because {
    /// What an input does to sessions that go on; `described` if it is a change that somebody asked for.
    pub fn of(
        actor: &Actor,
        input: &Input,
        described: Option<(&'static str, String)>,
        generation: Option<Generation>,
    ) -> Self {
        let (because, object) = described.unwrap_or_else(|| {
            let because = match input {
                Input::Tick => "time",
                Input::Resolved(_) => "names_resolved",
                Input::Login { .. } => "login",
                _ => "sessions_ended",
            };
            (because, String::new())
        });
        Self { by: actor.name.clone(), because, object, generation: generation.map(|generation| generation.0) }
    }
}

impl Detail {
    /// What an input says beside what it is called and what it is done to.
    pub fn of(input: &Input) -> Self {
        match input {
            Input::PutUser(user) => {
                let groups = user.groups.iter().take(MOST).map(GroupName::to_string).collect();
                Self { groups: Some(groups), more: user.groups.len().saturating_sub(MOST), ..Self::default() }
            }
            Input::Members { joined, left, .. } => Self {
                joined: names(joined),
                left: names(left),
                more: joined.len().saturating_sub(MOST) + left.len().saturating_sub(MOST),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    /// A token, without what proves it.
    pub fn of_token(token: &ApiToken) -> Self {
        let ApiToken { id: _, name, scopes, secret_hash: _, created_at: _, expires_at, last_used: _ } = token;
        let scopes = scopes.iter().map(|scope| scope.label()).collect();
        Self { name: Some(name.clone()), scopes: Some(scopes), expires_at: *expires_at, ..Self::default() }
    }

    /// What a service proves itself with, which is no secret, and what it may do.
    pub fn of_service(service: &Service) -> Self {
        Self {
            scopes: Some(service.scopes.iter().map(|scope| scope.label()).collect()),
            certificate: service.certificate.as_ref().map(ToString::to_string),
            client: service.client.as_ref().map(|(provider, client)| format!("{provider} {client}")),
            address: service.binding.map(|binding| binding.address),
            ..Self::default()
        }
    }
}

impl From<&Names> for Changed {
    fn from(names: &Names) -> Self {
        let Names { added, changed, removed } = names;
        let few = |names: &Vec<String>| names.iter().take(MOST).cloned().collect();
        let more = [added, changed, removed].map(|names| names.len().saturating_sub(MOST)).iter().sum();
        Self { added: few(added), changed: few(changed), removed: few(removed), more }
    }
}

fn granted(app: &AppName, decision: Option<&Decision>) -> Granted {
    let decision = decision.filter(|decision| decision.permit);
    Granted { app: app.to_string(), policies: decision.map(|decision| decision.policies.clone()).unwrap_or_default() }
}

fn no_more(app: &AppName, decision: Option<&Decision>) -> Lost {
    let decision = decision.filter(|decision| !decision.permit);
    Lost { app: app.to_string(), forbidden_by: decision.map(|decision| decision.policies.clone()).unwrap_or_default() }
}

fn names(users: &BTreeSet<UserName>) -> Vec<String> {
    users.iter().take(MOST).map(ToString::to_string).collect()
}

/// Some entries of one kind and one moment, made when they are written.
pub(super) struct Lot {
    pub time: OffsetDateTime,
    pub kind: &'static str,
    /// How many there are.
    pub count: usize,
    pub entries: Box<dyn Iterator<Item = Entry> + Send>,
}

impl Lot {
    pub fn one(kind: &'static str, make: impl FnOnce() -> Entry + Send + 'static) -> Self {
        let entries = Box::new(std::iter::once_with(make));
        Self { time: OffsetDateTime::now_utc(), kind, count: 1, entries }
    }

    pub fn many(kind: &'static str, count: usize, make: impl Fn(usize) -> Option<Entry> + Send + 'static) -> Self {
        Self { time: OffsetDateTime::now_utc(), kind, count, entries: Box::new((0..count).filter_map(make)) }
    }

    /// Sessions that reach something else, with what they reach now.
    pub fn regranted(changes: &Arc<Vec<Regranted>>, now: Vec<Option<Arc<Permitted>>>, because: Because) -> Self {
        let changes = Arc::clone(changes);
        Self::many(kind::REGRANTED, changes.len(), move |at| {
            let permitted = now.get(at)?.as_deref();
            Some(Entry::regranted(changes.get(at)?, permitted, because.clone()))
        })
    }
}
