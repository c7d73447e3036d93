//! From an operation to a change. Nothing is changed here: what is refused has no effect, whole requests included.

use super::directory::Realm;
use super::document::Document;
use super::patch::{self, MemberDraft};
use super::{
    Change, Directory, Facts, Identity, Member, PatchOperation, Precondition, Resource, ResourceId, ResourceKind,
    ScimError, ScimType,
};
use crate::policy::{GroupName, ProviderName, UserName};
use serde_json::{Map, Value};
use std::sync::Arc;
use time::OffsetDateTime;

/// What a provider wants to be done.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Who wants it.
    pub provider: ProviderName,
    /// To what.
    pub kind: ResourceKind,
    /// To which: for a creation, the identifier that was drawn for it.
    pub id: ResourceId,
    /// What.
    pub action: Action,
    /// In which version the resource must be.
    pub precondition: Precondition,
}

/// What is done to a resource.
#[derive(Clone, Debug)]
pub enum Action {
    /// POST: it is created.
    Create(Map<String, Value>),
    /// PUT: all that a client can write is replaced.
    Replace(Map<String, Value>),
    /// PATCH: parts of it are changed.
    Patch(Vec<PatchOperation>),
    /// DELETE.
    Remove,
}

/// Which names belong to somebody else: to administrators, or to another provider.
pub trait Taken {
    /// Whether a user of this name exists whom the provider does not manage.
    fn user(&self, name: &UserName) -> bool;
    /// Whether a group of this name exists that the provider does not manage.
    fn group(&self, name: &GroupName) -> bool;
}

/// What an operation comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// What is to be stored and brought into force; `None` if everything is so already.
    pub change: Option<Change>,
    /// The resource after that; after a removal, as it was.
    pub resource: Arc<Resource>,
}

/// Decides what an operation comes to.
///
/// # Errors
/// If it is refused.
pub fn decide(
    directory: &Directory,
    taken: &dyn Taken,
    operation: &Operation,
    now: OffsetDateTime,
) -> Result<Decided, ScimError> {
    let nobody = Realm::default();
    let realm = directory.realm(&operation.provider).unwrap_or(&nobody);
    let case = Case { realm, taken, operation, now };
    match &operation.action {
        Action::Create(body) => case.create(body),
        Action::Replace(body) => case.replace(body),
        Action::Patch(operations) => case.patch(operations),
        Action::Remove => case.remove(),
    }
}

struct Case<'a> {
    realm: &'a Realm,
    taken: &'a dyn Taken,
    operation: &'a Operation,
    now: OffsetDateTime,
}

