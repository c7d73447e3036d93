//! The country that an address is in.

use std::fmt;

/// A country by its two letters (ISO 3166-1 alpha-2), or none that anybody knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Country([u8; 2]);

impl Country {
    /// None that anybody knows.
    pub const UNKNOWN: Self = Self([0; 2]);

    /// The one with these two letters, in either case; not known for anything else.
    #[must_use]
    pub fn of(code: &str) -> Self {
        match code.as_bytes() {
            [first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                Self([first.to_ascii_uppercase(), second.to_ascii_uppercase()])
            }
            _ => Self::UNKNOWN,
        }
    }

    /// Its letters; none if it is not known.
    #[must_use]
    pub fn code(&self) -> &str {
        if *self == Self::UNKNOWN { "" } else { str::from_utf8(&self.0).unwrap_or_default() }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Country;

    #[test]
    fn a_country_has_two_letters_or_is_not_known() {
        assert_eq!(Country::of("de").code(), "DE");
        for unknown in ["", "D", "DEU", "49", "ß"] {
            assert_eq!((Country::of(unknown), Country::of(unknown).code()), (Country::UNKNOWN, ""), "{unknown}");
        }
    }
}
