//! What the programs report to the daemon.

use crate::Address;

/// Length of the window in which events are counted, in nanoseconds: a tenth of a second.
pub const EVENT_WINDOW: u64 = 100_000_000;

/// One CPU's budget of events. Index 0 counts flow openings, index 1 denials, index 2 answers to denials.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct EventGate {
    /// Start of the window on the boot clock.
    pub window: u64,
    /// Events emitted in the window.
    pub emitted: u64,
    /// Events that were not emitted, since load: over budget, or the ring buffer was full.
    pub lost: u64,
}

/// Something that happened, from the kernel to the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Event {
    /// When, on the boot clock.
    pub at: u64,
    /// The session's token; 0 if there is none.
    pub token: u64,
    /// Source of the packet.
    pub source: Address,
    /// Destination of the packet.
    pub destination: Address,
    /// Interface index.
    pub interface: u32,
    /// The app's number; 0 if there is none.
    pub app: u32,
    /// Source port (or echo identifier), host order.
    pub source_port: u16,
    /// Destination port (or echo identifier), host order.
    pub destination_port: u16,
    /// Length of the IP packet.
    pub length: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// [`Event::OPENED`] or the number of a drop reason.
    pub what: u8,
    /// Source hardware address.
    pub mac: [u8; 6],
    /// 0 from the client, 1 to the client.
    pub direction: u8,
    /// [`Event::OBSERVED`] and [`Event::ANSWERED`].
    pub flags: u8,
}

impl Event {
    /// `what` of a flow's opening; no drop reason has this number.
    pub const OPENED: u8 = 0;
    /// In `flags`: the packet passed, because its interface only observes.
    pub const OBSERVED: u8 = 1;
    /// In `flags`: the denial was answered.
    pub const ANSWERED: u8 = 2;

    /// The event in these bytes, as the kernel program laid them out on this machine.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; size_of::<Self>()]) -> Self {
        let mut rest = &bytes[..];
        Self {
            at: u64::from_ne_bytes(take(&mut rest)),
            token: u64::from_ne_bytes(take(&mut rest)),
            source: Address(take(&mut rest)),
            destination: Address(take(&mut rest)),
            interface: u32::from_ne_bytes(take(&mut rest)),
            app: u32::from_ne_bytes(take(&mut rest)),
            source_port: u16::from_ne_bytes(take(&mut rest)),
            destination_port: u16::from_ne_bytes(take(&mut rest)),
            length: u16::from_ne_bytes(take(&mut rest)),
            protocol: u8::from_ne_bytes(take(&mut rest)),
            what: u8::from_ne_bytes(take(&mut rest)),
            mac: take(&mut rest),
            direction: u8::from_ne_bytes(take(&mut rest)),
            flags: u8::from_ne_bytes(take(&mut rest)),
        }
    }
}

/// The next `N` bytes; zeros where there are none left.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let Some((head, tail)) = rest.split_first_chunk() else { return [0; N] };
    *rest = tail;
    *head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_read_from_its_own_bytes_field_by_field() {
        let mut bytes = [0; size_of::<Event>()];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = place as u8;
        }
        let event = Event::from_bytes(&bytes);
        assert_eq!(event.at, u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7]));
        assert_eq!(event.source.0[0], 16);
        assert_eq!(event.interface, u32::from_ne_bytes([48, 49, 50, 51]));
        assert_eq!(event.source_port, u16::from_ne_bytes([56, 57]));
        assert_eq!((event.protocol, event.what), (62, 63));
        assert_eq!((event.mac, event.direction, event.flags), ([64, 65, 66, 67, 68, 69], 70, 71));
    }
}
