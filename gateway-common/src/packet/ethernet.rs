//! Ethernet II and its tags. 802.3 lengths, LLC, SNAP, MPLS and PPPoE are not IP.

use super::Packet;
use crate::abi::Vlan;
use crate::mutant::{self, Mutant::*};
use crate::{DropReason, Frame};

/// Shortest frame on the wire without its checksum, counting a tag that was removed on the way (IEEE 802.3, 3.2.8).
pub const SHORTEST: usize = 64;
const HEADER: usize = 14;
const TAG: usize = 4;
/// How many tags are read.
const MOST_TAGS: u8 = 2;

/// What is behind the link layer.
#[derive(Clone, Copy)]
pub struct Link {
    /// What kind of packet.
    pub ethertype: u16,
    /// Where it begins in the frame.
    pub offset: usize,
    /// Whether the frame is for a group of hosts.
    pub is_group: bool,
}

impl Link {
    /// EtherType of IPv4.
    pub const IPV4: u16 = 0x0800;
    /// EtherType of ARP.
    pub const ARP: u16 = 0x0806;
    /// EtherType of IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// EtherType of an 802.1Q tag.
    pub const VLAN: u16 = 0x8100;
    /// EtherType of an 802.1ad tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
}

/// A tag that is not in the frame any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// Its EtherType.
    pub ethertype: u16,
    /// Its lower 16 bits: priority and VLAN number.
    pub control: u16,
}

/// Reads the link layer: hardware addresses, tags, and what is behind them. Without a link layer, the IP version.
///
/// # Errors
/// [`DropReason::Truncated`] or, without a link layer, [`DropReason::NotIp`].
#[inline(always)]
pub fn link<F: Frame + ?Sized>(frame: &F, has_link_layer: bool, packet: &mut Packet) -> Result<Link, DropReason> {
    if !has_link_layer {
        // Two bytes: the verifier draws no conclusion from the check of a single one.
        let [first, _] = frame.bytes(0).ok_or(DropReason::Truncated)?;
        let ethertype = match first >> 4 {
            4 => Link::IPV4,
            6 => Link::IPV6,
            _ => return Err(DropReason::NotIp),
        };
        return Ok(Link { ethertype, offset: 0, is_group: false });
    }
    let [to, _, _, _, _, _, m0, m1, m2, m3, m4, m5, t0, t1] = frame.bytes(0).ok_or(DropReason::Truncated)?;
    packet.mac = [m0, m1, m2, m3, m4, m5];
    let ethertype = u16::from_be_bytes([t0, t1]);
    let untagged = Link { ethertype, offset: HEADER, is_group: to & 1 != 0 };
    let removed = frame.removed_tag();
    if removed.is_none() && !is_tag(ethertype) {
        return Ok(untagged);
    }
    untag(frame, removed, untagged, packet)
}

#[inline(always)]
const fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, Link::VLAN | Link::SERVICE_VLAN)
}

#[inline(always)]
fn untag<F: Frame + ?Sized>(
    frame: &F,
    removed: Option<Tag>,
    mut link: Link,
    packet: &mut Packet,
) -> Result<Link, DropReason> {
    let mut left = MOST_TAGS;
    if let Some(tag) = removed
        && !mutant::is(IgnoreRemovedTag)
    {
        packet.vlan = inside(packet.vlan, tag);
        left = left.saturating_sub(mutant::unless(RemovedTagIsFree, 1, 0));
    }
    if is_tag(link.ethertype) {
        (packet.vlan, link.ethertype) = tag(frame.bytes(HEADER), link.ethertype, packet.vlan)?;
        link.offset = const { HEADER + TAG };
        left = left.saturating_sub(1);
        if left > 0 && is_tag(link.ethertype) {
            (packet.vlan, link.ethertype) = tag(frame.bytes(const { HEADER + TAG }), link.ethertype, packet.vlan)?;
            link.offset = const { HEADER + 2 * TAG };
        }
    }
    Ok(link)
}

#[inline(always)]
fn tag(bytes: Option<[u8; TAG]>, ethertype: u16, vlan: Vlan) -> Result<(Vlan, u16), DropReason> {
    let [c0, c1, t0, t1] = bytes.ok_or(DropReason::Truncated)?;
    let vlan = inside(vlan, Tag { ethertype, control: u16::from_be_bytes([c0, c1]) });
    Ok((vlan, u16::from_be_bytes([t0, t1])))
}

/// One tag further in. Linux takes VLAN 0 as untagged, so what is inside is what must be judged.
#[inline(always)]
fn inside(vlan: Vlan, tag: Tag) -> Vlan {
    let number = tag.control & mutant::unless(PriorityIsNumber, 0x0fff, 0xffff);
    match (tag.ethertype, vlan) {
        _ if number == 0 && !mutant::is(CountPriorityTags) => vlan,
        (Link::VLAN, Vlan { outer, inner: 0 }) => Vlan { outer, inner: number },
        (Link::SERVICE_VLAN, Vlan { outer: 0, inner: 0 }) => Vlan { outer: number, inner: 0 },
        _ => Vlan::IMPOSSIBLE,
    }
}
