//! Where a key belongs: a hash that nobody outside can predict.
//!
//! Multilinear hashing: the sum of the key's 32-bit words, each multiplied by a secret 64-bit number of its own, is
//! strongly universal in its upper half: two keys that are chosen without knowing the secrets collide there with a
//! chance of 2^-32 (Lemire and Kaser, "Strongly universal string hashing is fast", 2014). A bijection then spreads keys
//! that follow on each other, as addresses of a pool do, over the whole table.

/// How many halves of words the longest key has: that of a flow.
const MOST_WORDS: usize = 12;

/// Random numbers that only this host knows, drawn when the tables are made. They live as long as the tables.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Secrets {
    /// What the sum begins with, and the factor of each word.
    words: [u64; MOST_WORDS + 1],
    /// Zero.
    reserved: [u64; 3],
}

impl Secrets {
    /// Before any were drawn.
    pub const NONE: Self = Self { words: [0; MOST_WORDS + 1], reserved: [0; 3] };

    /// Secrets made of these random numbers.
    #[must_use]
    pub const fn new(words: [u64; MOST_WORDS + 1]) -> Self {
        Self { words, reserved: [0; 3] }
    }

    /// Whether they were never drawn.
    #[must_use]
    pub fn are_missing(&self) -> bool {
        *self == Self::NONE
    }
}

impl core::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secrets")
    }
}

/// A key's hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hash(u64);

impl Hash {
    /// The hash of a key made of these words.
    #[inline(always)]
    #[must_use]
    pub fn of<const N: usize>(secrets: &Secrets, key: &[u64; N]) -> Self {
        const { assert!(2 * N <= MOST_WORDS) };
        let [first, factors @ ..] = &secrets.words;
        let (factors, _) = factors.as_chunks::<2>();
        let mut sum = *first;
        for (word, [low, high]) in key.iter().zip(factors) {
            sum = sum.wrapping_add((word & 0xffff_ffff).wrapping_mul(*low));
            sum = sum.wrapping_add((word >> 32).wrapping_mul(*high));
        }
        Self::spread(sum)
    }

    /// The finalizer of MurmurHash3, a bijection.
    #[inline(always)]
    fn spread(mut sum: u64) -> Self {
        sum ^= sum >> 33;
        sum = sum.wrapping_mul(0xff51_afd7_ed55_8ccd);
        sum ^= sum >> 33;
        sum = sum.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self(sum ^ (sum >> 33))
    }

    /// A place below `places`, which are at most 2^32.
    #[inline(always)]
    #[must_use]
    pub fn first(self, places: u32) -> u32 {
        ((self.0 >> 32).wrapping_mul(places.into()) >> 32) as u32
    }

    /// Another place below `places`.
    #[inline(always)]
    #[must_use]
    pub fn second(self, places: u32) -> u32 {
        ((self.0 & 0xffff_ffff).wrapping_mul(places.into()) >> 32) as u32
    }

    /// 32 bits that say little about either place, to tell keys in the same place apart.
    #[inline(always)]
    #[must_use]
    pub const fn tag(self) -> u32 {
        (self.0 >> 16) as u32
    }
}
