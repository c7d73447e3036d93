//! All resources, by provider. Who is in which group is kept apart from the groups: one member more is one entry more,
//! however large the group is.

use super::index::Index;
use super::{Change, Facts, Hint, Member, Resource, ResourceId, ResourceKind, Term};
use crate::policy::{GroupName, ProviderName, UserName};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// What all providers manage.
#[derive(Debug, Default)]
pub struct Directory {
    realms: BTreeMap<ProviderName, Realm>,
}

/// What one provider manages.
#[derive(Debug, Default)]
pub(super) struct Realm {
    users: BTreeMap<ResourceId, Arc<Resource>>,
    groups: BTreeMap<ResourceId, Arc<Resource>>,
    /// INVARIANT: the same pairs in both orders, and both ends of each exist.
    members: BTreeSet<(ResourceId, ResourceId)>,
    memberships: BTreeSet<(ResourceId, ResourceId)>,
    user_names: BTreeMap<UserName, ResourceId>,
    group_names: BTreeMap<GroupName, ResourceId>,
    user_terms: Index,
    group_terms: Index,
}

impl Directory {
    /// Carries out what was decided.
    pub fn adopt(&mut self, change: &Change) {
        let realm = self.realms.entry(change.resource().provider.clone()).or_default();
        match change {
            Change::PutUser { resource, .. } => realm.put(resource),
            Change::PutGroup { resource, joined, left, .. } => {
                realm.put(resource);
                left.iter().for_each(|member| realm.leave(resource.id, member.id));
                joined.iter().for_each(|member| realm.join(resource.id, member.id));
            }
            Change::RemoveUser { resource, groups, .. } => {
                realm.remove(resource);
                groups.iter().for_each(|group| realm.put(group));
            }
            Change::RemoveGroup { resource, .. } => realm.remove(resource),
        }
    }

    /// Puts back a resource that was stored.
    pub fn restore(&mut self, resource: Resource) {
        self.realms.entry(resource.provider.clone()).or_default().put(&Arc::new(resource));
    }

    /// Puts back a member that was stored; after both resources.
    pub fn restore_member(&mut self, provider: &ProviderName, group: ResourceId, user: ResourceId) {
        if let Some(realm) = self.realms.get_mut(provider) {
            realm.join(group, user);
        }
    }

    /// A resource of a provider.
    #[must_use]
    pub fn resource(&self, provider: &ProviderName, kind: ResourceKind, id: ResourceId) -> Option<&Arc<Resource>> {
        self.realm(provider)?.resource(kind, id)
    }

    /// The provider's user who logs in with a name.
    #[must_use]
    pub fn user_named(&self, provider: &ProviderName, name: &UserName) -> Option<&Arc<Resource>> {
        let realm = self.realm(provider)?;
        realm.resource(ResourceKind::User, realm.named_user(name)?)
    }

    /// The group of a name, and whose it is. No two providers have one of the same name.
    #[must_use]
    pub fn group_named(&self, name: &GroupName) -> Option<(&ProviderName, &Arc<Resource>)> {
        self.realms.iter().find_map(|(provider, realm)| {
            Some((provider, realm.resource(ResourceKind::Group, realm.named_group(name)?)?))
        })
    }

    /// The provider's resources that it knows by an identifier of its own.
    pub fn known_as(
        &self,
        provider: &ProviderName,
        kind: ResourceKind,
        external_id: &str,
    ) -> impl Iterator<Item = &Arc<Resource>> {
        let found = self.realm(provider).map(|realm| realm.found(kind, Term::ExternalId, external_id));
        found.into_iter().flatten().filter(move |resource| {
            resource.attributes().get("externalId").and_then(|id| id.as_str()) == Some(external_id)
        })
    }

    /// How many resources of a kind a provider has.
    #[must_use]
    pub fn count(&self, provider: &ProviderName, kind: ResourceKind) -> usize {
        self.realm(provider).map_or(0, |realm| realm.of_kind(kind).len())
    }

    /// At most so many resources of a provider, in the order of their identifiers, after one of them.
    pub fn slice(
        &self,
        provider: &ProviderName,
        kind: ResourceKind,
        after: Option<ResourceId>,
        most: usize,
    ) -> impl Iterator<Item = &Arc<Resource>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let all = self.realm(provider).map(|realm| realm.of_kind(kind).range((start, Bound::Unbounded)));
        all.into_iter().flatten().map(|(_, resource)| resource).take(most)
    }

    /// The resources at hints, each once, in the order of their identifiers.
    #[must_use]
    pub fn at(&self, provider: &ProviderName, kind: ResourceKind, hints: &[Hint]) -> Vec<&Arc<Resource>> {
        let Some(realm) = self.realm(provider) else { return Vec::new() };
        let mut found = BTreeMap::new();
        for hint in hints {
            let mut note = |resource| {
                found.insert(Resource::id_of(resource), resource);
            };
            match hint {
                Hint::Id(id) => realm.resource(kind, *id).into_iter().for_each(&mut note),
                Hint::Term(term, text) => realm.found(kind, *term, text).for_each(&mut note),
                Hint::Member(user) => realm.groups_of(*user).for_each(&mut note),
                Hint::Nowhere => {}
            }
        }
        found.into_values().collect()
    }

    /// The groups that a user is in.
    pub fn groups_of(&self, provider: &ProviderName, user: ResourceId) -> impl Iterator<Item = &Arc<Resource>> {
        self.realm(provider).into_iter().flat_map(move |realm| realm.groups_of(user))
    }

    /// The identifiers of a group's members.
    pub fn member_ids(&self, provider: &ProviderName, group: ResourceId) -> impl Iterator<Item = ResourceId> {
        self.realm(provider).into_iter().flat_map(move |realm| realm.members_of(group))
    }

    /// The members of a group.
    pub fn members_of(&self, provider: &ProviderName, group: ResourceId) -> impl Iterator<Item = &Arc<Resource>> {
        self.realm(provider)
            .into_iter()
            .flat_map(move |realm| realm.members_of(group).filter_map(|user| realm.resource(ResourceKind::User, user)))
    }

    pub(super) fn realm(&self, provider: &ProviderName) -> Option<&Realm> {
        self.realms.get(provider)
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        self.realms.values().for_each(Realm::check);
    }
}

