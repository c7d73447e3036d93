//! Amounts of data, as people write them: a whole number and a unit.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Units of bytes. Those of a thousand come first, so that of two equally short ways to write a number theirs is taken.
const BYTES: [(&str, u64); 9] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Units of bits in a second.
const BITS: [(&str, u64); 4] = [("Gbit/s", 1_000_000_000), ("Mbit/s", 1_000_000), ("kbit/s", 1_000), ("bit/s", 1)];

/// Units of time, in milliseconds. The largest first.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// An amount of bytes: a number, or text like `500 MB` or `2 GiB`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Bytes {
    /// So many bytes.
    Number(u64),
    /// A whole number and `B`, `kB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB` or `TiB`.
    Text(String),
}

/// An amount of bytes that is not written as it should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not an amount of bytes above 0; write a whole number and a unit, like `500 MB` or `2 GiB`")]
pub struct InvalidBytes(pub String);

impl Bytes {
    /// The text of so many bytes, in the unit that makes it shortest.
    #[must_use]
    pub fn of(bytes: u64) -> Self {
        let fitting =
            BYTES.iter().filter(|(_, unit)| bytes.is_multiple_of(*unit)).map(|(name, unit)| (bytes / unit, name));
        let shortest = fitting.min_by_key(|(number, _)| *number);
        Self::Text(shortest.map_or_else(|| format!("{bytes} B"), |(number, unit)| format!("{number} {unit}")))
    }

    /// How many bytes that is.
    ///
    /// # Errors
    /// If it is none, or not an amount of bytes.
    pub fn count(&self) -> Result<u64, InvalidBytes> {
        let count = match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => parse(text, &BYTES),
        };
        count.filter(|count| *count != 0).ok_or_else(|| InvalidBytes(self.to_string()))
    }
}

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Reads `100 Mbit/s`: bits in a second.
#[must_use]
pub fn parse_bit_rate(text: &str) -> Option<u64> {
    parse(text, &BITS)
}

/// Reads `500 ms`, `30 s`, `5 m` or `1 h`.
#[must_use]
pub fn parse_time(text: &str) -> Option<Duration> {
    parse(text, &TIMES).map(Duration::from_millis)
}

/// As [`parse_time`] reads it, in the largest unit of which it is a whole number.
#[must_use]
pub fn written_time(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let fitting = TIMES.iter().find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{millis} ms"), |(name, unit)| format!("{} {name}", millis / unit))
}

/// A whole number, at most one blank, and a unit.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> Option<u64> {
        Bytes::Text(text.to_owned()).count().ok()
    }

    #[test]
    fn a_whole_number_and_a_unit_are_an_amount_and_nothing_else_is() {
        for (text, expected) in [
            ("500 MB", Some(500_000_000)),
            ("500MB", Some(500_000_000)),
            ("2 GiB", Some(2 << 30)),
            ("1 B", Some(1)),
            ("18446744073709551615 B", Some(u64::MAX)),
            ("18446744073709551616 B", None),
            ("18446744073709551615 kB", None),
            ("0 MB", None),
            ("500", None),
            ("MB", None),
            ("500  MB", None),
            (" 500 MB", None),
            ("500 MB ", None),
            ("500 mb", None),
            ("1.5 GB", None),
            ("-1 B", None),
            ("+1 B", None),
            ("", None),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
        assert_eq!((Bytes::Number(7).count(), Bytes::Number(0).count().is_err()), (Ok(7), true));
    }

    #[test]
    fn an_amount_is_written_in_the_unit_that_makes_it_shortest_and_read_back() {
        for text in ["500 MB", "500 MiB", "2 GiB", "16 MB", "1 KiB", "1 kB", "1023 B", "3 TB", "1 B"] {
            let bytes = count(text).unwrap();
            assert_eq!(Bytes::of(bytes).to_string(), text);
        }
        for bytes in [1, 999, 1_001, 512_000, u64::MAX] {
            assert_eq!(Bytes::of(bytes).count(), Ok(bytes));
        }
    }

    #[test]
    fn a_time_is_a_whole_number_and_a_unit_and_is_written_in_the_largest_that_fits() {
        for (text, written) in
            [("30s", "30 s"), ("90 s", "90 s"), ("2500 ms", "2500 ms"), ("60 m", "1 h"), ("0 s", "0 ms")]
        {
            assert_eq!(parse_time(text).map(written_time).as_deref(), Some(written), "{text}");
        }
        for wrong in ["", "s", "5", "5 min", "-5 s", "1.5 s", "5  s", "18446744073709551615 h"] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_rate_is_in_bits() {
        for (text, expected) in [
            ("100 Mbit/s", Some(100_000_000)),
            ("64kbit/s", Some(64_000)),
            ("100 Mbps", None),
            ("100 MB/s", None),
            ("100", None),
        ] {
            assert_eq!(parse_bit_rate(text), expected, "{text}");
        }
    }
}
