//! Who reaches what, all of it at once.

use crate::policy::{self, Permit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who reaches what, by the policies in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReachMap {
    /// The number of the policy state that says so.
    pub policy_generation: u64,
    /// People of equal reach, most alike first; also those who reach nothing.
    pub alike: Vec<Alike>,
    /// How many more people are switched off, and so reach nothing.
    pub inactive: usize,
    /// The apps that were asked about, in the order of their names.
    pub apps: Vec<ReachApp>,
}

/// People of equal reach.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Alike {
    /// Who.
    pub users: Vec<String>,
    /// The groups that policies name and all of them are in.
    pub groups: Vec<String>,
    /// What each of them reaches.
    pub grants: Vec<ReachGrant>,
}

/// An app that people reach, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReachGrant {
    /// The app.
    pub app: String,
    /// The policies that permit it.
    pub policies: Vec<String>,
    /// How old the login may be, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_login_age_s: Option<u64>,
    /// Whether a login with two factors is enough; otherwise only sessions that are open now reach it.
    pub after_login: bool,
    /// Whether there are records of connections by it: policies that say `@log("off")` want none.
    pub recorded: bool,
    /// How many of them reach it now, by a session.
    pub now: usize,
}

/// An app that was asked about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReachApp {
    /// Its name.
    pub name: String,
    /// Whether it is switched on; nobody reaches it otherwise.
    pub enabled: bool,
    /// Whether it is a trip-wire, which nobody should touch.
    pub trip_wire: bool,
}

impl ReachMap {
    /// The shape of what the policy state of this number says.
    #[must_use]
    pub fn of(map: policy::ReachMap, generation: policy::Generation) -> Self {
        let policy::ReachMap { alike, inactive, apps } = map;
        let app = |(name, enabled, trip_wire): (policy::AppName, _, _)| ReachApp {
            name: name.to_string(),
            enabled,
            trip_wire,
        };
        Self {
            policy_generation: generation.0,
            alike: alike.into_iter().map(Alike::from).collect(),
            inactive,
            apps: apps.into_iter().map(app).collect(),
        }
    }
}

impl From<policy::Alike> for Alike {
    fn from(alike: policy::Alike) -> Self {
        let policy::Alike { users, groups, permits } = alike;
        let grant = |(permit, now): (Permit, usize)| {
            let Permit { app, policies, most, after_login, recorded } = permit;
            ReachGrant {
                app: app.to_string(),
                policies,
                max_login_age_s: most.map(|most| most.as_secs()),
                after_login,
                recorded,
                now,
            }
        };
        Self {
            users: users.iter().map(ToString::to_string).collect(),
            groups: groups.iter().map(ToString::to_string).collect(),
            grants: permits.into_iter().map(grant).collect(),
        }
    }
}
