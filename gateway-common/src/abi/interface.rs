//! Guarded interfaces, and the VLANs on them.

use super::Port;
use crate::Word;

/// A guarded interface, or a VLAN on one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Interface {
    /// Interfaces of one zone see the same sessions.
    pub zone: u32,
    /// Row in the counter vector: below [`Interface::LIMIT`].
    pub slot: u32,
    /// [`Interface::LINK_LAYER`] and its neighbours.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

impl Interface {
    /// Frames begin with an Ethernet header.
    pub const LINK_LAYER: u32 = 1;
    /// Denials of sessions are answered.
    pub const REJECT: u32 = 1 << 1;
    /// Nothing is dropped; what would have been is counted.
    pub const OBSERVE: u32 = 1 << 2;
    /// Fragments are tracked instead of dropped.
    pub const TRACK_FRAGMENTS: u32 = 1 << 3;
    /// Harmless IPv4 options are admitted.
    pub const ADMIT_OPTIONS: u32 = 1 << 4;
    /// Harmless IPv6 extension headers are admitted.
    pub const ADMIT_EXTENSIONS: u32 = 1 << 5;
    /// What the law forwards is forwarded in XDP, where that is possible.
    pub const FORWARD: u32 = 1 << 6;
    /// How many interfaces can be guarded at once.
    pub const LIMIT: u32 = 64;
    /// How many VLANs all interfaces together can carry.
    pub const MOST_VLANS: u32 = 4096;

    /// Whether a flag is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether frames begin with an Ethernet header.
    #[inline(always)]
    #[must_use]
    pub const fn has_link_layer(&self) -> bool {
        self.has(Self::LINK_LAYER)
    }
}

/// What a table says about an interface, near the place that the interface's index gives: two words, each of which changes
/// whole.
#[derive(Default, Debug)]
#[repr(C)]
pub struct InterfaceRow {
    /// The interface's index in the upper half, 0 if the row is free. In the lower the zone of a guarded interface, or the
    /// MTU of a port.
    pub who: Word,
    /// For a guarded interface the row in the counter vector in the upper half, the flags in the lower. For a port its
    /// bytes.
    pub what: Word,
}

impl InterfaceRow {
    /// How many rows such a table has.
    pub const ROWS: u32 = 256;
    /// How many rows behind that of its index an interface may stand.
    pub const REACH: u32 = 16;

    /// The guarded interface with this index, if it is the one here.
    #[inline(always)]
    #[must_use]
    pub fn guarded(&self, index: u32) -> Option<Interface> {
        let who = self.who.load();
        if (who >> 32) as u32 != index {
            return None;
        }
        let what = self.what.load();
        Some(Interface { zone: who as u32, slot: (what >> 32) as u32, flags: what as u32, reserved: 0 })
    }

    /// The port that stands here, if one does, with the index of its interface and its MTU.
    #[inline(always)]
    #[must_use]
    pub fn any_port(&self) -> Option<(u32, Port, u32)> {
        let who = self.who.load();
        if who == 0 { None } else { Some(((who >> 32) as u32, Port::from_word(self.what.load()), who as u32)) }
    }

    /// The index of the interface that stands here; 0 if none does.
    #[inline(always)]
    #[must_use]
    pub fn index(&self) -> u32 {
        (self.who.load() >> 32) as u32
    }

    /// The `step`th row in which this interface may stand.
    #[inline(always)]
    #[must_use]
    pub const fn place(index: u32, step: u32) -> u32 {
        index.wrapping_add(step) & Self::ROWS.wrapping_sub(1)
    }

    /// Writes a guarded interface.
    pub fn write_guarded(&self, index: u32, interface: &Interface) {
        self.what.store((interface.slot as u64) << 32 | u64::from(interface.flags));
        self.who.store((index as u64) << 32 | u64::from(interface.zone));
    }

    /// Writes a port, with its MTU.
    pub fn write_port(&self, index: u32, port: &Port, mtu: u32) {
        self.what.store(port.word());
        self.who.store((index as u64) << 32 | u64::from(mtu));
    }
}

/// A VLAN on a guarded interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct VlanKey {
    /// The interface's index.
    pub interface: u32,
    /// The VLAN.
    pub vlan: Vlan,
}

/// The tags of a frame, without priority tags: none, an 802.1Q one, or an 802.1ad one and inside it an 802.1Q one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct Vlan {
    /// Number in the 802.1ad tag; 0 if there is none.
    pub outer: u16,
    /// Number in the 802.1Q tag; 0 if there is none.
    pub inner: u16,
}

impl Vlan {
    /// A stack of tags that no interface carries.
    pub const IMPOSSIBLE: Self = Self { outer: u16::MAX, inner: u16::MAX };

    /// Whether the frame is untagged, or has priority tags only.
    #[inline(always)]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.outer == 0 && self.inner == 0
    }
}
