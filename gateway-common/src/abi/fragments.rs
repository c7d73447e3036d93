//! What is remembered of fragmented packets.

use crate::{Address, Word};

/// A first fragment that was forwarded, and which later ones belong to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct FragmentKey {
    /// Source of the packet.
    pub source: Address,
    /// Destination of the packet.
    pub destination: Address,
    /// The zone of the guarded interface.
    pub zone: u32,
    /// The identification, of 16 bits in IPv4.
    pub identification: u32,
    /// IPv4: the protocol. IPv6: 0.
    pub protocol: u8,
    /// 0 from the client, 1 to the client.
    pub direction: u8,
    /// Zero.
    pub reserved: [u8; 6],
}

/// What is remembered of a fragmented packet. Holds no authority: later fragments are judged by what it says of them.
#[derive(Default, Debug)]
#[repr(C)]
pub struct Fragments {
    /// When it is forgotten, on the boot clock.
    pub deadline: Word,
    /// From the upper end: source port, destination port (16 bits each), end of the first fragment's payload in bytes
    /// (16), protocol, and for echo the type (8 each).
    pub first: Word,
    /// Stretches of later fragments that were forwarded: first byte in the upper, end in the lower half; 0 if unused.
    pub later: [Word; 4],
}

impl Fragments {
    /// How long a fragmented packet is remembered, in nanoseconds.
    pub const LIFETIME: u64 = 5_000_000_000;
}
