//! The difference of two states, as steps in a safe order.

use super::{Plan, Step};
use crate::policy::model::{AllowListId, AppSetId, BlockId, SessionToken};
use crate::policy::table::{SessionEntry, TableSet, covers};
use ipnet::IpNet;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) fn between(from: &TableSet, to: &TableSet) -> Plan {
    let change = Change { from, to, sets: RefCell::default(), lists: RefCell::default(), passages: RefCell::default() };
    let sessions = change.sessions();
    let mut steps: Vec<Step> = sessions.ended.into_iter().map(Step::EndSession).collect();
    steps.extend(puts(from, to));
    for (token, entry) in sessions.losing.into_iter().chain(sessions.moving) {
        steps.push(Step::UpdateSession(token, entry.clone()));
    }
    steps.extend(sessions.opened.into_iter().map(|(token, entry)| Step::OpenSession(token, entry.clone())));
    steps.extend(removals(from, to));
    steps.extend(sessions.opened_last.into_iter().map(|(token, entry)| Step::OpenSession(token, entry.clone())));
    Plan { steps }
}

fn puts(from: &TableSet, to: &TableSet) -> impl Iterator<Item = Step> {
    let apps = to.apps.iter().filter(|(key, app)| from.apps.get(key) != Some(app));
    let prefixes = to.app_prefixes.iter().filter(|(key, block)| from.app_prefixes.get(key) != Some(block));
    let grants = to.grants.iter().filter(|(key, grant)| from.grants.get(key) != Some(grant));
    apps.map(|(key, app)| Step::PutApp(*key, *app))
        .chain(prefixes.map(|((set, prefix), block)| Step::PutAppPrefix(*set, *prefix, *block)))
        .chain(grants.map(|(key, grant)| Step::PutGrant(*key, *grant)))
}

fn removals(from: &TableSet, to: &TableSet) -> impl Iterator<Item = Step> {
    let grants = from.grants.keys().filter(|key| !to.grants.contains_key(key));
    let prefixes = from.app_prefixes.keys().filter(|key| !to.app_prefixes.contains_key(key));
    let apps = from.apps.keys().filter(|key| !to.apps.contains_key(key));
    grants
        .map(|key| Step::RemoveGrant(*key))
        .chain(prefixes.map(|(set, prefix)| Step::RemoveAppPrefix(*set, *prefix)))
        .chain(apps.map(|key| Step::RemoveApp(*key)))
}

