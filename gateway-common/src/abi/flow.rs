//! Flows: one connection of a session, and what it has carried.

use crate::address::join;
use crate::mutant::{self, Mutant::*};
use crate::table::{Hash, Secrets};
use crate::{Address, Direction, KernelNanos, Packet, Word};

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
    pub fn to_app(zone: u32, packet: &Packet) -> Self {
        let ports = [packet.source_port.to_be(), packet.destination_port.to_be()];
        let zone = mutant::unless(FlowsOfAnyZone, zone, 0);
        Self::new(
            packet.source,
            packet.destination,
            ports,
            zone,
            mutant::unless(FlowsOfAnyProtocol, packet.protocol, 0),
        )
    }

    /// The flow that a packet to the client belongs to.
    #[inline(always)]
    #[must_use]
    pub fn to_client(zone: u32, packet: &Packet) -> Self {
        let ports = [packet.destination_port.to_be(), packet.source_port.to_be()];
        let zone = mutant::unless(FlowsOfAnyZone, zone, 0);
        Self::new(
            packet.destination,
            packet.source,
            ports,
            zone,
            mutant::unless(FlowsOfAnyProtocol, packet.protocol, 0),
        )
    }
}

impl FlowKey {
    /// The 48 bytes as words, in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> &[u64; 6] {
        const { assert!(size_of::<Self>() == 48 && align_of::<Self>() == 8) };
        // SAFETY: `repr(C)` of integers and arrays of them, with every byte named and no padding between them; of the size
        // and the alignment of six words, of which any bit pattern is valid.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// The key of these words: the inverse of [`Self::words`].
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u64; 6]) -> Self {
        // SAFETY: of the same size (asserted in `words`), and any bit pattern is a key.
        unsafe { core::mem::transmute::<[u64; 6], Self>(words) }
    }

    /// The key of a flow between these. Ports are words of 16 bits in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn new(client: Address, app: Address, ports: [u16; 2], zone: u32, protocol: u8) -> Self {
        let ([a, b], [c, d]) = (client.words(), app.words());
        let [client_port, app_port] = ports;
        let ports = if cfg!(target_endian = "little") {
            client_port as u32 | (app_port as u32) << 16
        } else {
            (client_port as u32) << 16 | app_port as u32
        };
        let protocol = if cfg!(target_endian = "little") { protocol as u64 } else { (protocol as u64) << 56 };
        Self::from_words([a, b, c, d, join(ports, zone), protocol])
    }

    /// The bits of the zone, in the fifth word.
    const ZONE: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);

    /// Where it belongs in the table: in whatever zone, so that a reply finds it before it is known where that leads.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, secrets: &Secrets) -> Hash {
        let [a, b, c, d, e, f] = *self.words();
        Hash::of(secrets, &[a, b, c, d, e & !Self::ZONE, f])
    }

    /// The flow that an ICMP error toward the client is about: it quotes a packet that the client sent.
    #[inline(always)]
    #[must_use]
    pub const fn of_error_to_client(zone: u32, packet: &Packet) -> Self {
        let ports = [packet.source_port.to_be(), packet.destination_port.to_be()];
        Self::new(packet.destination, packet.quoted_destination, ports, zone, packet.quoted_protocol)
    }

    /// The flow that an ICMP error from the client is about: it quotes a packet that the app sent.
    #[inline(always)]
    #[must_use]
    pub const fn of_error_to_app(zone: u32, packet: &Packet) -> Self {
        let ports = [packet.destination_port.to_be(), packet.source_port.to_be()];
        Self::new(packet.quoted_destination, packet.destination, ports, zone, packet.quoted_protocol)
    }
}

