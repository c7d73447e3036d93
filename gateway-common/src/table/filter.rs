//! Whether a key can be there at all: one bit for each of many more places than there are keys.
//!
//! Small enough for the second or third cache where the table itself is in memory, so that who is not there costs next to
//! nothing. A bit that is not set says "no" for certain; a bit that is set says "look". One writer, the daemon, which
//! counts the keys of each bit.

use super::{Hash, Lines};
use crate::Word;

/// Bits of one word.
const BITS: u32 = 64;
/// How many bits there are for each key.
const SPARSE: u32 = 8;

/// How many words a filter for so many keys has.
#[must_use]
pub const fn words_for(keys: u32) -> u32 {
    let words = keys.div_ceil(const { BITS / SPARSE });
    if words < 64 { 64 } else { words }
}

/// The bit of a key.
#[inline(always)]
#[must_use]
pub fn bit(hash: Hash, words: u32) -> u32 {
    // At most 2^29 words: a filter for 2^32 keys.
    hash.first(words.wrapping_mul(BITS))
}

/// Whether the key with this hash may be there.
#[inline(always)]
#[must_use]
pub fn may_hold<L: Lines<Word>>(words: &L, hash: Hash) -> bool {
    let bit = bit(hash, words.count());
    words.line(bit / BITS).is_none_or(|word| word.load() >> (bit % BITS) & 1 != 0)
}

/// Sets or clears a bit.
pub fn set<L: Lines<Word>>(words: &L, bit: u32, is_set: bool) {
    if let Some(word) = words.line(bit / BITS) {
        let (others, own) = (word.load() & !(1 << (bit % BITS)), u64::from(is_set) << (bit % BITS));
        word.store(others | own);
    }
}
