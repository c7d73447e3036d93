//! Interfaces between which packets are forwarded in XDP.

use super::InterfaceRow;
use crate::Word;

/// A port in the table, near the place that its interface's index gives, as [`InterfaceRow`].
#[derive(Default, Debug)]
#[repr(C)]
pub struct PortRow {
    /// The interface's index; 0 if the row is free.
    pub who: Word,
    /// The words of its [`Port`].
    pub port: Word,
}

impl PortRow {
    /// How many rows the table has.
    pub const ROWS: u32 = InterfaceRow::ROWS;
    /// How many rows behind that of its index a port may stand.
    pub const REACH: u32 = InterfaceRow::REACH;

    /// The port of the interface with this index, if it is the one here.
    #[inline(always)]
    #[must_use]
    pub fn of(&self, index: u32) -> Option<Port> {
        if self.who.load() != index as u64 {
            return None;
        }
        let [a, b, c, d, e, f, flags @ ..] = self.port.load().to_ne_bytes();
        Some(Port { mac: [a, b, c, d, e, f], flags: u16::from_ne_bytes(flags) })
    }

    /// Writes a port.
    pub fn write(&self, index: u32, port: &Port) {
        let ([a, b, c, d, e, f], [g, h]) = (port.mac, port.flags.to_ne_bytes());
        self.port.store(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
        self.who.store(index.into());
    }
}

/// An interface that takes part in forwarding in XDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Port {
    /// Its hardware address.
    pub mac: [u8; 6],
    /// [`Port::GUARDED`] and its neighbours.
    pub flags: u16,
}

impl Port {
    /// It faces clients: what leaves through it is judged.
    pub const GUARDED: u16 = 1;
    /// It faces apps.
    pub const APPS: u16 = 1 << 1;
    /// Its driver can send what is redirected to it.
    pub const SENDS: u16 = 1 << 2;
    /// Also frames that lie in several buffers.
    pub const SENDS_PARTS: u16 = 1 << 3;
    /// What arrives on it is redirected.
    pub const RECEIVES: u16 = 1 << 4;

    /// How many there can be: as many that face apps as are guarded.
    pub const LIMIT: u32 = 128;

    /// Whether all of these flags are set.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }
}
