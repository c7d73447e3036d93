//! Users and groups.

use super::Secret;
use super::problem::{FieldError, Invalid, each};
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
    /// Whether they have a password here.
    pub has_password: bool,
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
        let policy::User { name, display_name, groups, enabled, provider, suspended, suspended_at: _, devices } = user;
        Self {
            name: name.to_string(),
            display_name: display_name.clone(),
            groups: groups.iter().map(ToString::to_string).collect(),
            enabled: *enabled,
            provider: provider.as_ref().map(ToString::to_string),
            suspended: *suspended,
            devices: devices.clone(),
            has_password,
        }
    }
}

impl UserPut {
    /// The user that is meant; the password is for the caller to take. What the shape does not say stays as it was.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field.
    pub fn into_model(self, before: policy::User) -> Result<policy::User, Invalid> {
        let Self { name: given, has_password: _, display_name, groups, enabled, password: _, .. } = self;
        let name = &before.name;
        let mut errors = Vec::new();
        expect_name(&mut errors, "user", given, name);
        let groups = each(&mut errors, "groups", &groups, GroupName::new);
        if errors.is_empty() {
            let enabled = enabled.unwrap_or(before.enabled);
            Ok(policy::User { display_name, groups, enabled, ..before })
        } else {
            Err(Invalid(errors))
        }
    }
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
    fn duplicate_and_unknown_members_are_refused_with_their_place() {
        let error = serde_json::from_str::<UserPut>("{\"enabled\":true,\n\"enabled\":false}").unwrap_err();
        assert!(error.to_string().contains("duplicate field `enabled` at line 2"), "{error}");
        let error = serde_json::from_str::<UserPut>(r#"{"admin":true}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `admin`"), "{error}");
    }
}
