//! A change that has not happened yet: drafted by a handler, turned into a plan, checked, and only then carried out.

use super::Gateway;
use super::judge::{Entitlement, Judge, World};
use super::lists::{ListDraft, entries};
use crate::policy::cedar::{Faults, PolicySet, Subject};
use crate::policy::change::{Changed, EndCause, Ended, Permitted, Refusal, Regranted};
use crate::policy::compile::Compiled;
use crate::policy::model::{
    AllowListId, App, AppId, AppName, AppSetId, Generation, GroupName, Session, SessionToken, User, UserName,
};
use crate::policy::plan::{Plan, Step};
use crate::policy::table::covers;
use gateway_common::KernelNanos;
use gateway_common::abi::Grant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) struct Draft {
    ended: BTreeMap<SessionToken, EndCause>,
    moved: Vec<Move>,
    opened: Option<Session>,
    lists: ListDraft,
    faults: Faults,
    pub bumps_generation: bool,
    pub facts: Vec<Fact>,
    /// Decisions under new policies or apps; `None` where those of the gateway still hold.
    pub judge: Option<Judge>,
    pub app_set: Option<NewAppSet>,
}

/// A change of what the gateway knows, beside its sessions.
pub(super) enum Fact {
    User(User),
    NoUser(UserName),
    Group(GroupName),
    NoGroup(GroupName),
    App(App, AppId),
    NoApp(AppName),
    Policy(PolicySet),
}

pub(super) struct NewAppSet {
    pub id: AppSetId,
    pub compiled: Compiled,
}

/// A session that is decided anew.
struct Move {
    token: SessionToken,
    permitted: Arc<Permitted>,
    allow_list: AllowListId,
    loses: bool,
}

impl Gateway {
    /// A draft in which the sessions that are past their deadline end.
    pub(super) fn draft(&self, now: KernelNanos) -> Draft {
        let mut draft = Draft {
            ended: BTreeMap::new(),
            moved: Vec::new(),
            opened: None,
            lists: self.lists.draft(),
            faults: Faults::new(),
            bumps_generation: false,
            facts: Vec::new(),
            judge: None,
            app_set: None,
        };
        for (_, token) in self.by_deadline.iter().take_while(|(deadline, _)| deadline.has_passed(now)) {
            self.draft_end(&mut draft, *token, EndCause::Expired);
        }
        draft
    }

    /// Ends a session, unless the draft ends it already.
    pub(super) fn draft_end(&self, draft: &mut Draft, token: SessionToken, cause: EndCause) {
        let Some(session) = self.sessions.get(&token) else { return };
        if !draft.ends(token) {
            draft.ended.insert(token, cause);
            draft.lists.give_back(session.allow_list);
        }
    }

    /// Begins a session.
    pub(super) fn draft_open(
        &mut self,
        draft: &mut Draft,
        session: Session,
        groups: &BTreeSet<GroupName>,
    ) -> Result<(), Refusal> {
        let world = World { policy: &self.policy, apps: &self.apps, app_ids: &self.app_ids };
        let entitlement = self.judge.entitle(world, &subject(&session, groups));
        let allow_list = draft.lists.take(&self.lists, &entitlement.grants)?;
        draft.note(&entitlement);
        draft.opened = Some(Session { permitted: entitlement.permitted, allow_list, ..session });
        Ok(())
    }

