//! What is answered: a document with what is the server's.

use super::{Directory, Facts, Resource, ResourceId, ResourceKind, entity_tag};
use serde_json::{Map, Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// All times are written alike, so that they are ordered as texts are.
const MOMENT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Most groups that a user's document lists, so that a page of users is bounded, too.
const MOST_GROUPS: usize = 1000;

impl Directory {
    /// The representation of a resource as the directory has it, or as it is after a change that the directory has adopted.
    /// `base` is where the interface is, without a slash at its end: `https://gateway.example.org/scim/v2`.
    #[must_use]
    pub fn represent(&self, resource: &Resource, base: &str) -> Map<String, Value> {
        let mut document = basis(resource, base);
        let provider = resource.provider.as_str();
        match resource.kind() {
            ResourceKind::User => {
                let groups = self.groups_of(provider, resource.id).take(MOST_GROUPS);
                let groups: Vec<_> = groups.map(|group| membership(group, base)).collect();
                put_list(&mut document, "groups", groups);
            }
            ResourceKind::Group => {
                let members: Vec<_> = self.members_of(provider, resource.id).map(|user| member(user, base)).collect();
                put_list(&mut document, "members", members);
            }
        }
        document
    }
}

fn put_list(document: &mut Map<String, Value>, name: &str, items: Vec<Value>) {
    if !items.is_empty() {
        document.insert(name.to_owned(), items.into());
    }
}

/// A document with what does not depend on other resources.
pub(super) fn basis(resource: &Resource, base: &str) -> Map<String, Value> {
    let kind = resource.kind();
    let mut document = resource.attributes();
    let extension = kind.extension().map(|schema| schema.id).filter(|urn| document.contains_key(*urn));
    let schemas: Vec<_> = [kind.schema().id].into_iter().chain(extension).collect();
    document.insert("schemas".to_owned(), schemas.into());
    document.insert("id".to_owned(), resource.id.to_string().into());
    let meta = json!({
        "resourceType": kind.label(),
        "created": moment(resource.created),
        "lastModified": moment(resource.last_modified),
        "location": location(kind, resource.id, base),
        "version": entity_tag(resource.version),
    });
    document.insert("meta".to_owned(), meta);
    document
}

fn moment(moment: OffsetDateTime) -> String {
    moment.to_offset(UtcOffset::UTC).format(MOMENT).unwrap_or_default()
}

/// Where a resource is.
#[must_use]
pub fn location(kind: ResourceKind, id: ResourceId, base: &str) -> String {
    format!("{base}{}/{id}", kind.endpoint())
}

/// A group, as its members' documents list it.
pub(super) fn membership(group: &Resource, base: &str) -> Value {
    let display = group.attributes().remove("displayName").unwrap_or_default();
    let place = location(ResourceKind::Group, group.id, base);
    json!({"value": group.id.to_string(), "$ref": place, "display": display, "type": "direct"})
}

fn member(user: &Resource, base: &str) -> Value {
    let place = location(ResourceKind::User, user.id, base);
    let mut member = json!({"value": user.id.to_string(), "$ref": place, "type": "User"});
    if let (Facts::User { display_name, .. }, Some(parts)) = (&user.facts, member.as_object_mut()) {
        parts.insert("display".to_owned(), display_name.as_str().into());
    }
    member
}
