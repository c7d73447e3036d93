//! Ethernet II, priority tags, ARP. 802.3 lengths, LLC, SNAP, MPLS and PPPoE are not IP.

use super::{Packet, Parsed, Payload, ipv4, ipv6};
use crate::{DropReason, Frame};

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;
const IPV6: u16 = 0x86dd;

/// Shortest frame on the wire without its checksum, counting a tag that was removed on the way (IEEE 802.3, 3.2.8).
const SHORTEST: usize = 64;
const HEADER: usize = 14;
const TAG: usize = 4;

#[inline(always)]
pub(super) fn parse<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) -> Result<Parsed, DropReason> {
    let [to, _, _, _, _, _, m0, m1, m2, m3, m4, m5, t0, t1] = frame.bytes(0).ok_or(DropReason::Truncated)?;
    let (ethertype, offset) = untag(frame, u16::from_be_bytes([t0, t1]))?;
    let payload =
        Payload { offset, available: frame.length().saturating_sub(offset), padding: SHORTEST.saturating_sub(offset) };
    packet.mac = [m0, m1, m2, m3, m4, m5];
    let parsed = match ethertype {
        IPV4 => ipv4(frame, payload, packet)?,
        IPV6 => ipv6(frame, payload, packet)?,
        ARP => arp(frame, offset)?,
        _ => return Err(DropReason::NotIp),
    };
    let is_group = to & 1 != 0;
    if is_group && matches!(parsed, Parsed::Packet) {
        return Err(DropReason::LinkMulticast);
    }
    Ok(parsed)
}

/// Skips up to two priority tags: Linux takes VLAN 0 as untagged, so what is inside is what must be judged.
#[inline(always)]
fn untag<F: Frame + ?Sized>(frame: &F, ethertype: u16) -> Result<(u16, usize), DropReason> {
    if !matches!(ethertype, VLAN | SERVICE_VLAN) {
        return Ok((ethertype, HEADER));
    }
    let inner = priority_tag(frame.bytes(HEADER))?;
    if !matches!(inner, VLAN | SERVICE_VLAN) {
        return Ok((inner, const { HEADER + TAG }));
    }
    let innermost = priority_tag(frame.bytes(const { HEADER + TAG }))?;
    Ok((innermost, const { HEADER + 2 * TAG }))
}

#[inline(always)]
fn priority_tag(tag: Option<[u8; TAG]>) -> Result<u16, DropReason> {
    let [control, id, t0, t1] = tag.ok_or(DropReason::Truncated)?;
    if u16::from_be_bytes([control, id]) & 0x0fff != 0 {
        return Err(DropReason::VlanUnknown);
    }
    Ok(u16::from_be_bytes([t0, t1]))
}

/// ARP for IPv4 over Ethernet, request or reply (RFC 826).
#[inline(always)]
fn arp<F: Frame + ?Sized>(frame: &F, offset: usize) -> Result<Parsed, DropReason> {
    let body: [u8; 28] = frame.bytes(offset).ok_or(DropReason::ArpMalformed)?;
    match body {
        [0, 1, 8, 0, 6, 4, 0, 1 | 2, ..] => Ok(Parsed::Neighbour),
        _ => Err(DropReason::ArpMalformed),
    }
}
