//! Denials, added up where they happen: one entry for all packets of a kind.

use crate::{Address, Direction, DropReason, Packet, Word};

/// What makes two denials the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct DenialKey {
    /// Source of the packet.
    pub source: Address,
    /// Destination of the packet.
    pub destination: Address,
    /// The session's token; 0 if there is none.
    pub token: u64,
    /// Interface index.
    pub interface: u32,
    /// Destination port (or echo identifier), host order; 0 if there is none, or for several.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// The number of the drop reason.
    pub reason: u8,
    /// Source hardware address.
    pub mac: [u8; 6],
    /// 0 from the client, 1 to the client.
    pub direction: u8,
    /// [`DenialKey::OBSERVED`].
    pub flags: u8,
    /// The app's number; 0 if there is none.
    pub app: u32,
    /// The zone of the guarded interface.
    pub zone: u32,
}

impl DenialKey {
    /// In `flags`: the packet passed, because its interface only observes.
    pub const OBSERVED: u8 = 1;

    /// Writes all but the verdict's part: that of a packet which arrives or leaves here. Field by field, because the programs
    /// have no stack for two of these.
    #[inline(always)]
    pub fn write_packet(&mut self, packet: &Packet, interface: u32, direction: Direction) {
        self.source = packet.source;
        self.destination = packet.destination;
        self.interface = interface;
        self.port = packet.destination_port;
        self.protocol = packet.protocol;
        self.mac = packet.mac;
        self.direction = direction as u8;
        self.zone = packet.guard.zone;
    }

    /// Writes the verdict's part.
    #[inline(always)]
    pub fn write_verdict(&mut self, token: u64, app: u32, reason: DropReason, flags: u8) {
        self.token = token;
        self.app = app;
        self.reason = reason as u8;
        self.flags = flags;
    }

    /// The 64 bytes as words, in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> &[u64; 8] {
        const { assert!(size_of::<Self>() == 64 && align_of::<Self>() == 8) };
        // SAFETY: `repr(C)` of integers and arrays of them, with every byte named and no padding between them; of the size
        // and the alignment of eight words, of which any bit pattern is valid.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// The key of these words: the inverse of [`Self::words`].
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u64; 8]) -> Self {
        // SAFETY: of the same size (asserted in `words`), and any bit pattern is a key.
        unsafe { core::mem::transmute::<[u64; 8], Self>(words) }
    }
}

/// Denials of one kind since they were last taken. Two cache lines. How a slot changes hands is in
/// [`crate::table::denials`].
#[derive(Default, Debug)]
#[repr(C, align(64))]
pub struct Denial {
    /// The words of its [`DenialKey`].
    pub key: [Word; 8],
    /// Free, being written, or in use, and how often that has changed.
    pub state: Word,
    /// When the first of them was denied, on the boot clock.
    pub first: Word,
    /// When the last of them was.
    pub last: Word,
    /// Packets.
    pub packets: Word,
    /// Of them, those whose sender was told.
    pub answered: Word,
    /// Zero.
    pub reserved: [Word; 3],
}

impl Denial {
    /// How many kinds of denials are kept apart until the daemon takes them, ten times a second.
    pub const SLOTS: u32 = 16_384;
}