/// One connection of a session, in its slot. Holds no authority: without its live session, under the same policy, it is
/// nothing.
///
/// Three cache lines: whose slot it is; what a packet from the client needs in the middle of the connection; and what one
/// to the client needs besides, with what only the whole law looks at. How a slot changes hands is in
/// [`crate::table::flows`].
#[derive(Default, Debug)]
#[repr(C, align(64))]
pub struct Flow {
    /// The words of its [`FlowKey`].
    pub key: [Word; 6],
    /// Free, being written, or in use, and how often that has changed.
    pub state: Word,
    /// The epoch in which `good_until`, `origin`, the interface in `app`, and both ways were written: see
    /// [`crate::law::established`]. 0 if they never were, [`Flow::HELD`] while they are.
    pub stamp: Word,
    /// The sooner of the ends of session and grant, on the boot clock.
    pub good_until: Word,
    /// The hardware address that the client's frames must have, with [`super::Session::MAC_BOUND`], or 0 if that does not
    /// matter.
    pub origin: Word,
    /// When it last carried a packet, on the boot clock.
    pub last_seen: Word,
    /// The app it goes to in the lower half, [`Flow::BUDGETED`], [`Flow::OUTLASTS`], and above [`Flow::INTERFACE`] the
    /// index of the interface that its session is bound to.
    pub app: Word,
    /// What came from the client.
    pub to_app: Carried,
    /// What came from the app.
    pub to_client: Carried,
    /// The session that opened it.
    pub token: Word,
    /// The policy word under which it was last judged.
    pub policy: Word,
    /// When the grant behind it ends, on the boot clock.
    pub deadline: Word,
    /// When it was opened, on the boot clock, times [`Flow::ENDS`]; below that TCP's and SCTP's ends that were seen, as
    /// [`Flow::CLIENT_FIN`], [`Flow::APP_FIN`] and [`Flow::RESET`], and who opened it, as [`Flow::BY_APP`].
    pub life: Word,
}

/// What a flow carried in one direction.
#[derive(Default, Debug)]
#[repr(C)]
pub struct Carried {
    /// Packets.
    pub packets: Word,
    /// Bytes of them, as IP counts them.
    pub bytes: Word,
    /// TCP: of the last segment the sequence number after it in the upper and the acknowledgement in the lower half. What
    /// a reset needs, to be accepted by both ends.
    pub progress: Word,
    /// The way on, as a [`crate::forward::Kept`]; 0 if it has to be asked for.
    pub way: Word,
}

impl Flow {
    /// The client closed its side.
    pub const CLIENT_FIN: u64 = 1;
    /// The app closed its side.
    pub const APP_FIN: u64 = 2;
    /// Either side reset the connection.
    pub const RESET: u64 = 4;
    /// The app opened it, not the client.
    pub const BY_APP: u64 = 8;
    /// In `life`: how many values the ends have.
    pub const ENDS: u64 = 16;
    /// In `stamp`: somebody writes what the flow remembers of its judgement.
    pub const HELD: u64 = u64::MAX;
    /// In `app`: the bytes are counted in [`map::BUDGETS`].
    pub const BUDGETED: u64 = 1 << 32;
    /// In `app`: it goes on when the daemon is gone, as [`super::AppEntry::outlasts`] says.
    pub const OUTLASTS: u64 = 1 << 33;
    /// In `app`: the bit at which the index of an interface begins. The kernel counts them from 1 on; one beyond 2^30 would
    /// never take the short way.
    pub const INTERFACE: u32 = 34;

    /// What it carried in a direction.
    #[inline(always)]
    #[must_use]
    pub const fn carried(&self, direction: Direction) -> &Carried {
        match direction {
            Direction::ToApp => &self.to_app,
            Direction::ToClient => &self.to_client,
        }
    }

