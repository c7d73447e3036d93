//! JSON bodies: objects only, no member twice, no great depth.

use super::ScimError;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// How deep a document may be nested. A bulk request nests its resources three levels deeper than they are.
const DEEPEST: usize = 16;

/// Reads a request's body.
///
/// # Errors
/// If it is not JSON, not an object, too deep, or an object in it has a member twice.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, ScimError> {
    let Strict(value) =
        serde_json::from_slice(body).map_err(|error| ScimError::syntax(format!("the JSON is not valid: {error}")))?;
    if depth_exceeds(&value, DEEPEST) {
        return Err(ScimError::syntax(format!("the JSON is nested deeper than {DEEPEST} levels")));
    }
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(ScimError::syntax("the JSON is not an object; send an object")),
    }
}

/// The parser has refused what would be too deep for a recursive look.
fn depth_exceeds(value: &Value, room: usize) -> bool {
    let Some(room) = room.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| depth_exceeds(item, room)),
        Value::Object(members) => members.values().any(|member| depth_exceeds(member, room)),
        _ => false,
    }
}

/// A value whose objects have each member once.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = access.next_entry::<String, Strict>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("member `{name}` stands there twice")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ScimType;
    use super::*;

    #[test]
    fn an_object_is_read_as_it_is() {
        let members = object(br#"{"a": [1, -2, 1.5, "x", null, true], "b": {"c": "\u00e9"}}"#).unwrap();
        assert_eq!(members["b"]["c"], "é");
        assert_eq!(members["a"].as_array().unwrap().len(), 6);
    }

    #[test]
    fn what_is_no_object_or_ambiguous_or_too_deep_is_refused() {
        let deep = format!("{}1{}", "{\"a\":".repeat(20), "}".repeat(20));
        let deeper = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let bodies = [r#"{"a":1,"a":2}"#, r#"{"b":{"a":1,"a":1}}"#, "[]", "\"x\"", "{", "", r#"{"a":"\ud800"}"#];
        for body in bodies.into_iter().chain([deep.as_str(), deeper.as_str()]) {
            let error = object(body.as_bytes()).unwrap_err();
            assert_eq!(error.scim_type, Some(ScimType::InvalidSyntax), "{}", &body[..body.len().min(30)]);
        }
    }
}
