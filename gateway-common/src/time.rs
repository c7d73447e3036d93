//! The kernel's boot clock as a value. Wall-clock time has no place in the law.

use crate::mutant::{self, Mutant::*};

/// Nanoseconds on the boot clock (`CLOCK_BOOTTIME`): counts suspend, ignores changes of the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
#[repr(transparent)]
pub struct KernelNanos(pub u64);

impl KernelNanos {
    /// A deadline that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Whether a deadline at `self` has passed at `now`. The instant of the deadline itself is already too late.
    #[inline(always)]
    #[must_use]
    pub fn has_passed(self, now: Self) -> bool {
        now.0 >= self.0.saturating_add(mutant::is(DeadlineCounts).into())
    }

    /// `self` plus `nanos`, held at [`Self::NEVER`].
    #[inline(always)]
    #[must_use]
    pub const fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to `self`, 0 if `earlier` is later.
    #[inline(always)]
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
