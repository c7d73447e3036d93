//! Sessions begin and end.

use super::Gateway;
use super::draft::Draft;
use crate::policy::change::{EndCause, Refusal, Selector};
use crate::policy::model::{AllowListId, Proof, Session, SessionToken, Source, UserName};
use gateway_common::KernelNanos;
use std::sync::Arc;

pub(super) struct Login {
    pub token: SessionToken,
    pub user: UserName,
    pub source: Source,
    pub proof: Proof,
    pub deadline: KernelNanos,
}

impl Gateway {
    pub(super) fn login(&mut self, draft: &mut Draft, login: Login, now: KernelNanos) -> Result<(), Refusal> {
        let Login { token, user, mut source, proof, deadline } = login;
        let known = self.users.get(&user).ok_or_else(|| Refusal::UnknownUser(user.clone()))?;
        if !known.enabled {
            return Err(Refusal::UserDisabled(user));
        }
        if known.suspended {
            return Err(Refusal::UserSuspended(user));
        }
        if token == SessionToken(0) || self.sessions.contains(token) {
            return Err(Refusal::TokenTaken(token));
        }
        if deadline.has_passed(now) {
            return Err(Refusal::DeadlinePassed);
        }
        // One table holds both families, so an IPv4 address in IPv6 clothes is the same address.
        source.address = source.address.to_canonical();
        let known = known.clone();
        self.vacate(draft, &user, &source, now)?;
        let permitted = Arc::default();
        let allow_list = AllowListId(0);
        let Proof { factors, assurance, authenticated_at } = proof;
        let assurance = self.assurances.share(&assurance);
        // Nobody has proved anything later than now.
        let authenticated_at = authenticated_at.map_or(now, |at| at.min(now));
        let session =
            Session { token, user, source, factors, assurance, authenticated_at, deadline, permitted, allow_list };
        self.draft_open(draft, session, known.standing())
    }

    /// Makes room at a source: one session at a time, and nobody takes that of another.
    fn vacate(&self, draft: &mut Draft, user: &UserName, source: &Source, now: KernelNanos) -> Result<(), Refusal> {
        let held = self.sessions.at_source(source.zone, source.address);
        match held.filter(|session| !draft.ends(session.token)) {
            None => Ok(()),
            Some(session) if session.deadline.has_passed(now) => {
                draft.end(session, EndCause::Expired);
                Ok(())
            }
            Some(session) if session.user == *user => {
                draft.end(session, EndCause::Replaced);
                Ok(())
            }
            Some(_) => Err(Refusal::SourceTaken { address: source.address }),
        }
    }

    pub(super) fn end(&self, draft: &mut Draft, which: &Selector, cause: EndCause) -> Result<(), Refusal> {
        match which {
            Selector::Session(token) => {
                draft.end(self.sessions.get(*token).ok_or(Refusal::UnknownSession(*token))?, cause);
            }
            Selector::User(name) if !self.users.contains_key(name) => return Err(Refusal::UnknownUser(name.clone())),
            Selector::User(name) => self.end_all_of(draft, name, cause),
            Selector::Sessions(tokens) => {
                tokens
                    .iter()
                    .filter_map(|token| self.sessions.get(*token))
                    .for_each(|session| draft.end(session, cause));
            }
            Selector::App(name) if !self.apps.contains_key(name) => return Err(Refusal::UnknownApp(name.clone())),
            Selector::App(name) => {
                let reaching = self.sessions.iter().filter(|session| session.permitted.contains_key(name));
                reaching.for_each(|session| draft.end(session, cause));
            }
            Selector::Interface(index) => {
                let bound = self.sessions.as_stored().filter(|(_, session)| session.source.interface == *index);
                bound.for_each(|(_, session)| draft.end(session, cause));
            }
            Selector::All => self.sessions.iter().for_each(|session| draft.end(session, cause)),
        }
        Ok(())
    }

    pub(super) fn end_all_of(&self, draft: &mut Draft, user: &UserName, cause: EndCause) {
        self.sessions.of_user(user).for_each(|(_, session)| draft.end(session, cause));
    }
}
