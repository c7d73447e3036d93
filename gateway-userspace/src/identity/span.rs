//! Lengths of time on the wall clock, which counts in both directions.

use std::time::Duration;

/// The same length with a sign; the longest there is, if that has no room for it.
pub(super) fn signed(length: Duration) -> time::Duration {
    time::Duration::try_from(length).unwrap_or(time::Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_has_no_room_is_the_longest_and_never_none_at_all() {
        assert_eq!(signed(Duration::from_millis(1_500)), time::Duration::milliseconds(1_500));
        assert_eq!(signed(Duration::MAX), time::Duration::MAX);
    }
}
