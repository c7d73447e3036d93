//! Users and groups come, go and change.

use super::Gateway;
use super::draft::{Draft, Fact};
use super::moves::Pass;
use crate::policy::change::{EndCause, Refusal};
use crate::policy::model::{GroupName, User, UserName};
use std::collections::BTreeSet;

impl Gateway {
    pub(super) fn put_user(&mut self, draft: &mut Draft, user: &User) -> Result<(), Refusal> {
        if let Some(unknown) = user.groups.difference(&self.groups).next() {
            return Err(Refusal::UnknownGroup(unknown.clone()));
        }
        if !user.enabled {
            self.end_all_of(draft, &user.name, EndCause::UserDisabled);
        }
        if user.suspended {
            self.end_all_of(draft, &user.name, EndCause::UserSuspended);
        }
        let before = self.users.get(&user.name);
        if before.is_some_and(|before| before.standing() != user.standing()) {
            self.move_all_of(draft, user)?;
        }
        draft.facts.push(Fact::User(user.clone()));
        Ok(())
    }

    pub(super) fn remove_user(&mut self, draft: &mut Draft, name: &UserName) -> Result<(), Refusal> {
        if !self.users.contains_key(name) {
            return Err(Refusal::UnknownUser(name.clone()));
        }
        self.end_all_of(draft, name, EndCause::UserRemoved);
        draft.facts.push(Fact::NoUser(name.clone()));
        Ok(())
    }

    pub(super) fn put_group(&mut self, draft: &mut Draft, name: &GroupName) -> Result<(), Refusal> {
        if !self.groups.contains(name) {
            draft.bumps_generation = true;
            draft.facts.push(Fact::Group(name.clone()));
        }
        Ok(())
    }

    /// Makes users members of a group, which may be a new one, and others not.
    pub(super) fn change_members(
        &mut self,
        draft: &mut Draft,
        group: &GroupName,
        joined: &BTreeSet<UserName>,
        left: &BTreeSet<UserName>,
    ) -> Result<(), Refusal> {
        if let Some(unknown) = joined.iter().find(|name| !self.users.contains_key(*name)) {
            return Err(Refusal::UnknownUser(unknown.clone()));
        }
        self.put_group(draft, group)?;
        let named = joined.union(left).filter_map(|name| self.users.get(name));
        let changed = named.filter(|user| user.groups.contains(group) != joined.contains(&user.name));
        let changed: Vec<User> = changed.cloned().collect();
        for mut user in changed {
            if !user.groups.remove(group) {
                user.groups.insert(group.clone());
            }
            self.move_all_of(draft, &user)?;
            draft.facts.push(Fact::User(user));
        }
        Ok(())
    }

    pub(super) fn remove_group(&mut self, draft: &mut Draft, name: &GroupName) -> Result<(), Refusal> {
        if !self.groups.contains(name) {
            return Err(Refusal::UnknownGroup(name.clone()));
        }
        let members: Vec<User> = self.users.values().filter(|user| user.groups.contains(name)).cloned().collect();
        for mut user in members {
            user.groups.remove(name);
            self.move_all_of(draft, &user)?;
        }
        draft.bumps_generation = true;
        draft.facts.push(Fact::NoGroup(name.clone()));
        Ok(())
    }

    /// Decides the sessions of a user anew, as they are to be.
    fn move_all_of(&mut self, draft: &mut Draft, user: &User) -> Result<(), Refusal> {
        let mut judge = std::mem::take(&mut self.judge);
        let mut pass = Pass::new(&mut judge, self.world());
        let mut sessions = self.sessions.of_user(&user.name);
        let done = sessions.try_for_each(|session| self.draft_move(draft, &mut pass, session, user.standing()));
        drop((pass, sessions));
        self.judge = judge;
        done
    }
}
