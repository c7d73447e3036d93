//! How long to wait after something failed: longer each time, and never all gateways at the same moment.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// The longest, unless the other side asks for more.
const LONGEST: Duration = Duration::from_secs(300);
/// The longest that the other side may ask for: leavers must not wait for a day.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// Counts failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure. The wait is between half and all of a time that doubles; `random` says where between.
    #[must_use]
    pub fn failed(&mut self, random: u32, asked: Option<Duration>) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).and_then(|factor| FIRST.checked_mul(factor));
        let whole = doubled.unwrap_or(LONGEST).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        let wait = half + half.mul_f64(f64::from(random) / f64::from(u32::MAX));
        asked.map_or(wait, |asked| wait.max(asked.min(LONGEST_ASKED)))
    }

    /// It works again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How often it has failed in a row.
    #[must_use]
    pub const fn failures(self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_and_begins_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..12).map(|_| backoff.failed(u32::MAX, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        backoff.succeeded();
        assert_eq!(backoff.failed(u32::MAX, None), FIRST);
    }

    #[test]
    fn the_wait_is_never_less_than_half_and_many_failures_do_not_overflow() {
        let mut backoff = Backoff { failures: 40 };
        assert_eq!(backoff.failed(0, None), LONGEST / 2);
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.failed(u32::MAX, None), LONGEST);
        assert_eq!(backoff.failures(), u32::MAX);
    }

    #[test]
    fn the_other_side_may_ask_for_more_and_not_for_ever() {
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(Backoff::default().failed(0, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(Backoff::default().failed(0, Some(day)), LONGEST_ASKED);
        assert_eq!(Backoff::default().failed(u32::MAX, Some(Duration::ZERO)), FIRST);
    }
}
