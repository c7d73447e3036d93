//! IPv4 and IPv6: steps 6 to 17, and what of a fragmented packet is in a fragment.

use super::link::{Content, Guard};
use super::neighbours::Discovery;
use super::transport::{Inside, transport};
use crate::ground::Way;
use etherparse::{Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice};
use gateway_common::DropReason;
use std::net::IpAddr;

/// A packet, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    pub from: IpAddr,
    pub to: IpAddr,
    pub protocol: u8,
    /// Of the IP packet.
    pub length: u64,
    /// Without options and extension headers.
    pub is_plain: bool,
    pub part: Part,
    pub inside: Inside,
}

/// What part of a packet this is. Places are those in the fragmented payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Whole,
    First { id: u32, end: u32 },
    Later { id: u32, start: u32, end: u32 },
}

/// What a fragment's header says.
struct Piece {
    id: u32,
    offset: u32,
    is_last: bool,
}

/// Section "Fragments", first item.
fn part(piece: &Piece, length: usize, guard: &Guard) -> Result<Part, DropReason> {
    if !guard.tracks_fragments {
        return Err(DropReason::Fragment);
    }
    let end = piece.offset + length as u32;
    if length == 0 || !piece.is_last && !length.is_multiple_of(8) || end > 65_535 {
        return Err(DropReason::IpMalformed);
    }
    Ok(match piece.offset {
        0 => Part::First { id: piece.id, end },
        start => Part::Later { id: piece.id, start, end },
    })
}

/// Steps 6 to 22 for a packet of at least 20 bytes.
pub fn internet4(bytes: &[u8], may_pad: bool, guard: &Guard) -> Result<Content, DropReason> {
    let header_length = usize::from(bytes[0] & 15) * 4;
    // etherparse refuses another version, a header below 20 bytes, and one that does not fit.
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|_| DropReason::IpMalformed)?;
    let total = usize::from(header.total_len());
    if total < header_length || total > bytes.len() || bytes[6] & 0x80 != 0 {
        return Err(DropReason::IpMalformed);
    }
    if total < bytes.len() && !may_pad {
        return Err(DropReason::TrailingBytes);
    }
    if header_length > 20 && !(guard.admits_options && are_harmless(header.options())) {
        return Err(DropReason::IpOptions);
    }
    let payload = &bytes[header_length..total];
    let offset = u32::from(header.fragments_offset().value()) * 8;
    let mut piece = Part::Whole;
    if header.more_fragments() || offset != 0 {
        let id = u32::from(header.identification());
        piece = part(&Piece { id, offset, is_last: !header.more_fragments() }, payload.len(), guard)?;
    }
    let (from, to) = (IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr()));
    between_hosts(from, to)?;
    let protocol = header.protocol().0;
    let inside = transport(protocol, payload, to, piece)?;
    Ok(Content::Packet(Datagram {
        from,
        to,
        protocol,
        length: total as u64,
        is_plain: header_length == 20,
        part: piece,
        inside,
    }))
}

/// Section "IPv4 options".
fn are_harmless(options: &[u8]) -> bool {
    let mut rest = options;
    for _ in 0..10 {
        match rest {
            [] | [0, ..] => return true,
            [1, behind @ ..] | [148, 4, _, _, behind @ ..] => rest = behind,
            _ => return false,
        }
    }
    // Ten were looked at; what is not looked at is not understood.
    rest.is_empty()
}

/// Steps 6 to 22 for a packet of at least 40 bytes.
pub fn internet6(bytes: &[u8], may_pad: bool, guard: &Guard, way: Way) -> Result<Content, DropReason> {
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|_| DropReason::IpMalformed)?;
    let length = usize::from(header.payload_length());
    let payload = &bytes[40..];
    if length > payload.len() || length + 40 > 65_535 {
        return Err(DropReason::IpMalformed);
    }
    if length < payload.len() && !may_pad {
        return Err(DropReason::TrailingBytes);
    }
    let chain = chain(header.next_header().0, &payload[..length], guard)?;
    let (source, destination) = (header.source_addr(), header.destination_addr());
    if source.to_ipv4_mapped().is_some() {
        return Err(DropReason::SourceInvalid);
    }
    if destination.to_ipv4_mapped().is_some() {
        return Err(DropReason::DestinationInvalid);
    }
    let is_later = matches!(chain.part, Part::Later { .. });
    let is_discovery = chain.payload.len() >= 8 && (133..=137).contains(&chain.payload[0]);
    if chain.protocol == 58 && !is_later && is_discovery {
        let discovery =
            Discovery { source, hop_limit: header.hop_limit(), is_plain: chain.is_plain, message: chain.payload };
        let asker = (!guard.has_link).then_some(IpAddr::V6(source));
        return Ok(Content::Neighbour(discovery.judge(way)?, asker));
    }
    let (from, to) = (IpAddr::V6(source), IpAddr::V6(destination));
    between_hosts(from, to)?;
    let inside = transport(chain.protocol, chain.payload, to, chain.part)?;
    let Chain { protocol, part, is_plain, .. } = chain;
    Ok(Content::Packet(Datagram { from, to, protocol, length: length as u64 + 40, is_plain, part, inside }))
}

