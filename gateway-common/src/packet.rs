//! Parsing a frame into the few facts that the law judges. Whatever is not understood is refused, with its reason.

mod ethernet;
mod extension;
mod icmp_error;
mod ipv4;
mod ipv6;
mod neighbour;
mod option;
mod transport;

use crate::abi::{Flow, FlowKey, Interface, Vlan};
use crate::mutant::{self, Mutant::*};
use crate::{Address, Direction, DropReason, Frame};

pub use ethernet::{Link, SHORTEST as SHORTEST_FRAME, Tag, link};
pub use extension::is_one as is_extension_header;

/// What the law looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(8))]
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
    /// TCP: the flags. ICMP: the type. SCTP: the type of the first chunk. Otherwise 0.
    pub detail: u8,
    /// Source hardware address; zero where there is no link layer.
    pub mac: [u8; 6],
    /// For an ICMP error: the protocol of the packet that it quotes, whose ports stand above. Otherwise 0.
    pub quoted_protocol: u8,
    /// For an ICMP error that quotes an ICMP message: the type of that message. Otherwise 0.
    pub quoted_detail: u8,
    /// For an ICMP error: where the quoted packet was going. It came from where the error goes.
    pub quoted_destination: Address,
    /// TCP: the sequence number after this segment in the upper, the acknowledgement in the lower half.
    pub progress: u64,
    /// For address resolution: who claims which address.
    pub claim: Claim,
    /// The mark that a sender on this host has put on it; 0 if none did.
    pub mark: u32,
    /// The guarded interface, or the VLAN on it, as it is configured.
    pub guard: Interface,
    /// The tags, without priority tags.
    pub vlan: Vlan,
    /// For a fragment: the identification.
    pub identification: u32,
    /// For a fragment: the first byte of its payload in that of the whole packet.
    pub start: u16,
    /// For a fragment: the byte after its last one.
    pub end: u16,
    /// Offset of the IP header in the frame.
    pub offset: u16,
    /// Offset of the transport header in the frame.
    pub transport: u16,
    /// Bytes from there to the end of the packet.
    pub transport_length: u16,
    /// IPv6: the hop limit.
    pub hop_limit: u8,
    /// Whether this is a fragment, and which.
    pub part: Part,
    /// Whether options or extension headers were skipped.
    pub has_extras: bool,
    /// The flow that it belongs to, or would. Here because the kernel program has 512 bytes of stack in all.
    pub flow: FlowKey,
}

/// Which part of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// The first fragment.
    First,
    /// A later fragment.
    Later,
}

impl Packet {
    /// Forgets everything.
    #[inline(always)]
    pub fn clear(&mut self) {
        #[cfg(not(target_arch = "bpf"))]
        {
            *self = Self::default();
        }
        // The compiler would call a function that writes byte after byte.
        #[cfg(target_arch = "bpf")]
        for place in 0..const { size_of::<Self>() / 8 } {
            const { assert!(size_of::<Self>().is_multiple_of(8) && align_of::<Self>() == 8) };
            // SAFETY: within the packet, as asserted, and aligned; of zeroes alone it is a packet, its default.
            unsafe { core::ptr::from_mut(self).cast::<u64>().add(place).write_volatile(0) };
        }
    }

    /// ICMP (RFC 792).
    pub const ICMP: u8 = 1;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// ICMPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// SCTP (RFC 9260).
    pub const SCTP: u8 = 132;
    /// TCP flag FIN.
    pub const FIN: u8 = 1;
    /// TCP flag SYN.
    pub const SYN: u8 = 2;
    /// TCP flag RST.
    pub const RST: u8 = 4;
    /// TCP flag ACK.
    pub const ACK: u8 = 16;
    /// SCTP chunk INIT.
    const INIT: u8 = 1;
    /// SCTP chunk ABORT.
    const ABORT: u8 = 6;
    /// SCTP chunk SHUTDOWN COMPLETE.
    const SHUTDOWN_COMPLETE: u8 = 14;

