//! Who reaches what, all of it at once: people of equal reach are told together, so that an answer is as large as the
//! policies are, not as the organisation is.

use super::Gateway;
use super::opinion::Stance;
use super::rehearse::Assumed;
use super::ways::is_open;
use crate::policy::cedar::Facts;
use crate::policy::model::{App, AppName, Decision, GroupName, Logging, Session, User, UserName};
use gateway_common::KernelNanos;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// About whom and what is asked; what is `None` is not narrowed down.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReachOf {
    /// This user.
    pub user: Option<UserName>,
    /// The members of this group.
    pub group: Option<GroupName>,
    /// This app.
    pub app: Option<AppName>,
}

/// An app that somebody reaches, and why.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Permit {
    /// The app.
    pub app: AppName,
    /// The policies that permit it.
    pub policies: Vec<String>,
    /// How old the login may be.
    pub most: Option<Duration>,
    /// Whether a login with two factors is enough; otherwise only a session that is open reaches it.
    pub after_login: bool,
    /// Whether there are records of connections by it; policies may want none.
    pub recorded: bool,
}

/// People of equal reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alike {
    /// Who, in the order of their names.
    pub users: Vec<UserName>,
    /// The groups that policies name and all of them are in.
    pub groups: BTreeSet<GroupName>,
    /// What they reach, each with how many of them do now, by a session.
    pub permits: Vec<(Permit, usize)>,
}

/// Who reaches what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReachMap {
    /// The people, most alike first.
    pub alike: Vec<Alike>,
    /// How many more are switched off, and so reach nothing.
    pub inactive: usize,
    /// The apps, whether they are switched on, and whether they are trip-wires.
    pub apps: Vec<(AppName, bool, bool)>,
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReachError {
    /// It takes too long.
    #[error("finding out who reaches what took too long; narrow the question, by `group`, `user` or `app`")]
    TooLong,
    /// There is too much to tell.
    #[error(
        "there are more than {} different grants; narrow the question, by `group`, `user` or `app`",
        Gateway::MOST_GRANTS
    )]
    TooMany,
}

type Permits = Arc<[Permit]>;

/// People of equal reach, while others are still being looked at.
#[derive(Default)]
struct Class {
    users: Vec<UserName>,
    groups: Option<BTreeSet<GroupName>>,
    now: Vec<usize>,
}

impl Gateway {
    /// Most grants that are told.
    pub const MOST_GRANTS: usize = 100_000;

    /// Who reaches what now, and who would after a login with two factors.
    ///
    /// # Errors
    /// If `is_over` says that it takes too long, or there is too much to tell.
    pub fn reach(
        &self,
        of: &ReachOf,
        assumed: &Assumed,
        now: KernelNanos,
        is_over: &dyn Fn() -> bool,
    ) -> Result<ReachMap, ReachError> {
        let apps: Vec<&App> =
            self.apps.values().filter(|app| of.app.as_ref().is_none_or(|name| *name == app.name)).collect();
        let is_meant = |user: &&User| {
            of.user.as_ref().is_none_or(|name| *name == user.name)
                && of.group.as_ref().is_none_or(|group| user.groups.contains(group))
        };
        let (mut known, mut classes) = (HashMap::<Facts, Permits>::new(), BTreeMap::<Permits, Class>::new());
        let (mut inactive, mut grants) = (0_usize, 0_usize);
        for user in self.users.values().filter(is_meant) {
            if is_over() {
                return Err(ReachError::TooLong);
            }
            if !user.is_active() {
                inactive = inactive.saturating_add(1);
                continue;
            }
            // Groups that no policy names tell nobody apart: without them more people are alike.
            let groups = user.groups.iter().filter(|group| self.policies_name(group)).cloned().collect();
            let seen = User { groups, ..user.clone() };
            let subject =
                Stance::assumed(user.name.clone(), user.provider.clone(), assumed).subject(&seen, &self.clock.now);
            let later = known.entry(self.policy.facts(&subject)).or_insert_with(|| {
                let (decisions, _) = self.policy.decide_all(&subject, apps.iter().copied());
                let permitted = decisions.iter().filter(|(_, decision)| decision.permit);
                permitted.map(|(app, decision)| Permit::of(app, decision, true)).collect()
            });
            let sessions: Vec<_> = self.sessions_of(&user.name).collect();
            let (permits, open) = with_sessions(later, &sessions, &apps, now);
            let length = permits.len();
            let class = classes.entry(permits).or_insert_with(|| {
                grants = grants.saturating_add(length);
                Class { now: vec![0; length], ..Class::default() }
            });
            class.add(&seen, &open);
            if grants > Self::MOST_GRANTS {
                return Err(ReachError::TooMany);
            }
        }
        let mut alike: Vec<_> = classes.into_iter().map(Alike::of).collect();
        alike.sort_by(|one, other| {
            Reverse(one.users.len()).cmp(&Reverse(other.users.len())).then_with(|| one.users.cmp(&other.users))
        });
        let apps = apps.into_iter().map(|app| (app.name.clone(), app.enabled, app.trip_wire)).collect();
        Ok(ReachMap { alike, inactive, apps })
    }
}

/// What somebody reaches, and which of it by a session that is open.
fn with_sessions(later: &Permits, sessions: &[&Session], apps: &[&App], now: KernelNanos) -> (Permits, Vec<bool>) {
    if sessions.is_empty() {
        return (Arc::clone(later), Vec::new());
    }
    let mut all: BTreeMap<AppName, (Permit, bool)> =
        later.iter().map(|permit| (permit.app.clone(), (permit.clone(), false))).collect();
    for app in apps {
        let open = sessions.iter().find(|session| is_open(session, app, now));
        let Some(decision) = open.and_then(|session| session.permitted.get(&app.name)) else { continue };
        let after_login = all.contains_key(&app.name);
        all.insert(app.name.clone(), (Permit::of(&app.name, decision, after_login), true));
    }
    let (permits, open): (Vec<_>, Vec<_>) = all.into_values().unzip();
    (permits.into(), open)
}

impl Permit {
    fn of(app: &AppName, decision: &Decision, after_login: bool) -> Self {
        Self {
            app: app.clone(),
            policies: decision.policies.clone(),
            most: decision.max_authentication_age.map(Duration::from_nanos),
            after_login,
            recorded: decision.log != Logging::Off,
        }
    }
}

impl Class {
    fn add(&mut self, user: &User, open: &[bool]) {
        self.users.push(user.name.clone());
        match &mut self.groups {
            Some(groups) => groups.retain(|group| user.groups.contains(group)),
            None => self.groups = Some(user.groups.clone()),
        }
        for (now, is_open) in self.now.iter_mut().zip(open) {
            *now = now.saturating_add(usize::from(*is_open));
        }
    }
}

impl Alike {
    fn of((permits, class): (Permits, Class)) -> Self {
        let Class { users, groups, now } = class;
        let permits = permits.iter().cloned().zip(now).collect();
        Self { users, groups: groups.unwrap_or_default(), permits }
    }
}
