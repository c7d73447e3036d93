//! Durations: a number and a unit.

use super::value::Value;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Unit and seconds, the largest first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl Value<'_, '_> {
    /// A duration within bounds.
    pub(crate) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.text("8h")?;
        let Some(duration) = parse_duration(text) else {
            self.refuse(
                format!("`{text}` is not a duration"),
                "write a number and a unit, like `30s`, `15m`, `8h` or `1d`",
            );
            return None;
        };
        if bounds.contains(&duration) {
            return Some(duration);
        }
        let fix =
            format!("choose one from {} to {}", written_duration(*bounds.start()), written_duration(*bounds.end()));
        self.refuse(format!("`{text}` is out of bounds"), fix);
        None
    }
}

/// Reads `30s`, `15m`, `8h` or `1d`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, seconds) = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(*seconds)?))
}

/// As the file would write it, in the largest unit that fits.
pub(crate) fn written_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = UNITS.iter().find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{seconds}s"), |(name, unit)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_are_a_duration_and_nothing_else_is() {
        let cases = [
            ("30s", Some(30)),
            ("15m", Some(900)),
            ("8h", Some(28_800)),
            ("1d", Some(86_400)),
            ("8", None),
            ("h", None),
            ("-1h", None),
            ("+1h", None),
            ("1h30m", None),
            ("1.5h", None),
            ("99999999999999999999d", None),
            ("9999999999999999d", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse_duration(text), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_in_the_largest_unit_that_fits() {
        for text in ["90s", "15m", "36h", "30d"] {
            assert_eq!(written_duration(parse_duration(text).unwrap()), text);
        }
    }
}