/// The headers of an IPv6 packet behind the first one.
struct Chain<'a> {
    protocol: u8,
    part: Part,
    /// Nothing stands between the first header and the payload.
    is_plain: bool,
    payload: &'a [u8],
}

/// Steps 9 and 10: extension headers in their order.
fn chain<'a>(first: u8, bytes: &'a [u8], guard: &Guard) -> Result<Chain<'a>, DropReason> {
    let mut chain = Chain { protocol: first, part: Part::Whole, is_plain: true, payload: bytes };
    let mut admitted = 0;
    let mut is_behind_fragment = false;
    loop {
        match chain.protocol {
            43 | 51 | 59 | 135 | 139 | 140 => return Err(DropReason::IpExtension),
            0 | 60 | 44 if is_behind_fragment => return Err(DropReason::IpExtension),
            0 | 60 => {
                let may_stand_here = chain.protocol == 60 || chain.is_plain;
                if !guard.admits_extensions || !may_stand_here || admitted == 2 {
                    return Err(DropReason::IpExtension);
                }
                admitted += 1;
                let (next, behind) = options(chain.protocol, chain.payload).ok_or(DropReason::IpExtension)?;
                (chain.protocol, chain.payload) = (next, behind);
            }
            44 => {
                if !guard.tracks_fragments {
                    return Err(DropReason::Fragment);
                }
                let header = Ipv6FragmentHeaderSlice::from_slice(chain.payload).map_err(|_| DropReason::IpExtension)?;
                let offset = u32::from(header.fragment_offset().value()) * 8;
                let piece = Piece { id: header.identification(), offset, is_last: !header.more_fragments() };
                chain.protocol = header.next_header().0;
                chain.payload = &chain.payload[8..];
                // Both first and last: judged as if it had no such header (RFC 6946).
                if !(piece.offset == 0 && piece.is_last) {
                    chain.part = part(&piece, chain.payload.len(), guard)?;
                }
                if let Part::Later { .. } = chain.part {
                    // What its next header names is in the first one (RFC 8200, section 4.5).
                    return Ok(Chain { is_plain: false, ..chain });
                }
                is_behind_fragment = true;
            }
            _ => return Ok(chain),
        }
        chain.is_plain = false;
    }
}

/// A header of options that are harmless: the next header's number, and what is behind it.
fn options(kind: u8, bytes: &[u8]) -> Option<(u8, &[u8])> {
    let length = (usize::from(*bytes.get(1)?) + 1) * 8;
    if length > 32 || length > bytes.len() {
        return None;
    }
    let (header, behind) = bytes.split_at(length);
    let mut rest = &header[2..];
    let mut options = 0;
    while !rest.is_empty() {
        options += 1;
        let taken = match *rest {
            _ if options > 4 => return None,
            [0, ..] => 1,
            [1, data, ..] => 2 + usize::from(data),
            [5, 2, ..] if kind == 0 => 4,
            _ => return None,
        };
        rest = rest.get(taken..)?;
    }
    Some((header[0], behind))
}

pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Whether a host on a routed network can have the address.
pub fn is_host(address: IpAddr) -> bool {
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

/// Steps 16 and 17.
fn between_hosts(from: IpAddr, to: IpAddr) -> Result<(), DropReason> {
    if !is_host(from) || from == to {
        Err(DropReason::SourceInvalid)
    } else if !is_host(to) {
        Err(DropReason::DestinationInvalid)
    } else {
        Ok(())
    }
}
