//! IP addresses as the tables hold them: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d, one table for both families.

use crate::mutant::{self, Mutant::*};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The third word of 32 bits of a mapped IPv4 address, in memory order.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

/// One word of the two that lie behind each other in memory.
#[inline(always)]
#[must_use]
pub const fn join(first: u32, second: u32) -> u64 {
    if cfg!(target_endian = "little") {
        first as u64 | (second as u64) << 32
    } else {
        (first as u64) << 32 | second as u64
    }
}

/// An IPv6 address, or an IPv4 address in its mapped form (RFC 4291, 2.5.5.2).
///
/// Aligned to 8 bytes so that comparisons and copies are two words in the kernel program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(C, align(8))]
pub struct Address(pub [u8; 16]);

impl Address {
    /// The mapped form of an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self::v4_word(u32::from_ne_bytes(octets))
    }

    /// The mapped form of an IPv4 address, of which this is the word in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn v4_word(word: u32) -> Self {
        Self::from_words([0, join(MAPPED, word)])
    }

    /// The IPv4 address inside, if this is a mapped one.
    #[inline(always)]
    #[must_use]
    pub const fn to_v4(self) -> Option<[u8; 4]> {
        match self.0 {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => Some([a, b, c, d]),
            _ => None,
        }
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_mapped(self) -> bool {
        let [high, low] = self.words();
        high == 0 && low & join(u32::MAX, 0) == join(MAPPED, 0)
    }

    /// The 16 bytes as two words, in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn words(self) -> [u64; 2] {
        // SAFETY: of the same size, and any bit pattern is a pair of words. By bytes the kernel program would be several
        // times longer.
        unsafe { core::mem::transmute::<Self, [u64; 2]>(self) }
    }

    /// The address of these words: the inverse of [`Self::words`].
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u64; 2]) -> Self {
        // SAFETY: of the same size, and any bit pattern is an address.
        unsafe { core::mem::transmute::<[u64; 2], Self>(words) }
    }

    /// fe80::/10 or 169.254.0.0/16.
    #[inline(always)]
    #[must_use]
    pub const fn is_link_local(self) -> bool {
        matches!(self.0, [0xfe, 0x80..=0xbf, ..] | [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, _, _])
    }

    /// The unspecified IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_unspecified_v6(self) -> bool {
        u128::from_be_bytes(self.0) == 0
    }

    /// Whether one host can have this address on a network that is routed through the gateway: not unspecified,
    /// loopback, multicast, broadcast, reserved, link-local, nor (inside IPv6) a mapped, compatible or translated IPv4.
    #[inline(always)]
    #[must_use]
    pub fn is_routable_unicast(self) -> bool {
        match self.0 {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, _, _] => {
                // 0/8 this network, 127/8 loopback, 224/4 multicast, 240/4 reserved and broadcast (RFC 6890).
                a != 0 && a != 127 && a < mutant::unless(AcceptReserved, 224, 255) && !(a == 169 && b == 254)
            }
            // ::/96 holds the unspecified, the loopback and the deprecated compatible addresses (RFC 4291).
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ..] => false,
            // fe80::/10 link-local, fec0::/10 deprecated site-local, ff00::/8 multicast.
            [0xfe, 0x80..=0xff, ..] | [0xff, ..] => false,
            _ => true,
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        match address.to_v4() {
            Some(octets) => Self::V4(Ipv4Addr::from(octets)),
            None => Self::V6(Ipv6Addr::from(address.0)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&IpAddr::from(*self), f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[track_caller]
    fn check(address: &str, routable: bool) {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(Address::from(address).is_routable_unicast(), routable, "{address}");
        assert_eq!(IpAddr::from(Address::from(address)), address);
    }

    #[test]
    fn ordinary_addresses_are_routable() {
        for address in ["10.0.0.1", "192.0.2.1", "223.255.255.255", "2001:db8::1", "fd00::1", "64:ff9b::1"] {
            check(address, true);
        }
    }

    #[test]
    fn martians_are_not_routable() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.1.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::10.0.0.1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff00::",
        ] {
            check(address, false);
        }
    }
}
