//! Flows: one connection of a session, and what it has carried.

use super::Traffic;
use crate::mutant::{self, Mutant::*};
use crate::{Address, KernelNanos, Packet, Word};

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
        Self {
            client: packet.source,
            app: packet.destination,
            client_port: packet.source_port.to_be_bytes(),
            app_port: packet.destination_port.to_be_bytes(),
            zone: mutant::unless(FlowsOfAnyZone, zone, 0),
            protocol: mutant::unless(FlowsOfAnyProtocol, packet.protocol, 0),
            reserved: [0; 7],
        }
    }

    /// The flow that a packet to the client belongs to.
    #[inline(always)]
    #[must_use]
    pub fn to_client(zone: u32, packet: &Packet) -> Self {
        Self {
            client: packet.destination,
            app: packet.source,
            client_port: packet.destination_port.to_be_bytes(),
            app_port: packet.source_port.to_be_bytes(),
            zone: mutant::unless(FlowsOfAnyZone, zone, 0),
            protocol: mutant::unless(FlowsOfAnyProtocol, packet.protocol, 0),
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
    /// The app it goes to in the lower half; in the upper [`Flow::BUDGETED`].
    pub app: Word,
    /// TCP and SCTP: which ends were seen, as [`Flow::CLIENT_FIN`], [`Flow::APP_FIN`], [`Flow::RESET`]; and who opened
    /// it, as [`Flow::BY_APP`].
    pub ends: Word,
    /// When it was opened, on the boot clock.
    pub opened_at: u64,
    /// When it last carried a packet, on the boot clock.
    pub last_seen: Word,
    /// What it carried.
    pub traffic: Traffic,
    /// TCP: of the last segment from the client, the sequence number after it in the upper and the acknowledgement in
    /// the lower half. What a reset needs, to be accepted by both ends.
    pub client_progress: Word,
    /// TCP: the same of the last segment from the app.
    pub app_progress: Word,
}

impl Flow {
    /// The client closed its side.
    pub const CLIENT_FIN: u64 = 1;
    /// The app closed its side.
    pub const APP_FIN: u64 = 2;
    /// Either side reset the connection.
    pub const RESET: u64 = 4;
    /// In `ends`: the app opened it, not the client.
    pub const BY_APP: u64 = 8;
    /// In `app`: the bytes are counted in [`map::BUDGETS`].
    pub const BUDGETED: u64 = 1 << 32;

    /// Whether the app opened it.
    #[inline(always)]
    #[must_use]
    pub fn is_by_app(&self) -> bool {
        self.ends.load() & Self::BY_APP != 0
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
        let ends = mutant::unless(ClosedFlowsLinger, self.ends.load(), 0);
        let limit = Self::idle_limit(mutant::unless(IdleLikeUdp, protocol, Packet::UDP), ends);
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
    pub client_progress: u64,
    pub app_progress: u64,
}
