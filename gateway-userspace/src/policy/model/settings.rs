//! What holds for all policies.

use jiff::tz::TimeZone;
use std::fmt;

/// What holds for all policies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Whose hours and days policies mean.
    pub timezone: Timezone,
}

/// A time zone of the IANA database, which is part of the program: the host's own may be older, or missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timezone(TimeZone);

/// There is no such time zone.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not the name of a time zone; write one like `Europe/Berlin`, or `UTC`")]
pub struct UnknownTimezone(String);

impl Timezone {
    /// The one with this name, in any case of letters.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(name: &str) -> Result<Self, UnknownTimezone> {
        TimeZone::get(name).map(Self).map_err(|_| UnknownTimezone(name.to_owned()))
    }

    /// When clocks there show what.
    pub(super) const fn rules(&self) -> &TimeZone {
        &self.0
    }
}

impl Default for Timezone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl fmt::Display for Timezone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::Timezone;

    #[test]
    fn time_zones_have_their_names_and_no_others() {
        for (given, name) in [("Europe/Berlin", "Europe/Berlin"), ("europe/berlin", "Europe/Berlin"), ("UTC", "UTC")] {
            assert_eq!(Timezone::new(given).unwrap().to_string(), name);
        }
        assert_eq!(Timezone::default().to_string(), "UTC");
        for wrong in ["", "Berlin", "Europe/Berlin ", "../etc/passwd", "+02:00"] {
            assert!(Timezone::new(wrong).is_err(), "{wrong}");
        }
    }
}
