//! What becomes of a group's members. A change of one looks at one, however many there are.

use super::super::directory::Realm;
use super::super::document::{self, Members, unknown_member};
use super::super::{MOST_MEMBERS, Member, ResourceId, ScimError, ScimType};
use super::{Target, Verb};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Who is to join a group and who is to leave it.
pub(in super::super) struct MemberDraft<'a> {
    realm: &'a Realm,
    group: ResourceId,
    joined: BTreeSet<ResourceId>,
    left: BTreeSet<ResourceId>,
}

impl<'a> MemberDraft<'a> {
    /// Nobody, yet.
    pub fn new(realm: &'a Realm, group: ResourceId) -> Self {
        Self { realm, group, joined: BTreeSet::new(), left: BTreeSet::new() }
    }

    /// The members are to be these.
    pub fn set(&mut self, members: Members) -> Result<(), ScimError> {
        self.left = self.realm.members_of(self.group).filter(|user| !members.contains(user)).collect();
        self.joined.clear();
        members.into_iter().try_for_each(|user| self.join(user))
    }

    fn join(&mut self, user: ResourceId) -> Result<(), ScimError> {
        self.realm.member(user).ok_or_else(|| unknown_member(user))?;
        self.left.remove(&user);
        if !self.realm.has_member(self.group, user) {
            self.joined.insert(user);
        }
        Ok(())
    }

    fn leave(&mut self, user: ResourceId) {
        self.joined.remove(&user);
        if self.realm.has_member(self.group, user) {
            self.left.insert(user);
        }
    }

    fn clear(&mut self) {
        self.joined.clear();
        self.left = self.realm.members_of(self.group).collect();
    }

    fn current(&self) -> impl Iterator<Item = ResourceId> {
        let stay = self.realm.members_of(self.group).filter(|user| !self.left.contains(user));
        stay.chain(self.joined.iter().copied())
    }

    /// Does what an operation says.
    pub(super) fn apply(&mut self, verb: Verb, target: &Target, value: &Value) -> Result<(), ScimError> {
        match (verb, &target.selection, target.place.part) {
            (Verb::Remove, selection, None) => self.remove(selection.as_ref(), value),
            (Verb::Add, None, None) => document::members(value)?.into_iter().try_for_each(|user| self.join(user)),
            (Verb::Replace, None, None) => self.set(document::members(value)?),
            _ => {
                let detail = "the parts of `members` cannot be changed; add and remove members instead";
                Err(ScimError::of(ScimType::Mutability, detail))
            }
        }
    }

    fn remove(&mut self, selection: Option<&super::Selection>, value: &Value) -> Result<(), ScimError> {
        match selection {
            // Entra and Okta list those to remove, or mean all.
            None if value.is_null() => self.clear(),
            None => document::members(value)?.into_iter().for_each(|user| self.leave(user)),
            Some(selection) => match selection.single() {
                Some(id) => id.parse().into_iter().for_each(|user| self.leave(user)),
                None => {
                    let shown = |user: ResourceId| json!({"value": user.to_string(), "type": "User"});
                    let selected: Vec<_> = self.current().filter(|user| selection.selects(&shown(*user))).collect();
                    selected.into_iter().for_each(|user| self.leave(user));
                }
            },
        }
        Ok(())
    }

    /// Who joins and who leaves, after all.
    pub fn changes(self) -> Result<(Vec<Member>, Vec<Member>), ScimError> {
        if self.joined.len() > self.left.len() && self.current().count() > MOST_MEMBERS {
            return Err(ScimError::value(format!("a group can have {MOST_MEMBERS} members")));
        }
        let named =
            |users: BTreeSet<ResourceId>| users.into_iter().filter_map(|user| self.realm.member(user)).collect();
        Ok((named(self.joined), named(self.left)))
    }
}
