//! From what was stored to a gateway: everything is compiled and decided anew.
//!
//! What no longer fits is left out and reported, always toward less access: a gateway that starts with a part of its
//! state is better than one that does not start, and lets nobody through who should not pass.

use super::clock::Decided;
use super::judge::{World, subject};
use super::lists::entries;
use super::{Gateway, NextIds};
use crate::policy::cedar::{PolicyError, PolicyFile, PolicySet};
use crate::policy::change::{AppProblem, Capacities, EndCause, Ended, Input, Refusal};
use crate::policy::compile::check;
use crate::policy::model::{
    Answers, App, AppId, AppName, Generation, GroupName, Session, SessionLimits, SessionToken, Settings, Source, User,
    UserName,
};
use gateway_common::KernelNanos;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What was stored.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Users.
    pub users: Vec<User>,
    /// Groups.
    pub groups: BTreeSet<GroupName>,
    /// Apps.
    pub apps: Vec<App>,
    /// The numbers of all apps that ever were.
    pub app_ids: BTreeMap<AppName, AppId>,
    /// What holds for all policies.
    pub settings: Settings,
    /// Where the names of apps led last.
    pub answers: Answers,
    /// Files of policies.
    pub policy: Vec<PolicyFile>,
    /// Number of the state.
    pub generation: Generation,
    /// Sessions. What they may reach is decided anew.
    pub sessions: Vec<Session>,
    /// The ids that are given out next.
    pub next_ids: NextIds,
    /// What time it is.
    pub now: Timestamp,
}

/// Something that was stored and is not in force.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Problem {
    /// A user is without a group that is gone.
    #[error("user `{user}` was in group `{group}`, which is not defined")]
    Membership {
        /// Who.
        user: UserName,
        /// The group.
        group: GroupName,
    },
    /// An app is left out.
    #[error("app `{app}` is left out: {problem}")]
    App {
        /// Which.
        app: AppName,
        /// Why.
        problem: AppProblem,
    },
    /// The policies are not in force: nothing is permitted.
    #[error("the stored policies have {} error(s) and nothing is permitted; apply a policy", .0.len())]
    Policy(Vec<PolicyError>),
    /// A session has ended.
    #[error("session `{}` of user `{}` has ended: {}", .0.session.token, .0.session.user, .0.cause.label())]
    Session(Box<Ended>),
    /// A session could not be carried over, because another one has its source.
    #[error("session `{token}` is left out: {refusal}")]
    Refused {
        /// Which.
        token: SessionToken,
        /// Why.
        refusal: Refusal,
    },
}

impl Gateway {
    /// A gateway in the state that was stored, with these limits for all sessions, and what could not be restored.
    ///
    /// # Errors
    /// If the tables are too small for the apps.
    pub fn restore(
        stored: Restored,
        capacities: Capacities,
        limits: SessionLimits,
        now: KernelNanos,
    ) -> Result<(Self, Vec<Problem>), Refusal> {
        let Restored {
            users,
            groups,
            apps,
            app_ids,
            settings,
            answers,
            policy,
            generation,
            sessions,
            next_ids,
            now: wall,
        } = stored;
        let mut problems = Vec::new();
        let mut gateway = Self::numbered_from(capacities, limits.countable(), next_ids);
        gateway.generation = generation;
        gateway.groups = groups;
        gateway.settings = settings;
        gateway.answers = answers;
        gateway.app_names = app_ids.iter().map(|(name, id)| (*id, name.clone())).collect();
        gateway.app_ids = app_ids;
        gateway.policy = PolicySet::parse_files(policy).unwrap_or_else(|errors| {
            problems.push(Problem::Policy(errors));
            PolicySet::empty()
        });
        gateway.set_clock(wall);
        gateway.clock.decided = Decided::under(&gateway.policy, &gateway.clock.now);
        users.into_iter().for_each(|user| gateway.restore_user(user, &mut problems));
        gateway.restore_apps(apps, &mut problems)?;
        gateway.restore_sessions(sessions, now, &mut problems);
        Ok((gateway, problems))
    }

    fn restore_user(&mut self, mut user: User, problems: &mut Vec<Problem>) {
        let unknown: Vec<GroupName> = user.groups.difference(&self.groups).cloned().collect();
        for group in unknown {
            user.groups.remove(&group);
            problems.push(Problem::Membership { user: user.name.clone(), group });
        }
        self.users.insert(user.name.clone(), user);
    }