    /// Which ends were seen, and who opened it.
    #[inline(always)]
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.life.load() & const { Self::ENDS.wrapping_sub(1) }
    }

    /// The app, and whether it has a budget.
    #[inline(always)]
    #[must_use]
    pub fn app_word(&self) -> u64 {
        self.app.load() & const { (1 << Self::INTERFACE) - 1 }
    }

    /// Writes when it was opened, and the ends that were seen.
    #[inline(always)]
    pub fn begin_life(&self, at: u64, ends: u64) {
        self.life.store(at.wrapping_mul(Self::ENDS) | ends);
    }

    /// Whether this is the flow with this key, now.
    #[inline(always)]
    #[must_use]
    pub fn has_key(&self, key: &[u64; 6]) -> bool {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (&self.key, key);
        // The ports first: they differ most often.
        e.load() == *k && d.load() == *j && b.load() == *h && c.load() == *i && a.load() == *g && f.load() == *l
    }

    /// Whether this is, now, the flow with this key in whatever zone.
    #[inline(always)]
    #[must_use]
    pub fn is_between(&self, key: &[u64; 6]) -> bool {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (&self.key, key);
        (e.load() ^ *k) & !FlowKey::ZONE == 0
            && d.load() == *j
            && b.load() == *h
            && c.load() == *i
            && a.load() == *g
            && f.load() == *l
    }

    /// The zone in its key.
    #[inline(always)]
    #[must_use]
    pub fn zone(&self) -> u32 {
        let [.., ports_and_zone, _] = &self.key;
        let [_, _, _, _, zone @ ..] = ports_and_zone.load().to_ne_bytes();
        u32::from_ne_bytes(zone)
    }

    /// Its key.
    #[must_use]
    pub fn read_key(&self) -> FlowKey {
        let [a, b, c, d, e, f] = &self.key;
        FlowKey::from_words([a.load(), b.load(), c.load(), d.load(), e.load(), f.load()])
    }

    /// What it says now.
    #[must_use]
    pub fn copy(&self) -> FlowCopy {
        FlowCopy {
            token: self.token.load(),
            policy: self.policy.load(),
            deadline: self.deadline.load(),
            app: self.app_word(),
            ends: self.ends(),
            opened_at: self.life.load() / Self::ENDS,
            last_seen: self.last_seen.load(),
            to_app_packets: self.to_app.packets.load(),
            to_app_bytes: self.to_app.bytes.load(),
            to_client_packets: self.to_client.packets.load(),
            to_client_bytes: self.to_client.bytes.load(),
            client_progress: self.to_app.progress.load(),
            app_progress: self.to_client.progress.load(),
        }
    }

    /// Writes all that [`Self::copy`] reads.
    pub fn write(&self, copy: &FlowCopy) {
        self.token.store(copy.token);
        self.policy.store(copy.policy);
        self.deadline.store(copy.deadline);
        self.app.store(copy.app);
        self.begin_life(copy.opened_at, copy.ends);
        self.last_seen.store(copy.last_seen);
        self.to_app.packets.store(copy.to_app_packets);
        self.to_app.bytes.store(copy.to_app_bytes);
        self.to_client.packets.store(copy.to_client_packets);
        self.to_client.bytes.store(copy.to_client_bytes);
        self.to_app.progress.store(copy.client_progress);
        self.to_client.progress.store(copy.app_progress);
    }

    /// Whether the app opened it.
    #[inline(always)]
    #[must_use]
    pub fn is_by_app(&self) -> bool {
        self.ends() & Self::BY_APP != 0
    }

    /// Whether the TCP connection is over, given the recorded `ends`.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(ends: u64) -> bool {
        ends & Self::RESET != 0 || ends & (Self::CLIENT_FIN | Self::APP_FIN) == Self::CLIENT_FIN | Self::APP_FIN
    }

    /// How long a flow may be silent before it is forgotten, in nanoseconds.
    ///
    /// TCP two hours and four minutes (RFC 5382), ten seconds once closed, and SCTP the same; UDP five minutes (RFC
    /// 4787), and so protocols without ports; ICMP one minute (RFC 5508).
    #[inline(always)]
    #[must_use]
    pub const fn idle_limit(protocol: u8, ends: u64) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        match protocol {
            Packet::TCP | Packet::SCTP if Self::is_over(ends) => 10 * SECOND,
            Packet::TCP | Packet::SCTP => 7_440 * SECOND,
            Packet::ICMP | Packet::ICMPV6 => 60 * SECOND,
            _ => 300 * SECOND,
        }
    }

    /// Whether the flow, silent since `last_seen`, still counts at `now`.
    #[inline(always)]
    #[must_use]
    pub fn is_fresh(&self, protocol: u8, now: KernelNanos) -> bool {
        self.is_fresh_with(mutant::unless(ClosedFlowsLinger, self.ends(), 0), protocol, now)
    }

    /// The same, if these were its ends.
    #[inline(always)]
    #[must_use]
    pub fn is_fresh_with(&self, ends: u64, protocol: u8, now: KernelNanos) -> bool {
        let limit = Self::idle_limit(mutant::unless(IdleLikeUdp, protocol, Packet::UDP), ends);
        now.since(KernelNanos(self.last_seen.load())) < limit
    }
}

/// What a [`Flow`] said at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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
    pub client_progress: u64,
    pub app_progress: u64,
}
