//! From what a client sends to what is kept: known attributes under their own names, of the right types, bounded.
//!
//! What is the server's (`id`, `meta`, `groups`) and what is not known is left out, as RFC 7644 (3.3 and 3.5.1) says,
//! so nobody can write what they may only read. Null and empty lists are the same as nothing (RFC 7643, 2.5).

use super::schema::{Attribute, Schema, Type};
use super::{LONGEST_BINARY, LONGEST_TEXT, MOST_MEMBERS, MOST_VALUES, ResourceId, ResourceKind, ScimError};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The members of a group.
pub(super) type Members = BTreeSet<ResourceId>;

/// What is kept of a resource.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Document {
    pub attributes: Map<String, Value>,
    /// Of a group.
    pub members: Members,
}

impl Document {
    /// Reads what a client has sent in a POST or PUT.
    pub fn read(kind: ResourceKind, sent: &Map<String, Value>) -> Result<Self, ScimError> {
        let mut document = Self { attributes: Map::new(), members: Members::new() };
        let mut seen = BTreeSet::new();
        for (name, value) in sent {
            if !seen.insert(name.to_ascii_lowercase()) {
                return Err(ScimError::syntax(format!("attribute `{name}` stands there twice, in another case")));
            }
            document.take(kind, name, value)?;
        }
        Ok(document)
    }

    fn take(&mut self, kind: ResourceKind, name: &str, value: &Value) -> Result<(), ScimError> {
        if name.eq_ignore_ascii_case("schemas") {
            return expect_schema(kind.schema(), value);
        }
        if let Some(extension) = kind.extension().filter(|schema| schema.id.eq_ignore_ascii_case(name)) {
            let members = part_by_part(extension.id, extension.attributes, value)?;
            put(&mut self.attributes, extension.id, members.map(Value::Object));
            return Ok(());
        }
        match kind.attribute(name) {
            Some(attribute) if is_members(kind, attribute) => self.members = members(value)?,
            Some(attribute) if !attribute.is_read_only() => {
                put(&mut self.attributes, attribute.name, values(attribute, value)?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether an attribute is that of a group's members, which are not in its document.
pub(super) fn is_members(kind: ResourceKind, attribute: &Attribute) -> bool {
    kind == ResourceKind::Group && attribute.name == "members"
}

/// Sets an attribute, or takes it away.
pub(super) fn put(attributes: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(attributes.insert(name.to_owned(), value)),
        None => drop(attributes.remove(name)),
    }
}

fn expect_schema(schema: &Schema, value: &Value) -> Result<(), ScimError> {
    let is_it = |urn: &Value| urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(schema.id));
    if value.as_array().is_some_and(|urns| urns.iter().any(is_it)) {
        return Ok(());
    }
    Err(ScimError::syntax(format!("`schemas` does not contain `{}`", schema.id)))
}

/// What an attribute is set to; `None` if it has no value.
pub(super) fn values(attribute: &Attribute, value: &Value) -> Result<Option<Value>, ScimError> {
    if !attribute.is_multi {
        return one(attribute.name, attribute, value);
    }
    let items = match value {
        Value::Array(items) => items.as_slice(),
        // Where there is one value, some providers leave the list out.
        single => std::slice::from_ref(single),
    };
    expect_few(attribute, items)?;
    let items = items.iter().filter_map(|item| one(attribute.name, attribute, item).transpose());
    let items = items.collect::<Result<Vec<_>, _>>()?;
    if items.iter().filter(|item| is_primary(item)).count() > 1 {
        return Err(ScimError::value(format!("more than one of `{}` is primary", attribute.name)));
    }
    Ok(Some(items).filter(|items| !items.is_empty()).map(Value::Array))
}

/// Whether an attribute does not have too many values.
pub(super) fn expect_few(attribute: &Attribute, items: &[Value]) -> Result<(), ScimError> {
    if items.len() > MOST_VALUES {
        return Err(ScimError::value(format!("`{}` has more than {MOST_VALUES} values", attribute.name)));
    }
    Ok(())
}

/// Whether a value is the preferred one.
pub(super) fn is_primary(value: &Value) -> bool {
    value.get("primary") == Some(&Value::Bool(true))
}

/// One value of an attribute. `place` is what the attribute is called in errors.
pub(super) fn one(place: &str, attribute: &Attribute, value: &Value) -> Result<Option<Value>, ScimError> {
    match (attribute.kind, value) {
        (_, Value::Null) => Ok(None),
        (Type::Complex, Value::String(_)) if attribute.part("value").is_some() => {
            // Entra names a manager by the identifier alone.
            let whole = Map::from_iter([("value".to_owned(), value.clone())]);
            one(place, attribute, &Value::Object(whole))
        }
        (Type::Complex, _) => Ok(part_by_part(place, attribute.parts, value)?.map(Value::Object)),
        (Type::Boolean, value) => boolean(value).map(Some).ok_or_else(|| wrong_type(place, attribute)),
        (Type::Binary, Value::String(text)) => bounded(place, text, LONGEST_BINARY),
        (_, Value::String(text)) => bounded(place, text, LONGEST_TEXT),
        _ => Err(wrong_type(place, attribute)),
    }
}

fn wrong_type(place: &str, attribute: &Attribute) -> ScimError {
    ScimError::value(format!("`{place}` is not of type {}", attribute.kind.label()))
}

/// A boolean, also as Entra writes it: `"True"`.
fn boolean(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true.into()),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false.into()),
        _ => None,
    }
}

