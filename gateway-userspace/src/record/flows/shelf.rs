//! Where tracked flows are kept: each once, in a slot, found by its key and by its session.
//!
//! There may be a million. One takes some 190 bytes: 168 in its slot, and ten to twenty in each of two tables of slot
//! numbers, of which that of sessions has one entry for each session with flows.

use super::TrackedFlow;
use gateway_common::abi::FlowKey;
use hashbrown::HashTable;
use slab::Slab;
use std::hash::{BuildHasher as _, RandomState};

/// No slot.
const NONE: u32 = u32::MAX;

struct Kept {
    key: FlowKey,
    flow: TrackedFlow,
    /// The neighbours among the flows of the same session.
    before: u32,
    after: u32,
}

/// All flows that are open.
#[derive(Default)]
pub(super) struct Shelf {
    slots: Slab<Kept>,
    by_key: HashTable<u32>,
    /// The slot of the first flow of each session.
    by_session: HashTable<u32>,
    hashes: RandomState,
}

impl Shelf {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many slots [`Self::show`] goes through.
    pub(super) fn slots(&self) -> usize {
        self.slots.capacity()
    }

    pub(super) fn get(&self, key: &FlowKey) -> Option<&TrackedFlow> {
        self.slots.get(self.slot_of(key)? as usize).map(|kept| &kept.flow)
    }

    pub(super) fn contains(&self, key: &FlowKey) -> bool {
        self.slot_of(key).is_some()
    }

    fn slot_of(&self, key: &FlowKey) -> Option<u32> {
        let is_it = |slot: &u32| self.slots.get(*slot as usize).is_some_and(|kept| kept.key == *key);
        self.by_key.find(self.hashes.hash_one(key), is_it).copied()
    }

    /// Puts a flow whose key is not there.
    pub(super) fn put(&mut self, key: FlowKey, flow: TrackedFlow) {
        let token = flow.copy.token;
        let after = self.first_of(token).unwrap_or(NONE);
        // The kernel's table has room for fewer than that.
        let slot = u32::try_from(self.slots.insert(Kept { key, flow, before: NONE, after })).unwrap_or(NONE);
        let Self { slots, by_key, by_session, hashes } = self;
        by_key.insert_unique(hashes.hash_one(key), slot, |slot| hash_of_key(slots, hashes, *slot));
        match by_session.find_mut(hashes.hash_one(token), |slot| *slot == after) {
            Some(first) => {
                *first = slot;
                if let Some(next) = slots.get_mut(after as usize) {
                    next.before = slot;
                }
            }
            None => {
                by_session.insert_unique(hashes.hash_one(token), slot, |slot| hash_of_token(slots, hashes, *slot));
            }
        }
    }

    fn first_of(&self, token: u64) -> Option<u32> {
        let is_it = |slot: &u32| self.slots.get(*slot as usize).is_some_and(|kept| kept.flow.copy.token == token);
        self.by_session.find(self.hashes.hash_one(token), is_it).copied()
    }

    pub(super) fn take(&mut self, key: &FlowKey) -> Option<TrackedFlow> {
        let slot = self.slot_of(key)?;
        if let Ok(entry) = self.by_key.find_entry(self.hashes.hash_one(key), |found| *found == slot) {
            entry.remove();
        }
        let Kept { flow, before, after, .. } = self.slots.try_remove(slot as usize)?;
        if let Some(kept) = self.slots.get_mut(after as usize) {
            kept.before = before;
        }
        if let Some(kept) = self.slots.get_mut(before as usize) {
            kept.after = after;
        } else if let Ok(mut first) =
            self.by_session.find_entry(self.hashes.hash_one(flow.copy.token), |found| *found == slot)
        {
            if after == NONE {
                first.remove();
            } else {
                *first.get_mut() = after;
            }
        }
        Some(flow)
    }

    /// The flows of a session.
    pub(super) fn of(&self, token: u64) -> impl Iterator<Item = (&FlowKey, &TrackedFlow)> {
        let mut next = self.first_of(token).unwrap_or(NONE);
        std::iter::from_fn(move || {
            let kept = self.slots.get(next as usize)?;
            next = kept.after;
            Some((&kept.key, &kept.flow))
        })
    }

    /// Shows the flows in some of the slots. Returns the slot to go on from, or `None` at the end.
    pub(super) fn show(
        &mut self,
        from: usize,
        slots: usize,
        mut look: impl FnMut(&FlowKey, &mut TrackedFlow),
    ) -> Option<usize> {
        let (to, end) = (from.saturating_add(slots), self.slots.capacity());
        for slot in from..to.min(end) {
            if let Some(kept) = self.slots.get_mut(slot) {
                look(&kept.key, &mut kept.flow);
            }
        }
        (to < end).then_some(to)
    }
}

fn hash_of_key(slots: &Slab<Kept>, hashes: &RandomState, slot: u32) -> u64 {
    slots.get(slot as usize).map_or(0, |kept| hashes.hash_one(kept.key))
}

fn hash_of_token(slots: &Slab<Kept>, hashes: &RandomState, slot: u32) -> u64 {
    slots.get(slot as usize).map_or(0, |kept| hashes.hash_one(kept.flow.copy.token))
}
