//! What an operation comes to: values that the core stores and brings into force, and the directory adopts.

use super::{Facts, Resource, ResourceId};
use crate::policy::{Attributes, GroupName, UserName};
use std::sync::Arc;

/// A user in a group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Member {
    /// Whose document.
    pub id: ResourceId,
    /// The name that the gateway knows them by.
    pub name: UserName,
}

/// One change of a provider's directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A user is created, or is another one from now on.
    PutUser {
        /// As they are stored.
        resource: Arc<Resource>,
        /// The name that they log in with.
        name: UserName,
        /// The name that they had, if it was another one.
        former: Option<UserName>,
        /// What people call them.
        display_name: String,
        /// Whether the provider lets them in.
        active: bool,
        /// What else policies may ask for.
        attributes: Attributes,
    },
    /// A user is removed, and is in no group any more.
    RemoveUser {
        /// As they were.
        resource: Arc<Resource>,
        /// The name that they had.
        name: UserName,
        /// The groups that they were in, as these are stored from now on.
        groups: Vec<Arc<Resource>>,
    },
    /// A group is created, or is another one from now on.
    PutGroup {
        /// As it is stored, besides its members.
        resource: Arc<Resource>,
        /// The name that policies know it by.
        group: GroupName,
        /// The name that it had, if it was another one: all who stay in it are in the group of the new name then.
        former: Option<GroupName>,
        /// Who is in it from now on and was not.
        joined: Vec<Member>,
        /// Who was in it and is not any more.
        left: Vec<Member>,
    },
    /// A group is removed.
    RemoveGroup {
        /// As it was.
        resource: Arc<Resource>,
        /// The name that it had.
        group: GroupName,
        /// Who was in it.
        members: Vec<Member>,
    },
}

impl Change {
    /// The resource that was operated on.
    #[must_use]
    pub const fn resource(&self) -> &Arc<Resource> {
        match self {
            Self::PutUser { resource, .. }
            | Self::RemoveUser { resource, .. }
            | Self::PutGroup { resource, .. }
            | Self::RemoveGroup { resource, .. } => resource,
        }
    }

    /// What happens, for records.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::PutUser { .. } => "scim_user_put",
            Self::RemoveUser { .. } => "scim_user_removed",
            Self::PutGroup { .. } => "scim_group_put",
            Self::RemoveGroup { .. } => "scim_group_removed",
        }
    }
}

impl Member {
    /// The user of a document.
    pub(super) fn of(resource: &Resource) -> Option<Self> {
        match &resource.facts {
            Facts::User { name, .. } => Some(Self { id: resource.id, name: name.clone() }),
            Facts::Group { .. } => None,
        }
    }
}
