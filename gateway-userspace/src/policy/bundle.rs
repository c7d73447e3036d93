//! What is declared about who may reach what, as a whole: it is put in force in one step.

use super::cedar::PolicySet;
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
