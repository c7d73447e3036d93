//! ICMP and ICMPv6 errors: which packet they are about. Path MTU discovery and traceroute need them.
//!
//! Only the quoted packet's addresses, protocol and ports are read; whether it belongs to a flow is for the law to say.

use super::{Packet, Transport};
use crate::{Address, DropReason, Frame};

/// Length of the ICMP header before the quoted packet.
const HEADER: usize = 8;
/// The least that a link must carry: RFC 791 for IPv4, RFC 8200 for IPv6.
const LEAST_MTU_V4: u32 = 68;
const LEAST_MTU_V6: u32 = 1280;

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
            mtu == 0 || mtu >= LEAST_MTU_V4
        }
        (Packet::ICMPV6, 2, _) => u32::from_be_bytes(rest) >= LEAST_MTU_V6,
        _ => true,
    }
}

#[inline(always)]
fn quoted_v4<F: Frame + ?Sized>(frame: &F, at: usize, length: usize, packet: &mut Packet) -> Result<(), DropReason> {
    const IP: usize = 20;
    if length < const { IP + 8 } {
        return Err(DropReason::TransportMalformed);
    }
    let [version, _, _, _, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        frame.bytes::<IP>(at).ok_or(DropReason::Truncated)?;
    // What the law lets through has no options and is no later fragment, so neither is what an error quotes of it.
    let is_first = u16::from_be_bytes([f0, f1]) & 0x1fff == 0;
    if version != 0x45 || !is_first || packet.destination != Address::v4([s0, s1, s2, s3]) {
        return Err(DropReason::TransportMalformed);
    }
    packet.quoted_destination = Address::v4([d0, d1, d2, d3]);
    ports(frame, at.saturating_add(IP), protocol, packet)
}

#[inline(always)]
fn quoted_v6<F: Frame + ?Sized>(frame: &F, at: usize, length: usize, packet: &mut Packet) -> Result<(), DropReason> {
    const IP: usize = 40;
    if length < const { IP + 8 } {
        return Err(DropReason::TransportMalformed);
    }
    let [version, _, _, _, _, _, next, _] = frame.bytes(at).ok_or(DropReason::Truncated)?;
    let source = Address(frame.bytes(at.saturating_add(8)).ok_or(DropReason::Truncated)?);
    if version >> 4 != 6 || packet.destination != source {
        return Err(DropReason::TransportMalformed);
    }
    packet.quoted_destination = Address(frame.bytes(at.saturating_add(24)).ok_or(DropReason::Truncated)?);
    ports(frame, at.saturating_add(IP), next, packet)
}

/// The quoted ports; for echo the identifier takes the place of the client's, as in the flow.
#[inline(always)]
fn ports<F: Frame + ?Sized>(frame: &F, at: usize, protocol: u8, packet: &mut Packet) -> Result<(), DropReason> {
    let [a, b, c, d, i0, i1] = frame.bytes(at).ok_or(DropReason::Truncated)?;
    let identifier = u16::from_be_bytes([i0, i1]);
    let (source_port, destination_port) = match (protocol, a) {
        (Packet::TCP | Packet::UDP, _) => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        (Packet::ICMP, 8) | (Packet::ICMPV6, 128) => (identifier, 0),
        (Packet::ICMP, 0) | (Packet::ICMPV6, 129) => (0, identifier),
        _ => return Err(DropReason::IcmpUnrelated),
    };
    packet.source_port = source_port;
    packet.destination_port = destination_port;
    packet.quoted_protocol = protocol;
    packet.quoted_detail = if matches!(protocol, Packet::ICMP | Packet::ICMPV6) { a } else { 0 };
    Ok(())
}
