//! A change that has not happened yet: drafted by a handler, turned into a plan, checked, and only then carried out.

use super::clock::Decided;
use super::judge::{Entitlement, Judge, World, subject};
use super::lists::ListDraft;
use super::moves::Move;
use super::{Gateway, NextIds};
use crate::policy::cedar::{Faults, PolicySet};
use crate::policy::change::{EndCause, Input, Refusal, Regranted};
use crate::policy::compile::Compiled;
use crate::policy::model::{
    App, AppId, AppName, AppSetId, DnsName, Generation, GroupName, Session, SessionToken, Settings, Standing, User,
    UserName,
};
use crate::policy::plan::Plan;
use gateway_common::KernelNanos;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How many sessions past their deadline end because time has passed, and how many along with another input: whoever
/// wants to revoke a session does not wait for thousands. The kernel forwards nothing for them anyway.
const OVER_AT_ONCE: usize = 4_096;
const OVER_ALONG: usize = 16;

pub(super) struct Draft {
    pub ended: BTreeMap<SessionToken, EndCause>,
    /// In the order of slots, where all sessions were looked at.
    pub moved: Vec<Move>,
    pub regranted: Vec<Regranted>,
    pub opened: Option<Session>,
    pub lists: ListDraft,
    pub faults: Faults,
    pub bumps_generation: bool,
    pub facts: Vec<Fact>,
    /// Decisions under new policies or apps; `None` where those of the gateway still hold.
    pub judge: Option<Judge>,
    pub app_set: Option<NewAppSet>,
    /// At which time all sessions were decided, if they were.
    pub decided: Option<Decided>,
    /// Why not everybody gets what they may have.
    pub cramped: Option<Refusal>,
}

/// A change of what the gateway knows, beside its sessions.
#[derive(Debug)]
pub enum Fact {
    /// A user is there, or another one.
    User(User),
    /// A user is gone.
    NoUser(UserName),
    /// A group is there.
    Group(GroupName),
    /// A group is gone, and with it everybody's membership.
    NoGroup(GroupName),
    /// An app is there, or another one, with its number.
    App(App, AppId),
    /// An app is gone.
    NoApp(AppName),
    /// These are the policies.
    Policy(Box<PolicySet>),
    /// These are the settings.
    Settings(Settings),
    /// A name leads to these addresses; with none, nobody knows where.
    Answer(DnsName, BTreeSet<IpAddr>),
}

pub(super) struct NewAppSet {
    pub id: AppSetId,
    pub compiled: Compiled,
}

/// A change that was decided and found to fit. Nothing of it has happened yet: it may be stored, or applied, before it
/// is adopted, or be dropped.
pub struct Drafted {
    pub(super) plan: Plan,
    pub(super) generation: Option<Generation>,
    pub(super) next_ids: NextIds,
    pub(super) draft: Draft,
}

impl Drafted {
    /// The steps that bring the kernel's tables to the new state.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The session that will begin.
    #[must_use]
    pub fn opened(&self) -> Option<&Session> {
        self.draft.opened.as_ref()
    }

    /// The sessions that will end.
    pub fn ended(&self) -> impl ExactSizeIterator<Item = SessionToken> {
        self.draft.ended.keys().copied()
    }

    /// The sessions whose grants will change.
    #[must_use]
    pub fn regranted(&self) -> &[Regranted] {
        &self.draft.regranted
    }

    /// What the gateway will know.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.draft.facts
    }

    /// The ids that will be given out next.
    #[must_use]
    pub fn next_ids(&self) -> NextIds {
        self.next_ids
    }

    /// The highest number of an app that will be put.
    #[must_use]
    pub fn last_app(&self) -> Option<AppId> {
        self.facts().iter().filter_map(|fact| if let Fact::App(_, id) = fact { Some(*id) } else { None }).max()
    }
}

impl Gateway {
    /// A draft in which sessions that are past their deadline end.
    pub(super) fn begin(&self, input: &Input, now: KernelNanos) -> Draft {
        let mut draft = Draft {
            ended: BTreeMap::new(),
            moved: Vec::new(),
            regranted: Vec::new(),
            opened: None,
            lists: self.lists.draft(),
            faults: Faults::new(),
            bumps_generation: false,
            facts: Vec::new(),
            judge: None,
            app_set: None,
            decided: None,
            cramped: None,
        };
        let over = self.sessions.by_deadline().take_while(|(deadline, _)| deadline.has_passed(now));
        let most = if matches!(input, Input::Tick) { OVER_AT_ONCE } else { OVER_ALONG };
        for (_, session) in over.take(most) {
            draft.end(session, EndCause::Expired);
        }
        draft
    }

    /// Begins a session.
    pub(super) fn draft_open(
        &mut self,
        draft: &mut Draft,
        session: Session,
        user: Standing<'_>,
    ) -> Result<(), Refusal> {
        let (policy, apps, app_ids, now) = (&self.policy, &self.apps, &self.app_ids, &self.clock.now);
        let world = World { policy, apps, app_ids, now };
        let entitlement = self.judge.entitle(world, &subject(&session, user, now));
        let allow_list = draft.lists.take(&self.lists, &entitlement.grants)?;
        draft.note(&entitlement);
        draft.opened = Some(Session { permitted: entitlement.permitted, allow_list, ..session });
        Ok(())
    }

    /// Turns the draft into a plan, if the tables have room for it.
    pub(super) fn finish(&self, draft: Draft) -> Result<Drafted, Refusal> {
        let plan = self.plan(&draft);
        plan.needs(&self.tables, self.sessions.len()).fit(&self.capacities)?;
        let generation = draft.bumps_generation.then_some(Generation(self.generation.0.saturating_add(1)));
        let (app_set, block) = match &draft.app_set {
            Some(new) => (new.id.0.saturating_add(1), new.compiled.next_block),
            None => (self.next_app_set, self.next_block),
        };
        let next_ids = NextIds { app_set, block, allow_list: draft.lists.next() };
        Ok(Drafted { plan, generation, next_ids, draft })
    }
}

impl Draft {
    pub(super) fn ends(&self, token: SessionToken) -> bool {
        self.ended.contains_key(&token)
    }

    /// Ends a session, unless the draft ends it already.
    pub(super) fn end(&mut self, session: &Session, cause: EndCause) {
        if !self.ends(session.token) {
            self.ended.insert(session.token, cause);
            self.lists.give_back(session.allow_list);
        }
    }

    pub(super) fn note(&mut self, entitlement: &Entitlement) {
        let faults = entitlement.faults.iter();
        self.faults.extend(faults.map(|(policy, fault)| (policy.clone(), fault.clone())));
    }
}
