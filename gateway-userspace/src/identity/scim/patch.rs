//! PATCH (RFC 7644, 3.5.2), in the forms that Entra and Okta send.
//!
//! All operations of a request are tried on a copy, so a request is done as a whole or not at all. To remove what is not
//! there is no error: whoever takes access away again must not be told that it failed.

mod members;
mod values;

pub(super) use members::MemberDraft;

use super::document::{Document, Members};
use super::filter::Selection;
use super::path::{self, Named, Place};
use super::read::member;
use super::schema::Attribute;
use super::{Resource, ResourceKind, ScimError, ScimType, document};
use scim_v2::filter::PatchPath;
use serde_json::{Map, Value};

/// Most operations of a request.
const MOST_OPERATIONS: usize = 1000;

/// One operation of a PATCH request.
#[derive(Clone, PartialEq, Debug)]
pub struct PatchOperation {
    verb: Verb,
    path: Option<PatchPath>,
    value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verb {
    Add,
    Replace,
    Remove,
}

/// What a path selects.
struct Target {
    place: Place,
    selection: Option<Selection>,
}

impl PatchOperation {
    /// Reads the body of a PATCH request.
    ///
    /// # Errors
    /// If it is not one.
    pub fn read_all(body: &Map<String, Value>) -> Result<Vec<Self>, ScimError> {
        let operations = member(body, "Operations").and_then(Value::as_array);
        let operations = operations.ok_or_else(|| ScimError::syntax("`Operations` is missing, or no list"))?;
        if operations.is_empty() || operations.len() > MOST_OPERATIONS {
            return Err(ScimError::syntax(format!("send 1 to {MOST_OPERATIONS} `Operations`")));
        }
        operations.iter().map(Self::read).collect()
    }

    fn read(sent: &Value) -> Result<Self, ScimError> {
        let sent = sent.as_object().ok_or_else(|| ScimError::syntax("an operation is no object"))?;
        let verb = match member(sent, "op").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
            Some("add") => Verb::Add,
            Some("replace") => Verb::Replace,
            Some("remove") => Verb::Remove,
            _ => return Err(ScimError::syntax("`op` is not `add`, `replace` or `remove`")),
        };
        let path = match member(sent, "path") {
            None | Some(Value::Null) => None,
            Some(Value::String(path)) => Some(parse(path)?),
            Some(_) => return Err(ScimError::of(ScimType::InvalidPath, "`path` is no text")),
        };
        let value = member(sent, "value");
        match (verb, &path) {
            (Verb::Remove, None) => Err(ScimError::of(ScimType::NoTarget, "`remove` needs a `path`")),
            (Verb::Add | Verb::Replace, _) if value.is_none() => {
                Err(ScimError::value("`add` and `replace` need a `value`"))
            }
            _ => Ok(Self { verb, path, value: value.cloned().unwrap_or_default() }),
        }
    }
}

fn parse(path: &str) -> Result<PatchPath, ScimError> {
    if path.len() > super::LONGEST_FILTER {
        return Err(ScimError::of(ScimType::InvalidPath, "the path is too long"));
    }
    path.parse().map_err(|error| {
        ScimError::of(ScimType::InvalidPath, format!("path `{}` cannot be read: {error}", shortened(path)))
    })
}

