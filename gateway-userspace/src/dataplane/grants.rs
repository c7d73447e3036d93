//! Grants in mapped memory: a slot is written, then the index is pointed at it, so a program sees a grant whole or not.

use super::index::Index;
use super::mapped::Mapped;
use gateway_common::KernelNanos;
use gateway_common::abi::{Grant, GrantKey, GrantSlot};
use gateway_common::table::Secrets;
use gateway_common::table::index::Full;
use std::collections::VecDeque;

/// How long a slot rests at least before it is reused: no run of a program lasts that long.
pub(super) const REST: u64 = 1_000_000_000;

/// The table of grants.
#[derive(Debug)]
pub struct GrantTable {
    slots: Mapped<GrantSlot>,
    index: Index,
    secrets: Secrets,
    /// The first slot that was never used.
    fresh: u32,
    /// Given up a while ago, oldest first.
    resting: VecDeque<(KernelNanos, u32)>,
}

/// How many slots a table of so many grants has: as many again, because a slot that was given up rests, and a change of
/// all grants needs both generations at once.
#[must_use]
pub fn slots_for(grants: u32) -> u32 {
    grants.saturating_mul(2).saturating_add(64)
}

impl GrantTable {
    /// Takes over what is in these slots.
    #[must_use]
    pub fn new(slots: Mapped<GrantSlot>, index: Index, secrets: Secrets, now: KernelNanos) -> Self {
        let mut table = Self { slots, index, secrets, fresh: 0, resting: VecDeque::new() };
        let used = |(_, slot): &(u32, &GrantSlot)| slot.key.load() != 0;
        table.fresh = table.slots.iter().filter(used).map(|(number, _)| number + 1).max().unwrap_or(0);
        let is_idle =
            |number: &u32| table.slots.get(*number).is_none_or(|slot| table.slot_of(&slot.read_key()) != Some(*number));
        table.resting = (0..table.fresh).filter(is_idle).map(|number| (now, number)).collect();
        table
    }

    /// Looks at where a grant is, or will be.
    pub fn anticipate(&self, key: &GrantKey) {
        self.index.anticipate(key.hash(&self.secrets));
    }

    fn slot_of(&self, key: &GrantKey) -> Option<u32> {
        let is_its = |number| self.slots.get(number).is_some_and(|slot| slot.key.load() == key.word());
        self.index.find(key.hash(&self.secrets), is_its)
    }

    /// Puts a grant in force, in place of the one that the app has in the list. The clock is read if a slot has rested, or
    /// begins to.
    ///
    /// # Errors
    /// If there is no room; nothing has changed then.
    pub fn put(&mut self, key: &GrantKey, grant: &Grant, clock: impl Fn() -> KernelNanos) -> Result<(), Full> {
        let before = self.slot_of(key);
        let number = self.take(&clock).ok_or(Full)?;
        if let Some(slot) = self.slots.get(number) {
            slot.write(key, grant);
        }
        if let Err(full) = self.index.point(key.hash(&self.secrets), before, number) {
            self.resting.push_front((KernelNanos(0), number));
            return Err(full);
        }
        self.resting.extend(before.map(|before| (clock(), before)));
        Ok(())
    }

    fn take(&mut self, clock: impl Fn() -> KernelNanos) -> Option<u32> {
        let has_rested = |(since, _): &&(KernelNanos, u32)| clock().since(*since) >= REST;
        if self.resting.front().filter(has_rested).is_some() {
            return self.resting.pop_front().map(|(_, number)| number);
        }
        let number = self.fresh;
        self.slots.get(number)?;
        self.fresh += 1;
        Some(number)
    }

    /// Removes a grant, if it is there.
    pub fn remove(&mut self, key: &GrantKey, now: KernelNanos) {
        if let Some(number) = self.slot_of(key) {
            self.index.forget(key.hash(&self.secrets), number);
            self.resting.push_back((now, number));
        }
    }

    /// What a list grants, if packets find it.
    #[must_use]
    pub fn get(&self, key: &GrantKey) -> Option<Grant> {
        self.slot_of(key).and_then(|number| self.slots.get(number)).map(GrantSlot::read)
    }

    /// The grants that packets find in so many slots from this one on, whoever has written them, and the slot to go on with.
    #[must_use]
    pub fn from(&self, from: u32, most: usize) -> (Vec<GrantKey>, Option<u32>) {
        let (part, next) = self.slots.part(from, most);
        let used = part.filter_map(|number| Some((number, self.slots.get(number)?)));
        let used = used.filter(|(_, slot)| slot.key.load() != 0).map(|(number, slot)| (number, slot.read_key()));
        let found = used.filter(|(number, key)| self.slot_of(key) == Some(*number)).map(|(_, key)| key);
        (found.collect(), next)
    }

    /// All grants.
    pub fn iter(&self) -> impl Iterator<Item = (GrantKey, Grant)> + '_ {
        let used = self.slots.iter().take(self.fresh as usize);
        let found = used.map(|(number, slot)| (number, slot.read_key(), slot.read()));
        found.filter(|(number, key, _)| self.slot_of(key) == Some(*number)).map(|(_, key, grant)| (key, grant))
    }
}