    /// Compiles the apps; leaves out, one after the other, those that do not go together with the rest.
    fn restore_apps(&mut self, apps: Vec<App>, problems: &mut Vec<Problem>) -> Result<(), Refusal> {
        for app in apps {
            match check(&app) {
                Ok(()) => {
                    let id = self.app_id(&app.name)?;
                    self.app_ids.insert(app.name.clone(), id);
                    self.app_names.insert(id, app.name.clone());
                    self.apps.insert(app.name.clone(), app);
                }
                Err(problem) => problems.push(Problem::App { app: app.name, problem }),
            }
        }
        loop {
            let names = self.names();
            self.answers.retain(|name, _| names.contains(name));
            match self.app_set_of(&self.apps, &self.app_ids) {
                Ok(new) => {
                    let mut draft = self.begin(&Input::Tick, KernelNanos(0));
                    draft.app_set = Some(new);
                    let drafted = self.finish(draft)?;
                    self.adopt(drafted);
                    return Ok(());
                }
                Err(super::apps::Trouble::Refused(refusal)) => return Err(refusal),
                Err(super::apps::Trouble::App(found)) => {
                    self.apps.remove(&found.app);
                    problems.push(Problem::App { app: found.app, problem: found.problem });
                }
            }
        }
    }

    /// Takes up all sessions together: one by one, a million would take a minute.
    fn restore_sessions(&mut self, mut sessions: Vec<Session>, now: KernelNanos, problems: &mut Vec<Problem>) {
        sessions.sort_by_key(|session| session.token);
        let mut last = None;
        for mut session in sessions {
            let token = session.token;
            match self.reopen(&mut session, now, last) {
                Ok(()) => {
                    self.sessions.put_unindexed(session);
                    last = Some(token);
                }
                Err(Lost::Over(cause)) => problems.push(Problem::Session(Box::new(Ended { session, cause }))),
                Err(Lost::Refused(refusal)) => problems.push(Problem::Refused { token, refusal }),
            }
        }
        self.sessions.index();
    }

    /// Decides a session anew; `last` is the one that was taken up before.
    fn reopen(&mut self, session: &mut Session, now: KernelNanos, last: Option<SessionToken>) -> Result<(), Lost> {
        let user = match self.users.get(&session.user) {
            _ if session.deadline.has_passed(now) => return Err(Lost::Over(EndCause::Expired)),
            None => return Err(Lost::Over(EndCause::UserRemoved)),
            Some(user) if !user.enabled => return Err(Lost::Over(EndCause::UserDisabled)),
            Some(user) if user.suspended => return Err(Lost::Over(EndCause::UserSuspended)),
            Some(user) => user,
        };
        let Source { address, zone, .. } = session.source;
        if self.sessions.at_source(zone, address).is_some() {
            return Err(Refusal::SourceTaken { address }.into());
        }
        if session.token == SessionToken(0) || last == Some(session.token) {
            return Err(Refusal::TokenTaken(session.token).into());
        }
        // One name for all sessions of a user.
        session.user = user.name.clone();
        session.assurance = self.assurances.share(&session.assurance);
        let (policy, apps, app_ids, now) = (&self.policy, &self.apps, &self.app_ids, &self.clock.now);
        let world = World { policy, apps, app_ids, now };
        let entitlement = self.judge.entitle(world, &subject(session, user.standing(), now));
        let faults = entitlement.faults.iter();
        self.faults.extend(faults.map(|(policy, fault)| (policy.clone(), fault.clone())));
        let mut lists = self.lists.draft();
        session.allow_list = lists.take(&self.lists, &entitlement.grants)?;
        session.permitted = entitlement.permitted;
        let added = self.lists.difference(&lists).0;
        let entries: Vec<_> = added.iter().flat_map(|(id, grants)| entries(*id, grants)).collect();
        let mut needs = self.entries();
        needs.sessions = self.sessions.stored().saturating_add(1);
        needs.grants = needs.grants.saturating_add(entries.len());
        needs.fit(&self.capacities)?;
        self.tables.grants.extend(entries);
        self.lists.commit(&lists);
        Ok(())
    }
}

/// Why a session is not taken up.
enum Lost {
    Over(EndCause),
    Refused(Refusal),
}

impl From<Refusal> for Lost {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
