//! The `Date` of HTTP answers, in the place of the crate of this name, of which hyper needs no more than this.
//!
//! hyper writes a date for each connection, also where it is told to send none, and that crate panics where the clock
//! says a time before 1970 or after 9999. Here such a clock says the nearest date that can be written.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;
/// From the first of March of the year 0, after which leap days come last in a year, to the first of January 1970.
const MARCH_OF_0: u64 = 719_468;
/// Days in four hundred years, in a hundred, and in four of them.
const ERA: u64 = 146_097;
const CENTURY: u64 = 36_524;
const OLYMPIAD: u64 = 1_460;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];

/// A date and time of HTTP, between 1970 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpDate(u64);

impl From<SystemTime> for HttpDate {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST))
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / DAY, self.0 % DAY);
        let since = days + MARCH_OF_0;
        let (era, day) = (since / ERA, since % ERA);
        let year = (day - day / OLYMPIAD + day / CENTURY - day / (ERA - 1)) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // Five months from March have 153 days, and so have the next five.
        let month = (5 * day + 2) / 153;
        let date = day - (153 * month + 2) / 5 + 1;
        let year = 400 * era + year + u64::from(month >= 10);
        let name = |names: &'static [&'static str], number: u64| {
            usize::try_from(number).ok().and_then(|number| names.get(number)).copied().unwrap_or("")
        };
        let (weekday, month) = (name(&DAYS, days % 7), name(&MONTHS, month));
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{weekday}, {date:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
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
        let early = UNIX_EPOCH - Duration::from_secs(60 * 365 * DAY);
        assert_eq!(HttpDate::from(early).to_string(), "Thu, 01 Jan 1970 00:00:00 GMT");
        check(LAST + 1, "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn every_day_until_3000_follows_the_one_before() {
        let mut previous = (31, 1969);
        for day in 0..376_200 {
            let text = HttpDate(day * DAY).to_string();
            let number = |range: std::ops::Range<usize>| text[range].parse::<u32>().unwrap();
            let (date, year) = (number(5..7), number(12..16));
            assert!(date == previous.0 + 1 || (date == 1 && previous.0 >= 28), "{text}");
            assert!(year == previous.1 || (year == previous.1 + 1 && text[5..11] == *"01 Jan"), "{text}");
            assert_eq!(text.len(), 29);
            previous = (date, year);
        }
    }
}
