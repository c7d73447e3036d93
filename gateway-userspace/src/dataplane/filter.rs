//! Filters in mapped memory: see [`gateway_common::table::filter`].

use super::mapped::Mapped;
use gateway_common::Word;
use gateway_common::table::{Hash, Lines as _, filter};
use std::hint::black_box;

/// A filter, and how many keys each of its bits stands for.
#[derive(Debug)]
pub struct Filter {
    words: Mapped<Word>,
    /// At 255 a bit stays set for good: a key that is not there is then looked for.
    keys: Vec<u8>,
}

impl Filter {
    /// The filter in these words, for exactly these keys.
    #[must_use]
    pub fn new(words: Mapped<Word>, keys: impl Iterator<Item = Hash>) -> Self {
        let bits = words.count() as usize * 64;
        let mut filter = Self { words, keys: vec![0; bits] };
        for hash in keys {
            filter.count_key(hash);
        }
        for (word, keys) in filter.keys.chunks(64).enumerate() {
            let bits = keys.iter().rev().fold(0, |bits, keys| bits << 1 | u64::from(*keys > 0));
            if let Some(word) = filter.words.get(word as u32) {
                word.store(bits);
            }
        }
        filter
    }

    /// Whether a key would be looked for.
    #[must_use]
    pub fn may_hold(&self, hash: Hash) -> bool {
        filter::may_hold(&self.words, hash)
    }

    /// Looks at where a key is, or would be.
    pub fn anticipate(&self, hash: Hash) {
        let bit = filter::bit(hash, self.words.count());
        black_box((self.keys.get(bit as usize).copied(), self.may_hold(hash)));
    }

    fn count_key(&mut self, hash: Hash) -> u32 {
        let bit = filter::bit(hash, self.words.count());
        if let Some(keys) = self.keys.get_mut(bit as usize) {
            *keys = keys.saturating_add(1);
        }
        bit
    }

    /// Lets a key be found.
    pub fn add(&mut self, hash: Hash) {
        let bit = self.count_key(hash);
        filter::set(&self.words, bit, true);
    }

    /// Lets a key be found that was added before, whatever has become of its bit.
    pub fn show(&mut self, hash: Hash) {
        filter::set(&self.words, filter::bit(hash, self.words.count()), true);
    }

    /// Forgets a key that was added.
    pub fn remove(&mut self, hash: Hash) {
        let bit = filter::bit(hash, self.words.count());
        if let Some(keys) = self.keys.get_mut(bit as usize).filter(|keys| **keys < u8::MAX) {
            *keys = keys.saturating_sub(1);
            if *keys == 0 {
                filter::set(&self.words, bit, false);
            }
        }
    }
}
