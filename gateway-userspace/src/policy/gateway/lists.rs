//! Allow-lists, each stored once, with the number of sessions that name it.

use crate::policy::change::Refusal;
use crate::policy::model::{AllowListId, AppId};
use gateway_common::abi::{Grant, GrantKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an allow-list grants, ordered by app.
pub(super) type Grants = Arc<[(AppId, Grant)]>;

/// Some lists.
type Lot = Vec<(AllowListId, Grants)>;

#[derive(Clone, Debug)]
pub(super) struct Lists {
    by_content: BTreeMap<Grants, AllowListId>,
    /// Content, and how many sessions name it: at least one.
    by_id: BTreeMap<AllowListId, (Grants, usize)>,
    next: u32,
}

/// Changes to [`Lists`] that have not happened yet.
#[derive(Debug)]
pub(super) struct ListDraft {
    new: BTreeMap<Grants, AllowListId>,
    /// How often a list was taken and given back.
    moved: BTreeMap<AllowListId, (usize, usize)>,
    /// What was taken last: sessions that follow each other often have the same grants, and the same list of them.
    last: Option<(Grants, AllowListId)>,
    next: u32,
}

impl Lists {
    pub(super) fn starting_at(next: u32) -> Self {
        Self { by_content: BTreeMap::new(), by_id: BTreeMap::new(), next }
    }

    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// What a list grants.
    pub(super) fn grants(&self, id: AllowListId) -> &[(AppId, Grant)] {
        self.by_id.get(&id).map_or(&[], |(grants, _)| grants)
    }

    pub(super) fn draft(&self) -> ListDraft {
        ListDraft { new: BTreeMap::new(), moved: BTreeMap::new(), last: None, next: self.next }
    }

    /// Lists that the draft adds, and those that no session will name any more.
    pub(super) fn difference(&self, draft: &ListDraft) -> (Lot, Lot) {
        let added = draft.new.iter().filter(|(_, id)| draft.count(**id, 0) > 0);
        let mut added: Vec<_> = added.map(|(grants, id)| (*id, Arc::clone(grants))).collect();
        added.sort_by_key(|(id, _)| *id);
        let touched = draft.moved.keys().filter_map(|id| Some((*id, self.by_id.get(id)?)));
        let dead = touched.filter(|(id, (_, count))| draft.count(*id, *count) == 0);
        (added, dead.map(|(id, (grants, _))| (id, Arc::clone(grants))).collect())
    }

    pub(super) fn commit(&mut self, draft: &ListDraft) {
        for (grants, id) in &draft.new {
            self.by_content.insert(Arc::clone(grants), *id);
            self.by_id.insert(*id, (Arc::clone(grants), 0));
        }
        for id in draft.moved.keys() {
            let Some((grants, count)) = self.by_id.get_mut(id) else { continue };
            *count = draft.count(*id, *count);
            if *count == 0 {
                self.by_content.remove(grants);
                self.by_id.remove(id);
            }
        }
        self.next = draft.next;
    }
}

impl ListDraft {
    /// The id of the list with these grants, for one more session.
    pub(super) fn take(&mut self, lists: &Lists, grants: &Grants) -> Result<AllowListId, Refusal> {
        if grants.is_empty() {
            return Ok(AllowListId(0));
        }
        let id = match self.last.take() {
            Some((last, id)) if Arc::ptr_eq(&last, grants) => id,
            _ => self.find(lists, grants)?,
        };
        self.last = Some((Arc::clone(grants), id));
        let (taken, _) = self.moved.entry(id).or_default();
        *taken = taken.saturating_add(1);
        Ok(id)
    }

    fn find(&mut self, lists: &Lists, grants: &Grants) -> Result<AllowListId, Refusal> {
        let known = lists.by_content.get(grants).or_else(|| self.new.get(grants)).copied();
        known.map_or_else(|| self.begin(grants), Ok)
    }

    /// The number that is given out next.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// One session less names the list.
    pub(super) fn give_back(&mut self, id: AllowListId) {
        if id != AllowListId(0) {
            let (_, given) = self.moved.entry(id).or_default();
            *given = given.saturating_add(1);
        }
    }

    fn begin(&mut self, grants: &Grants) -> Result<AllowListId, Refusal> {
        let id = AllowListId(self.next);
        self.next = self.next.checked_add(1).ok_or(Refusal::NumbersUsedUp("allow-lists"))?;
        self.new.insert(Arc::clone(grants), id);
        Ok(id)
    }

    /// How many sessions will name a list that `before` name now.
    fn count(&self, id: AllowListId, before: usize) -> usize {
        let (taken, given) = self.moved.get(&id).copied().unwrap_or_default();
        before.saturating_add(taken).saturating_sub(given)
    }
}

/// The entries of an allow-list in the kernel.
pub(super) fn entries(id: AllowListId, grants: &Grants) -> impl Iterator<Item = (GrantKey, Grant)> {
    grants.iter().map(move |(app, grant)| (GrantKey { allow_list: id.0, app: app.0 }, *grant))
}