impl Case<'_> {
    fn create(&self, body: &Map<String, Value>) -> Result<Decided, ScimError> {
        let Operation { kind, id, .. } = *self.operation;
        if ResourceKind::ALL.into_iter().any(|kind| self.realm.resource(kind, id).is_some()) {
            return Err(ScimError::of(ScimType::Uniqueness, "the identifier that was drawn is taken; try again"));
        }
        let mut document = Document::read(kind, body)?;
        let mut members = MemberDraft::new(self.realm, id);
        members.set(std::mem::take(&mut document.members))?;
        self.put(None, document, members)
    }

    fn replace(&self, body: &Map<String, Value>) -> Result<Decided, ScimError> {
        let former = self.existing()?;
        let mut document = Document::read(self.operation.kind, body)?;
        let mut members = MemberDraft::new(self.realm, former.id);
        members.set(std::mem::take(&mut document.members))?;
        self.put(Some(former), document, members)
    }

    fn patch(&self, operations: &[PatchOperation]) -> Result<Decided, ScimError> {
        let former = self.existing()?;
        let mut members = MemberDraft::new(self.realm, former.id);
        let changed = patch::apply(former, &mut members, operations)?;
        self.put(Some(former), changed, members)
    }

    fn remove(&self) -> Result<Decided, ScimError> {
        let resource = Arc::clone(self.existing()?);
        let change = match &resource.facts {
            Facts::User { name, .. } => {
                let groups = self.realm.groups_of(resource.id).map(|group| Arc::new(group.touched(self.now)));
                Change::RemoveUser { resource: Arc::clone(&resource), name: name.clone(), groups: groups.collect() }
            }
            Facts::Group { name } => {
                let members = self.realm.members_of(resource.id).filter_map(|user| self.realm.member(user)).collect();
                Change::RemoveGroup { resource: Arc::clone(&resource), group: name.clone(), members }
            }
        };
        Ok(Decided { change: Some(change), resource })
    }

    /// The resource that is operated on, in a version that is wanted.
    fn existing(&self) -> Result<&Arc<Resource>, ScimError> {
        let Operation { kind, id, precondition, .. } = self.operation;
        let resource = self.realm.resource(*kind, *id).ok_or_else(|| ScimError::not_found(&id.to_string()))?;
        if precondition.permits(resource.version) { Ok(resource) } else { Err(ScimError::stale()) }
    }

    fn put(
        &self,
        former: Option<&Arc<Resource>>,
        document: Document,
        members: MemberDraft<'_>,
    ) -> Result<Decided, ScimError> {
        let Operation { provider, kind, id, .. } = self.operation;
        let (joined, left) = members.changes()?;
        let identity = Identity {
            id: *id,
            provider: provider.clone(),
            version: former.map_or(1, |former| former.version.saturating_add(1)),
            created: former.map_or(self.now, |former| former.created),
            last_modified: self.now,
        };
        let resource = Arc::new(Resource::new(*kind, identity, document)?);
        if let Some(former) = former.filter(|former| former.document() == resource.document())
            && joined.is_empty()
            && left.is_empty()
        {
            return Ok(Decided { change: None, resource: Arc::clone(former) });
        }
        let change = self.change(&resource, former.map(|former| &former.facts), joined, left)?;
        Ok(Decided { change: Some(change), resource })
    }

    fn change(
        &self,
        resource: &Arc<Resource>,
        former: Option<&Facts>,
        joined: Vec<Member>,
        left: Vec<Member>,
    ) -> Result<Change, ScimError> {
        let resource = Arc::clone(resource);
        match resource.facts.clone() {
            Facts::User { name, display_name, active, attributes } => {
                self.expect_free_user(resource.id, &name)?;
                let former = match former {
                    Some(Facts::User { name: former, .. }) if *former != name => Some(former.clone()),
                    _ => None,
                };
                Ok(Change::PutUser { resource, name, former, display_name, active, attributes })
            }
            Facts::Group { name: group } => {
                self.expect_free_group(resource.id, &group)?;
                let former = match former {
                    Some(Facts::Group { name: former }) if *former != group => Some(former.clone()),
                    _ => None,
                };
                Ok(Change::PutGroup { resource, group, former, joined, left })
            }
        }
    }

    fn expect_free_user(&self, id: ResourceId, name: &UserName) -> Result<(), ScimError> {
        if self.realm.named_user(name).is_some_and(|other| other != id) {
            return Err(ScimError::of(ScimType::Uniqueness, format!("`userName`: user `{name}` exists")));
        }
        if self.taken.user(name) {
            let what_to_do = "remove or rename that user at the gateway, or use another `userName`";
            let detail = format!("`userName`: user `{name}` exists and is not of this provider; {what_to_do}");
            return Err(ScimError::of(ScimType::Uniqueness, detail));
        }
        Ok(())
    }

    fn expect_free_group(&self, id: ResourceId, name: &GroupName) -> Result<(), ScimError> {
        if self.realm.named_group(name).is_some_and(|other| other != id) {
            let detail =
                format!("`displayName`: group `{name}` exists; names that differ in case or signs are the same");
            return Err(ScimError::of(ScimType::Uniqueness, detail));
        }
        if self.taken.group(name) {
            let what_to_do = "remove that group at the gateway, or use another `displayName`";
            let detail = format!("`displayName`: group `{name}` exists and is not of this provider; {what_to_do}");
            return Err(ScimError::of(ScimType::Uniqueness, detail));
        }
        Ok(())
    }
}