    /// Whether this asks for something new: a TCP SYN, an SCTP INIT, an echo request.
    #[inline(always)]
    #[must_use]
    pub const fn begins(&self) -> bool {
        match self.protocol {
            Self::TCP => self.detail & (Self::SYN | Self::ACK) == Self::SYN,
            Self::SCTP => self.detail == Self::INIT,
            Self::ICMP => self.detail == 8,
            Self::ICMPV6 => self.detail == 128,
            _ => false,
        }
    }

    /// Whether this is an ICMP or ICMPv6 echo reply.
    #[inline(always)]
    #[must_use]
    pub const fn is_echo_reply(&self) -> bool {
        matches!((self.protocol, self.detail), (Self::ICMP, 0) | (Self::ICMPV6, 129))
    }

    /// Whether this may be the first packet of a flow that an app opens.
    #[inline(always)]
    #[must_use]
    pub const fn may_open_to_client(&self) -> bool {
        self.begins() || !matches!(self.protocol, Self::TCP | Self::SCTP | Self::ICMP | Self::ICMPV6)
    }

    /// Whether this, travelling in that direction, is a packet of the flow that has its ports.
    #[inline(always)]
    #[must_use]
    pub fn continues(&self, flow: &Flow, direction: Direction) -> bool {
        let ends = flow.ends();
        let is_from_opener = matches!(direction, Direction::ToApp) == (ends & Flow::BY_APP == 0);
        if self.begins() {
            return (mutant::is(ServerBegins) || is_from_opener) && (mutant::is(ReopenFlow) || !Flow::is_over(ends));
        }
        mutant::is(ReplyFromOpener) || !(self.is_echo_reply() && is_from_opener)
    }

    /// Which ends of the connection this closes, as the bits of [`Flow::ends`].
    #[inline(always)]
    #[must_use]
    pub fn closes(&self, direction: Direction) -> u64 {
        let fin = match direction {
            Direction::ToApp => Flow::CLIENT_FIN,
            Direction::ToClient => mutant::unless(FinOfClientOnly, Flow::APP_FIN, Flow::CLIENT_FIN),
        };
        match self.protocol {
            Self::TCP if self.detail & Self::RST != 0 => Flow::RESET,
            Self::TCP if self.detail & Self::FIN != 0 => fin,
            Self::SCTP if mutant::is(SctpNeverEnds) => 0,
            Self::SCTP if matches!(self.detail, Self::ABORT | Self::SHUTDOWN_COMPLETE) => Flow::RESET,
            _ => 0,
        }
    }

    /// Whether this is an ICMP or ICMPv6 error about another packet.
    #[inline(always)]
    #[must_use]
    pub const fn is_icmp_error(&self) -> bool {
        self.quoted_protocol != 0
    }

    /// Whether the packet that this ICMP error quotes travelled in that direction in the flow that has its ports. With
    /// identifier 0 an echo request and its reply have the same ports.
    #[inline(always)]
    #[must_use]
    pub fn quotes_packet_to(&self, direction: Direction, flow: &Flow) -> bool {
        let is_from_opener = matches!(direction, Direction::ToApp) != flow.is_by_app();
        match (self.quoted_protocol, self.quoted_detail) {
            (Self::ICMP, 8) | (Self::ICMPV6, 128) => mutant::is(QuoteEitherWay) || is_from_opener,
            (Self::ICMP | Self::ICMPV6, _) => !is_from_opener,
            _ => true,
        }
    }
}

/// What a frame turned out to be.
///
/// The packet itself is written where the caller wants it: the kernel program has 512 bytes of stack in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// A packet for the law to judge.
    Packet,
    /// Address resolution: ARP or neighbour discovery, with its [`Packet::claim`].
    Neighbour,
}

/// Who claims to have an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Claim {
    /// The address.
    pub address: Address,
    /// The hardware address.
    pub mac: [u8; 6],
    /// Whether the message claims anything at all.
    pub is_made: bool,
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

