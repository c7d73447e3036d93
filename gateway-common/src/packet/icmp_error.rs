//! ICMP and ICMPv6 errors: which packet they are about. Path MTU discovery and traceroute need them.
//!
//! Only the quoted packet's addresses, protocol and ports are read; whether it belongs to a flow is for the law to say.

use super::{Packet, Transport};
use crate::mutant::{self, Mutant::*};
use crate::{Address, DropReason, Frame};

/// Length of the ICMP header before the quoted packet.
const HEADER: usize = 8;
/// The least that a link must carry: RFC 791 for IPv4, RFC 8200 for IPv6.
const LEAST_MTU_V4: u32 = 68;
const LEAST_MTU_V6: u32 = 1280;

/// The IPv6 fragment header (RFC 8200, 4.5), and its length.
const FRAGMENT: u8 = 44;
const FRAGMENT_HEADER: usize = 8;

/// Stands for what no flow carries: 255 is reserved (IANA), and cannot be granted.
const NOBODYS: u8 = 255;

/// Whether a type is an error: unreachable, time exceeded, parameter problem; for IPv6 also too big.
#[inline(always)]
pub(super) const fn is_one(protocol: u8, kind: u8) -> bool {
    match protocol {
        Packet::ICMP => matches!(kind, 3 | 11 | 12),
        _ => matches!(kind, 1..=4),
    }
}

#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(
    frame: &F,
    transport: Transport,
    code: u8,
    rest: [u8; 4],
    packet: &mut Packet,
) -> Result<(), DropReason> {
    if !mtu_can_be(packet, code, rest) {
        return Err(DropReason::TransportMalformed);
    }
    let quoted = transport.offset.saturating_add(HEADER);
    let length = transport.length.saturating_sub(HEADER);
    if packet.protocol == Packet::ICMP {
        quoted_v4(frame, quoted, length, packet)
    } else {
        quoted_v6(frame, quoted, length, packet)
    }
}

/// A forged "too big" with a tiny MTU would cripple a connection.
#[inline(always)]
fn mtu_can_be(packet: &Packet, code: u8, rest: [u8; 4]) -> bool {
    let [_, _, m0, m1] = rest;
    match (packet.protocol, packet.detail, code) {
        // RFC 1191: 0 from routers that do not tell.
        (Packet::ICMP, 3, 4) => {
            let mtu = u32::from(u16::from_be_bytes([m0, m1]));
            mtu == 0 || mtu >= mutant::unless(TinyMtu, LEAST_MTU_V4, 1)
        }
        (Packet::ICMPV6, 2, _) => u32::from_be_bytes(rest) >= mutant::unless(TinyMtuV6, LEAST_MTU_V6, LEAST_MTU_V4),
        _ => true,
    }
}

#[inline(always)]
fn quoted_v4<F: Frame + ?Sized>(frame: &F, at: usize, length: usize, packet: &mut Packet) -> Result<(), DropReason> {
    const IP: usize = 20;
    if length < IP {
        return Err(DropReason::TransportMalformed);
    }
    let [version, _, _, _, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        frame.bytes::<IP>(at).ok_or(DropReason::Truncated)?;
    let header = usize::from(version & 0x0f) << 2;
    let is_whole = header >= IP && length >= header.saturating_add(mutant::unless(ShortQuote, 8, 4));
    // A later fragment has no ports.
    let is_first = u16::from_be_bytes([f0, f1]) & mutant::unless(QuoteLaterFragment, 0x1fff, 0) == 0;
    let source = Address::v4([s0, s1, s2, s3]);
    if version >> 4 != 4 || !is_whole || !is_first || (packet.destination != source && !mutant::is(QuoteOfAnybody)) {
        return Err(DropReason::TransportMalformed);
    }
    packet.quoted_destination = Address::v4([d0, d1, d2, d3]);
    ports(frame, at.saturating_add(mutant::unless(QuotedOptions, header, IP)), protocol, packet)
}

#[inline(always)]
fn quoted_v6<F: Frame + ?Sized>(frame: &F, at: usize, length: usize, packet: &mut Packet) -> Result<(), DropReason> {
    const IP: usize = 40;
    if length < const { IP + 8 } {
        return Err(DropReason::TransportMalformed);
    }
    let [version, _, _, _, _, _, mut next, _] = frame.bytes(at).ok_or(DropReason::Truncated)?;
    let mut behind = IP;
    if next == FRAGMENT {
        let [following, _, o0, o1] = frame.bytes(at.saturating_add(IP)).ok_or(DropReason::Truncated)?;
        // A later fragment has no ports.
        let is_first = u16::from_be_bytes([o0, o1]) & 0xfff8 == 0;
        if length < const { IP + FRAGMENT_HEADER + 8 } || !is_first {
            return Err(DropReason::TransportMalformed);
        }
        next = following;
        behind = const { IP + FRAGMENT_HEADER };
    }
    let source = Address(frame.bytes(at.saturating_add(8)).ok_or(DropReason::Truncated)?);
    if version >> 4 != 6 || packet.destination != source {
        return Err(DropReason::TransportMalformed);
    }
    packet.quoted_destination = Address(frame.bytes(at.saturating_add(24)).ok_or(DropReason::Truncated)?);
    ports(frame, at.saturating_add(behind), next, packet)
}

/// The quoted ports; for echo the identifier takes the place of that of whoever asks, as in the flow.
#[inline(always)]
fn ports<F: Frame + ?Sized>(frame: &F, at: usize, protocol: u8, packet: &mut Packet) -> Result<(), DropReason> {
    let [a, b, c, d, i0, i1] = frame.bytes(at).ok_or(DropReason::Truncated)?;
    let identifier = u16::from_be_bytes([i0, i1]);
    let [c, d] = mutant::unless(SwapQuotedPort, [c, d], [d, c]);
    let (source_port, destination_port) = match (protocol, a) {
        (Packet::TCP | Packet::UDP | Packet::SCTP, _) => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        (Packet::ICMP, 8) | (Packet::ICMPV6, 128) => (identifier, 0),
        (Packet::ICMP, 0) | (Packet::ICMPV6, 129) => (0, identifier),
        _ => (0, 0),
    };
    packet.source_port = source_port;
    packet.destination_port = destination_port;
    packet.quoted_protocol = match (protocol, a) {
        (0, _) => NOBODYS,
        (Packet::ICMP, 0 | 8) | (Packet::ICMPV6, 128 | 129) => protocol,
        (Packet::ICMP | Packet::ICMPV6, _) => NOBODYS,
        _ => protocol,
    };
    packet.quoted_detail = if matches!(protocol, Packet::ICMP | Packet::ICMPV6) { a } else { 0 };
    Ok(())
}
