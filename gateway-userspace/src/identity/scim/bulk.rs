//! Many operations in one request (RFC 7644, 3.7): each is a change of its own, in an order in which references can be
//! resolved, and answered in the order of the request.

use super::read::member;
use super::{
    Action, Decided, LARGEST_BODY, MOST_BULK_OPERATIONS, Operation, PatchOperation, Precondition, ResourceId,
    ResourceKind, ScimError, entity_tag, location,
};
use crate::policy::ProviderName;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What references begin with.
const REFERENCE: &str = "bulkId:";

/// A bulk request, and how far it is done.
#[derive(Debug)]
pub struct Bulk {
    provider: ProviderName,
    fail_on_errors: usize,
    errors: usize,
    items: Vec<Item>,
    /// What the identifiers of the request stand for.
    created: BTreeMap<String, Creation>,
}

#[derive(Debug)]
struct Item {
    sent: Map<String, Value>,
    /// The identifier, should it be a creation.
    drawn: ResourceId,
    references: BTreeSet<String>,
    outcome: Option<Outcome>,
    is_begun: bool,
}

#[derive(Clone, Copy, Debug)]
struct Creation {
    id: ResourceId,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Pending,
    Done,
    Failed,
}

#[derive(Debug)]
struct Outcome {
    status: u16,
    place: Option<(ResourceKind, ResourceId)>,
    version: Option<u64>,
    error: Option<ScimError>,
}

impl Bulk {
    /// Reads a bulk request. `draw` gives an identifier for each operation that may need one.
    ///
    /// # Errors
    /// If it is not one, or too many operations.
    pub fn read(
        provider: ProviderName,
        body: &Map<String, Value>,
        mut draw: impl FnMut() -> ResourceId,
    ) -> Result<Self, ScimError> {
        let operations = member(body, "Operations").and_then(Value::as_array);
        let operations = operations.ok_or_else(|| ScimError::syntax("`Operations` is missing, or no list"))?;
        if operations.len() > MOST_BULK_OPERATIONS {
            let detail = format!("send at most {MOST_BULK_OPERATIONS} operations and {LARGEST_BODY} bytes at once");
            return Err(ScimError::status(413, detail));
        }
        let fail_on_errors = match member(body, "failOnErrors") {
            None | Some(Value::Null) => usize::MAX,
            Some(number) => {
                let number = number.as_u64().filter(|number| *number > 0);
                let number = number.ok_or_else(|| ScimError::syntax("`failOnErrors` is no number from 1"))?;
                usize::try_from(number).unwrap_or(usize::MAX)
            }
        };
        let items = operations.iter().map(|sent| Item::read(sent, draw())).collect::<Result<Vec<_>, _>>()?;
        let created = creations(&items)?;
        Ok(Self { provider, fail_on_errors, errors: 0, items, created })
    }

    /// The next operation that is to be done, and its place in the request. `None` if all is done, or too much failed.
    pub fn next_operation(&mut self) -> Option<(usize, Operation)> {
        while self.errors < self.fail_on_errors {
            let place = self.next_place()?;
            let item = self.items.get_mut(place)?;
            item.is_begun = true;
            match item.operation(&self.provider, &self.created) {
                Ok(operation) => return Some((place, operation)),
                Err(error) => self.finish(place, None, Err(error)),
            }
        }
        None
    }

    /// The first that waits for nothing; if all wait for each other, the first of them.
    fn next_place(&self) -> Option<usize> {
        let is_pending = |id: &String| self.created.get(id).is_some_and(|creation| creation.state == State::Pending);
        let mut open = self.items.iter().enumerate().filter(|(_, item)| !item.is_begun);
        let ready = open.clone().find(|(_, item)| !item.references.iter().any(is_pending));
        ready.or_else(|| open.next()).map(|(place, _)| place)
    }

    /// Notes what has become of an operation.
    pub fn done(&mut self, place: usize, operation: &Operation, result: Result<Decided, ScimError>) {
        self.finish(place, Some(operation), result);
    }

    fn finish(&mut self, place: usize, operation: Option<&Operation>, result: Result<Decided, ScimError>) {
        let Some(item) = self.items.get_mut(place) else { return };
        let is_removal = operation.is_some_and(|operation| matches!(operation.action, Action::Remove));
        let is_creation = operation.is_some_and(|operation| matches!(operation.action, Action::Create(_)));
        let state = if result.is_ok() { State::Done } else { State::Failed };
        if let Some(creation) = item.bulk_id().and_then(|id| self.created.get_mut(id)) {
            creation.state = state;
        }
        let target = operation.map(|operation| (operation.kind, operation.id));
        item.outcome = Some(match result {
            Ok(decided) => Outcome {
                status: if is_creation {
                    201
                } else if is_removal {
                    204
                } else {
                    200
                },
                place: target,
                version: Some(decided.resource.version).filter(|_| !is_removal),
                error: None,
            },
            Err(error) => {
                self.errors += 1;
                let place = target.filter(|_| !is_creation);
                Outcome { status: error.status, place, version: None, error: Some(error) }
            }
        });
    }

    /// The answer: what was done, in the order of the request.
    #[must_use]
    pub fn answer(&self, base: &str) -> Value {
        let operations: Vec<_> = self.items.iter().filter_map(|item| item.answer(base)).collect();
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"], "Operations": operations})
    }
}

