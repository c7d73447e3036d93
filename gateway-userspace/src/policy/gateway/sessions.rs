//! Sessions begin and end.

use super::Gateway;
use super::draft::Draft;
use crate::policy::change::{EndCause, Refusal, Selector};
use crate::policy::model::{AllowListId, Factor, Session, SessionToken, Source, UserName};
use gateway_common::KernelNanos;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) struct Login {
    pub token: SessionToken,
    pub user: UserName,
    pub source: Source,
    pub factors: BTreeSet<Factor>,
    pub deadline: KernelNanos,
}

impl Gateway {
    pub(super) fn login(&mut self, draft: &mut Draft, login: Login, now: KernelNanos) -> Result<(), Refusal> {
        let Login { token, user, mut source, factors, deadline } = login;
        let known = self.users.get(&user).ok_or_else(|| Refusal::UnknownUser(user.clone()))?;
        if !known.enabled {
            return Err(Refusal::UserDisabled(user));
        }
        if token == SessionToken(0) || self.sessions.contains_key(&token) {
            return Err(Refusal::TokenTaken(token));
        }
        if deadline.has_passed(now) {
            return Err(Refusal::DeadlinePassed);
        }
        // One table holds both families, so an IPv4 address in IPv6 clothes is the same address.
        source.address = source.address.to_canonical();
        let groups = known.groups.clone();
        self.vacate(draft, &user, &source)?;
        let permitted = Arc::default();
        let allow_list = AllowListId(0);
        let authenticated_at = now;
        let session = Session { token, user, source, factors, authenticated_at, deadline, permitted, allow_list };
        self.draft_open(draft, session, &groups)
    }

    /// Makes room at a source: one session at a time, and nobody takes that of another.
    fn vacate(&self, draft: &mut Draft, user: &UserName, source: &Source) -> Result<(), Refusal> {
        let held = self.by_source.get(&(source.zone, source.address)).and_then(|token| self.sessions.get(token));
        match held.filter(|session| !draft.ends(session.token)) {
            None => Ok(()),
            Some(session) if session.user == *user => {
                self.draft_end(draft, session.token, EndCause::Replaced);
                Ok(())
            }
            Some(_) => Err(Refusal::SourceTaken { address: source.address }),
        }
    }

    pub(super) fn end(&self, draft: &mut Draft, which: &Selector, cause: EndCause) -> Result<(), Refusal> {
        match which {
            Selector::Session(token) if !self.sessions.contains_key(token) => {
                return Err(Refusal::UnknownSession(*token));
            }
            Selector::Session(token) => self.draft_end(draft, *token, cause),
            Selector::User(name) if !self.users.contains_key(name) => return Err(Refusal::UnknownUser(name.clone())),
            Selector::User(name) => self.end_all_of(draft, name, cause),
            Selector::App(name) if !self.apps.contains_key(name) => return Err(Refusal::UnknownApp(name.clone())),
            Selector::App(name) => {
                let reaching = self.sessions.values().filter(|session| session.permitted.contains_key(name));
                reaching.for_each(|session| self.draft_end(draft, session.token, cause));
            }
            Selector::All => self.sessions.keys().for_each(|token| self.draft_end(draft, *token, cause)),
        }
        Ok(())
    }

    pub(super) fn end_all_of(&self, draft: &mut Draft, user: &UserName, cause: EndCause) {
        let tokens = self.by_user.get(user).into_iter().flatten();
        tokens.for_each(|token| self.draft_end(draft, *token, cause));
    }
}
