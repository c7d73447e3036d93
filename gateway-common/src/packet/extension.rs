//! IPv6 extension headers (RFC 8200, 4): the harmless ones, by a bounded walk.

use super::{Packet, Part, fragment};
use crate::abi::Interface;
use crate::mutant::{self, Mutant::*};
use crate::{DropReason, Frame};

const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Length of a fragment header.
const FRAGMENT_HEADER: usize = 8;

/// How many headers with options are walked.
const MOST_HEADERS: usize = 2;
/// How long each of them may be.
const LONGEST: usize = 32;
/// How many options each of them may have.
const MOST_OPTIONS: usize = 4;
/// Router alert (RFC 2711).
const ROUTER_ALERT: u8 = 5;

/// Whether a header number is that of an extension header, or of none at all: hop-by-hop, routing, fragment,
/// authentication, no next header, destination options, mobility, HIP, shim6 (IANA).
#[inline(always)]
pub const fn is_one(next: u8) -> bool {
    matches!(next, 0 | 43 | 44 | 51 | 59 | 60 | 135 | 139 | 140)
}

/// Walks the chain of headers from `next`, which stands at `offset` with `length` bytes to the end of the packet, to the
/// transport header. Where that lies is written into the packet: read from there it is a number like any other to the
/// verifier, and not one for each way through the chain.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub(super) fn walk<F: Frame + ?Sized>(
    frame: &F,
    packet: &mut Packet,
    mut next: u8,
    mut offset: usize,
    mut length: usize,
) -> Result<(), DropReason> {
    packet.has_extras = true;
    for place in 0..MOST_HEADERS {
        let is_hop_by_hop = next == HOP_BY_HOP;
        if !(is_hop_by_hop && (place == 0 || mutant::is(HopByHopAnywhere))) && next != DESTINATION_OPTIONS {
            break;
        }
        if !packet.guard.has(Interface::ADMIT_EXTENSIONS) && !mutant::is(AdmitExtensions) {
            return Err(DropReason::IpExtension);
        }
        let [following, units] = frame.bytes(offset).ok_or(DropReason::IpExtension)?;
        let header = usize::from(units).saturating_add(1) << 3;
        if (header > LONGEST && !mutant::is(LongExtensions)) || (header > length && !mutant::is(ExtensionsBeyondPacket))
        {
            return Err(DropReason::IpExtension);
        }
        options(frame, offset, header, is_hop_by_hop)?;
        next = following;
        offset = offset.saturating_add(header);
        length = length.saturating_sub(header);
    }
    if next == FRAGMENT {
        next = fragment_header(frame, packet, offset, length)?;
        offset = offset.saturating_add(FRAGMENT_HEADER);
        length = length.saturating_sub(FRAGMENT_HEADER);
    }
    packet.protocol = next;
    packet.transport = offset as u16;
    packet.transport_length = length as u16;
    if packet.part != Part::Later && is_one(next) && !mutant::is(RoutingHeaders) {
        Err(DropReason::IpExtension)
    } else {
        Ok(())
    }
}

/// The options of one header of `length` bytes, each of which is harmless.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
fn options<F: Frame + ?Sized>(frame: &F, header: usize, length: usize, is_hop_by_hop: bool) -> Result<(), DropReason> {
    let mut at = 2_usize;
    for _ in 0..MOST_OPTIONS {
        if at >= length {
            break;
        }
        // With the byte before it: behind the last one the packet may end, see `option`.
        let here = header.saturating_add(at);
        let [_, kind] = frame.bytes(here.saturating_sub(1)).ok_or(DropReason::IpExtension)?;
        if kind == 0 {
            at = at.wrapping_add(1);
            continue;
        }
        let [_, size] = frame.bytes(here).ok_or(DropReason::IpExtension)?;
        at = match kind {
            1 => at.wrapping_add(2).wrapping_add(size.into()),
            ROUTER_ALERT if is_hop_by_hop && size == 2 => at.wrapping_add(4),
            _ => return Err(DropReason::IpExtension),
        };
    }
    if at == length || (at > length && mutant::is(OptionsBeyondHeader)) { Ok(()) } else { Err(DropReason::IpExtension) }
}

/// What is behind a fragment header.
#[inline(always)]
fn fragment_header<F: Frame + ?Sized>(
    frame: &F,
    packet: &mut Packet,
    offset: usize,
    length: usize,
) -> Result<u8, DropReason> {
    if !packet.guard.has(Interface::TRACK_FRAGMENTS) {
        return Err(DropReason::Fragment);
    }
    if length < FRAGMENT_HEADER {
        return Err(DropReason::IpExtension);
    }
    let [next, _, o0, o1, i0, i1, i2, i3] = frame.bytes(offset).ok_or(DropReason::Truncated)?;
    let place = u16::from_be_bytes([o0, o1]);
    let (start, is_last) = (usize::from(place & 0xfff8), place & 1 == 0);
    // One that is both first and last is no fragment (RFC 6946).
    if start != 0 || !is_last || mutant::is(AtomicIsFragment) {
        let bytes = mutant::unless(SwapIdentification, [i0, i1, i2, i3], [i3, i2, i1, i0]);
        let identification = u32::from_be_bytes(bytes);
        fragment(packet, identification, start, length.saturating_sub(FRAGMENT_HEADER), is_last)?;
    }
    Ok(next)
}