fn shortened(text: &str) -> &str {
    text.char_indices().nth(64).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// What a resource's document is after operations; what becomes of members is noted.
pub(super) fn apply(
    resource: &Resource,
    members: &mut MemberDraft<'_>,
    operations: &[PatchOperation],
) -> Result<Document, ScimError> {
    let mut draft = Draft { resource, attributes: resource.attributes(), members };
    for operation in operations {
        draft.apply(operation)?;
    }
    // Once more as a whole: operations that are within the limits can add up to more.
    let mut document = Document::read(resource.kind(), &draft.attributes)?;
    document.members = Members::new();
    Ok(document)
}

struct Draft<'a, 'b> {
    resource: &'a Resource,
    attributes: Map<String, Value>,
    members: &'a mut MemberDraft<'b>,
}

impl Draft<'_, '_> {
    fn apply(&mut self, operation: &PatchOperation) -> Result<(), ScimError> {
        match &operation.path {
            Some(path) => self.apply_at(operation.verb, path, &operation.value, Unknown::Refused),
            None => {
                let members = operation.value.as_object();
                let members = members.ok_or_else(|| ScimError::value("without `path`, `value` must be an object"))?;
                members.iter().try_for_each(|(name, value)| self.apply_member(operation.verb, name, value))
            }
        }
    }

    /// A member of an object without a path. Its name may be a path of its own.
    fn apply_member(&mut self, verb: Verb, name: &str, value: &Value) -> Result<(), ScimError> {
        // Okta names the group in the value when it renames it.
        let is_own_id = name.eq_ignore_ascii_case("id") && value.as_str() == Some(&self.resource.id.to_string());
        if is_own_id || name.eq_ignore_ascii_case("schemas") {
            return Ok(());
        }
        match parse(name) {
            Ok(path) => self.apply_at(verb, &path, value, Unknown::Ignored),
            Err(_) => Ok(()),
        }
    }

    fn apply_at(&mut self, verb: Verb, path: &PatchPath, value: &Value, unknown: Unknown) -> Result<(), ScimError> {
        let kind = self.resource.kind();
        match resolve(kind, path)? {
            Some(Resolved::Extension(urn)) => self.apply_extension(verb, urn, value),
            Some(Resolved::Target(target)) => {
                expect_writable(&target)?;
                if document::is_members(kind, target.place.attribute) {
                    return self.members.apply(verb, &target, value);
                }
                values::apply(&mut self.attributes, verb, &target, value)
            }
            None if unknown == Unknown::Ignored || is_password(path) => Ok(()),
            None => {
                Err(ScimError::of(ScimType::InvalidPath, format!("path `{path}` names no attribute that is known")))
            }
        }
    }

    fn apply_extension(&mut self, verb: Verb, urn: &'static str, value: &Value) -> Result<(), ScimError> {
        if verb == Verb::Remove || value.is_null() {
            self.attributes.remove(urn);
            return Ok(());
        }
        let members = value.as_object().ok_or_else(|| ScimError::value(format!("`{urn}` is not of type complex")))?;
        members.iter().try_for_each(|(name, value)| self.apply_member(verb, &format!("{urn}:{name}"), value))
    }
}

/// What becomes of what no schema knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Ignored,
    Refused,
}

/// Okta sends passwords where it is told to. They are no attribute here, and no error.
fn is_password(path: &PatchPath) -> bool {
    matches!(path, PatchPath::Attr(path) if path.name.eq_ignore_ascii_case("password"))
}

enum Resolved {
    Extension(&'static str),
    Target(Target),
}

fn resolve(kind: ResourceKind, path: &PatchPath) -> Result<Option<Resolved>, ScimError> {
    match path {
        PatchPath::Attr(path) => Ok(path::resolve(kind, path).map(|named| match named {
            Named::Extension(urn) => Resolved::Extension(urn),
            Named::Place(place) => Resolved::Target(Target { place, selection: None }),
        })),
        PatchPath::Value(path) => {
            let Some(Named::Place(place)) = path::resolve(kind, &path.attr) else { return Ok(None) };
            let part = path.sub_attr.as_ref().map(|name| place.attribute.part(name));
            let is_sensible = place.attribute.is_multi && place.part.is_none() && !matches!(part, Some(None));
            if !is_sensible {
                let detail = format!("path `{path}` selects values of an attribute that has none such");
                return Err(ScimError::of(ScimType::InvalidPath, detail));
            }
            let selection = Selection::of(place.attribute, &path.filter);
            let selection = selection.map_err(|error| ScimError::of(ScimType::InvalidFilter, error.detail))?;
            let place = Place { part: part.flatten(), ..place };
            Ok(Some(Resolved::Target(Target { place, selection: Some(selection) })))
        }
    }
}

fn expect_writable(target: &Target) -> Result<(), ScimError> {
    let is_read_only = |attribute: &Attribute| attribute.is_read_only();
    if is_read_only(target.place.attribute) || target.place.part.is_some_and(is_read_only) {
        let detail = format!("`{}` is the server's", target.place.attribute.name);
        return Err(ScimError::of(ScimType::Mutability, detail));
    }
    Ok(())
}
