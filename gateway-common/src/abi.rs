//! The tables' keys and values, byte for byte as kernel and daemon exchange them.
//!
//! Keys are compared as bytes, so every byte is named and padding is zero. No `bool`, `enum` or `Option` lives here:
//! whatever the other side wrote must be a valid value. Sizes are asserted at the end.

use crate::{Address, KernelNanos, Packet, Word};

/// Changes with every change of layout or meaning in this file. Compared before anything is attached or adopted.
pub const ABI_VERSION: u32 = 1;

/// Names of the maps, in the order of the packet path.
pub mod map {
    /// Guarded interfaces by index.
    pub const INTERFACES: &str = "INTERFACES";
    /// (zone, address) → slot in [`SESSIONS`].
    pub const SESSION_INDEX: &str = "SESSION_INDEX";
    /// Session slots; memory-mapped by the daemon.
    pub const SESSIONS: &str = "SESSIONS";
    /// Flows by 5-tuple and zone. Least recently used ones give way.
    pub const FLOWS: &str = "FLOWS";
    /// The gateway's own addresses and services.
    pub const SERVICES: &str = "SERVICES";
    /// Prefixes from which the management services may be reached.
    pub const MANAGEMENT: &str = "MANAGEMENT";
    /// (app set, prefix) → block.
    pub const APP_PREFIXES: &str = "APP_PREFIXES";
    /// (block, protocol, port) → app.
    pub const APPS: &str = "APPS";
    /// (allow-list, app) → grant.
    pub const GRANTS: &str = "GRANTS";
    /// Packets by interface slot and verdict code.
    pub const VERDICTS: &str = "VERDICTS";
    /// Packets and bytes by app and direction.
    pub const APP_TRAFFIC: &str = "APP_TRAFFIC";
    /// Flow openings and sampled denials.
    pub const EVENTS: &str = "EVENTS";
    /// Per CPU: how many events this window has seen, and how many were lost since load.
    pub const EVENT_GATE: &str = "EVENT_GATE";
    /// One entry: [`super::Settings`].
    pub const SETTINGS: &str = "SETTINGS";
}

/// What the daemon tells the programs as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Settings {
    /// [`ABI_VERSION`] of whoever filled the maps.
    pub abi_version: u32,
    /// Events of each kind that one CPU may emit in one [`EVENT_WINDOW`].
    pub events_per_window: u32,
}

/// Length of the window in which events are counted, in nanoseconds: a tenth of a second.
pub const EVENT_WINDOW: u64 = 100_000_000;

/// A guarded interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Interface {
    /// Interfaces of one zone see the same sessions.
    pub zone: u32,
    /// Row in the counter vector: below [`Interface::LIMIT`].
    pub slot: u32,
    /// [`Interface::LINK_LAYER`].
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

impl Interface {
    /// Frames begin with an Ethernet header.
    pub const LINK_LAYER: u32 = 1;
    /// How many interfaces can be guarded at once.
    pub const LIMIT: u32 = 64;

    /// Whether frames begin with an Ethernet header.
    #[inline(always)]
    #[must_use]
    pub const fn has_link_layer(&self) -> bool {
        self.flags & Self::LINK_LAYER != 0
    }
}

/// Where a session's packets come from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct SessionKey {
    /// The client's address.
    pub source: Address,
    /// The zone of the interface that it is behind.
    pub zone: u32,
    /// Zero.
    pub reserved: u32,
}

impl SessionKey {
    /// The key of `source` in `zone`.
    #[inline(always)]
    #[must_use]
    pub const fn new(zone: u32, source: Address) -> Self {
        Self { source, zone, reserved: 0 }
    }
}

