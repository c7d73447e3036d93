//! What the gateway goes by, from a document.

use super::schema::ENTERPRISE_USER;
use super::{Facts, ResourceKind, ScimError};
use crate::policy::{Attributes, GroupName, InvalidName, LONGEST_NAME, UserName, attribute};
use serde_json::{Map, Value};

/// The attributes of users that policies may ask for: those of the core schema, and of the enterprise extension.
pub(crate) const TOLD: [&str; 7] =
    ["title", "userType", "employeeNumber", "costCenter", "organization", "division", "department"];

/// Reads the facts of a kept document.
pub(super) fn of(kind: ResourceKind, attributes: &Map<String, Value>) -> Result<Facts, ScimError> {
    match kind {
        ResourceKind::User => user(attributes),
        ResourceKind::Group => group(attributes),
    }
}

fn user(attributes: &Map<String, Value>) -> Result<Facts, ScimError> {
    let sent = required(attributes, "userName")?;
    let name = UserName::new(sent).map_err(|error: InvalidName| ScimError::value(format!("`userName`: {error}")))?;
    let display_name = display_name(attributes).unwrap_or_else(|| sent.to_owned());
    let active = attributes.get("active").and_then(Value::as_bool).unwrap_or(true);
    Ok(Facts::User { name, display_name, active, attributes: told(attributes) })
}

/// The attributes of a document that become those of a user. What cannot be one is none, as if it had not been sent.
fn told(attributes: &Map<String, Value>) -> Attributes {
    let enterprise = attributes.get(ENTERPRISE_USER.id);
    let value = |name: &str| attributes.get(name).or_else(|| enterprise?.get(name)).and_then(Value::as_str);
    TOLD.into_iter().filter_map(|name| attribute(name, value(name)?).ok()).collect()
}

fn required<'a>(attributes: &'a Map<String, Value>, name: &str) -> Result<&'a str, ScimError> {
    let value = attributes.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| ScimError::value(format!("`{name}` is missing; send it")))
}

fn display_name(attributes: &Map<String, Value>) -> Option<String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let name = attributes.get("name");
    let part = |part: &str| text(name.and_then(|name| name.get(part)));
    let parts = || {
        let both: Vec<_> = ["givenName", "familyName"].into_iter().filter_map(part).collect();
        Some(both.join(" ")).filter(|name| !name.is_empty())
    };
    text(attributes.get("displayName")).or_else(|| part("formatted")).or_else(parts)
}

fn group(attributes: &Map<String, Value>) -> Result<Facts, ScimError> {
    let sent = required(attributes, "displayName")?;
    let name = GroupName::new(&folded(sent)).map_err(|_| {
        ScimError::value(format!(
            "`displayName`: group `{sent}` has no name that policies can use: it needs a letter a-z or a digit, and \
             at most {LONGEST_NAME} characters"
        ))
    })?;
    Ok(Facts::Group { name })
}

/// The name that policies know a group by: lower case, with one `-` for each run of characters that names cannot have,
/// and none at its ends. Only ASCII is folded, so no letter of another script turns into one of `a-z`.
fn folded(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@".contains(c);
    let runs = name.split(|c| !plain(c)).filter(|run| !run.is_empty());
    let folded = runs.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    folded.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::ScimType;
    use super::*;
    use serde_json::json;

    fn facts(kind: ResourceKind, document: Value) -> Result<Facts, ScimError> {
        of(kind, document.as_object().unwrap())
    }

    #[test]
    fn a_user_is_named_in_lower_case_called_by_what_there_is_and_active_by_default() {
        for (document, called) in [
            (json!({"userName": "Ada@Example.org", "displayName": "Ada"}), "Ada"),
            (json!({"userName": "Ada@Example.org", "name": {"formatted": "A. Lovelace"}}), "A. Lovelace"),
            (json!({"userName": "Ada@Example.org", "name": {"givenName": "Ada", "familyName": "L"}}), "Ada L"),
            (json!({"userName": "Ada@Example.org"}), "Ada@Example.org"),
        ] {
            let name = UserName::new("ada@example.org").unwrap();
            let (display_name, attributes) = (called.to_owned(), Attributes::new());
            let expected = Facts::User { name, display_name, active: true, attributes };
            assert_eq!(facts(ResourceKind::User, document), Ok(expected));
        }
    }

    #[test]
    fn what_enterprises_know_of_a_user_becomes_attributes_if_it_can_be_one() {
        let document = json!({"userName": "ada", "title": "Countess", "userType": "", "nickName": "A",
            ENTERPRISE_USER.id: {"department": "Engines", "costCenter": "47\n11", "manager": {"value": "1"}}});
        let Ok(Facts::User { attributes, .. }) = facts(ResourceKind::User, document) else { panic!() };
        let expected = [("department", "Engines"), ("title", "Countess")];
        assert_eq!(attributes, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused_and_says_what_can() {
        for document in [json!({"userName": "ada lovelace"}), json!({"userName": "ädä"}), json!({"userName": "-a"})] {
            let error = facts(ResourceKind::User, document).unwrap_err();
            assert_eq!((error.status, error.scim_type), (400, Some(ScimType::InvalidValue)));
            assert!(error.detail.contains("a-z, 0-9"), "{error}");
        }
        for document in [json!({}), json!({"userName": ""})] {
            assert!(facts(ResourceKind::User, document).unwrap_err().detail.contains("`userName` is missing"));
        }
        for name in ["", "---", "группа"] {
            assert!(facts(ResourceKind::Group, json!({"displayName": name})).is_err(), "{name}");
        }
    }

    #[test]
    fn a_group_gets_a_name_that_policies_can_use() {
        for (sent, name) in [
            ("Finance", "finance"),
            ("Finance  Team (EU)", "finance-team-eu"),
            ("R&D", "r-d"),
            ("ops_2.x", "ops_2.x"),
            ("_ops", "ops"),
            // The sign of Kelvin is no `k`.
            ("\u{212a}ey users", "ey-users"),
        ] {
            let expected = Facts::Group { name: GroupName::new(name).unwrap() };
            assert_eq!(facts(ResourceKind::Group, json!({"displayName": sent})), Ok(expected), "{sent}");
        }
    }
}