fn bounded(place: &str, text: &str, most: usize) -> Result<Option<Value>, ScimError> {
    if text.len() > most {
        return Err(ScimError::value(format!("`{place}` is longer than {most} bytes")));
    }
    Ok(Some(text.into()))
}

fn part_by_part(
    place: &str,
    known: &'static [Attribute],
    value: &Value,
) -> Result<Option<Map<String, Value>>, ScimError> {
    let sent = match value {
        Value::Null => return Ok(None),
        Value::Object(sent) => sent,
        _ => return Err(ScimError::value(format!("`{place}` is not of type complex"))),
    };
    let mut kept = Map::new();
    for (name, value) in sent {
        let Some(part) = known.iter().find(|part| part.name.eq_ignore_ascii_case(name)) else { continue };
        if part.is_read_only() {
            continue;
        }
        if kept.contains_key(part.name) {
            return Err(ScimError::syntax(format!("attribute `{place}.{name}` stands there twice, in another case")));
        }
        put(&mut kept, part.name, one(&format!("{place}.{}", part.name), part, value)?);
    }
    Ok(Some(kept).filter(|kept| !kept.is_empty()))
}

/// The members that a value lists.
pub(super) fn members(value: &Value) -> Result<Members, ScimError> {
    let items = match value {
        Value::Null => return Ok(Members::new()),
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    if items.len() > MOST_MEMBERS {
        return Err(ScimError::value(format!("a group can have {MOST_MEMBERS} members")));
    }
    items.iter().map(member).collect()
}

fn member(item: &Value) -> Result<ResourceId, ScimError> {
    let part = |name: &str| super::read::member(item.as_object()?, name);
    if part("type").is_some_and(|kind| !kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("User"))) {
        return Err(ScimError::value("`members.type` is not `User`: groups within groups are not supported"));
    }
    let id = part("value").unwrap_or(item).as_str();
    let id = id.ok_or_else(|| ScimError::value("`members` has an item without `value`; send the user's `id`"))?;
    id.parse().map_err(|_| unknown_member(id))
}

/// A member that does not exist.
pub(super) fn unknown_member(id: impl std::fmt::Display) -> ScimError {
    ScimError::value(format!("member `{id}` is not a user of this provider; create the user first"))
}

#[cfg(test)]
mod tests {
    use super::super::ScimType;
    use super::*;
    use serde_json::json;

    fn user(sent: &Value) -> Result<Value, ScimError> {
        Document::read(ResourceKind::User, sent.as_object().unwrap()).map(|document| document.attributes.into())
    }

    #[test]
    fn known_attributes_are_kept_under_their_own_names_and_nothing_else_is() {
        let sent = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:example:other"],
            "ID": "chosen", "meta": {"version": "x"}, "groups": [{"value": "admins"}], "password": "hunter2",
            "username": "Ada", "ACTIVE": "False", "isAdmin": true, "urn:example:other": {"a": 1},
            "externalId": "00u1", "title": null, "roles": [], "name": {"FamilyName": "L", "x": 1},
            "emails": [{"value": "ada@example.org", "primary": "True", "Type": "work"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user":
                {"department": "R&D", "manager": {"value": "7", "displayName": "Eve"}},
        });
        let kept = json!({
            "userName": "Ada", "active": false, "externalId": "00u1", "name": {"familyName": "L"},
            "emails": [{"value": "ada@example.org", "primary": true, "type": "work"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":
                {"department": "R&D", "manager": {"value": "7"}},
        });
        assert_eq!(user(&sent), Ok(kept));
    }

    #[test]
    fn wrong_types_and_sizes_are_refused_with_the_attribute() {
        let long = "x".repeat(LONGEST_TEXT + 1);
        let many: Vec<_> = (0..=MOST_VALUES).map(|n| json!({"value": n.to_string()})).collect();
        for (sent, place) in [
            (json!({"userName": 7}), "`userName`"),
            (json!({"active": "maybe"}), "`active`"),
            (json!({"active": 0}), "`active`"),
            (json!({"name": [1]}), "`name`"),
            (json!({"emails": [{"value": {}}]}), "`emails.value`"),
            (json!({"emails": [7]}), "`emails`"),
            (json!({"title": long}), "`title`"),
            (json!({"emails": many}), "`emails`"),
            (json!({"emails": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}), "`emails`"),
        ] {
            let error = user(&sent).unwrap_err();
            assert_eq!(error.scim_type, Some(ScimType::InvalidValue));
            assert!(error.detail.contains(place), "{error}");
        }
        for sent in [json!({"userName": "a", "USERNAME": "b"}), json!({"schemas": ["urn:x"]}), json!({"schemas": 1})] {
            assert_eq!(user(&sent).unwrap_err().scim_type, Some(ScimType::InvalidSyntax));
        }
    }

    #[test]
    fn members_are_users_by_their_identifiers() {
        let id = ResourceId::from_random(7);
        let text = id.to_string();
        for sent in [json!([{"value": text}]), json!({"value": text, "type": "User"}), json!([text])] {
            assert_eq!(members(&sent), Ok(Members::from([id])), "{sent}");
        }
        assert_eq!(members(&json!([])), Ok(Members::new()));
        for sent in [json!([{"value": "ada"}]), json!([{"value": text, "type": "Group"}]), json!([{}]), json!(7)] {
            assert_eq!(members(&sent).unwrap_err().scim_type, Some(ScimType::InvalidValue), "{sent}");
        }
    }
}
