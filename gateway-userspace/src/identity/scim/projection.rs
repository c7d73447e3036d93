//! Which attributes are answered (RFC 7644, 3.9).

use super::path::{self, Named, Place};
use super::{ResourceKind, ScimError};
use serde_json::{Map, Value};

/// Most attributes that are named.
const MOST_NAMES: usize = 200;

/// What a request wants to have answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Projection {
    /// Everything.
    #[default]
    Whole,
    /// Only these, and what is always answered.
    Only(Vec<String>),
    /// All but these.
    Without(Vec<String>),
}

impl Projection {
    /// Reads `attributes` and `excludedAttributes`. Names that are not known are ignored.
    ///
    /// # Errors
    /// If there are both, or far too many.
    pub fn of(attributes: Vec<String>, excluded: Vec<String>) -> Result<Self, ScimError> {
        if attributes.len().max(excluded.len()) > MOST_NAMES {
            return Err(ScimError::value(format!("more than {MOST_NAMES} attributes are named")));
        }
        match (attributes.is_empty(), excluded.is_empty()) {
            (true, true) => Ok(Self::Whole),
            (false, true) => Ok(Self::Only(attributes)),
            (true, false) => Ok(Self::Without(excluded)),
            (false, false) => Err(ScimError::value("send `attributes` or `excludedAttributes`, not both")),
        }
    }

    /// Takes out of a document what is not wanted.
    #[must_use]
    pub fn apply(&self, kind: ResourceKind, document: Map<String, Value>) -> Map<String, Value> {
        match self {
            Self::Whole => document,
            Self::Only(names) => only(kind, &document, &named(kind, names)),
            Self::Without(names) => without(kind, document, &named(kind, names)),
        }
    }

    /// Whether other resources can be left out of documents beforehand, because they would be taken out.
    pub(super) fn omits_others(&self, kind: ResourceKind) -> bool {
        self.omits(kind, kind.others())
    }

    fn omits(&self, kind: ResourceKind, name: &str) -> bool {
        let is_named = |names: &[String], whole: bool| {
            named(kind, names).iter().any(|named| match named {
                Named::Place(place) => place.attribute.name == name && (!whole || place.part.is_none()),
                Named::Extension(_) => false,
            })
        };
        match self {
            Self::Whole => false,
            Self::Only(names) => !is_named(names, false),
            Self::Without(names) => is_named(names, true),
        }
    }
}

fn named(kind: ResourceKind, names: &[String]) -> Vec<Named> {
    names.iter().filter_map(|name| path::parse(kind, name.trim())).collect()
}

fn only(kind: ResourceKind, document: &Map<String, Value>, wanted: &[Named]) -> Map<String, Value> {
    let always = document.iter().filter(|(name, _)| is_always_returned(kind, name));
    let mut kept: Map<String, Value> = always.map(|(name, value)| (name.clone(), value.clone())).collect();
    for named in wanted {
        match named {
            Named::Extension(urn) => copy(document, &mut kept, urn),
            Named::Place(place) => match place.extension {
                None => keep(document, &mut kept, *place),
                Some(urn) => {
                    let Some(Value::Object(extension)) = document.get(urn) else { continue };
                    let kept = kept.entry(urn).or_insert_with(|| Map::new().into());
                    kept.as_object_mut().into_iter().for_each(|kept| keep(extension, kept, *place));
                }
            },
        }
    }
    kept
}

fn is_always_returned(kind: ResourceKind, name: &str) -> bool {
    kind.attribute(name).is_some_and(|attribute| attribute.is_always_returned)
}

fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, name: &str) {
    if let Some(value) = from.get(name) {
        to.insert(name.to_owned(), value.clone());
    }
}

fn keep(from: &Map<String, Value>, to: &mut Map<String, Value>, place: Place) {
    let (name, Some(part)) = (place.attribute.name, place.part) else { return copy(from, to, place.attribute.name) };
    let part_of = |value: &Value, kept: &mut Map<String, Value>| {
        value.as_object().into_iter().for_each(|parts| copy(parts, kept, part.name));
    };
    match from.get(name) {
        Some(Value::Array(items)) => {
            let blank = || items.iter().map(|_| Value::Object(Map::new())).collect();
            let kept = to.entry(name).or_insert_with(blank);
            for (kept, item) in kept.as_array_mut().into_iter().flatten().zip(items) {
                kept.as_object_mut().into_iter().for_each(|kept| part_of(item, kept));
            }
        }
        Some(value) => {
            let kept = to.entry(name).or_insert_with(|| Map::new().into());
            kept.as_object_mut().into_iter().for_each(|kept| part_of(value, kept));
        }
        None => {}
    }
}

fn without(kind: ResourceKind, mut document: Map<String, Value>, unwanted: &[Named]) -> Map<String, Value> {
    for named in unwanted {
        match named {
            Named::Extension(urn) => drop(document.remove(*urn)),
            Named::Place(place) => match place.extension {
                None if is_always_returned(kind, place.attribute.name) => {}
                None => take_out(&mut document, *place),
                Some(urn) => {
                    let extension = document.get_mut(urn).and_then(Value::as_object_mut);
                    extension.into_iter().for_each(|extension| take_out(extension, *place));
                }
            },
        }
    }
    document
}

fn take_out(document: &mut Map<String, Value>, place: Place) {
    let (name, Some(part)) = (place.attribute.name, place.part) else {
        document.remove(place.attribute.name);
        return;
    };
    let remove = |value: &mut Value| drop(value.as_object_mut().and_then(|parts| parts.remove(part.name)));
    match document.get_mut(name) {
        Some(Value::Array(items)) => items.iter_mut().for_each(remove),
        Some(value) => remove(value),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn document() -> Map<String, Value> {
        let document = json!({
            "schemas": ["x"], "id": "1", "userName": "ada", "name": {"givenName": "Ada", "familyName": "L"},
            "emails": [{"value": "a", "type": "work"}, {"value": "b", "type": "home"}],
            URN: {"department": "R&D", "costCenter": "7"}, "meta": {"version": "W/\"1\""},
        });
        document.as_object().unwrap().clone()
    }

    #[test]
    fn what_is_asked_for_is_answered_with_what_always_is() {
        let names = ["NAME.familyName", "emails.value", &format!("{URN}:department"), "unknown", ""];
        let projection = Projection::of(names.map(str::to_owned).to_vec(), Vec::new()).unwrap();
        let expected = json!({
            "schemas": ["x"], "id": "1", "name": {"familyName": "L"}, "emails": [{"value": "a"}, {"value": "b"}],
            URN: {"department": "R&D"},
        });
        assert_eq!(Value::Object(projection.apply(ResourceKind::User, document())), expected);
        assert!(projection.omits(ResourceKind::User, "groups"));
    }

    #[test]
    fn what_is_excluded_is_left_out_unless_it_is_always_answered() {
        let names = ["id", "schemas", "meta", "emails.type", "name", &format!("{URN}:department")];
        let projection = Projection::of(Vec::new(), names.map(str::to_owned).to_vec()).unwrap();
        let expected = json!({
            "schemas": ["x"], "id": "1", "userName": "ada", "emails": [{"value": "a"}, {"value": "b"}],
            URN: {"costCenter": "7"},
        });
        assert_eq!(Value::Object(projection.apply(ResourceKind::User, document())), expected);
        assert!(projection.omits(ResourceKind::User, "name") && !projection.omits(ResourceKind::User, "emails"));
        assert!(Projection::of(vec!["a".to_owned()], vec!["b".to_owned()]).is_err());
    }
}
