//! What the path of a filter, a PATCH operation or a projection names.

use super::ResourceKind;
use super::schema::{Attribute, Type};
use scim_v2::filter::{AttrPath, PatchPath};
use serde_json::{Map, Value};

/// An attribute, or a part of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The extension that it is in.
    pub extension: Option<&'static str>,
    pub attribute: &'static Attribute,
    pub part: Option<&'static Attribute>,
}

/// What a path names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    /// All that an extension has.
    Extension(&'static str),
    /// An attribute.
    Place(Place),
}

/// What a path names, if it is known.
pub(super) fn resolve(kind: ResourceKind, path: &AttrPath) -> Option<Named> {
    let AttrPath { uri, name, sub_attr } = path;
    let extension = kind.extension();
    let (within, attribute) = match uri {
        None => (None, kind.attribute(name)?),
        Some(uri) if uri.eq_ignore_ascii_case(kind.schema().id) => (None, kind.attribute(name)?),
        Some(uri) => {
            let extension = extension?;
            if is_urn(extension.id, uri, name) && sub_attr.is_none() {
                return Some(Named::Extension(extension.id));
            }
            let attribute = extension.attribute(name).filter(|_| uri.eq_ignore_ascii_case(extension.id))?;
            (Some(extension.id), attribute)
        }
    };
    let part = match sub_attr {
        Some(part) => Some(attribute.part(part)?),
        None => None,
    };
    Some(Named::Place(Place { extension: within, attribute, part }))
}

/// Whether a URN was taken apart into these: to the grammar it looks like an attribute of a shorter one.
fn is_urn(urn: &str, uri: &str, name: &str) -> bool {
    urn.rsplit_once(':').is_some_and(|(start, end)| start.eq_ignore_ascii_case(uri) && end.eq_ignore_ascii_case(name))
}

/// What a text names, without a filter in it.
pub(super) fn parse(kind: ResourceKind, text: &str) -> Option<Named> {
    match text.parse() {
        Ok(PatchPath::Attr(path)) => resolve(kind, &path),
        _ => None,
    }
}

impl Place {
    /// What is compared: for several values without a part, their `value`.
    pub fn compared(self) -> &'static Attribute {
        let default = || self.attribute.part("value").filter(|_| self.attribute.kind == Type::Complex);
        self.part.or_else(default).unwrap_or(self.attribute)
    }

    /// The values in a document.
    pub fn values<'a>(&self, document: &'a Map<String, Value>) -> &'a [Value] {
        let within = match self.extension {
            None => Some(document),
            Some(urn) => document.get(urn).and_then(Value::as_object),
        };
        match within.and_then(|within| within.get(self.attribute.name)) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(single) => std::slice::from_ref(single),
        }
    }

    /// What is compared of one of the values.
    pub fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match value {
            Value::Object(parts) => parts.get(self.compared().name),
            plain => Some(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_attributes_whatever_their_case_and_prefix() {
        let named = |kind, text| match parse(kind, text) {
            Some(Named::Place(Place { extension, attribute, part })) => {
                let part = part.map_or("", |part| part.name);
                format!("{}|{}|{part}", extension.map_or("", |_| "enterprise"), attribute.name)
            }
            Some(Named::Extension(_)) => "extension".to_owned(),
            None => "unknown".to_owned(),
        };
        for (text, expected) in [
            ("USERNAME", "|userName|"),
            ("name.familyname", "|name|familyName"),
            ("urn:ietf:params:scim:schemas:core:2.0:User:emails.value", "|emails|value"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "enterprise|department|"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value", "enterprise|manager|value"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:user", "extension"),
            ("meta.lastModified", "|meta|lastModified"),
            ("department", "unknown"),
            ("members", "unknown"),
            ("userName.value", "unknown"),
            ("urn:example:2.0:userName", "unknown"),
            ("emails[type eq \"work\"]", "unknown"),
            ("a b", "unknown"),
        ] {
            assert_eq!(named(ResourceKind::User, text), expected, "{text}");
        }
        assert_eq!(named(ResourceKind::Group, "members.value"), "|members|value");
    }
}
