//! The oracle's eyes: what a frame is, read from `docs/law.md` and the RFCs, byte by byte and without the law's parser.

use super::scene::Way;
use gateway_common::DropReason;
use std::net::IpAddr;

/// A frame that steps 1 to 20 let through.
#[derive(Debug)]
pub enum Seen {
    /// ARP or neighbour discovery.
    Link,
    /// A packet from host to host.
    Packet(Datagram),
}

/// A packet, as far as it matters.
#[derive(Debug)]
pub struct Datagram {
    pub mac: Option<[u8; 6]>,
    pub from: IpAddr,
    pub to: IpAddr,
    pub protocol: u8,
    pub length: u64,
    pub inside: Content,
}

impl Datagram {
    pub fn is_syn(&self) -> bool {
        matches!(self.inside, Content::Tcp { flags, .. } if flags & 18 == 2)
    }
}

/// What a packet carries, or what is left of a packet in a quotation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    Tcp { from: u16, to: u16, flags: u8 },
    Udp { from: u16, to: u16 },
    Request(u16),
    Reply(u16),
    Error(Quote),
}

/// The packet that an ICMP error is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    pub to: IpAddr,
    pub protocol: u8,
    /// Ports, or for a request (identifier, 0) and for a reply (0, identifier) of echo.
    pub ports: (u16, u16),
    pub is_request: bool,
    pub is_reply: bool,
}

/// What comes first in the bytes, taken off them.
fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    if bytes.len() < length {
        return None;
    }
    let (first, rest) = bytes.split_at(length);
    *bytes = rest;
    Some(first)
}

fn number(bytes: &[u8]) -> u64 {
    let mut value = 0;
    for byte in bytes {
        value = value << 8 | u64::from(*byte);
    }
    value
}

fn port(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn v4(bytes: &[u8]) -> IpAddr {
    IpAddr::from(<[u8; 4]>::try_from(bytes).unwrap())
}

fn v6(bytes: &[u8]) -> IpAddr {
    IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap())
}

/// Steps 2 to 20 for a frame, with or without an Ethernet header.
pub fn read(frame: &[u8], has_link: bool, way: Way) -> Result<Seen, DropReason> {
    let mut rest = frame;
    let (mut mac, mut is_group, mut kind) = (None, false, 0);
    if has_link {
        let ethernet = take(&mut rest, 14).ok_or(DropReason::Truncated)?;
        mac = Some(<[u8; 6]>::try_from(&ethernet[6..12]).unwrap());
        is_group = ethernet[0] & 1 == 1;
        kind = number(&ethernet[12..14]);
        for _ in 0..2 {
            if kind == 0x8100 || kind == 0x88a8 {
                let tag = take(&mut rest, 4).ok_or(DropReason::Truncated)?;
                if number(&tag[..2]) & 4095 != 0 {
                    return Err(DropReason::VlanUnknown);
                }
                kind = number(&tag[2..]);
            }
        }
        if kind == 0x0806 {
            return arp(rest);
        }
    } else {
        if rest.len() < 2 {
            return Err(DropReason::Truncated);
        }
        match rest[0] >> 4 {
            4 => kind = 0x0800,
            6 => kind = 0x86dd,
            _ => {}
        }
    }
    let may_pad = has_link && frame.len() <= 64;
    let seen = match kind {
        0x0800 => internet4(rest, may_pad, mac)?,
        0x86dd => internet6(rest, may_pad, mac, way)?,
        _ => return Err(DropReason::NotIp),
    };
    match seen {
        Seen::Packet(_) if is_group => Err(DropReason::LinkMulticast),
        seen => Ok(seen),
    }
}

fn arp(body: &[u8]) -> Result<Seen, DropReason> {
    let is_fine = body.len() >= 28 && body[..6] == [0, 1, 8, 0, 6, 4] && [1, 2].contains(&number(&body[6..8]));
    if is_fine { Ok(Seen::Link) } else { Err(DropReason::ArpMalformed) }
}

