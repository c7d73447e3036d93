//! Whose packets come, and in which order: what is hot in a cache, and what is not, depends on nothing else.

use rand::seq::SliceRandom as _;
use rand::{SeedableRng as _, rngs::SmallRng};

/// Sessions that are hot in the pattern of that name.
pub const HOT: usize = 4_096;

/// In which order sessions send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// Always the same one.
    One,
    /// Some thousands in turn.
    Hot,
    /// All of them at random.
    All,
}

impl Pattern {
    /// Those that differ from each other with so many sessions.
    pub fn of(sessions: usize) -> Vec<Self> {
        if sessions > HOT { vec![Self::One, Self::Hot, Self::All] } else { vec![Self::One, Self::All] }
    }

    /// As the rows name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Hot => "4,096 hot",
            Self::All => "all, random",
        }
    }

    /// Numbers of sessions, a power of two of them, to be gone through again and again. The same in every run.
    pub fn order(self, sessions: usize) -> Vec<usize> {
        let mut random = SmallRng::seed_from_u64(0x706f_7274);
        let mut all: Vec<usize> = (0..sessions).collect();
        all.shuffle(&mut random);
        match self {
            Self::One => all.truncate(1),
            Self::Hot => all.truncate(HOT),
            Self::All => {}
        }
        // Each of them at least once; some of them twice, far from each other.
        let missing = all.len().next_power_of_two() - all.len();
        all.extend_from_within(..missing);
        all
    }
}
