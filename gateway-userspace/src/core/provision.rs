//! What identity providers push by SCIM: their users and groups become those of the gateway, in the same request.

use super::decide::{Asked, Keeper};
use super::{CoreError, Done};
use crate::identity::scim::{
    Action, Change, Directory, Facts, Member, Operation, Precondition, Resource, ResourceId, ResourceKind, TOLD, Taken,
    decide,
};
use crate::policy::{Gateway, GroupName, Input, ProviderName, User, UserName};
use crate::store::Write;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Keeper {
    /// Does what a provider wants.
    pub(super) fn provision(&mut self, asked: &Asked<'_>, operation: &Operation) -> Result<Done, CoreError> {
        let state = &self.state;
        let taken = Others { gateway: &state.gateway, directory: &state.directory, provider: &operation.provider };
        let decided = decide(&state.directory, &taken, operation, asked.wall()).map_err(CoreError::Scim)?;
        let Some(change) = &decided.change else {
            return Ok(Done { decided: Some(decided), ..Done::default() });
        };
        let done = match change {
            Change::PutUser { resource, name, former, display_name, active, attributes: told } => {
                let before = self.user_of(resource, former.as_ref().unwrap_or(name));
                let (name, display_name) = (name.clone(), display_name.clone());
                // A directory gives back what it has taken; what an event has taken, only if it has said so since.
                let suspended = !active || (before.suspended && !self.has_taken(resource));
                let is_over = suspended && !before.suspended;
                let suspended_at = if is_over { asked.wall().unix_timestamp() } else { before.suspended_at };
                let mut attributes = before.attributes.clone();
                attributes.retain(|name, _| !TOLD.contains(&name.as_str()));
                attributes.extend(told.clone());
                let user = User { name, display_name, suspended, suspended_at, attributes, ..before };
                self.put_provisioned(asked, user, former.as_ref(), resource)
            }
            Change::RemoveUser { resource, name, groups } => {
                let mut also = vec![removal(resource)];
                also.extend(groups.iter().cloned().map(Write::PutResource));
                self.remove_user(asked, name, also)
            }
            Change::PutGroup { resource, group, former, joined, left } => {
                self.put_members(asked, (resource, group, former.as_ref()), (joined, left))
            }
            Change::RemoveGroup { resource, group, .. } => {
                self.change(asked, Input::RemoveGroup(group.clone()), vec![removal(resource)], None)
            }
        };
        // What takes access away is in force even if it could not be stored yet, and will be.
        if done.is_ok() || self.is_in_force(change) {
            self.state.directory.adopt(change);
        }
        Ok(Done { decided: Some(decided), ..done? })
    }

    /// Whether a directory says of somebody, until this change, that they have no access.
    fn has_taken(&self, resource: &Resource) -> bool {
        let before = self.state.directory.resource(&resource.provider, ResourceKind::User, resource.id);
        before.is_some_and(|before| matches!(before.facts, Facts::User { active: false, .. }))
    }

    /// The user of a document, as they are.
    fn user_of(&self, resource: &Resource, name: &UserName) -> User {
        let new = || User { provider: Some(resource.provider.clone()), ..User::new(name.clone()) };
        self.state.gateway.user(name).cloned().unwrap_or_else(new)
    }

    fn put_provisioned(
        &mut self,
        asked: &Asked<'_>,
        user: User,
        former: Option<&UserName>,
        resource: &Arc<Resource>,
    ) -> Result<Done, CoreError> {
        let name = user.name.clone();
        let mut also = vec![Write::PutResource(Arc::clone(resource))];
        let bound = former.and_then(|former| self.state.accounts.identities.subject(former));
        let bound = bound.map(|(provider, subject)| (provider.clone(), subject.to_owned()));
        also.extend(bound.clone().map(|(provider, subject)| Write::PutIdentity(provider, subject, name.clone())));
        let mut done = self.change(asked, Input::PutUser(user), also, None)?;
        if let Some((provider, subject)) = bound {
            self.state.accounts.identities.bind(provider, subject, name);
        }
        if let Some(former) = former {
            // Sessions are somebody's by name, so they begin anew.
            done.receipts.extend(self.remove_user(asked, former, Vec::new())?.receipts);
        }
        Ok(done)
    }

    fn put_members(
        &mut self,
        asked: &Asked<'_>,
        (resource, group, former): (&Arc<Resource>, &GroupName, Option<&GroupName>),
        (joined, left): (&[Member], &[Member]),
    ) -> Result<Done, CoreError> {
        let (mut joined, left) = (names(joined), names(left));
        if former.is_some() {
            let stay = self.state.directory.members_of(&resource.provider, resource.id);
            joined.extend(stay.filter_map(|member| name_of(member)).filter(|name| !left.contains(name)));
        }
        let input = Input::Members { group: group.clone(), joined, left };
        let mut done = self.change(asked, input, vec![Write::PutResource(Arc::clone(resource))], None)?;
        if let Some(former) = former.filter(|former| self.state.gateway.has_group(former)) {
            let removed = self.change(asked, Input::RemoveGroup(former.clone()), Vec::new(), None)?;
            done.receipts.extend(removed.receipts);
        }
        Ok(done)
    }

    fn is_in_force(&self, change: &Change) -> bool {
        let gateway = &self.state.gateway;
        match change {
            Change::PutUser { name, active, .. } => gateway.user(name).is_some_and(|user| user.suspended && !active),
            Change::RemoveUser { name, .. } => gateway.user(name).is_none(),
            Change::PutGroup { group, left, .. } => {
                let is_out =
                    |member: &Member| gateway.user(&member.name).is_none_or(|user| !user.groups.contains(group));
                !left.is_empty() && left.iter().all(is_out)
            }
            Change::RemoveGroup { group, .. } => !gateway.has_group(group),
        }
    }

    /// The removal of what an input removes, if a provider has pushed it: what an administrator removes is gone for the
    /// provider too.
    pub(super) fn provisioned(&self, input: &Input) -> Option<Operation> {
        let (provider, id, kind) = match input {
            Input::RemoveUser(name) => self.pushed_user(name)?,
            Input::RemoveGroup(name) => {
                let (provider, group) = self.state.directory.group_named(name)?;
                (provider.clone(), group.id, ResourceKind::Group)
            }
            _ => return None,
        };
        Some(Operation { provider, kind, id, action: Action::Remove, precondition: Precondition::default() })
    }

    fn pushed_user(&self, name: &UserName) -> Option<(ProviderName, ResourceId, ResourceKind)> {
        let provider = self.state.gateway.user(name)?.provider.clone()?;
        let id = self.state.directory.user_named(&provider, name)?.id;
        Some((provider, id, ResourceKind::User))
    }
}

