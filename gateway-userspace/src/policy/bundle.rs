//! What is declared about who may reach what, as a whole: it is put in force in one step.

use super::PolicyError;
use super::cedar::{PolicyFile, PolicySet};
use super::gateway::{Fact, Gateway};
use super::model::{App, AppName, GroupName, Settings};
use std::collections::{BTreeMap, BTreeSet};

/// Settings, groups, apps and policies that belong together.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Bundle {
    /// What holds for all policies.
    pub settings: Settings,
    /// Groups that there are to be. Others stay: providers make them, too.
    pub groups: BTreeSet<GroupName>,
    /// All apps there are to be.
    pub apps: BTreeMap<AppName, App>,
    /// All policies there are to be.
    pub policy: PolicySet,
}

/// The same, with policies as texts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Declared {
    /// What holds for all policies.
    pub settings: Settings,
    /// Groups that there are to be.
    pub groups: BTreeSet<GroupName>,
    /// All apps there are to be.
    pub apps: BTreeMap<AppName, App>,
    /// Files of policies, by name.
    pub files: BTreeMap<String, String>,
}

/// How two bundles differ, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// Whether the settings do.
    pub settings: bool,
    /// Groups that come.
    pub groups: BTreeSet<GroupName>,
    /// Apps.
    pub apps: Names,
    /// Policies.
    pub policies: Names,
}

/// Names of what comes, goes and changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// What comes.
    pub added: Vec<String>,
    /// What is there before and after, and not the same.
    pub changed: Vec<String>,
    /// What goes.
    pub removed: Vec<String>,
}

impl Bundle {
    /// With its policies as texts.
    #[must_use]
    pub fn declared(&self) -> Declared {
        let Self { settings, groups, apps, policy } = self.clone();
        let files = policy.files().iter().map(|file| (file.name.clone(), file.text.clone())).collect();
        Declared { settings, groups, apps, files }
    }

    /// How this one differs from the one before.
    #[must_use]
    pub fn since(&self, before: &Self) -> Difference {
        let apps = |bundle: &Self| bundle.apps.iter().map(|(name, app)| (name.to_string(), app.clone())).collect();
        Difference {
            settings: self.settings != before.settings,
            groups: self.groups.difference(&before.groups).cloned().collect(),
            apps: Names::between(&apps(before), &apps(self)),
            policies: Names::between(&texts(&before.policy), &texts(&self.policy)),
        }
    }
}

/// The policies of a set, by name, with their texts.
fn texts(policy: &PolicySet) -> BTreeMap<String, Option<String>> {
    policy.names().map(|name| (name.to_owned(), policy.policy_text(name).map(str::to_owned))).collect()
}

impl Declared {
    /// With its policies parsed and checked.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn parsed(self) -> Result<Bundle, Vec<PolicyError>> {
        let Self { settings, groups, apps, files } = self;
        let files = files.into_iter().map(|(name, text)| PolicyFile { name, text });
        Ok(Bundle { settings, groups, apps, policy: PolicySet::parse_files(files.collect())? })
    }
}

impl Difference {
    /// How a gateway will differ once it has learned these facts. Costs what they do, not what it knows.
    #[must_use]
    pub fn of(gateway: &Gateway, facts: &[Fact]) -> Self {
        let mut difference = Self::default();
        for fact in facts {
            match fact {
                Fact::App(app, _) => {
                    let is_known = gateway.app(&app.name).is_some();
                    let names = &mut difference.apps;
                    let names = if is_known { &mut names.changed } else { &mut names.added };
                    names.push(app.name.to_string());
                }
                Fact::NoApp(name) => difference.apps.removed.push(name.to_string()),
                Fact::Policy(policy) => {
                    difference.policies = Names::between(&texts(gateway.policy()), &texts(policy));
                }
                Fact::Settings(_) => difference.settings = true,
                Fact::Group(name) => drop(difference.groups.insert(name.clone())),
                Fact::User(_) | Fact::NoUser(_) | Fact::NoGroup(_) | Fact::Answer(..) => {}
            }
        }
        difference
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Names {
    fn between<T: PartialEq>(before: &BTreeMap<String, T>, after: &BTreeMap<String, T>) -> Self {
        let only_in = |one: &BTreeMap<String, T>, other: &BTreeMap<String, T>| {
            one.keys().filter(|name| !other.contains_key(*name)).cloned().collect()
        };
        let changed = after.iter().filter(|(name, value)| before.get(*name).is_some_and(|former| former != *value));
        Self {
            added: only_in(after, before),
            changed: changed.map(|(name, _)| name.clone()).collect(),
            removed: only_in(before, after),
        }
    }
}
