//! Users, and what decisions look at of them.

use super::{GroupName, ProviderName, UserName};
use std::collections::{BTreeMap, BTreeSet};

/// A person, or a service, that can have sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Unique among users.
    pub name: UserName,
    /// What people call them.
    pub display_name: String,
    /// The groups they belong to. Every one of them exists.
    pub groups: BTreeSet<GroupName>,
    /// The administrator's switch: a disabled user has no access and cannot log in.
    pub enabled: bool,
    /// The provider that they come from, and that alone changes their names and groups; `None` for a user of this gateway.
    pub provider: Option<ProviderName>,
    /// The provider's switch. It gives back only what it has taken: both have to be on.
    pub suspended: bool,
    /// When it was last switched off, as far as that has a time: seconds since 1970. An older event switches nothing on.
    pub suspended_at: i64,
    /// Whether devices of theirs are compliant, by their ids, as far as anybody has said so.
    pub devices: BTreeMap<String, bool>,
}

impl User {
    /// Most devices of one user.
    pub const MOST_DEVICES: usize = 64;

    /// A user of this gateway, in no group.
    #[must_use]
    pub const fn new(name: UserName) -> Self {
        Self {
            name,
            display_name: String::new(),
            groups: BTreeSet::new(),
            enabled: true,
            provider: None,
            suspended: false,
            suspended_at: 0,
            devices: BTreeMap::new(),
        }
    }

    /// Whether they may have sessions.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.enabled && !self.suspended
    }

    /// What decisions look at.
    #[must_use]
    pub fn standing(&self) -> Standing<'_> {
        // Sessions do not say on which device they are, so that one device speaks for all. Unknown is not compliant.
        let compliant = !self.devices.is_empty() && self.devices.values().all(|compliant| *compliant);
        Standing { groups: &self.groups, compliant }
    }
}

/// What decisions look at of a user.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'u> {
    /// The groups they belong to.
    pub groups: &'u BTreeSet<GroupName>,
    /// Whether their devices are known to be compliant.
    pub compliant: bool,
}
