//! Users and groups.

use super::Secret;
use super::problem::{FieldError, Invalid, each, noted};
use crate::policy::{self, GroupName, UserName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// A person who can log in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Unique among users.
    pub name: String,
    /// What people call them.
    pub display_name: String,
    /// The groups they belong to.
    pub groups: BTreeSet<String>,
    /// A disabled user has no access and cannot log in.
    pub enabled: bool,
    /// The identity provider that they come from, and that alone changes their names and groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Whether that provider says that they have no access.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// Which of their devices are compliant, as far as anybody has said so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub devices: BTreeMap<String, bool>,
    /// What is known of them, for policies: `principal.getTag("department")`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// How likely it is that it is not they, as their provider or an administrator says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// Whether they have a password here.
    pub has_password: bool,
}

/// How likely it is that somebody else acts as a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

/// What is said of a user's risk.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskPut {
    /// How likely it is that it is not they; `null` if nobody knows any more.
    pub risk: Option<Risk>,
}

/// What a user is to be.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPut {
    /// As in the path, or left out: what a GET has answered can be sent back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Not looked at, for the same reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_password: Option<bool>,
    /// Not looked at either: who a user's provider is does not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Not looked at either: their provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,
    /// Not looked at either.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub devices: BTreeMap<String, bool>,
    /// Not looked at either: it is said at `/v1/users/{name}/risk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// What is known of them, all of it. Left out, it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
    /// What people call them.
    #[serde(default)]
    pub display_name: String,
    /// The groups they belong to, all of them. Each must exist.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Left out, it stays as it is; a new user is enabled.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// A new password, of 12 to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<Secret>,
}

/// A new password.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// 12 to 256 characters.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
}

/// A group, with its members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Unique among groups.
    pub name: String,
    /// The names of its users.
    pub members: BTreeSet<String>,
}

impl User {
    /// The shape of a user.
    #[must_use]
    pub fn of(user: &policy::User, has_password: bool) -> Self {
        let policy::User { name, display_name, groups, enabled, provider, suspended, devices, .. } = user;
        let policy::User { attributes, risk, suspended_at: _, risk_at: _, kind: _, .. } = user;
        Self {
            name: name.to_string(),
            display_name: display_name.clone(),
            groups: groups.iter().map(ToString::to_string).collect(),
            enabled: *enabled,
            provider: provider.as_ref().map(ToString::to_string),
            suspended: *suspended,
            devices: devices.clone(),
            attributes: attributes.clone(),
            risk: Risk::of(*risk),
            has_password,
        }
    }
}

impl Risk {
    /// The shape of a risk; `None` if nobody has said so.
    #[must_use]
    pub const fn of(risk: policy::Risk) -> Option<Self> {
        match risk {
            policy::Risk::Unknown => None,
            policy::Risk::Low => Some(Self::Low),
            policy::Risk::Medium => Some(Self::Medium),
            policy::Risk::High => Some(Self::High),
        }
    }
}

impl RiskPut {
    /// The risk that is meant.
    #[must_use]
    pub const fn model(&self) -> policy::Risk {
        match self.risk {
            None => policy::Risk::Unknown,
            Some(Risk::Low) => policy::Risk::Low,
            Some(Risk::Medium) => policy::Risk::Medium,
            Some(Risk::High) => policy::Risk::High,
        }
    }
}

impl UserPut {
    /// The user that is meant; the password is for the caller to take. What the shape does not say stays as it was.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field.
    pub fn into_model(self, before: policy::User) -> Result<policy::User, Invalid> {
        let Self { name: given, display_name, groups, enabled, attributes, .. } = self;
        let name = &before.name;
        let mut errors = Vec::new();
        expect_name(&mut errors, "user", given, name);
        let groups = each(&mut errors, "groups", &groups, GroupName::new);
        let attributes = attributes.map(|given| attributes_of(&mut errors, given));
        if errors.is_empty() {
            let enabled = enabled.unwrap_or(before.enabled);
            let attributes = attributes.unwrap_or_else(|| before.attributes.clone());
            Ok(policy::User { display_name, groups, enabled, attributes, ..before })
        } else {
            Err(Invalid(errors))
        }
    }
}

fn attributes_of(errors: &mut Vec<FieldError>, given: BTreeMap<String, String>) -> policy::Attributes {
    let most = policy::User::MOST_ATTRIBUTES;
    if given.len() > most {
        errors.push(FieldError::at("attributes", format!("there are {}; a user has at most {most}", given.len())));
    }
    let attribute =
        |(name, value): (&String, &String)| noted(errors, format!("attributes.{name}"), policy::attribute(name, value));
    given.iter().filter_map(attribute).collect()
}

/// Notes that a shape and its path name two different ones.
pub(super) fn expect_name(errors: &mut Vec<FieldError>, what: &str, given: Option<String>, name: &UserName) {
    if let Some(given) = given.filter(|given| *given != name.as_str()) {
        let message = format!("the {what} is named `{given}` and the path says `{name}`; make them equal");
        errors.push(FieldError::at("name", message));
    }
}

impl Group {
    /// The shape of a group.
    #[must_use]
    pub fn of(name: &GroupName, members: &BTreeSet<UserName>) -> Self {
        Self { name: name.to_string(), members: members.iter().map(ToString::to_string).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_and_never_printed() {
        let put: UserPut = serde_json::from_str(r#"{"password":"canary-canary"}"#).unwrap();
        assert!(!format!("{put:?}").contains("canary"));
        assert!(put.password.is_some());
        let before = policy::User { enabled: false, ..policy::User::new(UserName::new("ada").unwrap()) };
        assert!(!put.into_model(before).unwrap().enabled);
    }

    #[test]
    fn attributes_are_put_all_together_or_not_at_all_and_each_wrong_one_is_named() {
        let put = |text: &str| serde_json::from_str::<UserPut>(text).unwrap();
        let ada = policy::User::new(UserName::new("ada").unwrap());
        let known = put(r#"{"attributes":{"department":"finance"}}"#).into_model(ada).unwrap();
        assert_eq!(put("{}").into_model(known.clone()).unwrap().attributes, known.attributes);
        assert_eq!(put(r#"{"attributes":{}}"#).into_model(known.clone()).unwrap().attributes.len(), 0);
        let Invalid(errors) = put(r#"{"attributes":{"a b":"1","c":""}}"#).into_model(known).unwrap_err();
        let fields: Vec<_> = errors.iter().filter_map(|error| error.field.as_deref()).collect();
        assert_eq!(fields, ["attributes.a b", "attributes.c"]);
    }

    #[test]
    fn duplicate_and_unknown_members_are_refused_with_their_place() {
        let error = serde_json::from_str::<UserPut>("{\"enabled\":true,\n\"enabled\":false}").unwrap_err();
        assert!(error.to_string().contains("duplicate field `enabled` at line 2"), "{error}");
        let error = serde_json::from_str::<UserPut>(r#"{"admin":true}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `admin`"), "{error}");
    }
}