/// A session's slot: the first cache line is written by the daemon, the second mostly by the kernel.
///
/// The daemon fills a free slot and sets the state last; it reuses a slot only after a pause in which every program
/// that could still hold it has ended. `source` and `place` let a program notice that its index entry was stale.
#[derive(Default, Debug)]
#[repr(C, align(64))]
pub struct Session {
    /// [`Session::FREE`], [`Session::LIVE`], [`Session::REVOKED`] or [`Session::EXPIRED`].
    pub state: Word,
    /// App set and allow-list in one word, so that a change of policy is one store: see [`policy_word`].
    pub policy: Word,
    /// The session's name. Random, never 0, never used again.
    pub token: Word,
    /// End of the session, on the boot clock.
    pub deadline: Word,
    /// The address of this slot's owner, as two words in the byte order of [`Address`].
    pub source: [Word; 2],
    /// The zone of this slot's owner and the interface that the session is bound to: see [`place`].
    pub place: Word,
    /// The hardware address that the session is bound to in the low 48 bits, and [`Session::MAC_BOUND`].
    pub binding: Word,
    /// Last full authentication, on the boot clock.
    pub authenticated_at: Word,
    /// When a packet of the session was last forwarded, in either direction; 0 if never.
    pub last_forwarded: Word,
    /// What was forwarded.
    pub traffic: Traffic,
    /// Packets of the session that were dropped.
    pub dropped: Word,
    /// Zero.
    pub reserved_tail: u64,
}

impl Session {
    /// Nobody's slot.
    pub const FREE: u64 = 0;
    /// In force.
    pub const LIVE: u64 = 1;
    /// Access was taken away; the slot remains for a moment so that the reason can be told.
    pub const REVOKED: u64 = 2;
    /// The deadline passed and the daemon has noticed; the slot remains for a moment so that the reason can be told.
    pub const EXPIRED: u64 = 3;
    /// In `binding`: only frames with this session's hardware address are the session's.
    pub const MAC_BOUND: u64 = 1 << 63;

    /// The value of `binding` for a session whose frames carry `mac`.
    #[inline(always)]
    #[must_use]
    pub const fn binding_to(mac: [u8; 6]) -> u64 {
        let [a, b, c, d, e, f] = mac;
        Self::MAC_BOUND | u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// Whether the slot is that of `key`.
    #[inline(always)]
    #[must_use]
    pub fn belongs_to(&self, key: &SessionKey) -> bool {
        let [high, low] = key.source.words();
        let [own_high, own_low] = &self.source;
        (self.place.load() >> 32) as u32 == key.zone && own_high.load() == high && own_low.load() == low
    }

    /// The policy in force for this session, see [`policy_word`].
    #[inline(always)]
    #[must_use]
    pub fn policy(&self) -> u64 {
        self.policy.load()
    }

    /// The session's name.
    #[inline(always)]
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token.load()
    }
}

/// Puts a zone and an interface of it into one word.
#[inline(always)]
#[must_use]
pub const fn place(zone: u32, interface: u32) -> u64 {
    ((zone as u64) << 32) | interface as u64
}

/// Puts the compiled app table and the allow-list that a session is judged by into one word.
#[inline(always)]
#[must_use]
pub const fn policy_word(app_set: u32, allow_list: u32) -> u64 {
    ((app_set as u64) << 32) | allow_list as u64
}

/// The app set in a policy word.
#[inline(always)]
#[must_use]
pub const fn app_set(policy: u64) -> u32 {
    (policy >> 32) as u32
}

/// The allow-list in a policy word.
#[inline(always)]
#[must_use]
pub const fn allow_list(policy: u64) -> u32 {
    policy as u32
}

/// Packets and bytes each way. Bytes are those of the IP packet.
#[derive(Default, Debug)]
#[repr(C)]
pub struct Traffic {
    /// Packets from the client.
    pub to_app_packets: Word,
    /// Bytes from the client.
    pub to_app_bytes: Word,
    /// Packets to the client.
    pub to_client_packets: Word,
    /// Bytes to the client.
    pub to_client_bytes: Word,
}

/// A flow's 5-tuple, named from the client's side, and its zone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct FlowKey {
    /// The client's address.
    pub client: Address,
    /// The app's address.
    pub app: Address,
    /// The client's port in network order; for ICMP echo the identifier.
    pub client_port: [u8; 2],
    /// The app's port in network order; 0 for ICMP echo.
    pub app_port: [u8; 2],
    /// The zone of the guarded interface.
    pub zone: u32,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

impl FlowKey {
    /// The flow that a packet from the client belongs to.
    #[inline(always)]
    #[must_use]
    pub const fn to_app(zone: u32, packet: &Packet) -> Self {
        Self {
            client: packet.source,
            app: packet.destination,
            client_port: packet.source_port.to_be_bytes(),
            app_port: packet.destination_port.to_be_bytes(),
            zone,
            protocol: packet.protocol,
            reserved: [0; 7],
        }
    }