fn internet4(bytes: &[u8], may_pad: bool, mac: Option<[u8; 6]>) -> Result<Seen, DropReason> {
    let mut payload = bytes;
    let header = take(&mut payload, 20).ok_or(DropReason::Truncated)?;
    let header_length = usize::from(header[0] % 16) * 4;
    let total = usize::from(port(header, 2));
    // Known: the document says `ip_malformed` also of a total length below a header with options; the law does not look.
    if header[0] / 16 != 4 || header_length < 20 || total < 20 || total > bytes.len() {
        return Err(DropReason::IpMalformed);
    }
    if total < bytes.len() && !may_pad {
        return Err(DropReason::TrailingBytes);
    }
    if header_length > 20 {
        return Err(DropReason::IpOptions);
    }
    if header[6] >= 128 {
        return Err(DropReason::IpMalformed);
    }
    if port(header, 6) & 0x3fff != 0 {
        return Err(DropReason::Fragment);
    }
    let (from, to) = (v4(&header[12..16]), v4(&header[16..20]));
    between_hosts(from, to)?;
    let inside = transport(header[9], &payload[..total - 20], to)?;
    Ok(Seen::Packet(Datagram { mac, from, to, protocol: header[9], length: total as u64, inside }))
}

fn internet6(bytes: &[u8], may_pad: bool, mac: Option<[u8; 6]>, way: Way) -> Result<Seen, DropReason> {
    let mut payload = bytes;
    let header = take(&mut payload, 40).ok_or(DropReason::Truncated)?;
    let length = usize::from(port(header, 4));
    if header[0] / 16 != 6 || length > payload.len() || length + 40 > 65_535 {
        return Err(DropReason::IpMalformed);
    }
    if length < payload.len() && !may_pad {
        return Err(DropReason::TrailingBytes);
    }
    match header[6] {
        44 => return Err(DropReason::Fragment),
        0 | 43 | 51 | 59 | 60 | 135 | 139 | 140 => return Err(DropReason::IpExtension),
        _ => {}
    }
    let (from, to) = (v6(&header[8..24]), v6(&header[24..40]));
    let payload = &payload[..length];
    // Known: the document asks for neighbour discovery first, the law for mapped addresses and for eight bytes.
    let is_mapped = |address| matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if is_mapped(from) {
        return Err(DropReason::SourceInvalid);
    }
    if is_mapped(to) {
        return Err(DropReason::DestinationInvalid);
    }
    if header[6] == 58 && payload.len() < 8 {
        return Err(DropReason::TransportMalformed);
    }
    if header[6] == 58 && (133..=137).contains(&payload[0]) {
        return neighbour(payload, header[7], from, way);
    }
    between_hosts(from, to)?;
    let inside = transport(header[6], payload, to)?;
    Ok(Seen::Packet(Datagram { mac, from, to, protocol: header[6], length: length as u64 + 40, inside }))
}

/// Neighbour discovery (RFC 4861, sections 6.1, 7.1 and 8.1).
fn neighbour(message: &[u8], hop_limit: u8, from: IpAddr, way: Way) -> Result<Seen, DropReason> {
    let kind = message[0];
    let (shortest, is_for_routers) = match kind {
        133 => (8, false),
        134 => (16, true),
        135 | 136 => (24, false),
        _ => (40, true),
    };
    let IpAddr::V6(source) = from else { return Err(DropReason::NeighbourInvalid) };
    let is_link_local = source.segments()[0] & 0xffc0 == 0xfe80;
    // RFC 4861 is stricter with advertisements and redirects; their receiver's stack sees to that.
    let can_be_source = is_link_local || is_host(from) || source.is_unspecified();
    let is_fine = hop_limit == 255 && message.len() >= shortest && message[1] == 0 && can_be_source;
    if is_fine && (way == Way::Out || !is_for_routers) { Ok(Seen::Link) } else { Err(DropReason::NeighbourInvalid) }
}

/// Whether a host on a routed network can have the address.
fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let first = v4.octets()[0];
            first != 0 && !v4.is_loopback() && !v4.is_link_local() && first < 224
        }
        IpAddr::V6(v6) => {
            let words = v6.segments();
            let embeds_v4 = words[..5] == [0; 5] && (words[5] == 0 || words[5] == 0xffff);
            let is_local = (0xfe80..0xff00).contains(&words[0]);
            !embeds_v4 && !v6.is_multicast() && !is_local
        }
    }
}

