//! IPv6 (RFC 8200), without extension headers.

use super::{Packet, Payload, Transport, ipv4};
use crate::{Address, DropReason, Frame};

const HEADER: usize = 40;

#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(
    frame: &F,
    payload: Payload,
    packet: &mut Packet,
) -> Result<Transport, DropReason> {
    let [version, _, _, _, l0, l1, next, hop_limit] = frame.bytes(payload.offset).ok_or(DropReason::Truncated)?;
    packet.source = Address(frame.bytes(payload.offset.saturating_add(8)).ok_or(DropReason::Truncated)?);
    packet.destination = Address(frame.bytes(payload.offset.saturating_add(24)).ok_or(DropReason::Truncated)?);
    let length = usize::from(u16::from_be_bytes([l0, l1])).saturating_add(HEADER);
    if version >> 4 != 6 || length > payload.available || length > 0xffff {
        return Err(DropReason::IpMalformed);
    }
    if payload.available.saturating_sub(length) > payload.padding.saturating_sub(length) {
        return Err(DropReason::TrailingBytes);
    }
    match next {
        44 => return Err(DropReason::Fragment),
        // Hop-by-hop, routing, authentication, no next header, destination options, mobility, HIP, shim6 (IANA).
        0 | 43 | 51 | 59 | 60 | 135 | 139 | 140 => return Err(DropReason::IpExtension),
        _ => {}
    }
    // An IPv4 address in mapped form would be taken for the IPv4 host of that address.
    if packet.source.to_v4().is_some() {
        return Err(DropReason::SourceInvalid);
    }
    if packet.destination.to_v4().is_some() {
        return Err(DropReason::DestinationInvalid);
    }
    packet.length = length as u16;
    packet.protocol = if next == Packet::ICMP { ipv4::FOREIGN } else { next };
    Ok(Transport { offset: payload.offset.saturating_add(HEADER), length: length.saturating_sub(HEADER), hop_limit })
}