    /// The flow that a packet to the client belongs to.
    #[inline(always)]
    #[must_use]
    pub const fn to_client(zone: u32, packet: &Packet) -> Self {
        Self {
            client: packet.destination,
            app: packet.source,
            client_port: packet.destination_port.to_be_bytes(),
            app_port: packet.source_port.to_be_bytes(),
            zone,
            protocol: packet.protocol,
            reserved: [0; 7],
        }
    }
}

impl FlowKey {
    /// The flow that an ICMP error toward the client is about: it quotes a packet that the client sent.
    #[inline(always)]
    #[must_use]
    pub const fn of_error_to_client(zone: u32, packet: &Packet) -> Self {
        Self {
            client: packet.destination,
            app: packet.quoted_destination,
            client_port: packet.source_port.to_be_bytes(),
            app_port: packet.destination_port.to_be_bytes(),
            zone,
            protocol: packet.quoted_protocol,
            reserved: [0; 7],
        }
    }

    /// The flow that an ICMP error from the client is about: it quotes a packet that the app sent.
    #[inline(always)]
    #[must_use]
    pub const fn of_error_to_app(zone: u32, packet: &Packet) -> Self {
        Self {
            client: packet.quoted_destination,
            app: packet.destination,
            client_port: packet.destination_port.to_be_bytes(),
            app_port: packet.source_port.to_be_bytes(),
            zone,
            protocol: packet.quoted_protocol,
            reserved: [0; 7],
        }
    }
}

/// One connection of a session. Holds no authority: without its live session, under the same policy, it is nothing.
#[derive(Default, Debug)]
#[repr(C)]
pub struct Flow {
    /// The session that opened it.
    pub token: u64,
    /// The policy word under which it was last judged.
    pub policy: Word,
    /// When the grant behind it ends, on the boot clock.
    pub deadline: Word,
    /// The app it goes to.
    pub app: Word,
    /// TCP: which ends were seen, as [`Flow::CLIENT_FIN`], [`Flow::APP_FIN`], [`Flow::RESET`].
    pub ends: Word,
    /// When it was opened, on the boot clock.
    pub opened_at: u64,
    /// When it last carried a packet, on the boot clock.
    pub last_seen: Word,
    /// What it carried.
    pub traffic: Traffic,
}

impl Flow {
    /// The client closed its side.
    pub const CLIENT_FIN: u64 = 1;
    /// The app closed its side.
    pub const APP_FIN: u64 = 2;
    /// Either side reset the connection.
    pub const RESET: u64 = 4;

    /// Whether the TCP connection is over, given the recorded `ends`.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(ends: u64) -> bool {
        ends & Self::RESET != 0 || ends & (Self::CLIENT_FIN | Self::APP_FIN) == Self::CLIENT_FIN | Self::APP_FIN
    }

    /// How long a flow may be silent before it is forgotten, in nanoseconds.
    ///
    /// TCP two hours and four minutes (RFC 5382), ten seconds once closed; UDP five minutes (RFC 4787); ICMP one
    /// minute (RFC 5508).
    #[inline(always)]
    #[must_use]
    pub const fn idle_limit(protocol: u8, ends: u64) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        match protocol {
            Packet::TCP if Self::is_over(ends) => 10 * SECOND,
            Packet::TCP => 7_440 * SECOND,
            Packet::UDP => 300 * SECOND,
            _ => 60 * SECOND,
        }
    }

    /// Whether the flow, silent since `last_seen`, still counts at `now`.
    #[inline(always)]
    #[must_use]
    pub fn is_fresh(&self, protocol: u8, now: KernelNanos) -> bool {
        let limit = Self::idle_limit(protocol, self.ends.load());
        now.since(KernelNanos(self.last_seen.load())) < limit
    }
}

/// A [`Flow`] as a copy of its bytes, for reading the map from the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
#[expect(missing_docs, reason = "the fields are those of `Flow`")]
pub struct FlowCopy {
    pub token: u64,
    pub policy: u64,
    pub deadline: u64,
    pub app: u64,
    pub ends: u64,
    pub opened_at: u64,
    pub last_seen: u64,
    pub to_app_packets: u64,
    pub to_app_bytes: u64,
    pub to_client_packets: u64,
    pub to_client_bytes: u64,
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

