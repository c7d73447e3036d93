//! IPv4 (RFC 791), without options and without fragments.

use super::{Packet, Payload, Transport};
use crate::{Address, DropReason, Frame};

const HEADER: usize = 20;

#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(
    frame: &F,
    payload: Payload,
    packet: &mut Packet,
) -> Result<Transport, DropReason> {
    let [version, _, l0, l1, _, _, f0, f1, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        frame.bytes::<HEADER>(payload.offset).ok_or(DropReason::Truncated)?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if version >> 4 != 4 || version & 0x0f < 5 || length < HEADER || length > payload.available {
        return Err(DropReason::IpMalformed);
    }
    if payload.available.saturating_sub(length) > payload.padding.saturating_sub(length) {
        return Err(DropReason::TrailingBytes);
    }
    if version & 0x0f != 5 {
        return Err(DropReason::IpOptions);
    }
    // Bit 0x8000 is reserved and must be zero (RFC 791, 3.1).
    match u16::from_be_bytes([f0, f1]) {
        flags if flags & 0x8000 != 0 => return Err(DropReason::IpMalformed),
        flags if flags & 0x3fff != 0 => return Err(DropReason::Fragment),
        _ => {}
    }
    packet.source = Address::v4([s0, s1, s2, s3]);
    packet.destination = Address::v4([d0, d1, d2, d3]);
    packet.length = u16::from_be_bytes([l0, l1]);
    packet.protocol = if protocol == Packet::ICMPV6 { FOREIGN } else { protocol };
    Ok(Transport {
        offset: payload.offset.saturating_add(HEADER),
        length: length.saturating_sub(HEADER),
        hop_limit: ttl,
    })
}

/// Stands for a protocol that belongs to the other family: 255 is reserved (IANA) and never supported.
pub(super) const FOREIGN: u8 = 255;
