//! Questions to the gateway. Asking changes nothing.

use super::judge::subject;
use super::{Gateway, NextIds};
use crate::policy::cedar::{Faults, PolicySet, PolicyWarning, Subject};
use crate::policy::change::Capacities;
use crate::policy::model::{
    App, AppId, AppName, Assurance, Generation, GroupName, Session, SessionToken, Settings, User, UserName,
};
use crate::policy::plan::Needs;
use crate::policy::table::TableSet;
use gateway_common::KernelNanos;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

impl Gateway {
    /// All users.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &User> {
        self.users.values()
    }

    /// One user.
    #[must_use]
    pub fn user(&self, name: &UserName) -> Option<&User> {
        self.users.get(name)
    }

    /// All groups with their members.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<GroupName, BTreeSet<UserName>> {
        let mut groups: BTreeMap<_, _> = self.groups.iter().map(|name| (name.clone(), BTreeSet::new())).collect();
        for user in self.users.values() {
            for group in &user.groups {
                groups.entry(group.clone()).or_default().insert(user.name.clone());
            }
        }
        groups
    }

    /// Whether a group is there.
    #[must_use]
    pub fn has_group(&self, name: &GroupName) -> bool {
        self.groups.contains(name)
    }

    /// The users in a group, if it is there.
    pub fn members<'g>(&'g self, name: &'g GroupName) -> Option<impl Iterator<Item = &'g User>> {
        self.has_group(name).then(|| self.users.values().filter(|user| user.groups.contains(name)))
    }

    /// All apps with their numbers.
    pub fn apps(&self) -> impl Iterator<Item = (AppId, &App)> {
        self.apps.iter().filter_map(|(name, app)| Some((*self.app_ids.get(name)?, app)))
    }

    /// The apps that are disabled.
    #[must_use]
    pub fn disabled_apps(&self) -> BTreeSet<AppName> {
        self.apps.values().filter(|app| !app.enabled).map(|app| app.name.clone()).collect()
    }

    /// One app with its number.
    #[must_use]
    pub fn app(&self, name: &AppName) -> Option<(AppId, &App)> {
        Some((*self.app_ids.get(name)?, self.apps.get(name)?))
    }

    /// The name behind a number, also of an app that is gone.
    #[must_use]
    pub fn app_name(&self, id: AppId) -> Option<&AppName> {
        self.app_names.get(&id)
    }

    /// The numbers of all apps that ever were, for the store.
    #[must_use]
    pub fn app_ids(&self) -> &BTreeMap<AppName, AppId> {
        &self.app_ids
    }

    /// The ids that are given out next, for the store.
    #[must_use]
    pub fn next_ids(&self) -> NextIds {
        NextIds { app_set: self.next_app_set, block: self.next_block, allow_list: self.lists.next() }
    }

    /// All sessions.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = &Session> {
        self.sessions.iter()
    }

    /// One session.
    #[must_use]
    pub fn session(&self, token: SessionToken) -> Option<&Session> {
        self.sessions.get(token)
    }

    /// The session at an address of a zone.
    #[must_use]
    pub fn session_at(&self, zone: u32, address: IpAddr) -> Option<&Session> {
        self.sessions.at_source(zone, address.to_canonical())
    }

    /// The sessions with later tokens than this one, in the order of tokens.
    pub fn sessions_after(&self, token: Option<SessionToken>) -> impl Iterator<Item = &Session> {
        self.sessions.after(token)
    }

    /// The sessions of a user, in no order.
    pub fn sessions_of(&self, user: &UserName) -> impl Iterator<Item = &Session> {
        self.sessions.of_user(user).map(|(_, session)| session)
    }

    /// What should be in the tables of the kernel: made anew, because what it says of sessions follows from them.
    #[must_use]
    pub fn tables(&self) -> TableSet {
        let sessions = self.sessions.as_stored().map(|(_, session)| (session.token, self.entry(session)));
        TableSet { sessions: sessions.collect(), ..self.tables.clone() }
    }

    /// The same without sessions, as it is.
    #[must_use]
    pub fn rules(&self) -> &TableSet {
        &self.tables
    }

    /// How full the tables should be.
    #[must_use]
    pub fn entries(&self) -> Needs {
        let TableSet { app_prefixes, apps, grants, sessions: _ } = &self.tables;
        Needs {
            sessions: self.sessions.len(),
            app_prefixes: app_prefixes.len(),
            app_ports: apps.len(),
            grants: grants.len(),
        }
    }

    /// How full the tables may become.
    #[must_use]
    pub fn capacities(&self) -> &Capacities {
        &self.capacities
    }

    /// The number of the state in force.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What holds for all policies.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The policies in force.
    #[must_use]
    pub fn policy(&self) -> &PolicySet {
        &self.policy
    }

    /// The text of the policies in force.
    #[must_use]
    pub fn policy_text(&self) -> String {
        self.policy.text()
    }

    /// What looks odd about the policies in force.
    #[must_use]
    pub fn policy_warnings(&self) -> Vec<PolicyWarning> {
        let mut found = self.warnings_of(&self.policy);
        found.extend(self.policy.faulty(&self.faults));
        found.sort();
        found
    }

    /// Policies that could not be evaluated since apps or policies changed last, by name, and why. Whoever they concerned
    /// was denied.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What looks odd about policies, if they were in force.
    #[must_use]
    pub fn warnings_of(&self, policy: &PolicySet) -> Vec<PolicyWarning> {
        let mut found = policy.warnings(&self.groups, self.apps.keys(), PolicySet::MOST_WARNINGS);
        found.extend(policy.expiring(&self.clock.now));
        found.sort();
        found
    }

    /// Whether the policies in force name a group.
    #[must_use]
    pub fn policies_name(&self, group: &GroupName) -> bool {
        self.policy.names_group(group.as_str())
    }

    /// What a session does not reach as it is, and would after an authentication right now that amounts to this.
    #[must_use]
    pub fn within_reach(&self, session: &Session, stronger: &Assurance, now: KernelNanos) -> Vec<AppName> {
        let Some(user) = self.users.get(&session.user) else { return Vec::new() };
        let age = now.since(session.authenticated_at);
        let is_open = |app: &AppName| {
            let granted = session.permitted.get(app);
            granted.is_some_and(|granted| granted.admits(age))
        };
        let assurance = Arc::new(stronger.clone());
        let subject = Subject { assurance, dated: true, ..subject(session, user.standing(), &self.clock.now) };
        let closed = self.apps.values().filter(|app| !is_open(&app.name));
        self.policy.decide_all(&subject, closed).0.keys().cloned().collect()
    }
}
