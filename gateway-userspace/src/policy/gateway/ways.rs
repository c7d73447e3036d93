//! Who can reach what: the app at a destination, the people who reach an app, the apps that somebody reaches.

use super::Gateway;
use super::opinion::Stance;
use super::rehearse::Assumed;
use crate::policy::cedar::Facts;
use crate::policy::change::Refusal;
use crate::policy::compile::protocol_number;
use crate::policy::model::{App, AppName, Decision, Protocol, Session, SessionToken, User, UserName};
use gateway_common::KernelNanos;
use gateway_common::abi::AppKey;
use ipnet::IpNet;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Where a connection goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The address.
    pub address: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port; 0 for protocols without ports.
    pub port: u16,
}

/// Somebody who reaches an app, or would.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// Who.
    pub user: UserName,
    /// What.
    pub app: AppName,
    /// Their sessions that reach it now.
    pub sessions: Vec<SessionToken>,
    /// Whether they would after a login with two factors.
    pub after_login: bool,
    /// The policies that permit it.
    pub policies: Vec<String>,
    /// How old the login may be.
    pub most: Option<Duration>,
}

/// What would be decided after a login, for facts that policies do not tell apart.
type Known = HashMap<Facts, Decision>;

impl Destination {
    /// How the kernel knows the protocol.
    #[must_use]
    pub fn protocol_number(&self) -> u8 {
        protocol_number(self.protocol, &IpNet::from(self.address))
    }
}

/// As the cases of a bundle are written: `10.20.0.10:443/tcp`, `10.20.0.10/icmp`, `10.20.0.10:47/ip`.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp => {
                write!(f, "{}/{}", SocketAddr::new(self.address, self.port), self.protocol)
            }
            Protocol::Icmp => write!(f, "{}/icmp", self.address),
            Protocol::Ip(number) => write!(f, "{}/ip", SocketAddr::new(self.address, number.into())),
        }
    }
}

impl Gateway {
    /// The app at a destination, as the tables in force say: at the most specific prefix, its port before any port.
    #[must_use]
    pub fn app_at(&self, destination: &Destination) -> Option<&AppName> {
        let protocol = destination.protocol_number();
        let address = destination.address.to_canonical();
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefixes = (0..=longest).rev().filter_map(|length| IpNet::new(address, length).ok());
        let keys = prefixes.map(|prefix| (self.app_set, prefix.trunc()));
        let block = keys.into_iter().find_map(|key| self.tables.app_prefixes.get(&key))?.0;
        let key = |port: u16| AppKey { block, port: port.to_be_bytes(), protocol, side: AppKey::SERVICE };
        let apps = &self.tables.apps;
        let entry = apps.get(&key(destination.port)).or_else(|| apps.get(&key(0)))?;
        self.app_names.get(&crate::policy::model::AppId(entry.app()))
    }

    /// The people who reach an app, or would, in the order of their names.
    ///
    /// # Errors
    /// If the app is not defined.
    pub fn who_reaches(&self, app: &AppName, assumed: &Assumed, now: KernelNanos) -> Result<Vec<Way>, Refusal> {
        let app = self.apps.get(app).ok_or_else(|| Refusal::UnknownApp(app.clone()))?;
        let mut known = Known::new();
        Ok(self.users.values().filter_map(|user| self.way(user, app, assumed, now, &mut known)).collect())
    }

    /// The apps that somebody reaches, or would, in the order of their names.
    ///
    /// # Errors
    /// If the user is not defined.
    pub fn what_reaches(&self, user: &UserName, assumed: &Assumed, now: KernelNanos) -> Result<Vec<Way>, Refusal> {
        let user = self.users.get(user).ok_or_else(|| Refusal::UnknownUser(user.clone()))?;
        Ok(self.apps.values().filter_map(|app| self.way(user, app, assumed, now, &mut Known::new())).collect())
    }

    fn way(&self, user: &User, app: &App, assumed: &Assumed, now: KernelNanos, known: &mut Known) -> Option<Way> {
        if !user.is_active() {
            return None;
        }
        let mut open: Vec<_> = self.sessions_of(&user.name).filter(|session| is_open(session, app, now)).collect();
        open.sort_by_key(|session| session.token);
        let subject = Stance::assumed(user.name.clone(), user.provider.clone(), assumed).subject(user, &self.clock.now);
        let facts = self.policy.facts(&subject);
        let decided = known.entry(facts).or_insert_with(|| self.policy.decide(&subject, app).decision);
        let decision = open.first().and_then(|session| session.permitted.get(&app.name)).unwrap_or(decided);
        decision.permit.then(|| Way {
            user: user.name.clone(),
            app: app.name.clone(),
            sessions: open.iter().map(|session| session.token).collect(),
            after_login: decided.permit,
            policies: decision.policies.clone(),
            most: decision.max_authentication_age.map(Duration::from_nanos),
        })
    }
}

pub(super) fn is_open(session: &Session, app: &App, now: KernelNanos) -> bool {
    let age = now.since(session.authenticated_at);
    !session.deadline.has_passed(now) && session.permitted.get(&app.name).is_some_and(|granted| granted.admits(age))
}
