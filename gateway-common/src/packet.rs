//! Parsing a frame into the few facts that the law judges. Whatever is not understood is refused, with its reason.

mod ethernet;
mod icmp_error;
mod ipv4;
mod ipv6;
mod transport;

use crate::{Address, Direction, DropReason, Frame};

/// What the law looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Packet {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port; for an ICMP echo request its identifier, for a reply 0.
    pub source_port: u16,
    /// Destination port; for an ICMP echo reply its identifier, for a request 0.
    pub destination_port: u16,
    /// Length of the IP packet in bytes.
    pub length: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// TCP: the flags. ICMP: the type. Otherwise 0.
    pub detail: u8,
    /// Source hardware address; zero where there is no link layer.
    pub mac: [u8; 6],
    /// For an ICMP error: the protocol of the packet that it quotes, whose ports stand above. Otherwise 0.
    pub quoted_protocol: u8,
    /// For an ICMP error that quotes an ICMP message: the type of that message. Otherwise 0.
    pub quoted_detail: u8,
    /// For an ICMP error: where the quoted packet was going. It came from where the error goes.
    pub quoted_destination: Address,
}

impl Packet {
    /// ICMP (RFC 792).
    pub const ICMP: u8 = 1;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// ICMPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// TCP flag FIN.
    pub const FIN: u8 = 1;
    /// TCP flag SYN.
    pub const SYN: u8 = 2;
    /// TCP flag RST.
    pub const RST: u8 = 4;
    /// TCP flag ACK.
    pub const ACK: u8 = 16;

    /// Whether this is a TCP segment that asks for a new connection.
    #[inline(always)]
    #[must_use]
    pub const fn is_tcp_opening(&self) -> bool {
        self.protocol == Self::TCP && self.detail & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// Whether this is an ICMP or ICMPv6 error about another packet.
    #[inline(always)]
    #[must_use]
    pub const fn is_icmp_error(&self) -> bool {
        self.quoted_protocol != 0
    }

    /// Whether this is an ICMP error about a packet that travels in that direction: clients send echo requests, apps
    /// send replies. With identifier 0 the two have the same ports.
    #[inline(always)]
    #[must_use]
    pub const fn quotes_packet_to(&self, direction: Direction) -> bool {
        match (self.quoted_protocol, self.quoted_detail) {
            (Self::ICMP, 8) | (Self::ICMPV6, 128) => matches!(direction, Direction::ToApp),
            (Self::ICMP | Self::ICMPV6, _) => matches!(direction, Direction::ToClient),
            _ => true,
        }
    }

    /// Whether this is an ICMP or ICMPv6 message.
    #[inline(always)]
    #[must_use]
    pub const fn is_icmp(&self) -> bool {
        matches!(self.protocol, Self::ICMP | Self::ICMPV6)
    }

    /// Whether this is an ICMP echo request, of either family.
    #[inline(always)]
    #[must_use]
    pub const fn is_echo_request(&self) -> bool {
        matches!((self.protocol, self.detail), (Self::ICMP, 8) | (Self::ICMPV6, 128))
    }
}

/// What a frame turned out to be.
///
/// The packet itself is written where the caller wants it: the kernel program has 512 bytes of stack in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// A packet for the law to judge.
    Packet,
    /// Address resolution that any host may send: ARP, or neighbour and router solicitation and advertisement.
    Neighbour,
    /// Neighbour discovery that only a router sends: router advertisement, redirect.
    FromRouter,
}

/// Where the packet lies in the frame.
#[derive(Clone, Copy)]
struct Payload {
    /// Offset of its first byte.
    offset: usize,
    /// Bytes from there to the end of the frame.
    available: usize,
    /// How many bytes beyond the packet are ordinary padding.
    padding: usize,
}

/// What the network layer knows and the law does not need: the way to the transport header.
#[derive(Clone, Copy)]
struct Transport {
    /// Offset of the transport header in the frame.
    offset: usize,
    /// Length from there to the end of the IP packet.
    length: usize,
    /// The packet's time to live or hop limit.
    hop_limit: u8,
}

/// Parses a frame that begins with an Ethernet header, or without one.
///
/// # Errors
/// The reason for which the law drops what it does not understand.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F, has_link_layer: bool, packet: &mut Packet) -> Result<Parsed, DropReason> {
    if has_link_layer {
        return ethernet::parse(frame, packet);
    }
    // Two bytes: the verifier draws no conclusion from the check of a single one.
    let [first, _] = frame.bytes(0).ok_or(DropReason::Truncated)?;
    let payload = Payload { offset: 0, available: frame.length(), padding: 0 };
    match first >> 4 {
        4 => ipv4(frame, payload, packet),
        6 => ipv6(frame, payload, packet),
        _ => Err(DropReason::NotIp),
    }
}

#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, payload: Payload, packet: &mut Packet) -> Result<Parsed, DropReason> {
    let transport = ipv4::parse(frame, payload, packet)?;
    ends(packet)?;
    transport::parse(frame, transport, packet)?;
    Ok(Parsed::Packet)
}

#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F, payload: Payload, packet: &mut Packet) -> Result<Parsed, DropReason> {
    let transport = ipv6::parse(frame, payload, packet)?;
    if packet.protocol == Packet::ICMPV6
        && let Some(found) = transport::neighbour_discovery(frame, transport, packet)?
    {
        return Ok(found);
    }
    ends(packet)?;
    transport::parse(frame, transport, packet)?;
    Ok(Parsed::Packet)
}

/// Source and destination must be two different hosts on routed networks.
#[inline(always)]
fn ends(packet: &Packet) -> Result<(), DropReason> {
    if !packet.source.is_routable_unicast() || packet.source == packet.destination {
        return Err(DropReason::SourceInvalid);
    }
    if !packet.destination.is_routable_unicast() {
        return Err(DropReason::DestinationInvalid);
    }
    Ok(())
}