/// The way to the transport header.
#[derive(Clone, Copy)]
struct Transport {
    /// Offset of the transport header in the frame.
    offset: usize,
    /// Length from there to the end of the IP packet.
    length: usize,
}

impl Packet {
    #[inline(always)]
    fn transport(&self) -> Transport {
        Transport { offset: self.transport.into(), length: self.transport_length.into() }
    }
}

/// Parses what is behind the link layer, as the guard in `packet` admits it.
///
/// # Errors
/// The reason for which the law drops what it does not understand.
#[inline(always)]
pub fn network<F: Frame + ?Sized>(
    frame: &F,
    link: &Link,
    direction: Direction,
    packet: &mut Packet,
) -> Result<Parsed, DropReason> {
    let is_padded = mutant::is(PadWithoutLink) || packet.guard.has_link_layer();
    let payload = Payload {
        offset: link.offset,
        available: frame.length().saturating_sub(link.offset),
        padding: if is_padded { ethernet::SHORTEST.saturating_sub(link.offset) } else { 0 },
    };
    packet.offset = link.offset as u16;
    match link.ethertype {
        Link::IPV4 => ipv4(frame, payload, packet)?,
        Link::IPV6 => {
            if ipv6(frame, payload, direction, packet)? {
                return Ok(Parsed::Neighbour);
            }
        }
        Link::ARP => {
            packet.claim = neighbour::arp(frame, link.offset)?;
            return Ok(Parsed::Neighbour);
        }
        _ => return Err(DropReason::NotIp),
    }
    if link.is_group && !mutant::is(AcceptGroupFrames) {
        return Err(DropReason::LinkMulticast);
    }
    Ok(Parsed::Packet)
}

#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, payload: Payload, packet: &mut Packet) -> Result<(), DropReason> {
    ipv4::parse(frame, payload, packet)?;
    ends(packet)?;
    transport::parse(frame, packet.transport(), false, packet)
}

/// True if it is neighbour discovery.
#[inline(always)]
fn ipv6<F: Frame + ?Sized>(
    frame: &F,
    payload: Payload,
    direction: Direction,
    packet: &mut Packet,
) -> Result<bool, DropReason> {
    ipv6::parse(frame, payload, packet)?;
    if packet.protocol == Packet::ICMPV6
        && packet.part != Part::Later
        && neighbour::discovery(frame, direction, packet)?
    {
        return Ok(true);
    }
    ends(packet)?;
    transport::parse(frame, packet.transport(), true, packet)?;
    Ok(false)
}

/// Source and destination must be two different hosts on routed networks.
#[inline(always)]
fn ends(packet: &Packet) -> Result<(), DropReason> {
    if !packet.source.is_routable_unicast()
        || (packet.source == packet.destination && !mutant::is(AcceptOwnDestination))
    {
        return Err(DropReason::SourceInvalid);
    }
    if !packet.destination.is_routable_unicast() && !mutant::is(AcceptAnyDestination) {
        return Err(DropReason::DestinationInvalid);
    }
    Ok(())
}

/// Notes that the packet is a fragment, whose payload begins at `start` (in bytes) and is `length` bytes long.
#[inline(always)]
fn fragment(
    packet: &mut Packet,
    identification: u32,
    start: usize,
    length: usize,
    is_last: bool,
) -> Result<(), DropReason> {
    let end = start.saturating_add(length);
    if !packet.guard.has(Interface::TRACK_FRAGMENTS) && !mutant::is(IgnoreTracking) {
        return Err(DropReason::Fragment);
    }
    if length == 0 || (end > 0xffff && !mutant::is(AcceptPingOfDeath)) || (!is_last && length & 7 != 0) {
        return Err(DropReason::IpMalformed);
    }
    packet.identification = identification;
    packet.start = start as u16;
    packet.end = end as u16;
    packet.part = if start == 0 { Part::First } else { Part::Later };
    Ok(())
}