impl Item {
    fn read(sent: &Value, drawn: ResourceId) -> Result<Self, ScimError> {
        let sent = sent.as_object().ok_or_else(|| ScimError::syntax("an operation is no object"))?.clone();
        let mut references = BTreeSet::new();
        for name in ["data", "path"] {
            member(&sent, name).into_iter().for_each(|value| note_references(value, &mut references));
        }
        Ok(Self { sent, drawn, references, outcome: None, is_begun: false })
    }

    fn method(&self) -> String {
        member(&self.sent, "method").and_then(Value::as_str).unwrap_or_default().to_ascii_uppercase()
    }

    fn bulk_id(&self) -> Option<&str> {
        member(&self.sent, "bulkId").and_then(Value::as_str).filter(|_| self.method() == "POST")
    }

    fn operation(&self, provider: &ProviderName, created: &BTreeMap<String, Creation>) -> Result<Operation, ScimError> {
        let resolved = |name: &str| resolved(member(&self.sent, name).unwrap_or(&Value::Null), created);
        let path = resolved("path")?;
        let path = path.as_str().ok_or_else(|| ScimError::syntax("`path` is missing, or no text"))?;
        let (kind, id) = target(path)?;
        let data = resolved("data")?;
        let body = || data.as_object().cloned().ok_or_else(|| ScimError::syntax("`data` is missing, or no object"));
        let existing = || id.ok_or_else(|| ScimError::syntax("`path` names no resource"));
        let (id, action) = match self.method().as_str() {
            "POST" if id.is_none() => (self.drawn, Action::Create(body()?)),
            "PUT" => (existing()?, Action::Replace(body()?)),
            "PATCH" => (existing()?, Action::Patch(PatchOperation::read_all(&body()?)?)),
            "DELETE" => (existing()?, Action::Remove),
            _ => return Err(ScimError::syntax("`method` is not one of this `path`")),
        };
        let precondition = match member(&self.sent, "version") {
            None | Some(Value::Null) => Precondition::None,
            Some(version) => Precondition::parse(version.as_str().unwrap_or_default())?,
        };
        Ok(Operation { provider: provider.clone(), kind, id, action, precondition })
    }

    fn answer(&self, base: &str) -> Option<Value> {
        let Outcome { status, place, version, error } = self.outcome.as_ref()?;
        let mut answer = json!({"method": self.method(), "status": status.to_string()});
        let members = answer.as_object_mut()?;
        let mut put = |name: &str, value: Option<Value>| value.map(|value| members.insert(name.to_owned(), value));
        put("bulkId", member(&self.sent, "bulkId").filter(|id| id.is_string()).cloned());
        put("location", place.map(|(kind, id)| location(kind, id, base).into()));
        put("version", version.map(|version| entity_tag(version).into()));
        put("response", error.as_ref().map(ScimError::document));
        Some(answer)
    }
}

fn creations(items: &[Item]) -> Result<BTreeMap<String, Creation>, ScimError> {
    let mut created = BTreeMap::new();
    for item in items {
        let Some(id) = item.bulk_id() else { continue };
        let creation = Creation { id: item.drawn, state: State::Pending };
        if created.insert(id.to_owned(), creation).is_some() {
            return Err(ScimError::syntax(format!("`bulkId` `{id}` stands there twice")));
        }
    }
    Ok(created)
}

/// What a path names: all resources of a kind, or one.
fn target(path: &str) -> Result<(ResourceKind, Option<ResourceId>), ScimError> {
    let unknown = || ScimError::status(404, "`path` is not `/Users`, `/Groups` or one of the resources there");
    let kind =
        |kind: &ResourceKind| path.strip_prefix(kind.endpoint()).is_some_and(|id| id.is_empty() || id.starts_with('/'));
    let kind = ResourceKind::ALL.into_iter().find(kind).ok_or_else(unknown)?;
    match path.strip_prefix(kind.endpoint()).and_then(|rest| rest.strip_prefix('/')) {
        None => Ok((kind, None)),
        Some(id) => id.parse().map(|id| (kind, Some(id))).map_err(|_| ScimError::not_found(id)),
    }
}

/// The identifiers of the request that a value refers to.
fn note_references(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => references.extend(reference(text).map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| note_references(item, references)),
        Value::Object(members) => members.values().for_each(|member| note_references(member, references)),
        _ => {}
    }
}

/// The identifier in a text that is a reference, or a path that ends in one.
fn reference(text: &str) -> Option<&str> {
    let last = if text.starts_with('/') { text.rsplit('/').next().unwrap_or_default() } else { text };
    last.strip_prefix(REFERENCE)
}

/// A value with what its references stand for.
fn resolved(value: &Value, created: &BTreeMap<String, Creation>) -> Result<Value, ScimError> {
    Ok(match value {
        Value::String(text) => match reference(text) {
            None => value.clone(),
            Some(id) => {
                let creation = created.get(id).filter(|creation| creation.state != State::Failed);
                let creation = creation.ok_or_else(|| {
                    ScimError::status(409, format!("`{REFERENCE}{id}` refers to nothing that was created"))
                })?;
                let start = text.strip_suffix(id).and_then(|text| text.strip_suffix(REFERENCE)).unwrap_or_default();
                format!("{start}{}", creation.id).into()
            }
        },
        Value::Array(items) => items.iter().map(|item| resolved(item, created)).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| Ok((name.clone(), resolved(member, created)?)));
            members.collect::<Result<Map<_, _>, ScimError>>()?.into()
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests;
