//! People whom a provider vouches for: they become users, or are the users they were, with what the provider says now.

use super::decide::{Asked, Keeper};
use super::{CoreError, Done, Renewed};
use crate::identity::scim::{Directory, Facts, ResourceKind};
use crate::identity::{Arrival, KnownAs};
use crate::policy::{GroupName, Input, UserName};
use crate::store::Write;
use std::collections::BTreeSet;

impl Keeper {
    /// Makes the user of somebody who has arrived be as the provider says. Their other sessions follow.
    pub(super) fn arrive(&mut self, asked: &Asked<'_>, mut arrival: Arrival) -> Result<(UserName, Done), CoreError> {
        let groups = arrival.groups.take();
        arrival.groups = groups.map(|groups| self.groups_of(asked, groups)).transpose()?;
        let gateway = &self.state.gateway;
        let pushed = pushed(&self.state.directory, &arrival);
        let user = self.state.accounts.identities.welcome(&arrival, pushed.as_ref(), |name| gateway.user(name))?;
        let name = user.name.clone();
        let Arrival { provider, subject, .. } = arrival;
        let is_bound = self.state.accounts.identities.user(&provider, &subject) == Some(&name);
        let bind = || Write::PutIdentity(provider.clone(), subject.clone(), name.clone());
        let also: Vec<Write> = (!is_bound).then(bind).into_iter().collect();
        let mut done = Done::default();
        if gateway.user(&name) != Some(&user) {
            done = self.change(asked, Input::PutUser(user), also, None)?;
        } else if !is_bound {
            self.save(also)?;
        }
        if !is_bound {
            self.state.accounts.identities.bind(provider, subject, name.clone());
        }
        Ok((name, done))
    }

    /// Those of the groups that there are. One that a policy names comes into being when somebody is in it.
    fn groups_of(&mut self, asked: &Asked<'_>, groups: BTreeSet<GroupName>) -> Result<BTreeSet<GroupName>, CoreError> {
        let mut found = BTreeSet::new();
        for group in groups {
            let is_there = self.state.gateway.has_group(&group);
            if !is_there && self.state.gateway.policies_name(&group) {
                self.change(asked, Input::PutGroup(group.clone()), Vec::new(), None)?;
            } else if !is_there {
                continue;
            }
            found.insert(group);
        }
        Ok(found)
    }

    /// Takes up what a provider says of a session that goes on.
    pub(super) fn renewed(&mut self, asked: &Asked<'_>, renewed: Renewed) -> Result<Done, CoreError> {
        let Renewed { token, arrival, session } = renewed;
        // It may have ended meanwhile, with its user, who is not to come back by what was asked before.
        if self.state.gateway.session(token).is_none() {
            return Ok(Done::default());
        }
        // First, and with a full disk, too: the token before may be worth nothing any more.
        self.state.accounts.provider_sessions.insert(token, session.clone());
        let saved = self.save_what_is_in_force(vec![Write::PutProviderSession(token, session)]);
        let done = arrival.map(|arrival| self.arrive(asked, arrival)).transpose()?;
        saved.map(|()| done.map(|(_, done)| done).unwrap_or_default())
    }
}

/// The user that somebody is, among those whom their provider has pushed: one, or nobody.
fn pushed(directory: &Directory, arrival: &Arrival) -> Option<UserName> {
    let found = match arrival.known_as.as_ref()? {
        KnownAs::Name => directory.user_named(&arrival.provider, &arrival.name)?,
        KnownAs::ExternalId(id) => {
            let mut found = directory.known_as(&arrival.provider, ResourceKind::User, id);
            found.next().filter(|_| found.next().is_none())?
        }
    };
    match &found.facts {
        Facts::User { name, .. } => Some(name.clone()),
        Facts::Group { .. } => None,
    }
}
