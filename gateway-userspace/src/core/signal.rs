//! What a provider's events do to people here. Each is a request like any other: decided, in force, stored, recorded.

use super::decide::{Asked, Keeper};
use super::{CoreError, Done};
use crate::identity::ssf::{Effect, Order, Person, Role, Signal, Target};
use crate::policy::{EndCause, Input, Proof, ProviderName, Risk, Selector, SessionToken, User, UserName};
use gateway_common::KernelNanos;
use std::collections::BTreeSet;

impl Keeper {
    /// Follows an order of a provider. About somebody who is nobody here nothing is to be done.
    pub(super) fn follow(
        &mut self,
        asked: &Asked<'_>,
        provider: &ProviderName,
        order: &Order,
    ) -> Result<Done, CoreError> {
        let user = order.target.person.as_ref().map(|person| self.person(provider, person));
        let user = match user {
            Some(None) => return Ok(Done::default()),
            Some(Some(user)) => Some(user),
            None => None,
        };
        match (order.effect, user) {
            (Effect::EndSessions, user) => {
                let tokens = self.meant(provider, user.as_ref(), &order.target, before(asked, order));
                let input = Input::End { which: Selector::Sessions(tokens), cause: cause(&order.event.signal) };
                let mut done = self.change(asked, input, Vec::new(), None)?;
                if let Some(user) = user.filter(|_| is_risk_of_the_person(&order.event.signal)) {
                    done.receipts.extend(self.note_risk(asked, user, Risk::High, order)?.receipts);
                }
                Ok(done)
            }
            (Effect::Risk(risk), Some(user)) => self.note_risk(asked, user, risk, order),
            (Effect::Suspend, Some(user)) => {
                let suspended_at = user.suspended_at.max(order.as_of.unix_timestamp());
                self.change(asked, Input::PutUser(User { suspended: true, suspended_at, ..user }), Vec::new(), None)
            }
            // An event that is older than the suspension knows nothing of it.
            (Effect::Resume, Some(user)) if order.as_of.unix_timestamp() > user.suspended_at => {
                self.change(asked, Input::PutUser(User { suspended: false, ..user }), Vec::new(), None)
            }
            (Effect::Remove, Some(user)) => self.policy(asked, Input::RemoveUser(user.name)),
            (Effect::Device { compliant }, user) => self.device(asked, provider, user, &order.target, compliant),
            (Effect::Suspend | Effect::Resume | Effect::Remove | Effect::Risk(_) | Effect::Nothing, _) => {
                Ok(Done::default())
            }
        }
    }

    /// Whom a provider means.
    fn person(&self, provider: &ProviderName, person: &Person) -> Option<User> {
        let name = match person {
            Person::Sub(subject) => self.state.accounts.identities.user(provider, subject)?.clone(),
            Person::UserName(name) => UserName::new(name).ok()?,
        };
        self.state.gateway.user(&name).filter(|user| user.provider.as_ref() == Some(provider)).cloned()
    }

    /// The sessions that an event is about. One of which it is not known which one it is at the provider may be the one.
    fn meant(
        &self,
        provider: &ProviderName,
        user: Option<&User>,
        target: &Target,
        before: KernelNanos,
    ) -> BTreeSet<SessionToken> {
        let kept = &self.state.accounts.provider_sessions;
        let is_there = |token: &SessionToken| match (target.session.as_deref(), kept.get(token)) {
            (Some(sid), Some(kept)) => kept.sid.as_deref().is_none_or(|known| known == sid),
            _ => true,
        };
        let is_older = |token: &SessionToken| {
            let session = self.state.gateway.session(*token);
            session
                .is_some_and(|session| session.authenticated_at <= before || session.authenticated_at == Proof::UNDATED)
        };
        match (user, target.session.as_deref()) {
            (Some(user), _) => {
                let sessions = self.state.gateway.sessions_of(&user.name);
                sessions.map(|session| session.token).filter(is_there).filter(is_older).collect()
            }
            (None, Some(sid)) => self.state.begun_at(provider, None, Some(sid)).into_iter().filter(is_older).collect(),
            (None, None) => BTreeSet::new(),
        }
    }

    /// What is known of somebody's risk changes. An older event changes nothing, and of two at the same time the higher
    /// risk counts.
    fn note_risk(&mut self, asked: &Asked<'_>, user: User, risk: Risk, order: &Order) -> Result<Done, CoreError> {
        let risk_at = order.as_of.unix_timestamp();
        if (risk_at, risk) <= (user.risk_at, user.risk) {
            return Ok(Done::default());
        }
        self.change(asked, Input::PutUser(User { risk, risk_at, ..user }), Vec::new(), None)
    }

    /// What is known of a device changes: for its owner, or for everybody who is known to have it.
    fn device(
        &mut self,
        asked: &Asked<'_>,
        provider: &ProviderName,
        owner: Option<User>,
        target: &Target,
        compliant: bool,
    ) -> Result<Done, CoreError> {
        let Some(device) = &target.device else { return Ok(Done::default()) };
        let owners: Vec<User> = match owner {
            Some(user) => vec![user],
            None => {
                let has_it =
                    |user: &&User| user.provider.as_ref() == Some(provider) && user.devices.contains_key(device);
                self.state.gateway.users().filter(has_it).cloned().collect()
            }
        };
        let mut done = Done::default();
        for mut user in owners {
            if user.devices.len() >= User::MOST_DEVICES && !user.devices.contains_key(device) {
                // One that is compliant gives way: forgetting it takes nothing from anybody but what it gave.
                let compliant = user.devices.iter().find(|(_, compliant)| **compliant).map(|(id, _)| id.clone());
                let Some(forgotten) = compliant else { continue };
                user.devices.remove(&forgotten);
            }
            user.devices.insert(device.clone(), compliant);
            done.receipts.extend(self.change(asked, Input::PutUser(user), Vec::new(), None)?.receipts);
        }
        Ok(done)
    }
}

/// The time of an event on the boot clock; the beginning, if it was before this boot.
fn before(asked: &Asked<'_>, order: &Order) -> KernelNanos {
    let ago = (asked.wall() - order.as_of).whole_nanoseconds();
    KernelNanos(asked.at.0.saturating_sub(u64::try_from(ago).unwrap_or(0)))
}

fn is_risk_of_the_person(signal: &Signal) -> bool {
    matches!(signal, Signal::RiskChanged { .. }) && signal.role() == Role::User
}

const fn cause(signal: &Signal) -> EndCause {
    match signal {
        Signal::CredentialChanged { .. }
        | Signal::CredentialCompromised
        | Signal::CredentialChangeRequired
        | Signal::RecoveryActivated
        | Signal::IdentifierChanged
        | Signal::IdentifierRecycled => EndCause::CredentialChanged,
        Signal::AssuranceChanged { .. } | Signal::TokenClaimsChanged => EndCause::AssuranceLowered,
        Signal::RiskChanged { .. } => EndCause::RiskRaised,
        _ => EndCause::ProviderLogout,
    }
}
