//! The `Date` of HTTP answers, in the place of the crate of this name, of which hyper needs no more than this.
//!
//! hyper writes a date for each connection, also where it is told to send none, and that crate panics where the clock
//! says a time before 1970 or after 9999. Here such a clock says the nearest date that can be written.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;
/// RFC 9110, section 5.6.7.
const FORM: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// A date and time of HTTP, between 1970 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpDate(OffsetDateTime);

impl From<SystemTime> for HttpDate {
    fn from(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST);
        let seconds = i64::try_from(seconds).unwrap_or(0);
        Self(OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(FORM).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[track_caller]
    fn check(seconds: u64, expected: &str) {
        assert_eq!(HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(), expected);
    }

    #[test]
    fn dates_are_written_as_http_has_them() {
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        // The example of RFC 9110.
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT");
        check(951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT");
        check(1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT");
        check(4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT");
        check(LAST, "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn a_clock_that_says_another_time_says_the_nearest_that_can_be_written() {
        let early = UNIX_EPOCH - Duration::from_secs(60 * 365 * 86_400);
        assert_eq!(HttpDate::from(early).to_string(), "Thu, 01 Jan 1970 00:00:00 GMT");
        check(LAST + 1, "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
