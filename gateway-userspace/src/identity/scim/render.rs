//! What is answered: a document with what is the server's.

use super::{Directory, Projection, Resource, ResourceId, ResourceKind, entity_tag};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// All times are written alike, so that they are ordered as texts are.
const MOMENT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Most groups that a user's document lists, so that a page of users is bounded, too.
const MOST_GROUPS: usize = 1000;

/// A resource with the others that its representation names. To gather them is quick; to write them is for another thread
/// than the one that decides about access.
#[derive(Clone, Debug)]
pub struct Shown {
    resource: Arc<Resource>,
    others: Vec<Arc<Resource>>,
}

impl Directory {
    /// A resource as it is to be shown: as the directory has it, or as it is after a change that the directory has adopted.
    #[must_use]
    pub fn show(&self, resource: &Arc<Resource>, projection: &Projection) -> Shown {
        let (provider, kind) = (&resource.provider, resource.kind());
        let others = match kind {
            ResourceKind::User if projection.omits(kind, "groups") => Vec::new(),
            ResourceKind::User => self.groups_of(provider, resource.id).take(MOST_GROUPS).cloned().collect(),
            ResourceKind::Group if projection.omits(kind, "members") => Vec::new(),
            ResourceKind::Group => self.members_of(provider, resource.id).cloned().collect(),
        };
        Shown { resource: Arc::clone(resource), others }
    }
}

impl Shown {
    /// The resource itself.
    #[must_use]
    pub const fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// How many others are named.
    #[must_use]
    pub const fn breadth(&self) -> usize {
        self.others.len()
    }

    /// The representation. `base` is where the interface is, without a slash at its end:
    /// `https://gateway.example.org/scim/v2`.
    #[must_use]
    pub fn document(&self, projection: &Projection, base: &str) -> Map<String, Value> {
        let kind = self.resource.kind();
        let mut document = basis(&self.resource, base);
        let (name, of): (_, fn(&Resource, &str) -> Value) = match kind {
            ResourceKind::User => ("groups", membership),
            ResourceKind::Group => ("members", member),
        };
        if !self.others.is_empty() {
            document.insert(name.to_owned(), self.others.iter().map(|other| of(other, base)).collect());
        }
        projection.apply(kind, document)
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

/// A user, as a group's document lists them: without what they are called, so that what is answered is what was sent.
fn member(user: &Resource, base: &str) -> Value {
    let place = location(ResourceKind::User, user.id, base);
    json!({"value": user.id.to_string(), "$ref": place, "type": "User"})
}
