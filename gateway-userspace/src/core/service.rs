//! Services: users who are no persons. They are put and removed here, and get in by what they prove; whoever is no service
//! does not take a place that is bound to one.

use super::decide::{Asked, Keeper};
use super::{CoreError, Done, State};
use crate::identity::{Binding, Credential, Service, ServiceRefusal};
use crate::policy::{EndCause, Factor, Input, Kind, Selector, Session, SessionToken, Source, User, UserName};
use crate::store::Write;
use std::collections::BTreeSet;

impl Keeper {
    /// Makes a service be as it is to be. If it proves itself with something else then, its sessions are over; so are those
    /// of others at the address that is bound to it.
    pub(super) fn put_service(&mut self, asked: &Asked<'_>, user: User, service: Service) -> Result<Done, CoreError> {
        let user = User { kind: Kind::Service, ..user };
        let name = service.name.clone();
        let known = self.state.gateway.user(&name);
        let before = self.state.accounts.services.get(&name);
        if known.is_some() && before.is_none() {
            return Err(ServiceRefusal::IsPerson(name).into());
        }
        self.state.accounts.services.check(&service)?;
        let (is_new, is_same_user) = (known.is_none(), known == Some(&user));
        let (is_same, last_used) = match before {
            Some(before) => (before.proves_itself_as(&service), before.last_used.clone()),
            None => (true, Default::default()),
        };
        let service = Service { last_used, ..service };
        let input = Input::PutUser(user);
        if is_new {
            // Both or none: a user alone would be a person.
            self.change(asked, input.clone(), vec![Write::PutService(service.clone())], None)?;
            self.recorder.service_put(asked.actor, &service);
            let over = self.strangers_at(&service);
            self.state.accounts.services.put(service);
            return self.end_sessions(asked, over);
        }
        // Refused before anything has changed.
        self.state.gateway.draft(&input, asked.at)?;
        let mut over = if is_same { BTreeSet::new() } else { self.state.sessions_of(&name) };
        over.extend(self.strangers_at(&service));
        let mut done = self.end_sessions(asked, over)?;
        self.save(vec![Write::PutService(service.clone())])?;
        self.recorder.service_put(asked.actor, &service);
        self.state.accounts.services.put(service);
        if !is_same_user {
            let moved = self.change(asked, input, Vec::new(), None)?;
            done.regranted = moved.regranted;
            done.receipts.extend(moved.receipts);
        }
        Ok(done)
    }

    /// Removes a service, with its user.
    pub(super) fn remove_service(&mut self, asked: &Asked<'_>, name: UserName) -> Result<Done, CoreError> {
        if !self.state.accounts.services.contains(&name) {
            return Err(ServiceRefusal::Unknown(name).into());
        }
        let done = self.remove_user(asked, &name, Vec::new())?;
        self.recorder.admin(asked.actor, "service_removed", name.as_str());
        Ok(done)
    }

    /// A service that proves itself, still with what is its own.
    pub(super) fn welcome_service(
        &self,
        asked: &Asked<'_>,
        name: UserName,
        credential: &Credential,
    ) -> Result<UserName, ServiceRefusal> {
        let service = self.state.accounts.services.get(&name).ok_or_else(|| ServiceRefusal::Unknown(name.clone()))?;
        if !service.is_proved_by(credential) {
            return Err(ServiceRefusal::NotProved(name));
        }
        service.last_used.note(asked.wall());
        Ok(name)
    }

    /// Whether a session of this user may be at an address: not at one that is bound to another.
    pub(super) fn may_be_at(&self, user: &UserName, source: &Source) -> Result<(), ServiceRefusal> {
        self.state.accounts.services.may_be_at(user, source.address)
    }

    /// Ends sessions as an input says. Where that revokes the session of a binding, no other takes its place by itself.
    pub(super) fn end(&mut self, asked: &Asked<'_>, input: Input) -> Result<Done, CoreError> {
        let is_revocation = matches!(input, Input::End { cause: EndCause::Revoked | EndCause::TripWire, .. });
        let bound = if is_revocation { self.state.bound_sessions() } else { Vec::new() };
        let done = self.change(asked, input, Vec::new(), None);
        for (name, token) in bound {
            let is_over = self.state.gateway.session(token).is_none();
            if let Some(service) = self.state.accounts.services.get(&name).filter(|_| is_over) {
                tracing::warn!(service = %name, "the session of a binding was revoked; it stays closed until the service is put again");
                let held = Service { held: true, ..service.clone() };
                self.state.accounts.services.put(held.clone());
                self.save_what_is_in_force(vec![Write::PutService(held)])?;
            }
        }
        done
    }

    fn end_sessions(&mut self, asked: &Asked<'_>, which: BTreeSet<SessionToken>) -> Result<Done, CoreError> {
        if which.is_empty() {
            return Ok(Done::default());
        }
        let input = Input::End { which: Selector::Sessions(which), cause: EndCause::ServiceChanged };
        self.change(asked, input, Vec::new(), None)
    }

    /// The sessions of others at the address that a service is bound to.
    fn strangers_at(&self, service: &Service) -> BTreeSet<SessionToken> {
        let Some(Binding { address, .. }) = service.binding else { return BTreeSet::new() };
        let is_there = |session: &&Session| session.source.address == address.to_canonical();
        let strangers = self.state.gateway.sessions().filter(is_there).filter(|there| there.user != service.name);
        strangers.map(|session| session.token).collect()
    }
}

impl State {
    /// The bindings whose sessions are not there and should be.
    #[must_use]
    pub fn unopened(&self) -> Vec<(UserName, Binding)> {
        let active = |service: &&Service| self.gateway.user(&service.name).is_some_and(User::is_active);
        let bound = self.accounts.services.iter().filter(|service| !service.held).filter(active);
        let bound = bound.filter_map(|service| Some((service.name.clone(), service.binding?)));
        bound.filter(|(name, binding)| !self.is_at(name, binding)).collect()
    }

    fn is_at(&self, name: &UserName, binding: &Binding) -> bool {
        let address = binding.address.to_canonical();
        self.gateway.sessions_of(name).any(|session| session.source.address == address)
    }

    fn sessions_of(&self, name: &UserName) -> BTreeSet<SessionToken> {
        self.gateway.sessions_of(name).map(|session| session.token).collect()
    }

    fn bound_sessions(&self) -> Vec<(UserName, SessionToken)> {
        let bound = self.accounts.services.iter().filter(|service| service.binding.is_some());
        let sessions = bound.flat_map(|service| self.gateway.sessions_of(&service.name));
        let sessions = sessions.filter(|session| session.factors.contains(Factor::Binding));
        sessions.map(|session| (session.user.clone(), session.token)).collect()
    }
}
