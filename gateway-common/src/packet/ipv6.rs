//! IPv6 (RFC 8200).

use super::{Packet, Payload, extension};
use crate::mutant::{self, Mutant::*};
use crate::{Address, DropReason, Frame};

const HEADER: usize = 40;

#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(frame: &F, payload: Payload, packet: &mut Packet) -> Result<(), DropReason> {
    let [version, _, _, _, l0, l1, next, hop_limit] = frame.bytes(payload.offset).ok_or(DropReason::Truncated)?;
    packet.source = Address(frame.bytes(payload.offset.saturating_add(8)).ok_or(DropReason::Truncated)?);
    packet.destination = Address(frame.bytes(payload.offset.saturating_add(24)).ok_or(DropReason::Truncated)?);
    let length = usize::from(u16::from_be_bytes([l0, l1])).saturating_add(HEADER);
    if version >> 4 != 6
        || (length > payload.available && !mutant::is(BeyondFrameV6))
        || (length > 0xffff && !mutant::is(LongV6))
    {
        return Err(DropReason::IpMalformed);
    }
    if payload.available.saturating_sub(length) > payload.padding.saturating_sub(length) {
        return Err(DropReason::TrailingBytes);
    }
    packet.length = length as u16;
    let first = payload.offset.saturating_add(HEADER);
    let behind = length.saturating_sub(HEADER);
    packet.hop_limit = hop_limit;
    if extension::is_one(next) {
        extension::walk(frame, packet, next, first, behind)?;
    } else {
        packet.protocol = next;
        packet.transport = first as u16;
        packet.transport_length = behind as u16;
    }
    // An IPv4 address in mapped form would be taken for the IPv4 host of that address.
    if packet.source.to_v4().is_some() && !mutant::is(MappedSource) {
        return Err(DropReason::SourceInvalid);
    }
    if packet.destination.to_v4().is_some() && !mutant::is(MappedDestination) {
        return Err(DropReason::DestinationInvalid);
    }
    Ok(())
}
