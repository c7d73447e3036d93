//! The gateway itself: its addresses and services, and who speaks to them.

use crate::Address;
use crate::table::{Hash, Secrets};

/// A source that speaks to the gateway itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct SourceKey {
    /// IPv4: the address. IPv6: its first 64 bits. A hardware address stands in the last six bytes.
    pub source: Address,
    /// The zone.
    pub zone: u32,
    /// Zero.
    pub reserved: u32,
}

/// An address of the gateway, and at it a service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct ServiceKey {
    /// The gateway's address.
    pub address: Address,
    /// The service's port in network order; 0 stands for the address as such.
    pub port: [u8; 2],
    /// IP protocol number; 0 stands for the address as such.
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 5],
}

impl ServiceKey {
    /// Value: everybody on a guarded interface may reach it.
    pub const OPEN: u32 = 1;
    /// Value: sources in the management prefixes may reach it.
    pub const MANAGEMENT: u32 = 2;
    /// Value: not a service but an address of the gateway.
    pub const OWN_ADDRESS: u32 = 4;

    /// The service `protocol`/`port` at `address`.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Address, protocol: u8, port: u16) -> Self {
        Self { address, port: port.to_be_bytes(), protocol, reserved: [0; 5] }
    }

    /// Where its address belongs in the filter.
    #[inline(always)]
    #[must_use]
    pub fn address_hash(&self, secrets: &Secrets) -> Hash {
        Hash::of(secrets, &self.address.words())
    }

    /// How many words the filter of own addresses has.
    pub const FILTER_WORDS: u32 = 64;

    /// The entry that says that `address` is the gateway's.
    #[inline(always)]
    #[must_use]
    pub const fn own(address: Address) -> Self {
        Self::new(address, 0, 0)
    }
}
