//! TCP, UDP, SCTP, ICMP echo, and protocols that the law knows by their number only.

use super::{Packet, Part, Transport, icmp_error};
use crate::mutant::{self, Mutant::*};
use crate::{DropReason, Frame};

/// Parses the transport header, if there is one: a later fragment has none.
#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(
    frame: &F,
    transport: Transport,
    is_v6: bool,
    packet: &mut Packet,
) -> Result<(), DropReason> {
    if packet.part == Part::Later {
        return Ok(());
    }
    let echo = if is_v6 { Packet::ICMPV6 } else { Packet::ICMP };
    let shortest = match packet.protocol {
        Packet::TCP => 20,
        Packet::SCTP => 16,
        Packet::UDP => 8,
        protocol if protocol == echo => 8,
        _ if packet.part == Part::First => 8,
        _ => 0,
    };
    if transport.length < shortest && !(mutant::is(TinyFragments) && packet.part == Part::First) {
        return Err(too_short(packet));
    }
    match packet.protocol {
        Packet::TCP => tcp(frame, transport, packet),
        Packet::UDP => udp(frame, transport, packet),
        Packet::SCTP => sctp(frame, transport, packet),
        protocol if protocol == echo => icmp(frame, transport, packet),
        protocol if can_be_granted(protocol, is_v6) => Ok(()),
        _ => Err(DropReason::ProtocolUnsupported),
    }
}

/// Not the ICMP of the other family, not an extension header of IPv6 in IPv4 (in IPv6 it was refused before), and not
/// 255, which is reserved (IANA).
#[inline(always)]
fn can_be_granted(protocol: u8, is_v6: bool) -> bool {
    match protocol {
        255 => false,
        Packet::ICMP => !is_v6,
        Packet::ICMPV6 if mutant::is(OtherFamilysIcmp) => true,
        0 | 43 | 44 | Packet::ICMPV6 | 59 | 60 => is_v6,
        _ => true,
    }
}

#[inline(always)]
fn too_short(packet: &Packet) -> DropReason {
    if packet.part == Part::First { DropReason::FragmentTiny } else { DropReason::TransportMalformed }
}

/// RFC 9293, 3.1.
#[inline(always)]
fn tcp<F: Frame + ?Sized>(frame: &F, transport: Transport, packet: &mut Packet) -> Result<(), DropReason> {
    let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, words, flags] = header(frame, transport)?;
    let header = usize::from(words >> 4) << 2;
    if header > transport.length {
        return Err(too_short(packet));
    }
    ports(packet, [s0, s1], [d0, d1]);
    packet.detail = flags;
    if header < 20 || ((packet.source_port == 0 || packet.destination_port == 0) && !mutant::is(TcpPortZero)) {
        return Err(DropReason::TransportMalformed);
    }
    if !tcp_flags_are_sane(flags) {
        return Err(DropReason::TcpFlags);
    }
    let payload = transport.length.saturating_sub(header) as u32;
    let after = u32::from_be_bytes([q0, q1, q2, q3]).wrapping_add(payload).wrapping_add(phantom(flags));
    packet.progress = u64::from(after) << 32 | u64::from(u32::from_be_bytes([a0, a1, a2, a3]));
    Ok(())
}

/// SYN and FIN take a sequence number each (RFC 9293, 3.4).
#[inline(always)]
fn phantom(flags: u8) -> u32 {
    u32::from(flags & Packet::SYN != 0).wrapping_add(u32::from(flags & Packet::FIN != 0 && !mutant::is(FinIsNoNumber)))
}

/// SYN stands alone or with ACK, RST alone or with ACK; everything else carries ACK.
#[inline(always)]
fn tcp_flags_are_sane(flags: u8) -> bool {
    const { assert!(Packet::FIN | Packet::SYN | Packet::RST | Packet::ACK == 0b1_0111) };
    let (syn, rst, fin) = (flags & Packet::SYN != 0, flags & Packet::RST != 0, flags & Packet::FIN != 0);
    match (syn, rst) {
        (true, true) => false,
        (true, false) | (false, true) => mutant::is(SynWithFin) || !fin,
        (false, false) => mutant::is(NeedsNoAck) || flags & Packet::ACK != 0,
    }
}

/// RFC 768. Port 0 as a source means that no answer is expected; as a destination it names nobody.
#[inline(always)]
fn udp<F: Frame + ?Sized>(frame: &F, transport: Transport, packet: &mut Packet) -> Result<(), DropReason> {
    let [s0, s1, d0, d1, l0, l1] = header(frame, transport)?;
    ports(packet, [s0, s1], [d0, d1]);
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // Of a first fragment more is to come.
    let is_wrong = if packet.part == Part::First { length <= transport.length } else { length != transport.length };
    if is_wrong && !mutant::is(UdpLengthAsGiven) || packet.destination_port == 0 {
        return Err(DropReason::TransportMalformed);
    }
    Ok(())
}

/// RFC 9260, 3: a common header and at least one chunk.
#[inline(always)]
fn sctp<F: Frame + ?Sized>(frame: &F, transport: Transport, packet: &mut Packet) -> Result<(), DropReason> {
    let [s0, s1, d0, d1, _, _, _, _, _, _, _, _, chunk, _] = header(frame, transport)?;
    ports(packet, [s0, s1], [d0, d1]);
    packet.detail = mutant::unless(ChunkUnread, chunk, 0);
    if packet.source_port == 0 || packet.destination_port == 0 {
        return Err(DropReason::TransportMalformed);
    }
    Ok(())
}

/// Errors, and echo request and reply (RFC 792; RFC 4443, 4.1 and 4.2). The identifier takes the place of the port of
/// whoever asks.
#[inline(always)]
fn icmp<F: Frame + ?Sized>(frame: &F, transport: Transport, packet: &mut Packet) -> Result<(), DropReason> {
    let [kind, code, _, _, i0, i1, m0, m1] = header(frame, transport)?;
    packet.detail = kind;
    let (request, reply) = if packet.protocol == Packet::ICMP { (8, 0) } else { (128, 129) };
    if icmp_error::is_one(packet.protocol, kind) {
        if packet.part != Part::Whole && !mutant::is(ErrorInFragments) {
            return Err(DropReason::TransportMalformed);
        }
        return icmp_error::parse(frame, transport, code, [i0, i1, m0, m1], packet);
    }
    if kind != request && kind != reply {
        return Err(DropReason::IcmpType);
    }
    if code != 0 && !mutant::is(AnyEchoCode) {
        return Err(DropReason::TransportMalformed);
    }
    if kind == request {
        ports(packet, [i0, i1], [0; 2]);
    } else {
        ports(packet, [0; 2], [i0, i1]);
    }
    Ok(())
}

#[inline(always)]
fn ports(packet: &mut Packet, source: [u8; 2], [d0, d1]: [u8; 2]) {
    packet.source_port = u16::from_be_bytes(source);
    packet.destination_port = u16::from_be_bytes(mutant::unless(SwapPort, [d0, d1], [d1, d0]));
}

/// The first `N` bytes of a transport header that is at least as long.
#[inline(always)]
fn header<F: Frame + ?Sized, const N: usize>(frame: &F, transport: Transport) -> Result<[u8; N], DropReason> {
    frame.bytes(transport.offset).ok_or(DropReason::Truncated)
}
