//! The state of the gateway, and how inputs change it.
//!
//! One input at a time, all or nothing: a handler drafts a change, the draft becomes a plan, the plan is checked against
//! the capacities, and only then does anything change. Whoever wants to store or apply it before takes the two halves
//! one by one: [`Gateway::draft`] and [`Gateway::adopt`]. A change of one session touches that session only; a change of
//! policy looks at all of them.

mod adopt;
mod apply;
mod apps;
mod assurances;
mod book;
mod clock;
mod draft;
mod judge;
mod lists;
mod moves;
mod names;
mod opinion;
mod people;
mod query;
mod reach;
mod rehearse;
mod restore;
mod sessions;
mod steps;
mod ways;

pub use draft::{Drafted, Fact};
pub use opinion::{Missing, Opinion, Ruling, Stance};
pub use reach::{Alike, Permit, ReachError, ReachMap, ReachOf};
pub use rehearse::{Assumed, Reach, Rehearsal};
pub use restore::{Problem, Restored};
pub use ways::{Destination, Way};

use super::cedar::{Faults, PolicySet};
use super::change::{Capacities, Changed, Input, Refusal};
use super::model::{
    Answers, App, AppId, AppName, AppSetId, Generation, GroupName, Session, SessionLimits, Settings, User, UserName,
};
use super::table::{SessionEntry, TableSet};
use assurances::Assurances;
use book::Book;
use clock::Clock;
use gateway_common::KernelNanos;
use judge::Judge;
use lists::Lists;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that policy knows.
#[derive(Clone, Debug)]
pub struct Gateway {
    capacities: Capacities,
    /// What every session may use.
    limits: SessionLimits,
    generation: Generation,
    users: BTreeMap<UserName, User>,
    groups: BTreeSet<GroupName>,
    apps: BTreeMap<AppName, App>,
    /// INVARIANT: grows only. A name that is gone keeps its number.
    app_ids: BTreeMap<AppName, AppId>,
    app_names: BTreeMap<AppId, AppName>,
    policy: PolicySet,
    settings: Settings,
    /// Where the names of apps lead.
    answers: Answers,
    clock: Clock,
    /// Policies that could not be evaluated since apps or policies changed last.
    faults: Faults,
    judge: Judge,
    assurances: Assurances,
    sessions: Book,
    lists: Lists,
    app_set: AppSetId,
    next_app_set: u32,
    next_block: u32,
    /// INVARIANT: what the plans so far have led to, but for sessions: it has none, as their entries follow from the book.
    tables: TableSet,
}

/// The ids that are given out next. Kept across restarts, so that an id in a table of the kernel means one thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextIds {
    /// App sets.
    pub app_set: u32,
    /// Blocks.
    pub block: u32,
    /// Allow-lists.
    pub allow_list: u32,
}

impl Default for NextIds {
    fn default() -> Self {
        Self { app_set: 1, block: 1, allow_list: 1 }
    }
}

impl NextIds {
    /// The same, or later ones where the tables, as they were found, use those already.
    #[must_use]
    pub fn above(self, found: &TableSet) -> Self {
        let after = |next: u32, used: Option<u32>| next.max(used.map_or(0, |id| id.saturating_add(1)));
        let sessions = || found.sessions.values();
        let set = found.app_prefixes.keys().map(|(set, _)| set.0).chain(sessions().map(|entry| entry.app_set.0));
        let block = found.app_prefixes.values().map(|block| block.0).chain(found.apps.keys().map(|key| key.block));
        let list = found.grants.keys().map(|key| key.allow_list).chain(sessions().map(|entry| entry.allow_list.0));
        Self {
            app_set: after(self.app_set, set.max()),
            block: after(self.block, block.max()),
            allow_list: after(self.allow_list, list.max()),
        }
    }
}

impl Gateway {
    /// A gateway that knows nobody, permits nothing, and puts no limits on its sessions.
    #[must_use]
    pub fn new(capacities: Capacities) -> Self {
        Self::numbered_from(capacities, SessionLimits::default(), NextIds::default())
    }

    fn numbered_from(capacities: Capacities, limits: SessionLimits, next: NextIds) -> Self {
        Self {
            capacities,
            limits,
            generation: Generation::default(),
            users: BTreeMap::new(),
            groups: BTreeSet::new(),
            apps: BTreeMap::new(),
            app_ids: BTreeMap::new(),
            app_names: BTreeMap::new(),
            policy: PolicySet::empty(),
            settings: Settings::default(),
            answers: Answers::new(),
            clock: Clock::default(),
            faults: Faults::new(),
            judge: Judge::default(),
            assurances: Assurances::default(),
            sessions: Book::default(),
            lists: Lists::starting_at(next.allow_list),
            app_set: AppSetId(next.app_set),
            next_app_set: next.app_set.saturating_add(1),
            next_block: next.block,
            tables: TableSet::default(),
        }
    }

    /// Takes an input. Sessions whose deadline has passed at `now` end along with it; a few, if it is not the tick.
    ///
    /// # Errors
    /// If the input is refused. Nothing has changed then.
    pub fn handle(&mut self, input: Input, now: KernelNanos) -> Result<Changed, Refusal> {
        let drafted = self.draft(&input, now)?;
        Ok(self.adopt(drafted))
    }

    /// Decides what an input leads to. Nothing has changed until that is adopted.
    ///
    /// # Errors
    /// If the input is refused.
    pub fn draft(&mut self, input: &Input, now: KernelNanos) -> Result<Drafted, Refusal> {
        let mut draft = self.begin(input, now);
        match input {
            Input::Login { token, user, source, proof, deadline } => {
                let (token, deadline, proof) = (*token, *deadline, proof.clone());
                let login = sessions::Login { token, user: user.clone(), source: source.clone(), proof, deadline };
                self.login(&mut draft, login, now)
            }
            Input::End { which, cause } => self.end(&mut draft, which, *cause),
            Input::PutUser(user) => self.put_user(&mut draft, user),
            Input::RemoveUser(name) => self.remove_user(&mut draft, name),
            Input::PutGroup(name) => self.put_group(&mut draft, name),
            Input::Members { group, joined, left } => self.change_members(&mut draft, group, joined, left),
            Input::RemoveGroup(name) => self.remove_group(&mut draft, name),
            Input::PutApp(app) => self.put_app(&mut draft, app),
            Input::RemoveApp(name) => self.remove_app(&mut draft, name),
            Input::PutPolicy { policy, if_match } => self.put_policy(&mut draft, policy, *if_match),
            Input::Apply { bundle, if_match } => self.apply(&mut draft, bundle, *if_match),
            Input::Resolved(answers) => self.resolved(&mut draft, answers),
            Input::Tick => return self.tick(now),
        }?;
        self.finish(draft)
    }

    /// When the next session ends by itself, on the boot clock. Policies that look at the wall clock have their own:
    /// [`Self::next_look_at_the_clock`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<KernelNanos> {
        self.sessions.by_deadline().next().map(|(deadline, _)| deadline)
    }

    /// What should stand for a session in the tables.
    #[must_use]
    pub fn entry(&self, session: &Session) -> SessionEntry {
        SessionEntry {
            address: session.source.address,
            zone: session.source.zone,
            interface: session.source.interface,
            mac: session.source.mac,
            deadline: session.deadline,
            authenticated_at: session.authenticated_at,
            app_set: self.app_set,
            allow_list: session.allow_list,
            limits: self.limits,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