    /// Decides a session anew, as `judge` and `world` see it, with these groups of its user.
    pub(super) fn draft_move(
        &self,
        draft: &mut Draft,
        (judge, world): (&mut Judge, World<'_>),
        token: SessionToken,
        groups: &BTreeSet<GroupName>,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(&token).filter(|_| !draft.ends(token)) else { return Ok(()) };
        let entitlement = judge.entitle(world, &subject(session, groups));
        draft.note(&entitlement);
        let granted = self.lists.grants(session.allow_list);
        // A grant may change although the decision does not: the app has another budget.
        if session.permitted == entitlement.permitted && granted == &*entitlement.grants {
            return Ok(());
        }
        let loses = loses(granted, &entitlement.grants);
        let allow_list = draft.lists.take(&self.lists, &entitlement.grants)?;
        draft.lists.give_back(session.allow_list);
        draft.moved.push(Move { token, permitted: entitlement.permitted, allow_list, loses });
        Ok(())
    }

    /// Decides all sessions anew.
    pub(super) fn draft_move_all(
        &self,
        draft: &mut Draft,
        (judge, world): (&mut Judge, World<'_>),
    ) -> Result<(), Refusal> {
        let nothing = BTreeSet::new();
        for (token, session) in &self.sessions {
            let groups = self.users.get(&session.user).map_or(&nothing, |user| &user.groups);
            self.draft_move(draft, (&mut *judge, world), *token, groups)?;
        }
        Ok(())
    }

    /// Carries the draft out, if the tables have room for it.
    pub(super) fn commit(&mut self, draft: Draft) -> Result<Changed, Refusal> {
        let plan = self.plan(&draft);
        plan.needs(&self.tables).fit(&self.capacities)?;
        let Draft { ended, moved, opened, lists, faults, bumps_generation, facts, judge, app_set } = draft;
        self.tables.apply_all(&plan);
        self.lists.commit(&lists);
        if let Some(new) = app_set {
            self.app_set = new.id;
            self.next_app_set = new.id.0.saturating_add(1);
            self.next_block = new.compiled.next_block;
        }
        self.judge = judge.unwrap_or(std::mem::take(&mut self.judge));
        facts.into_iter().for_each(|fact| self.learn(fact));
        let ended = ended.into_iter().filter_map(|(token, cause)| Some(Ended { session: self.forget(token)?, cause }));
        let ended = ended.collect();
        let regranted = moved.into_iter().filter_map(|moved| self.regrant(moved)).collect();
        if let Some(session) = &opened {
            self.remember(session.clone());
        }
        if bumps_generation {
            self.generation = Generation(self.generation.0.saturating_add(1));
        }
        let generation = bumps_generation.then_some(self.generation);
        Ok(Changed { plan, opened, ended, regranted, generation, faults })
    }

    fn plan(&self, draft: &Draft) -> Plan {
        let (added, dead) = self.lists.difference(&draft.lists);
        let mut steps: Vec<Step> = draft.ended.keys().map(|token| Step::EndSession(*token)).collect();
        if let Some(new) = &draft.app_set {
            steps.extend(new.compiled.ports.iter().map(|(key, app)| Step::PutApp(*key, *app)));
            let prefixes = new.compiled.prefixes.iter();
            steps.extend(prefixes.map(|((set, prefix), block)| Step::PutAppPrefix(*set, *prefix, *block)));
        }
        let grants = added.iter().flat_map(|(id, grants)| entries(*id, grants));
        steps.extend(grants.map(|(key, grant)| Step::PutGrant(key, grant)));
        steps.extend(self.updates(draft));
        steps.extend(draft.opened.iter().map(|session| Step::OpenSession(session.token, self.entry(session))));
        let grants = dead.iter().flat_map(|(id, grants)| entries(*id, grants));
        steps.extend(grants.map(|(key, _)| Step::RemoveGrant(key)));
        if draft.app_set.is_some() {
            // One app set is in force at a time, so whatever is there belongs to the old one.
            let prefixes = self.tables.app_prefixes.keys();
            steps.extend(prefixes.map(|(set, prefix)| Step::RemoveAppPrefix(*set, *prefix)));
            steps.extend(self.tables.apps.keys().map(|key| Step::RemoveApp(*key)));
        }
        Plan { steps }
    }

    /// Updates of sessions, those that lose something first. A new app set is for all of them.
    fn updates(&self, draft: &Draft) -> Vec<Step> {
        let moved: BTreeMap<SessionToken, &Move> = draft.moved.iter().map(|moved| (moved.token, moved)).collect();
        let update = |token: &SessionToken| {
            let old = self.tables.sessions.get(token)?;
            let mut new = old.clone();
            new.app_set = draft.app_set.as_ref().map_or(old.app_set, |set| set.id);
            new.allow_list = moved.get(token).map_or(old.allow_list, |moved| moved.allow_list);
            (*old != new).then_some(Step::UpdateSession(*token, new))
        };
        let loses = |token: &&SessionToken| moved.get(token).is_some_and(|moved| moved.loses);
        let others: Box<dyn Iterator<Item = &SessionToken>> = match draft.app_set {
            Some(_) => Box::new(self.sessions.keys().filter(|token| !draft.ends(**token))),
            None => Box::new(moved.keys()),
        };
        let (first, then): (Vec<_>, Vec<_>) = others.partition(loses);
        first.into_iter().chain(then).filter_map(update).collect()
    }

    fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::User(user) => drop(self.users.insert(user.name.clone(), user)),
            Fact::NoUser(name) => drop(self.users.remove(&name)),
            Fact::Group(name) => drop(self.groups.insert(name)),
            Fact::NoGroup(name) => {
                self.groups.remove(&name);
                for user in self.users.values_mut() {
                    user.groups.remove(&name);
                }
            }
            Fact::App(app, id) => {
                self.app_ids.insert(app.name.clone(), id);
                self.app_names.insert(id, app.name.clone());
                self.apps.insert(app.name.clone(), app);
            }
            Fact::NoApp(name) => drop(self.apps.remove(&name)),
            Fact::Policy(policy) => self.policy = policy,
        }
    }