/// Whose names are not the provider's to give.
struct Others<'s> {
    gateway: &'s Gateway,
    directory: &'s Directory,
    provider: &'s ProviderName,
}

impl Taken for Others<'_> {
    fn user(&self, name: &UserName) -> bool {
        self.gateway.user(name).is_some_and(|user| user.provider.as_ref() != Some(self.provider))
    }

    /// A group of another provider, or in which there is somebody else's user. An empty one may become the provider's:
    /// whoever wrote the policies may have made it.
    fn group(&self, name: &GroupName) -> bool {
        if let Some((provider, _)) = self.directory.group_named(name) {
            return provider != self.provider;
        }
        self.gateway.members(name).is_some_and(|mut members| members.any(|member| self.user(&member.name)))
    }
}

fn names(members: &[Member]) -> BTreeSet<UserName> {
    members.iter().map(|member| member.name.clone()).collect()
}

fn name_of(resource: &Resource) -> Option<UserName> {
    match &resource.facts {
        Facts::User { name, .. } => Some(name.clone()),
        Facts::Group { .. } => None,
    }
}

fn removal(resource: &Resource) -> Write {
    Write::RemoveResource(resource.provider.clone(), resource.kind(), resource.id)
}

/// What providers have pushed, as it was stored. Who is in which group is what the gateway knows of its users.
pub(crate) fn directory(resources: Vec<Resource>, gateway: &Gateway) -> Directory {
    let mut directory = Directory::default();
    resources.into_iter().for_each(|resource| directory.restore(resource));
    for user in gateway.users() {
        let Some(provider) = &user.provider else { continue };
        let Some(id) = directory.user_named(provider, &user.name).map(|resource| resource.id) else { continue };
        let groups = user.groups.iter().filter_map(|group| directory.group_named(group));
        let groups: Vec<_> = groups.filter(|(found, _)| *found == provider).map(|(_, group)| group.id).collect();
        groups.into_iter().for_each(|group| directory.restore_member(provider, group, id));
    }
    directory
}