#[derive(Default)]
struct Sessions<'t> {
    ended: Vec<SessionToken>,
    losing: Vec<(SessionToken, &'t SessionEntry)>,
    moving: Vec<(SessionToken, &'t SessionEntry)>,
    opened: Vec<(SessionToken, &'t SessionEntry)>,
    /// What these name is only as it should be when everything else is done.
    opened_last: Vec<(SessionToken, &'t SessionEntry)>,
}

impl Sessions<'_> {
    /// Equal states give equal plans.
    fn in_order(mut self) -> Self {
        self.ended.sort_unstable();
        for some in [&mut self.losing, &mut self.moving, &mut self.opened, &mut self.opened_last] {
            some.sort_unstable_by_key(|(token, _)| *token);
        }
        self
    }
}

/// How an id's entries change.
#[derive(Clone, Copy)]
struct Motion {
    /// Nothing is added to, or changed in, what was there: true while the plan writes.
    is_frozen: bool,
    /// Nothing of what was there is to go, or to change: true once the plan has written.
    is_settled: bool,
}

impl Motion {
    const fn is_still(self) -> bool {
        self.is_frozen && self.is_settled
    }
}

/// From one app set and allow-list to another.
#[derive(Clone, Copy)]
struct Passage {
    /// Whether a session can take it in one write.
    is_open: bool,
    /// Whether anything that the one list grants is not granted by the other.
    loses: bool,
}

type Policy = (AppSetId, AllowListId);
/// The policies at both ends, and whether nothing else differs either.
type Place = (Policy, Policy, bool);

/// Many sessions take few passages, and often one after the other the same.
#[derive(Default)]
struct Passages {
    last: Option<(Place, Passage)>,
    known: HashMap<Place, Passage>,
}

struct Change<'t> {
    from: &'t TableSet,
    to: &'t TableSet,
    sets: RefCell<BTreeMap<AppSetId, Motion>>,
    lists: RefCell<BTreeMap<AllowListId, Motion>>,
    passages: RefCell<Passages>,
}

impl<'t> Change<'t> {
    fn sessions(&self) -> Sessions<'t> {
        let mut found = Sessions::default();
        for (token, old) in &self.from.sessions {
            match self.to.sessions.get(token) {
                Some(new) if self.can_be_carried(old, new) => {}
                _ => found.ended.push(*token),
            }
        }
        for (token, new) in &self.to.sessions {
            match self.from.sessions.get(token) {
                Some(old) if old == new && self.can_be_carried(old, new) => {}
                Some(old) if self.can_be_carried(old, new) && self.loses(old, new) => found.losing.push((*token, new)),
                Some(old) if self.can_be_carried(old, new) => found.moving.push((*token, new)),
                _ if self.set(new.app_set).is_settled && self.list(new.allow_list).is_settled => {
                    found.opened.push((*token, new));
                }
                _ => found.opened_last.push((*token, new)),
            }
        }
        found.in_order()
    }

    /// Whether a session can go from old to new in one write, and never be judged by a mixture.
    fn can_be_carried(&self, old: &SessionEntry, new: &SessionEntry) -> bool {
        old.is_bound_like(new) && self.passage(old, new).is_open
    }

    fn loses(&self, old: &SessionEntry, new: &SessionEntry) -> bool {
        old.app_set != new.app_set
            || old.deadline > new.deadline
            || new.limits.tighten(old.limits)
            || self.passage(old, new).loses
    }

    fn passage(&self, old: &SessionEntry, new: &SessionEntry) -> Passage {
        let place = ((old.app_set, old.allow_list), (new.app_set, new.allow_list), old == new);
        if let Some((_, known)) = self.passages.borrow().last.filter(|(last, _)| *last == place) {
            return known;
        }
        let known = self.passages.borrow().known.get(&place).copied();
        let passage = known.unwrap_or_else(|| self.find_passage(old, new, place.2));
        let mut passages = self.passages.borrow_mut();
        passages.known.insert(place, passage);
        passages.last = Some((place, passage));
        passage
    }

    fn find_passage(&self, old: &SessionEntry, new: &SessionEntry, is_same: bool) -> Passage {
        let sets = if old.app_set == new.app_set {
            self.set(old.app_set).is_still()
        } else {
            self.set(old.app_set).is_frozen && self.set(new.app_set).is_settled
        };
        let lists = if is_same {
            // Each grant goes from the old to the new in one write, and nothing else matters to a destination.
            true
        } else if old.allow_list == new.allow_list {
            self.list(old.allow_list).is_still()
        } else {
            self.list(old.allow_list).is_frozen && self.list(new.allow_list).is_settled
        };
        let kept: BTreeMap<u32, _> = self.to.grants_of(new.allow_list).map(|(key, grant)| (key.app, grant)).collect();
        let is_kept = |app, before| kept.get(&app).is_some_and(|after| covers(after, before));
        let mut access = self.from.grants_of(old.allow_list).filter(|(_, grant)| !grant.is_refusal());
        let keeps_all = access.all(|(key, grant)| is_kept(key.app, grant));
        Passage { is_open: sets && lists, loses: !keeps_all }
    }

    fn list(&self, id: AllowListId) -> Motion {
        *self.lists.borrow_mut().entry(id).or_insert_with(|| {
            let old: BTreeMap<_, _> = self.from.grants_of(id).collect();
            let new: BTreeMap<_, _> = self.to.grants_of(id).collect();
            motion(&old, &new)
        })
    }

    /// A set moves if its prefixes do, or the ports of a block that they lead to.
    fn set(&self, id: AppSetId) -> Motion {
        if let Some(known) = self.sets.borrow().get(&id) {
            return *known;
        }
        let (old, new) = (prefixes(self.from, id), prefixes(self.to, id));
        let mut found = motion(&old, &new);
        let blocks: BTreeSet<BlockId> = old.values().chain(new.values()).copied().collect();
        for block in blocks {
            let old: BTreeMap<_, _> = self.from.ports_of(block).collect();
            let new: BTreeMap<_, _> = self.to.ports_of(block).collect();
            let ports = motion(&old, &new);
            found.is_frozen &= ports.is_frozen;
            found.is_settled &= ports.is_settled;
        }
        self.sets.borrow_mut().insert(id, found);
        found
    }
}

fn prefixes(tables: &TableSet, id: AppSetId) -> BTreeMap<IpNet, BlockId> {
    let first = (id, IpNet::from(ipnet::Ipv4Net::default()));
    let own = tables.app_prefixes.range(first..).take_while(|((set, _), _)| *set == id);
    own.map(|((_, prefix), block)| (*prefix, *block)).collect()
}

fn motion<K: Ord, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> Motion {
    Motion {
        is_frozen: new.iter().all(|(key, value)| old.get(key) == Some(value)),
        is_settled: old.iter().all(|(key, value)| new.get(key) == Some(value)),
    }
}
