//! The sessions, and the ways to find them: by token, by source, by user, by deadline.
//!
//! There may be a million. A session is stored once, in a slot; everything else knows it by the number of its slot.
//! Beside the session itself, finding it costs some fifty bytes.

use crate::policy::model::{Session, SessionToken, UserName};
use gateway_common::KernelNanos;
use hashbrown::HashTable;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::ops::Bound;

/// The place of a session in the book.
pub(super) type Slot = u32;

/// All sessions. INVARIANT: each of the four ways leads to exactly the sessions in the slots.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    slots: Slab<Session>,
    /// In the order of tokens, which is that of listings.
    by_token: BTreeMap<SessionToken, Slot>,
    by_source: HashTable<Slot>,
    by_user: BTreeSet<(UserName, Slot)>,
    by_deadline: BTreeSet<(KernelNanos, Slot)>,
    sources: RandomState,
}

impl Book {
    pub(super) fn len(&self) -> usize {
        self.by_token.len()
    }

    /// How many have been put, indexed or not.
    pub(super) fn stored(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn contains(&self, token: SessionToken) -> bool {
        self.by_token.contains_key(&token)
    }

    pub(super) fn get(&self, token: SessionToken) -> Option<&Session> {
        self.at(*self.by_token.get(&token)?)
    }

    pub(super) fn at(&self, slot: Slot) -> Option<&Session> {
        self.slots.get(slot as usize)
    }

    pub(super) fn at_mut(&mut self, slot: Slot) -> Option<&mut Session> {
        self.slots.get_mut(slot as usize)
    }

    /// All of them, in the order of tokens.
    pub(super) fn iter(&self) -> Iter<'_> {
        Iter { tokens: self.by_token.values(), slots: &self.slots }
    }

    /// Those with later tokens than this one, in the order of tokens.
    pub(super) fn after(&self, token: Option<SessionToken>) -> impl Iterator<Item = &Session> {
        let first = token.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_token.range((first, Bound::Unbounded)).filter_map(|(_, slot)| self.at(*slot))
    }

    /// All of them, as they lie in memory.
    pub(super) fn as_stored(&self) -> impl Iterator<Item = (Slot, &Session)> {
        self.slots.iter().map(|(slot, session)| (number(slot), session))
    }

    pub(super) fn at_source(&self, zone: u32, address: IpAddr) -> Option<&Session> {
        let is_there = |slot: &Slot| self.at(*slot).is_some_and(|session| place(session) == (zone, address));
        self.at(*self.by_source.find(self.sources.hash_one((zone, address)), is_there)?)
    }

    pub(super) fn of_user(&self, user: &UserName) -> impl Iterator<Item = (Slot, &Session)> {
        let slots = self.by_user.range((user.clone(), Slot::MIN)..=(user.clone(), Slot::MAX));
        slots.filter_map(|(_, slot)| Some((*slot, self.at(*slot)?)))
    }

    /// In the order of deadlines.
    pub(super) fn by_deadline(&self) -> impl Iterator<Item = (KernelNanos, &Session)> {
        self.by_deadline.iter().filter_map(|(deadline, slot)| Some((*deadline, self.at(*slot)?)))
    }

    /// Takes up a session whose token and source are not taken.
    pub(super) fn put(&mut self, session: Session) {
        let Self { slots, by_token, by_source, by_user, by_deadline, sources } = self;
        let (token, user, deadline) = (session.token, session.user.clone(), session.deadline);
        let hash = sources.hash_one(place(&session));
        let slot = number(slots.insert(session));
        by_token.insert(token, slot);
        by_source.insert_unique(hash, slot, |slot| rehash(slots, sources, *slot));
        by_user.insert((user, slot));
        by_deadline.insert((deadline, slot));
    }

    /// Takes up one of many sessions. It is found by its source alone until [`Self::index`] has been called.
    pub(super) fn put_unindexed(&mut self, session: Session) {
        let Self { slots, by_source, sources, .. } = self;
        let hash = sources.hash_one(place(&session));
        let slot = number(slots.insert(session));
        by_source.insert_unique(hash, slot, |slot| rehash(slots, sources, *slot));
    }

    /// Makes the other ways anew. Trees that are built of what is in order are full, and little more than half as large
    /// as those that grow.
    pub(super) fn index(&mut self) {
        self.by_token = self.as_stored().map(|(slot, session)| (session.token, slot)).collect();
        self.by_user = self.as_stored().map(|(slot, session)| (session.user.clone(), slot)).collect();
        self.by_deadline = self.as_stored().map(|(slot, session)| (session.deadline, slot)).collect();
    }

    pub(super) fn take(&mut self, token: SessionToken) -> Option<Session> {
        let slot = self.by_token.remove(&token)?;
        let session = self.slots.try_remove(slot as usize)?;
        let hash = self.sources.hash_one(place(&session));
        if let Ok(entry) = self.by_source.find_entry(hash, |found| *found == slot) {
            entry.remove();
        }
        self.by_deadline.remove(&(session.deadline, slot));
        self.by_user.remove(&(session.user.clone(), slot));
        Some(session)
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> [usize; 5] {
        let Self { slots, by_token, by_source, by_user, by_deadline, sources: _ } = self;
        [slots.len(), by_token.len(), by_source.len(), by_user.len(), by_deadline.len()]
    }
}

/// Sessions in the order of tokens.
pub(super) struct Iter<'b> {
    tokens: btree_map::Values<'b, SessionToken, Slot>,
    slots: &'b Slab<Session>,
}

impl<'b> Iterator for Iter<'b> {
    type Item = &'b Session;

    fn next(&mut self) -> Option<Self::Item> {
        self.tokens.by_ref().find_map(|slot| self.slots.get(*slot as usize))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.tokens.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

fn place(session: &Session) -> (u32, IpAddr) {
    (session.source.zone, session.source.address)
}

fn rehash(slots: &Slab<Session>, sources: &RandomState, slot: Slot) -> u64 {
    slots.get(slot as usize).map_or(0, |session| sources.hash_one(place(session)))
}

/// The tables of the kernel number their slots with 32 bits too, so there are never more sessions.
fn number(slot: usize) -> Slot {
    Slot::try_from(slot).unwrap_or(Slot::MAX)
}
