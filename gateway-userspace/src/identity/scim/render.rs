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
    others: Others,
}

/// Whom a representation names. Of members that is their identifiers: there may be very many.
#[derive(Clone, Debug)]
enum Others {
    Groups(Vec<Arc<Resource>>),
    Members(Vec<ResourceId>),
}

impl Directory {
    /// A resource as it is to be shown: as the directory has it, or as it is after a change that the directory has adopted.
    #[must_use]
    pub fn show(&self, resource: &Arc<Resource>, projection: &Projection) -> Shown {
        self.shown(resource, projection.omits_others(resource.kind()))
    }

    /// The same, if it is known already whether it is shown alone.
    pub(super) fn shown(&self, resource: &Arc<Resource>, is_alone: bool) -> Shown {
        let (provider, most) = (&resource.provider, if is_alone { 0 } else { usize::MAX });
        let others = match resource.kind() {
            ResourceKind::User => {
                Others::Groups(self.groups_of(provider, resource.id).take(most.min(MOST_GROUPS)).cloned().collect())
            }
            ResourceKind::Group => Others::Members(self.member_ids(provider, resource.id).take(most).collect()),
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
        match &self.others {
            Others::Groups(groups) => groups.len(),
            Others::Members(members) => members.len(),
        }
    }

    /// The representation. `base` is where the interface is, without a slash at its end:
    /// `https://gateway.example.org/scim/v2`.
    #[must_use]
    pub fn document(&self, projection: &Projection, base: &str) -> Map<String, Value> {
        let kind = self.resource.kind();
        let mut document = basis(&self.resource, base);
        if self.breadth() > 0 {
            let others = match &self.others {
                Others::Groups(groups) => groups.iter().map(|group| membership(group, base)).collect(),
                Others::Members(members) => members.iter().map(|user| member(*user, base)).collect(),
            };
            document.insert(kind.others().to_owned(), others);
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
fn member(user: ResourceId, base: &str) -> Value {
    json!({"value": user.to_string(), "$ref": location(ResourceKind::User, user, base), "type": "User"})
}
