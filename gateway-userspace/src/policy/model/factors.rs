//! How somebody proved who they are.

use std::fmt;

/// One way to prove it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Factor {
    /// A password.
    Password,
    /// A time-based one-time password.
    Totp,
    /// A passkey.
    Passkey,
    /// An identity provider vouches for them.
    Provider,
    /// A client certificate.
    Certificate,
    /// Their address and hardware address, which an administrator has written down.
    Binding,
}

impl Factor {
    /// All ways.
    pub const ALL: [Self; 6] =
        [Self::Password, Self::Totp, Self::Passkey, Self::Provider, Self::Certificate, Self::Binding];

    const fn bit(self) -> u8 {
        match self {
            Self::Password => 1,
            Self::Totp => 2,
            Self::Passkey => 4,
            Self::Provider => 8,
            Self::Certificate => 16,
            Self::Binding => 32,
        }
    }
}

/// Some of them, as a mask: every session has one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Factors(u8);

impl Factors {
    /// Whether this one was used.
    #[must_use]
    pub const fn contains(self, factor: Factor) -> bool {
        self.0 & factor.bit() != 0
    }

    /// How many were used that a person has proved to the gateway itself.
    #[must_use]
    pub const fn count(self) -> u32 {
        let of_people = Factor::Password.bit() | Factor::Totp.bit() | Factor::Passkey.bit();
        (self.0 & of_people).count_ones()
    }

    /// All that were used, in the order of [`Factor`].
    pub fn iter(self) -> impl Iterator<Item = Factor> {
        Factor::ALL.into_iter().filter(move |factor| self.contains(*factor))
    }
}

impl FromIterator<Factor> for Factors {
    fn from_iter<I: IntoIterator<Item = Factor>>(factors: I) -> Self {
        Self(factors.into_iter().fold(0, |mask, factor| mask | factor.bit()))
    }
}

impl<const N: usize> From<[Factor; N]> for Factors {
    fn from(factors: [Factor; N]) -> Self {
        factors.into_iter().collect()
    }
}

impl fmt::Debug for Factors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_holds_each_factor_once_and_gives_them_back_in_order() {
        let factors = Factors::from([Factor::Passkey, Factor::Password, Factor::Passkey]);
        assert_eq!(factors.iter().collect::<Vec<_>>(), [Factor::Password, Factor::Passkey]);
        assert_eq!((factors.count(), factors.contains(Factor::Totp)), (2, false));
        assert_eq!(Factors::default().iter().next(), None);
    }
}
