//! Users, and what decisions look at of them.

use super::word::{InvalidWord, word};
use super::{GroupName, ProviderName, UserName};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a user is somebody or something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Kind {
    /// A person.
    #[default]
    Person,
    /// A program, or a host without a person.
    Service,
}

/// How likely it is that somebody else acts as this user, as their provider or an administrator says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Risk {
    /// Nobody has said so.
    #[default]
    Unknown,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

/// What is known of a user beyond their groups: `department` is `finance`.
pub type Attributes = BTreeMap<String, String>;

/// Why an attribute was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidAttribute {
    /// Its name.
    #[error(
        "`{0}` is not a name for an attribute: use 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`, beginning with a letter"
    )]
    Name(String),
    /// Its value.
    #[error("the value of attribute `{0}` {1}")]
    Value(String, InvalidWord),
    /// There is no value.
    #[error("attribute `{0}` has no value; give it one, or leave it out")]
    Empty(String),
}

impl Kind {
    /// The name by which policies know it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
        }
    }
}

impl Risk {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Low, Self::Medium, Self::High];

    /// The name by which policies and the API know it; none if nobody has said so.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// The one with that name.
    #[must_use]
    pub fn named(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|risk| risk.label() == label)
    }
}

/// An attribute that a user may have.
///
/// # Errors
/// If it cannot be one.
pub fn attribute(name: &str, value: &str) -> Result<(String, String), InvalidAttribute> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if !begins || name.len() > 64 || !name.bytes().all(is_plain) {
        return Err(InvalidAttribute::Name(name.to_owned()));
    }
    if value.is_empty() {
        return Err(InvalidAttribute::Empty(name.to_owned()));
    }
    let value = word(value.to_owned()).map_err(|error| InvalidAttribute::Value(name.to_owned(), error))?;
    Ok((name.to_owned(), value))
}

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
    /// A person, or a service.
    pub kind: Kind,
    /// What is known of them. Policies know it as tags of the user.
    pub attributes: Attributes,
    /// How likely it is that it is not they.
    pub risk: Risk,
    /// When that was said, as far as it has a time: seconds since 1970. An older event does not change it.
    pub risk_at: i64,
}

impl User {
    /// Most devices of one user.
    pub const MOST_DEVICES: usize = 64;
    /// Most attributes of one user.
    pub const MOST_ATTRIBUTES: usize = 64;

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
            kind: Kind::Person,
            attributes: BTreeMap::new(),
            risk: Risk::Unknown,
            risk_at: 0,
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
        let Self { groups, kind, attributes, risk, .. } = self;
        Standing { groups, compliant, kind: *kind, attributes, risk: *risk }
    }
}

/// What decisions look at of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing<'u> {
    /// The groups they belong to.
    pub groups: &'u BTreeSet<GroupName>,
    /// Whether their devices are known to be compliant.
    pub compliant: bool,
    /// A person, or a service.
    pub kind: Kind,
    /// What is known of them.
    pub attributes: &'u Attributes,
    /// How likely it is that it is not they.
    pub risk: Risk,
}

impl Standing<'static> {
    /// That of nobody.
    pub const NOBODY: Self = Self {
        groups: &BTreeSet::new(),
        compliant: false,
        kind: Kind::Person,
        attributes: &BTreeMap::new(),
        risk: Risk::Unknown,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_bounded() {
        assert!(attribute("costCenter", "4711").is_ok() && attribute("x.y-z_1", "Größe").is_ok());
        let long = "x".repeat(65);
        for (name, value) in [("", "1"), ("1a", "1"), ("a b", "1"), ("ä", "1"), (&*long, "1"), ("a", ""), ("a", "b\n")]
        {
            assert!(attribute(name, value).is_err(), "{name:?} {value:?}");
        }
    }

    #[test]
    fn risks_have_names() {
        for risk in Risk::ALL {
            assert_eq!(Risk::named(risk.label()), Some(risk));
        }
        assert_eq!(Risk::named("HIGH"), None);
    }
}
