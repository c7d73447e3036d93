//! Numbers and events in words.

use super::output::plain;
use crate::wire::{Receipt, Session};
use time::{Duration, OffsetDateTime};

/// `alice@10.77.0.2 cut in 84 µs; last packet 1.2 ms before the request; 3 flows`
pub(super) fn receipt(receipt: &Receipt) -> String {
    let Receipt { user, address, enforced_after_us, last_packet_after_request_us, flows_cut, .. } = receipt;
    let last = match last_packet_after_request_us {
        None => "it never sent a packet".to_owned(),
        Some(us) if *us < 0.0 => format!("last packet {} before the request", micros(-us)),
        Some(us) => format!("last packet {} after the request", micros(*us)),
    };
    let flows = counted(*flows_cut, "flow");
    plain(&format!("{user}@{address} cut in {}; {last}; {flows}", micros(*enforced_after_us)))
}

/// All of them, or that there is none.
pub(super) fn receipts(receipts: &[Receipt]) -> String {
    if receipts.is_empty() {
        return "no session was open".to_owned();
    }
    receipts.iter().map(receipt).collect::<Vec<_>>().join("\n")
}

/// Who is logged in from where, until when.
pub(super) fn session(session: &Session, now: OffsetDateTime) -> String {
    let Session { user, address, deadline, .. } = session;
    plain(&format!("{user} is logged in from {address} until {}", until(*deadline, now)))
}

/// `1 flow`, `3 flows`
pub(super) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `2026-11-21 18:00:05Z`
pub(super) fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

/// A moment to come, and how far it is.
pub(super) fn until(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let left = at - now;
    let left = if left.is_positive() { format!("in {}", span(left)) } else { "now".to_owned() };
    format!("{} ({left})", moment(at))
}

/// How long ago, in the two largest units.
pub(super) fn ago(at: OffsetDateTime, now: OffsetDateTime) -> String {
    format!("{} ago", span((now - at).max(Duration::ZERO)))
}

/// How long, in the two largest units.
pub(super) fn span(span: Duration) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut left = span.whole_seconds();
    let mut parts = Vec::new();
    for (unit, seconds) in units {
        if left >= seconds || (unit == "s" && parts.is_empty()) {
            parts.push(format!("{} {unit}", left / seconds));
        }
        left %= seconds;
    }
    parts.truncate(2);
    parts.join(" ")
}

/// Microseconds in the unit that suits them.
pub(super) fn micros(us: f64) -> String {
    match us {
        us if us < 10.0 => format!("{us:.1} µs"),
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 1_000_000.0 => format!("{:.1} ms", us / 1e3),
        us if us < 120_000_000.0 => format!("{:.1} s", us / 1e6),
        us => span(Duration::seconds_f64((us / 1e6).min(1e12))),
    }
}

/// Bytes in the unit that suits them.
pub(super) fn bytes(bytes: u64) -> String {
    let mut scaled = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if scaled < 1_000.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{scaled:.1} {unit}") };
        }
        scaled /= 1_000.0;
    }
    format!("{scaled:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1795255200).unwrap()
    }

    fn cut(last: Option<f64>, flows_cut: usize) -> Receipt {
        Receipt {
            token: "00000000000000aa".into(),
            user: "alice".into(),
            address: "10.77.0.2".into(),
            cause: "revoked".into(),
            by: "ops".into(),
            requested_at: now(),
            enforced_at: now(),
            enforced_after_us: 84.2,
            last_packet_at: last.map(|_| now()),
            last_packet_after_request_us: last,
            flows_cut,
        }
    }

    #[test]
    fn a_receipt_is_one_sentence() {
        let expected = "alice@10.77.0.2 cut in 84 µs; last packet 1.2 ms before the request; 3 flows";
        assert_eq!(receipt(&cut(Some(-1_200.0), 3)), expected);
        let expected = "alice@10.77.0.2 cut in 84 µs; last packet 9.1 µs after the request; 1 flow";
        assert_eq!(receipt(&cut(Some(9.12), 1)), expected);
        let expected = "alice@10.77.0.2 cut in 84 µs; it never sent a packet; 0 flows";
        assert_eq!(receipts(&[cut(None, 0)]), expected);
        assert_eq!(receipts(&[]), "no session was open");
    }

    #[test]
    fn spans_have_at_most_two_units() {
        for (seconds, expected) in
            [(0, "0 s"), (59, "59 s"), (3_600, "1 h"), (28_799, "7 h 59 min"), (90_061, "1 d 1 h")]
        {
            assert_eq!(span(Duration::seconds(seconds)), expected);
        }
        assert_eq!(until(now() + Duration::hours(8), now()), "2026-11-21 18:00:00Z (in 8 h)");
        assert_eq!(until(now(), now()), "2026-11-21 10:00:00Z (now)");
        assert_eq!(ago(now() - Duration::minutes(3), now()), "3 min ago");
    }

    #[test]
    fn numbers_have_the_unit_that_suits_them() {
        assert_eq!(
            [bytes(999), bytes(1_500), bytes(2_000_000), bytes(u64::MAX)],
            ["999 B", "1.5 kB", "2.0 MB", "18446744.1 TB"]
        );
        assert_eq!([micros(0.4), micros(999.0), micros(2e6), micros(3.6e9)], ["0.4 µs", "999 µs", "2.0 s", "1 h"]);
    }
}
