//! TCP, UDP, ICMP, and the part of ICMPv6 that resolves addresses.

use super::{Packet, Parsed, Transport, icmp_error};
use crate::{DropReason, Frame};

#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(frame: &F, transport: Transport, packet: &mut Packet) -> Result<(), DropReason> {
    match packet.protocol {
        Packet::TCP => tcp(frame, transport, packet),
        Packet::UDP => udp(frame, transport, packet),
        Packet::ICMP | Packet::ICMPV6 => icmp(frame, transport, packet),
        _ => Err(DropReason::ProtocolUnsupported),
    }
}

/// RFC 9293, 3.1.
#[inline(always)]
fn tcp<F: Frame + ?Sized>(frame: &F, transport: Transport, packet: &mut Packet) -> Result<(), DropReason> {
    let [s0, s1, d0, d1, _, _, _, _, _, _, _, _, words, flags] = header(frame, transport, 20)?;
    let header = usize::from(words >> 4).saturating_mul(4);
    packet.source_port = u16::from_be_bytes([s0, s1]);
    packet.destination_port = u16::from_be_bytes([d0, d1]);
    packet.detail = flags;
    if header < 20 || header > transport.length || packet.source_port == 0 || packet.destination_port == 0 {
        return Err(DropReason::TransportMalformed);
    }
    if !tcp_flags_are_sane(flags) {
        return Err(DropReason::TcpFlags);
    }
    Ok(())
}

/// SYN stands alone or with ACK, RST alone or with ACK; everything else carries ACK.
#[inline(always)]
const fn tcp_flags_are_sane(flags: u8) -> bool {
    const { assert!(Packet::FIN | Packet::SYN | Packet::RST | Packet::ACK == 0b1_0111) };
    let (syn, rst, fin) = (flags & Packet::SYN != 0, flags & Packet::RST != 0, flags & Packet::FIN != 0);
    match (syn, rst) {
        (true, true) => false,
        (true, false) | (false, true) => !fin,
        (false, false) => flags & Packet::ACK != 0,
    }
}

/// RFC 768. Port 0 as a source means that no answer is expected; as a destination it names nobody.
#[inline(always)]
fn udp<F: Frame + ?Sized>(frame: &F, transport: Transport, packet: &mut Packet) -> Result<(), DropReason> {
    let [s0, s1, d0, d1, l0, l1] = header(frame, transport, 8)?;
    packet.source_port = u16::from_be_bytes([s0, s1]);
    packet.destination_port = u16::from_be_bytes([d0, d1]);
    if usize::from(u16::from_be_bytes([l0, l1])) != transport.length || packet.destination_port == 0 {
        return Err(DropReason::TransportMalformed);
    }
    Ok(())
}

/// Errors, and echo request and reply (RFC 792; RFC 4443, 4.1 and 4.2). The identifier takes the place of the client's port.
#[inline(always)]
fn icmp<F: Frame + ?Sized>(frame: &F, transport: Transport, packet: &mut Packet) -> Result<(), DropReason> {
    let [kind, code, _, _, i0, i1, m0, m1] = header(frame, transport, 8)?;
    let identifier = u16::from_be_bytes([i0, i1]);
    packet.detail = kind;
    let (request, reply) = if packet.protocol == Packet::ICMP { (8, 0) } else { (128, 129) };
    if icmp_error::is_one(packet.protocol, kind) {
        return icmp_error::parse(frame, transport, code, [i0, i1, m0, m1], packet);
    }
    if kind != request && kind != reply {
        return Err(DropReason::IcmpType);
    }
    if code != 0 {
        return Err(DropReason::TransportMalformed);
    }
    if kind == request {
        packet.source_port = identifier;
    } else {
        packet.destination_port = identifier;
    }
    Ok(())
}

/// Recognizes neighbour discovery (RFC 4861). It never leaves its link: the hop limit proves that it did not.
#[inline(always)]
pub(super) fn neighbour_discovery<F: Frame + ?Sized>(
    frame: &F,
    transport: Transport,
    packet: &Packet,
) -> Result<Option<Parsed>, DropReason> {
    let [kind, code] = header(frame, transport, 8)?;
    let (shortest, found) = match kind {
        133 => (8, Parsed::Neighbour),
        134 => (16, Parsed::FromRouter),
        135 | 136 => (24, Parsed::Neighbour),
        137 => (40, Parsed::FromRouter),
        _ => return Ok(None),
    };
    let source = packet.source;
    let source_can_be = source.is_unspecified_v6() || source.is_link_local() || source.is_routable_unicast();
    if transport.hop_limit != 255 || code != 0 || transport.length < shortest || !source_can_be {
        return Err(DropReason::NeighbourInvalid);
    }
    Ok(Some(found))
}

/// The first `N` bytes of a transport header that is at least `shortest` long.
#[inline(always)]
fn header<F: Frame + ?Sized, const N: usize>(
    frame: &F,
    transport: Transport,
    shortest: usize,
) -> Result<[u8; N], DropReason> {
    if transport.length < shortest {
        return Err(DropReason::TransportMalformed);
    }
    frame.bytes(transport.offset).ok_or(DropReason::Truncated)
}
