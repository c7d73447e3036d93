//! JSON bodies: objects only, no member twice, no great depth.

use super::ScimError;
use crate::identity::json::object_within;
use serde_json::{Map, Value};

/// How deep a document may be nested. A bulk request nests its resources three levels deeper than they are.
const DEEPEST: u8 = 16;

/// Reads a request's body.
///
/// # Errors
/// If it is not JSON, not an object, too deep, or an object in it has a member twice.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, ScimError> {
    object_within(body, DEEPEST).map_err(|error| ScimError::syntax(format!("the JSON is not valid: {error}")))
}

/// A member of an object. Names have no case (RFC 7643, 2.1).
pub(super) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
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