    fn remember(&mut self, session: Session) {
        self.by_source.insert((session.source.zone, session.source.address), session.token);
        self.by_user.entry(session.user.clone()).or_default().insert(session.token);
        self.by_deadline.insert((session.deadline, session.token));
        self.sessions.insert(session.token, session);
    }

    fn forget(&mut self, token: SessionToken) -> Option<Session> {
        let session = self.sessions.remove(&token)?;
        self.by_source.remove(&(session.source.zone, session.source.address));
        self.by_deadline.remove(&(session.deadline, token));
        if let Some(tokens) = self.by_user.get_mut(&session.user) {
            tokens.remove(&token);
            if tokens.is_empty() {
                self.by_user.remove(&session.user);
            }
        }
        Some(session)
    }

    /// `None` if the session may reach the same apps, by other policies or with other budgets.
    fn regrant(&mut self, moved: Move) -> Option<Regranted> {
        let session = self.sessions.get_mut(&moved.token)?;
        let old = std::mem::replace(&mut session.permitted, moved.permitted);
        session.allow_list = moved.allow_list;
        let gained = session.permitted.keys().filter(|app| !old.contains_key(*app)).cloned().collect::<Vec<_>>();
        let lost = old.keys().filter(|app| !session.permitted.contains_key(*app)).cloned().collect::<Vec<_>>();
        let is_news = !gained.is_empty() || !lost.is_empty();
        is_news.then(|| Regranted { token: moved.token, user: session.user.clone(), gained, lost })
    }
}

impl Draft {
    pub(super) fn ends(&self, token: SessionToken) -> bool {
        self.ended.contains_key(&token)
    }

    fn note(&mut self, entitlement: &Entitlement) {
        let faults = entitlement.faults.iter();
        self.faults.extend(faults.map(|(policy, fault)| (policy.clone(), fault.clone())));
    }
}

fn subject(session: &Session, groups: &BTreeSet<GroupName>) -> Subject {
    Subject {
        user: session.user.clone(),
        groups: groups.clone(),
        factors: session.factors.clone(),
        source: session.source.address,
        zone: session.source.zone_name.clone(),
    }
}

/// Whether anything that was granted is not: at all, to an older login, or beyond a smaller budget.
fn loses(old: &[(AppId, Grant)], new: &[(AppId, Grant)]) -> bool {
    let new: BTreeMap<_, _> = new.iter().copied().collect();
    old.iter().any(|(app, before)| !new.get(app).is_some_and(|after| covers(after, before)))
}
