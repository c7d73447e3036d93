//! The boot clock and the wall clock, read together: what is needed to tell people a time of the kernel.

use gateway_common::KernelNanos;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// On the boot clock.
    pub boot: KernelNanos,
    /// On the wall clock.
    pub wall: OffsetDateTime,
}

impl Moment {
    /// When a moment on the boot clock is, or was, on the wall clock, to the second: the two clocks are not read at
    /// quite the same time, and a deadline should not flicker.
    #[must_use]
    pub fn wall_of(self, boot: KernelNanos) -> OffsetDateTime {
        let nanos = i128::from(boot.0) - i128::from(self.boot.0);
        let whole = i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX);
        let rest = i64::try_from(nanos % 1_000_000_000).unwrap_or(0) + 500_000_000;
        let exact = self.wall.checked_add(Duration::seconds(whole) + Duration::nanoseconds(rest));
        let exact = exact.unwrap_or(PrimitiveDateTime::MAX.assume_utc());
        exact.replace_nanosecond(0).unwrap_or(exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_and_future_are_rounded_to_the_second_and_never_is_the_end_of_time() {
        let wall = OffsetDateTime::from_unix_timestamp(1_000).unwrap();
        let moment = Moment { boot: KernelNanos(5_000_000_000), wall };
        assert_eq!(moment.wall_of(KernelNanos(6_000_000_001)), wall + Duration::seconds(1));
        assert_eq!(moment.wall_of(KernelNanos(5_999_999_999)), wall + Duration::seconds(1));
        assert_eq!(moment.wall_of(KernelNanos(2_000_000_000)), wall - Duration::seconds(3));
        assert!(moment.wall_of(KernelNanos::NEVER).year() > 2500);
    }
}