fn between_hosts(from: IpAddr, to: IpAddr) -> Result<(), DropReason> {
    if !is_host(from) || from == to {
        Err(DropReason::SourceInvalid)
    } else if !is_host(to) {
        Err(DropReason::DestinationInvalid)
    } else {
        Ok(())
    }
}

fn transport(protocol: u8, payload: &[u8], to: IpAddr) -> Result<Content, DropReason> {
    match (protocol, to) {
        (6, _) => tcp(payload),
        (17, _) => udp(payload),
        (1, IpAddr::V4(_)) | (58, IpAddr::V6(_)) => icmp(payload, to),
        _ => Err(DropReason::ProtocolUnsupported),
    }
}

fn tcp(segment: &[u8]) -> Result<Content, DropReason> {
    let offset = segment.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
    if segment.len() < 20 || offset < 20 || offset > segment.len() || port(segment, 0) == 0 || port(segment, 2) == 0 {
        return Err(DropReason::TransportMalformed);
    }
    let flags = segment[13];
    let (fin, syn, rst, ack) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0, flags & 16 != 0);
    if syn && rst || fin && (syn || rst) || !syn && !rst && !ack {
        return Err(DropReason::TcpFlags);
    }
    Ok(Content::Tcp { from: port(segment, 0), to: port(segment, 2), flags })
}

fn udp(datagram: &[u8]) -> Result<Content, DropReason> {
    if datagram.len() < 8 || usize::from(port(datagram, 4)) != datagram.len() || port(datagram, 2) == 0 {
        return Err(DropReason::TransportMalformed);
    }
    Ok(Content::Udp { from: port(datagram, 0), to: port(datagram, 2) })
}

fn icmp(message: &[u8], to: IpAddr) -> Result<Content, DropReason> {
    if message.len() < 8 {
        return Err(DropReason::TransportMalformed);
    }
    let (kind, code) = (message[0], message[1]);
    let (request, reply, errors, smallest): (u8, u8, &[u8], usize) =
        if to.is_ipv4() { (8, 0, &[3, 11, 12], 28) } else { (128, 129, &[1, 2, 3, 4], 48) };
    if kind == request || kind == reply {
        let id = port(message, 4);
        return match (code, kind == request) {
            (0, true) => Ok(Content::Request(id)),
            (0, false) => Ok(Content::Reply(id)),
            _ => Err(DropReason::TransportMalformed),
        };
    }
    if !errors.contains(&kind) {
        return Err(DropReason::IcmpType);
    }
    let mtu = number(&message[4..8]);
    // RFC 1191, section 5: a router that knows no better announces 0.
    let is_tiny = match to {
        IpAddr::V4(_) => (kind, code) == (3, 4) && (1..68).contains(&(mtu % 0x1_0000)),
        IpAddr::V6(_) => kind == 2 && mtu < 1280,
    };
    if is_tiny || message.len() < 8 + smallest {
        return Err(DropReason::TransportMalformed);
    }
    quotation(&message[8..], to).map(Content::Error)
}

/// The packet that is quoted to the host that sent it.
fn quotation(packet: &[u8], sender: IpAddr) -> Result<Quote, DropReason> {
    let (version, from, to, protocol, rest) = match sender {
        IpAddr::V4(_) => (4, v4(&packet[12..16]), v4(&packet[16..20]), packet[9], &packet[20..]),
        IpAddr::V6(_) => (6, v6(&packet[8..24]), v6(&packet[24..40]), packet[6], &packet[40..]),
    };
    if packet[0] >> 4 != version
        || from != sender
        || version == 4 && (packet[0] != 0x45 || port(packet, 6) & 0x1fff != 0)
    {
        return Err(DropReason::TransportMalformed);
    }
    let (ports, id) = ((port(rest, 0), port(rest, 2)), port(rest, 4));
    let quote = |ports, is_request, is_reply| Ok(Quote { to, protocol, ports, is_request, is_reply });
    match (protocol, rest[0]) {
        (6 | 17, _) => quote(ports, false, false),
        (1, 8) | (58, 128) => quote((id, 0), true, false),
        (1, 0) | (58, 129) => quote((0, id), false, true),
        // Known: the document asks for group addresses and for the session first.
        _ => Err(DropReason::IcmpUnrelated),
    }
}