    /// The entry that says that `address` is the gateway's.
    #[inline(always)]
    #[must_use]
    pub const fn own(address: Address) -> Self {
        Self::new(address, 0, 0)
    }
}

/// Data of a key in the prefix trie of apps: the app set, in network order, then the address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct AppPrefix {
    /// The app set in network order: always compared whole.
    pub app_set: [u8; 4],
    /// The address; the prefix length counts from its first bit, plus 32 for the app set.
    pub address: [u8; 16],
}

/// A port of a block of destinations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct AppKey {
    /// The block that the destination's prefix leads to.
    pub block: u32,
    /// The port in network order; 0 for any port, and for protocols without ports.
    pub port: [u8; 2],
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub reserved: u8,
}

/// An app in an allow-list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct GrantKey {
    /// The allow-list.
    pub allow_list: u32,
    /// The app.
    pub app: u32,
}

/// What an allow-list says about an app.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[repr(C)]
pub struct Grant {
    /// End of the grant on the boot clock; `u64::MAX` if it has none of its own.
    pub deadline: u64,
    /// How old the session's last full authentication may be, in nanoseconds; `u64::MAX` if that does not matter.
    pub max_authentication_age: u64,
}

impl Grant {
    /// A grant that lasts as long as its session.
    pub const UNLIMITED: Self = Self { deadline: u64::MAX, max_authentication_age: u64::MAX };
}

/// Packets and bytes of one app on one CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct AppTraffic {
    /// Packets from clients.
    pub to_app_packets: u64,
    /// Bytes from clients.
    pub to_app_bytes: u64,
    /// Packets to clients.
    pub to_client_packets: u64,
    /// Bytes to clients.
    pub to_client_bytes: u64,
}

/// One CPU's budget of events. Index 0 counts flow openings, index 1 denials.
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
    /// Zero.
    pub reserved: u8,
}

impl Event {
    /// `what` of a flow's opening; no drop reason has this number.
    pub const OPENED: u8 = 0;

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
            reserved: u8::from_ne_bytes(take(&mut rest)),
        }
    }
}

/// The next `N` bytes; zeros where there are none left.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let Some((head, tail)) = rest.split_first_chunk() else { return [0; N] };
    *rest = tail;
    *head
}

const _: () = {
    use core::mem::{align_of, offset_of, size_of};
    assert!(size_of::<Settings>() == 8);
    assert!(size_of::<Interface>() == 16);
    assert!(size_of::<SessionKey>() == 24);
    assert!(size_of::<Session>() == 128 && align_of::<Session>() == 64);
    assert!(offset_of!(Session, authenticated_at) == 64);
    assert!(size_of::<FlowKey>() == 48);
    assert!(size_of::<Flow>() == 88 && size_of::<FlowCopy>() == 88);
    assert!(offset_of!(Flow, ends) == offset_of!(FlowCopy, ends));
    assert!(offset_of!(Flow, last_seen) == offset_of!(FlowCopy, last_seen));
    assert!(offset_of!(Flow, traffic) == offset_of!(FlowCopy, to_app_packets));
    assert!(size_of::<ServiceKey>() == 24);
    assert!(size_of::<AppPrefix>() == 20);
    assert!(size_of::<AppKey>() == 8);
    assert!(size_of::<GrantKey>() == 8);
    assert!(size_of::<Grant>() == 16);
    assert!(size_of::<AppTraffic>() == 32);
    assert!(size_of::<EventGate>() == 24);
    assert!(size_of::<Event>() == 72);
    assert!(offset_of!(Event, interface) == 48 && offset_of!(Event, mac) == 64);
};

#[cfg(all(feature = "user", not(target_arch = "bpf")))]
mod pod {
    use super::*;

    macro_rules! pod {
        ($($type:ty),+) => {
            $(
                // SAFETY: `repr(C)`, made of integers and integer arrays only, every byte named (the size is asserted
                // above), and any bit pattern is a valid value.
                unsafe impl aya::Pod for $type {}
            )+
        };
    }
    pod!(Settings, Interface, SessionKey, FlowKey, FlowCopy, ServiceKey, AppPrefix, AppKey, GrantKey, Grant);
    pod!(AppTraffic, EventGate, Event);
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
        assert_eq!((event.mac, event.direction, event.reserved), ([64, 65, 66, 67, 68, 69], 70, 71));
    }
}
