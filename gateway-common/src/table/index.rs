//! From a key to a slot: buckets of one cache line, eight words each, and two candidate buckets for every key.
//!
//! A word holds a tag of the key and the slot that the key has; 0 is no entry. So an entry appears, changes and goes in
//! one store, and a reader never sees half of it. The slot says itself whose it is: a tag that happens to be equal leads
//! to a slot that is another's, and both buckets are looked at before a key is said to be absent.
//!
//! One writer, the daemon; any number of readers. Entries never move: of two buckets the emptier one takes the key, so at
//! the load that the tables are made for none overflows ([`buckets_for`]), and there is no moment at which a key that is
//! there is in neither bucket. A key for which both are full is refused.

use super::{Hash, Lines};
use crate::Word;

/// Entries of a bucket: a cache line.
pub const ENTRIES: usize = 8;

/// Eight entries in a cache line.
#[derive(Default, Debug)]
#[repr(C, align(64))]
pub struct Bucket {
    entries: [Word; ENTRIES],
}

/// A key that has no room in either of its buckets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// How many buckets an index of so many keys has: at most half of their entries are used.
#[must_use]
pub const fn buckets_for(keys: u32) -> u32 {
    // At least 8: with fewer, chance could fill one.
    let buckets = keys.div_ceil(const { ENTRIES as u32 / 2 });
    if buckets < 8 { 8 } else { buckets }
}

#[inline(always)]
const fn entry(hash: Hash, slot: u32) -> u64 {
    // The slot plus one, so that no entry is 0. Slots are below 2^31.
    (hash.tag() as u64) << 32 | (slot as u64).wrapping_add(1)
}

impl Bucket {
    /// The slot of the key with this hash, if its tag is here. No tag is twice in a bucket.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, hash: Hash) -> Option<u32> {
        self.look(hash.tag()).checked_sub(1)
    }

    /// The slot plus one; 0 if the tag is not here.
    #[cfg_attr(target_arch = "bpf", inline(never))]
    #[cfg_attr(not(target_arch = "bpf"), inline(always))]
    fn look(&self, tag: u32) -> u32 {
        let mut found = 0;
        for entry in &self.entries {
            let entry = entry.load();
            if (entry >> 32) as u32 == tag {
                // Not assigned: an empty entry looks like one of tag 0.
                found |= entry as u32;
            }
        }
        found
    }

    /// How many of its entries are used.
    #[must_use]
    pub fn used(&self) -> usize {
        self.entries.iter().filter(|entry| entry.load() != 0).count()
    }

    fn replace(&self, old: u64, new: u64) -> bool {
        match self.entries.iter().find(|entry| entry.load() == old) {
            Some(entry) => {
                entry.store(new);
                true
            }
            None => false,
        }
    }
}

/// The buckets of the key with this hash. Both addresses are known at once, so that their misses overlap.
#[inline(always)]
fn both<L: Lines<Bucket>>(buckets: &L, hash: Hash) -> Option<(&Bucket, &Bucket)> {
    let count = buckets.count();
    Some((buckets.line(hash.first(count))?, buckets.line(hash.second(count))?))
}

/// What the buckets of the key with this hash begin with. Says nothing; but both lines are near then.
pub fn touch<L: Lines<Bucket>>(buckets: &L, hash: Hash) -> u64 {
    both(buckets, hash).map_or(0, |(first, second)| first.entries[0].load() | second.entries[0].load())
}

/// The slot of the key with this hash, for which `is_its` says that it is the key's.
#[inline(always)]
pub fn find<L: Lines<Bucket>>(buckets: &L, hash: Hash, is_its: impl Fn(u32) -> bool) -> Option<u32> {
    let (first, second) = both(buckets, hash)?;
    let found = [first.look(hash.tag()), second.look(hash.tag())];
    found.into_iter().filter_map(|slot| slot.checked_sub(1)).find(|slot| is_its(*slot))
}

/// Points a key that is not in the index at its slot.
///
/// # Errors
/// [`Full`] if neither bucket takes it; nothing has changed then.
pub fn insert<L: Lines<Bucket>>(buckets: &L, hash: Hash, slot: u32) -> Result<(), Full> {
    let (first, second) = both(buckets, hash).ok_or(Full)?;
    // One that has the tag takes no other key with it.
    let used = |bucket: &Bucket| if bucket.find(hash).is_some() { ENTRIES } else { bucket.used() };
    let emptier = if used(first) <= used(second) { first } else { second };
    if used(emptier) < ENTRIES && emptier.replace(0, entry(hash, slot)) { Ok(()) } else { Err(Full) }
}

/// Points a key at another slot, in one store. False if it was not at the old one.
pub fn repoint<L: Lines<Bucket>>(buckets: &L, hash: Hash, old: u32, new: u32) -> bool {
    change(buckets, hash, entry(hash, old), entry(hash, new))
}

/// Removes a key from the index. False if it did not point at this slot.
pub fn remove<L: Lines<Bucket>>(buckets: &L, hash: Hash, slot: u32) -> bool {
    change(buckets, hash, entry(hash, slot), 0)
}

fn change<L: Lines<Bucket>>(buckets: &L, hash: Hash, old: u64, new: u64) -> bool {
    both(buckets, hash).is_some_and(|(first, second)| first.replace(old, new) || second.replace(old, new))
}
