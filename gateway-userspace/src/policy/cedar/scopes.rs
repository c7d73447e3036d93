//! Which apps policies could permit to somebody, or deny otherwise than by default, as far as their scopes tell: of
//! thousands of apps few concern one person.

use super::{PolicySet, Rule, Subject, Who, app_in_scope};
use crate::policy::model::AppName;
use cedar_policy::Effect;
use std::collections::{BTreeSet, HashMap};
use std::iter::once;

/// The apps that permits and marked forbids name, by whom their scopes admit.
#[derive(Clone, Debug, Default)]
pub(super) struct Scopes {
    anybody: Reach,
    users: HashMap<String, Reach>,
    groups: HashMap<String, Reach>,
}

/// Apps that are named.
#[derive(Clone, Debug, Default)]
struct Reach {
    apps: BTreeSet<AppName>,
    /// One names none, which may be any.
    is_all: bool,
}

impl Scopes {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut scopes = Self::default();
        for rule in rules.iter().filter(|rule| rule.counts_alone()) {
            let reach = match &rule.who {
                Who::Anybody => &mut scopes.anybody,
                Who::User(name) => scopes.users.entry(name.clone()).or_default(),
                Who::Group(name) => scopes.groups.entry(name.clone()).or_default(),
            };
            match app_in_scope(&rule.policy) {
                // A name that no app can have is that of none.
                Some(app) => reach.apps.extend(AppName::new(&app).ok().filter(|name| name.as_str() == app)),
                None => reach.is_all = true,
            }
        }
        scopes
    }
}

impl Rule {
    /// Whether it makes a difference where no other policy does. A forbid denies then what is denied by default, which
    /// matters only to whom it tells so, and to the access log.
    pub(super) fn counts_alone(&self) -> bool {
        self.policy.effect() == Effect::Permit || self.reject || self.log.is_some()
    }
}

impl PolicySet {
    /// The apps that some permit or marked forbid could be about for a subject: no other one is permitted, or denied
    /// otherwise than by default. `None` if that may be any.
    pub(in crate::policy) fn apps_in_question(&self, subject: &Subject) -> Option<BTreeSet<&AppName>> {
        let Scopes { anybody, users, groups } = &self.scopes;
        let groups = subject.groups.iter().filter_map(|group| groups.get(group.as_str()));
        let mut apps = BTreeSet::new();
        for reach in once(anybody).chain(users.get(subject.user.as_str())).chain(groups) {
            if reach.is_all {
                return None;
            }
            apps.extend(&reach.apps);
        }
        Some(apps)
    }
}
