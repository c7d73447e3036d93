//! Sessions that are decided anew: what each of them gains and loses.

use super::book::Slot;
use super::draft::Draft;
use super::judge::{Entitlement, Judge, World, subject};
use super::{Gateway, lists};
use crate::policy::cedar::SeenSource;
use crate::policy::change::{Refusal, Regranted};
use crate::policy::model::{
    AllowListId, AppId, AppName, Assurance, Country, Factors, Permitted, Proof, Session, Standing, User,
};
use crate::policy::table::covers;
use gateway_common::abi::Grant;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A session that is to have other grants.
pub(super) struct Move {
    pub slot: Slot,
    pub permitted: Arc<Permitted>,
    pub allow_list: AllowListId,
    pub loses: bool,
}

/// A look at many sessions, one after the other. What two of them share is found out once: the decisions, if policies
/// see no difference between them, and what becomes of those who had the same before.
pub(super) struct Pass<'p> {
    judge: &'p mut Judge,
    world: World<'p>,
    known: HashMap<Seen<'p>, usize>,
    found: Vec<Entitlement>,
    /// By what was permitted before, under which list, and what is permitted now.
    shifts: HashMap<(*const Permitted, AllowListId, usize), Option<Shift>>,
    /// Otherwise nobody gains anything, and whoever loses something loses all.
    has_room: bool,
}

/// A session, as far as policies can tell it from others of the same state.
#[derive(PartialEq, Eq, Hash)]
struct Seen<'s> {
    user: &'s str,
    factors: Factors,
    assurance: *const Assurance,
    dated: bool,
    source: Option<SeenSource>,
    zone: Option<&'s str>,
    country: Option<Country>,
}

/// How one entitlement differs from another.
#[derive(Clone)]
struct Shift {
    gained: Arc<[AppName]>,
    lost: Arc<[AppName]>,
    /// Whether anything that was granted is not: at all, to an older login, or beyond a smaller budget.
    loses: bool,
}

impl<'p> Pass<'p> {
    /// Where hardly two sessions are alike, remembering them all is of no use.
    const MOST: usize = 65_536;

    pub(super) fn new(judge: &'p mut Judge, world: World<'p>) -> Self {
        Self { judge, world, known: HashMap::new(), found: Vec::new(), shifts: HashMap::new(), has_room: true }
    }

    /// The same, where the tables have no room for other grants.
    pub(super) fn without_room(self) -> Self {
        Self { has_room: false, ..self }
    }

    fn entitle(&mut self, draft: &mut Draft, session: &'p Session, user: Standing<'_>) -> usize {
        let policy = self.world.policy;
        let seen = Seen {
            user: session.user.as_str(),
            factors: session.factors,
            assurance: Arc::as_ptr(&session.assurance),
            dated: session.authenticated_at != Proof::UNDATED,
            source: policy.seen_source(session.source.address),
            zone: policy.sees_zones().then(|| session.source.zone_name.as_str()),
            country: policy.sees_countries().then_some(session.source.country),
        };
        if let Some(known) = self.known.get(&seen) {
            return *known;
        }
        if self.found.len() >= Self::MOST {
            self.known.clear();
            self.found.clear();
            self.shifts.clear();
        }
        let entitlement = self.judge.entitle(self.world, &subject(session, user, self.world.now));
        draft.note(&entitlement);
        let place = self.found.len();
        self.found.push(entitlement);
        self.known.insert(seen, place);
        place
    }

    /// How the session's entitlement changes; `None` if it does not.
    fn shift(&mut self, lists: &lists::Lists, session: &Session, to: usize) -> Option<Shift> {
        let new = self.found.get(to)?;
        let key = (Arc::as_ptr(&session.permitted), session.allow_list, to);
        self.shifts.entry(key).or_insert_with(|| shift(lists.grants(session.allow_list), session, new)).clone()
    }
}

fn shift(granted: &[(AppId, Grant)], session: &Session, new: &Entitlement) -> Option<Shift> {
    // A grant may change although the decision does not: the app has another budget. So may a decision alone: another
    // policy denies what was denied before.
    if session.permitted == new.permitted && granted == &*new.grants {
        return None;
    }
    Some(Shift {
        gained: only_in(&new.permitted, &session.permitted).collect(),
        lost: only_in(&session.permitted, &new.permitted).collect(),
        loses: loses(granted, &new.grants),
    })
}

/// The apps that are permitted here and not there.
pub(super) fn only_in(one: &Permitted, other: &Permitted) -> impl Iterator<Item = AppName> {
    one.keys().filter(|app| !other.contains_key(*app)).cloned()
}

fn loses(old: &[(AppId, Grant)], new: &[(AppId, Grant)]) -> bool {
    let new: BTreeMap<_, _> = new.iter().copied().collect();
    let is_lost = |app, before| !new.get(app).is_some_and(|after| covers(after, before));
    // A refusal is no access that could be lost.
    old.iter().any(|(app, before)| !before.is_refusal() && is_lost(app, before))
}

impl Draft {
    /// Takes all grants from a session.
    fn forfeit(&mut self, slot: Slot, session: &Session) {
        let lost = session.permitted.keys().cloned().collect();
        self.lists.give_back(session.allow_list);
        self.moved.push(Move { slot, permitted: Arc::default(), allow_list: AllowListId(0), loses: true });
        let (token, user, gained) = (session.token, session.user.clone(), Arc::default());
        self.regranted.push(Regranted { token, user, gained, lost });
    }
}

impl Gateway {
    /// Decides a session anew, with what is known of its user.
    pub(super) fn draft_move<'p>(
        &self,
        draft: &mut Draft,
        pass: &mut Pass<'p>,
        (slot, session): (Slot, &'p Session),
        user: Standing<'_>,
    ) -> Result<(), Refusal> {
        if draft.ends(session.token) {
            return Ok(());
        }
        let to = pass.entitle(draft, session, user);
        let Some(Shift { gained, lost, loses }) = pass.shift(&self.lists, session, to) else { return Ok(()) };
        if !pass.has_room {
            if loses {
                draft.forfeit(slot, session);
            }
            return Ok(());
        }
        let Some(entitlement) = pass.found.get(to) else { return Ok(()) };
        let allow_list = draft.lists.take(&self.lists, &entitlement.grants)?;
        draft.lists.give_back(session.allow_list);
        draft.moved.push(Move { slot, permitted: Arc::clone(&entitlement.permitted), allow_list, loses });
        // It may reach the same apps, by other policies or with other budgets.
        if !gained.is_empty() || !lost.is_empty() {
            draft.regranted.push(Regranted { token: session.token, user: session.user.clone(), gained, lost });
        }
        Ok(())
    }

    /// Decides all sessions anew.
    pub(super) fn draft_move_all<'p>(&'p self, draft: &mut Draft, mut pass: Pass<'p>) -> Result<(), Refusal> {
        // One block each that is given back as a whole. What grows leaves smaller ones behind, which the heap keeps, and
        // what is not touched costs nothing.
        draft.moved.reserve_exact(self.sessions.len());
        draft.regranted.reserve_exact(self.sessions.len());
        for (slot, session) in self.sessions.as_stored() {
            let user = self.users.get(&session.user).map_or(Standing::NOBODY, User::standing);
            self.draft_move(draft, &mut pass, (slot, session), user)?;
        }
        Ok(())
    }
}
