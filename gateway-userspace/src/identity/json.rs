//! JSON of strangers: one object, every member once at any depth, bounded depth. What two readers could understand in
//! two ways is not read at all.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Levels of objects and arrays, unless somebody needs more. Claims of real providers need four.
const DEPTH: u8 = 12;

const DUPLICATE: &str = "duplicate member";

/// Why a text is not an object that may be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// A member stands there twice.
    #[error("{DUPLICATE}")]
    Duplicate,
    /// It is not JSON, or too deep; where, and why. No value stands in that.
    #[error("{0}")]
    Syntax(String),
    /// It is JSON, and something else.
    #[error("not an object; send an object")]
    NoObject,
}

/// Reads an object.
pub(super) fn object(text: &[u8]) -> Result<Map<String, Value>, Malformed> {
    object_within(text, DEPTH)
}

/// Reads an object of at most so many levels.
pub(super) fn object_within(text: &[u8], depth: u8) -> Result<Map<String, Value>, Malformed> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict(depth).deserialize(&mut reader).map_err(|error| Malformed::of(&error))?;
    reader.end().map_err(|error| Malformed::of(&error))?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Malformed::NoObject),
    }
}

impl Malformed {
    fn of(error: &serde_json::Error) -> Self {
        // The text is our own: serde_json has no place for a value in its errors.
        let text = error.to_string();
        if text.starts_with(DUPLICATE) { Self::Duplicate } else { Self::Syntax(text) }
    }
}

/// Reads any value, with so many levels left.
struct Strict(u8);

impl Strict {
    fn below<E: Error>(&self) -> Result<u8, E> {
        self.0.checked_sub(1).ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
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

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(Strict(below))? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Strict(below))?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom(DUPLICATE));
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_stands() {
        let text = r#"{"a":[1,-2,0.5,"x",null,true],"b":{"c":{}}}"#;
        assert_eq!(Value::Object(object(text.as_bytes()).unwrap()).to_string(), text);
    }

    #[test]
    fn a_member_that_stands_twice_is_refused_at_any_depth_and_in_any_spelling() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#, r#"{"a":{"b":{"c":1,"c":1}}}"#] {
            assert_eq!(object(text.as_bytes()), Err(Malformed::Duplicate), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_shallow_object_is_refused() {
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(object(deep(11).as_bytes()).is_ok());
        for text in ["", "[]", "1", "{}{}", "{} x", r#"{"a":01}"#, r#"{"a":1e999}"#, r#"{"a":"\ud800"}"#, &deep(12)] {
            let refused = object(text.as_bytes());
            assert!(matches!(refused, Err(Malformed::Syntax(_) | Malformed::NoObject)), "{text}: {refused:?}");
        }
        assert!(matches!(object(b"{\"a\":\"\xff\"}"), Err(Malformed::Syntax(_))));
        assert!(matches!(object(deep(100_000).as_bytes()), Err(Malformed::Syntax(_))));
    }
}
