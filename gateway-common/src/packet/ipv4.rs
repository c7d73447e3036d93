//! IPv4 (RFC 791).

use super::{Packet, Payload, fragment, option};
use crate::abi::Interface;
use crate::mutant::{self, Mutant::*};
use crate::{Address, DropReason, Frame};

const HEADER: usize = 20;
/// The reserved flag, which must be zero (RFC 791, 3.1).
const RESERVED: u16 = 0x8000;
const MORE_FRAGMENTS: u16 = 0x2000;
/// In units of 8 bytes.
const FRAGMENT_OFFSET: u16 = 0x1fff;

#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(frame: &F, payload: Payload, packet: &mut Packet) -> Result<(), DropReason> {
    let [version, _, l0, l1, i0, i1, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        frame.bytes::<HEADER>(payload.offset).ok_or(DropReason::Truncated)?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let header = usize::from(version & 0x0f) << 2;
    let flags = u16::from_be_bytes([f0, f1]);
    if version >> 4 != 4
        || header < HEADER
        || length < header
        || length > payload.available
        || flags & mutant::unless(ReservedFlag, RESERVED, 0) != 0
    {
        return Err(DropReason::IpMalformed);
    }
    let padding = payload.padding.saturating_sub(length);
    if payload.available.saturating_sub(length) > padding && !mutant::is(TrailingBytes) {
        return Err(DropReason::TrailingBytes);
    }
    packet.source = Address::v4([s0, s1, s2, s3]);
    packet.destination = Address::v4([d0, d1, d2, d3]);
    packet.length = u16::from_be_bytes([l0, l1]);
    packet.protocol = protocol;
    if header != HEADER {
        if !packet.guard.has(Interface::ADMIT_OPTIONS) && !mutant::is(AdmitOptions) {
            return Err(DropReason::IpOptions);
        }
        let options = payload.offset.saturating_add(HEADER);
        option::admit(frame, options, header.saturating_sub(HEADER))?;
        packet.has_extras = !mutant::is(ForgetOptions);
    }
    let behind = length.saturating_sub(header);
    if flags & (MORE_FRAGMENTS | mutant::unless(LastFragmentIsWhole, FRAGMENT_OFFSET, 0)) != 0 {
        let start = usize::from(flags & FRAGMENT_OFFSET) << 3;
        let identification = u16::from_be_bytes([i0, i1]).into();
        fragment(packet, identification, start, behind, flags & MORE_FRAGMENTS == 0)?;
    }
    packet.transport = payload.offset.saturating_add(header) as u16;
    packet.transport_length = behind as u16;
    Ok(())
}