impl Realm {
    pub fn of_kind(&self, kind: ResourceKind) -> &BTreeMap<ResourceId, Arc<Resource>> {
        match kind {
            ResourceKind::User => &self.users,
            ResourceKind::Group => &self.groups,
        }
    }

    pub fn resource(&self, kind: ResourceKind, id: ResourceId) -> Option<&Arc<Resource>> {
        self.of_kind(kind).get(&id)
    }

    pub fn named_user(&self, name: &UserName) -> Option<ResourceId> {
        self.user_names.get(name).copied()
    }

    pub fn named_group(&self, name: &GroupName) -> Option<ResourceId> {
        self.group_names.get(name).copied()
    }

    pub fn member(&self, user: ResourceId) -> Option<Member> {
        self.users.get(&user).and_then(|resource| Member::of(resource))
    }

    pub fn has_member(&self, group: ResourceId, user: ResourceId) -> bool {
        self.members.contains(&(group, user))
    }

    pub fn members_of(&self, group: ResourceId) -> impl Iterator<Item = ResourceId> {
        self.members.range((group, ResourceId::LEAST)..=(group, ResourceId::GREATEST)).map(|(_, user)| *user)
    }

    pub fn groups_of(&self, user: ResourceId) -> impl Iterator<Item = &Arc<Resource>> {
        let pairs = self.memberships.range((user, ResourceId::LEAST)..=(user, ResourceId::GREATEST));
        pairs.filter_map(|(_, group)| self.groups.get(group))
    }

    fn found(&self, kind: ResourceKind, term: Term, text: &str) -> impl Iterator<Item = &Arc<Resource>> {
        self.terms(kind).find(kind, term, text).filter_map(move |id| self.resource(kind, id))
    }

    fn terms(&self, kind: ResourceKind) -> &Index {
        match kind {
            ResourceKind::User => &self.user_terms,
            ResourceKind::Group => &self.group_terms,
        }
    }

    fn put(&mut self, resource: &Arc<Resource>) {
        let (resources, terms) = match resource.kind() {
            ResourceKind::User => (&mut self.users, &mut self.user_terms),
            ResourceKind::Group => (&mut self.groups, &mut self.group_terms),
        };
        let former = resources.insert(resource.id, Arc::clone(resource)).inspect(|former| terms.remove(former));
        terms.insert(resource);
        if let Some(former) = former {
            self.forget_name(&former);
        }
        match &resource.facts {
            Facts::User { name, .. } => drop(self.user_names.insert(name.clone(), resource.id)),
            Facts::Group { name } => drop(self.group_names.insert(name.clone(), resource.id)),
        }
    }

    fn forget_name(&mut self, resource: &Resource) {
        match &resource.facts {
            Facts::User { name, .. } => drop(self.user_names.remove(name)),
            Facts::Group { name } => drop(self.group_names.remove(name)),
        }
    }

    fn remove(&mut self, resource: &Resource) {
        let id = resource.id;
        let former = match resource.kind() {
            ResourceKind::User => self.users.remove(&id).inspect(|former| self.user_terms.remove(former)),
            ResourceKind::Group => self.groups.remove(&id).inspect(|former| self.group_terms.remove(former)),
        };
        if let Some(former) = former {
            self.forget_name(&former);
        }
        let of_group: Vec<_> = self.members_of(id).map(|user| (id, user)).collect();
        let of_user: Vec<_> = self.groups_of(id).map(|group| (group.id, id)).collect();
        of_group.into_iter().chain(of_user).for_each(|(group, user)| self.leave(group, user));
    }

    fn join(&mut self, group: ResourceId, user: ResourceId) {
        if self.groups.contains_key(&group) && self.users.contains_key(&user) {
            self.members.insert((group, user));
            self.memberships.insert((user, group));
        }
    }

    fn leave(&mut self, group: ResourceId, user: ResourceId) {
        self.members.remove(&(group, user));
        self.memberships.remove(&(user, group));
    }

    #[cfg(test)]
    fn check(&self) {
        let mut fresh = Self::default();
        self.users.values().chain(self.groups.values()).for_each(|resource| fresh.put(resource));
        self.members.iter().for_each(|(group, user)| fresh.join(*group, *user));
        assert_eq!((&fresh.members, &fresh.memberships), (&self.members, &self.memberships));
        assert_eq!((&fresh.user_names, &fresh.group_names), (&self.user_names, &self.group_names));
        assert_eq!((self.user_names.len(), self.group_names.len()), (self.users.len(), self.groups.len()));
        assert_eq!(fresh.user_terms.len(), self.user_terms.len());
        assert_eq!(fresh.group_terms.len(), self.group_terms.len());
        for resource in self.users.values().chain(self.groups.values()) {
            assert!(super::index::is_indexed(self.terms(resource.kind()), resource));
        }
    }
}
