//! Address resolution: ARP (RFC 826) and neighbour discovery (RFC 4861), and who claims which address by them.

use super::{Claim, Packet, Part, Transport};
use crate::mutant::{self, Mutant::*};
use crate::{Address, Direction, DropReason, Frame};

/// How many options of a message are looked at.
const MOST_OPTIONS: usize = 4;
/// An option with the sender's hardware address, in solicitations.
const SOURCE_LINK_ADDRESS: u8 = 1;
/// An option with the target's hardware address, in advertisements.
const TARGET_LINK_ADDRESS: u8 = 2;
/// What the target's address is read behind.
const TARGET: usize = 8;

/// ARP for IPv4 over Ethernet, request or reply.
#[inline(always)]
pub(super) fn arp<F: Frame + ?Sized>(frame: &F, offset: usize) -> Result<Claim, DropReason> {
    let body: [u8; 28] = frame.bytes(offset).ok_or(DropReason::ArpMalformed)?;
    let [0, 1, 8, 0, 6, 4, 0, operation @ (1 | 2), m0, m1, m2, m3, m4, m5, a0, a1, a2, a3, ..] = body else {
        return Err(DropReason::ArpMalformed);
    };
    let (mac, address) = ([m0, m1, m2, m3, m4, m5], Address::v4([a0, a1, a2, a3]));
    // RFC 5227: whoever asks whether an address is free has none yet.
    let is_probe = operation == 1 && matches!([a0, a1, a2, a3], [0, 0, 0, 0]);
    if (!is_one_host(mac) && !mutant::is(ArpOfGroup)) || !(is_probe || address.is_routable_unicast()) {
        return Err(DropReason::ArpMalformed);
    }
    Ok(Claim { address, mac, is_made: !is_probe })
}

/// Recognizes neighbour discovery. It never leaves its link: the hop limit proves that it did not.
#[inline(always)]
pub(super) fn discovery<F: Frame + ?Sized>(
    frame: &F,
    direction: Direction,
    packet: &mut Packet,
) -> Result<bool, DropReason> {
    let transport = packet.transport();
    if transport.length < 8 {
        return Ok(false);
    }
    let [kind, code] = frame.bytes(transport.offset).ok_or(DropReason::Truncated)?;
    let shortest = match kind {
        133 => 8,
        134 => 16,
        135 | 136 => 24,
        137 => 40,
        _ => return Ok(false),
    };
    let source = packet.source;
    let source_can_be = source.is_unspecified_v6() || source.is_link_local() || source.is_routable_unicast();
    let is_plain = mutant::is(DiscoveryWithExtras) || packet.part == Part::Whole && !packet.has_extras;
    if !is_plain
        || (packet.hop_limit != 255 && !mutant::is(AnyHopLimit))
        || code != 0
        || transport.length < shortest
        || !source_can_be
    {
        return Err(DropReason::NeighbourInvalid);
    }
    if matches!(direction, Direction::ToApp) {
        claim(frame, packet, kind, shortest)?;
    }
    Ok(true)
}

/// What a message from a client claims.
#[inline(always)]
fn claim<F: Frame + ?Sized>(frame: &F, packet: &mut Packet, kind: u8, shortest: usize) -> Result<(), DropReason> {
    let Transport { offset, length } = packet.transport();
    packet.claim.address = packet.source;
    let wanted = match kind {
        133 => SOURCE_LINK_ADDRESS,
        135 | 136 => {
            let target = Address(frame.bytes(offset.saturating_add(TARGET)).ok_or(DropReason::Truncated)?);
            if !target.is_link_local() && !target.is_routable_unicast() {
                return Err(DropReason::NeighbourInvalid);
            }
            if kind == 135 {
                SOURCE_LINK_ADDRESS
            } else {
                packet.claim.address = mutant::unless(ClaimSource, target, packet.source);
                TARGET_LINK_ADDRESS
            }
        }
        134 if mutant::is(AcceptRouters) => SOURCE_LINK_ADDRESS,
        // Router advertisements and redirects: clients send none.
        _ => return Err(DropReason::NeighbourInvalid),
    };
    link_address(frame, packet, offset.saturating_add(shortest), length.saturating_sub(shortest), wanted)?;
    if packet.claim.is_made && packet.claim.address.is_unspecified_v6() && !mutant::is(ClaimForNobody) {
        return Err(DropReason::NeighbourInvalid);
    }
    Ok(())
}

/// Looks for the hardware address in `length` bytes of options at `options`.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
fn link_address<F: Frame + ?Sized>(
    frame: &F,
    packet: &mut Packet,
    options: usize,
    length: usize,
    wanted: u8,
) -> Result<(), DropReason> {
    let mut at = 0_usize;
    for _ in 0..MOST_OPTIONS {
        if at >= length {
            break;
        }
        let here = options.saturating_add(at);
        let [kind, units, mac @ ..] = frame.bytes::<8>(here).ok_or(DropReason::NeighbourInvalid)?;
        if units == 0 {
            return Err(DropReason::NeighbourInvalid);
        }
        if kind == wanted {
            let is_other = !mutant::is(LastLinkAddress) && packet.claim.is_made && packet.claim.mac != mac;
            if units != 1 || !is_one_host(mac) || is_other {
                return Err(DropReason::NeighbourInvalid);
            }
            packet.claim.mac = mac;
            packet.claim.is_made = true;
        }
        at = at.wrapping_add(usize::from(units) << 3);
    }
    if at == length { Ok(()) } else { Err(DropReason::NeighbourInvalid) }
}

/// Whether a hardware address is that of one host: neither zero nor a group's.
#[inline(always)]
fn is_one_host(mac: [u8; 6]) -> bool {
    let [first, ..] = mac;
    first & 1 == 0 && mac != [0; 6]
}
