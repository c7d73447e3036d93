//! What a frame is, down to the IP header: steps 2 to 5.

use super::neighbours::{Claim, arp};
use super::network::{Datagram, internet4, internet6};
use crate::ground::Way;
use etherparse::{EtherType, Ethernet2HeaderSlice, SingleVlanHeaderSlice};
use gateway_common::DropReason;
use std::collections::BTreeMap;

/// A guarded interface.
#[derive(Clone, Default, Debug)]
pub struct Guard {
    pub index: u32,
    pub zone: u32,
    pub has_link: bool,
    pub rejects: bool,
    pub observes: bool,
    pub tracks_fragments: bool,
    pub admits_options: bool,
    pub admits_extensions: bool,
    /// Zones of the VLANs it carries: number in the 802.1ad tag or 0, number in the 802.1Q tag.
    pub vlans: BTreeMap<(u16, u16), u32>,
}

/// A tag: its EtherType and the VLAN's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag(pub u16, pub u16);

/// A frame that can be judged by the tables.
#[derive(Debug)]
pub struct Seen {
    pub zone: u32,
    pub sender_mac: Option<[u8; 6]>,
    pub content: Content,
}

/// What was in the frame.
#[derive(Debug)]
pub enum Content {
    /// ARP or neighbour discovery: what it claims, and its source if there is no link layer.
    Neighbour(Vec<Claim>, Option<std::net::IpAddr>),
    /// A packet from host to host.
    Packet(Datagram),
}

struct Link<'a> {
    macs: Option<([u8; 6], [u8; 6])>,
    tags: Vec<Tag>,
    kind: EtherType,
    rest: &'a [u8],
}

/// Steps 2 to 23, for a frame that may have its outermost tag beside it.
pub fn read(frame: &[u8], beside: Option<Tag>, guard: &Guard, way: Way) -> Result<Seen, DropReason> {
    let link = if guard.has_link { ethernet(frame, beside)? } else { bare(frame)? };
    let zone = zone(guard, &link.tags).ok_or(DropReason::VlanUnknown)?;
    let sender_mac = link.macs.map(|(_, sender)| sender);
    // A frame of 60 bytes and its checksum, or of up to 64 without one.
    let may_pad = guard.has_link && frame.len() <= 64;
    let shortest = match link.kind {
        EtherType::IPV4 => 20,
        EtherType::IPV6 => 40,
        _ => 0,
    };
    if link.rest.len() < shortest {
        return Err(DropReason::Truncated);
    }
    let content = match link.kind {
        EtherType::ARP => Content::Neighbour(arp(link.rest)?, None),
        EtherType::IPV4 => internet4(link.rest, may_pad, guard)?,
        EtherType::IPV6 => internet6(link.rest, may_pad, guard, way)?,
        _ => return Err(DropReason::NotIp),
    };
    let is_to_group = link.macs.is_some_and(|(receiver, _)| receiver[0] & 1 == 1);
    if is_to_group && matches!(content, Content::Packet(_)) {
        return Err(DropReason::LinkMulticast);
    }
    Ok(Seen { zone, sender_mac, content })
}

fn ethernet(frame: &[u8], beside: Option<Tag>) -> Result<Link<'_>, DropReason> {
    let header = Ethernet2HeaderSlice::from_slice(frame).map_err(|_| DropReason::Truncated)?;
    let mut tags: Vec<Tag> = beside.into_iter().collect();
    let mut kind = header.ether_type();
    let mut rest = &frame[14..];
    while tags.len() < 2 && is_tag(kind) {
        let tag = SingleVlanHeaderSlice::from_slice(rest).map_err(|_| DropReason::Truncated)?;
        tags.push(Tag(kind.0, tag.vlan_identifier().value()));
        (kind, rest) = (tag.ether_type(), &rest[4..]);
    }
    Ok(Link { macs: Some((header.destination(), header.source())), tags, kind, rest })
}

fn is_tag(kind: EtherType) -> bool {
    kind == EtherType::VLAN_TAGGED_FRAME || kind == EtherType::PROVIDER_BRIDGING
}

/// Without a link layer the version says what it is.
fn bare(packet: &[u8]) -> Result<Link<'_>, DropReason> {
    let first: &[u8; 2] = packet.first_chunk().ok_or(DropReason::Truncated)?;
    let kind = match first[0] >> 4 {
        4 => EtherType::IPV4,
        6 => EtherType::IPV6,
        _ => EtherType(0),
    };
    Ok(Link { macs: None, tags: Vec::new(), kind, rest: packet })
}

/// Section "The link layer". Tags for VLAN 0 count as absent.
fn zone(guard: &Guard, tags: &[Tag]) -> Option<u32> {
    let numbered: Vec<Tag> = tags.iter().copied().filter(|tag| tag.1 != 0).collect();
    match numbered[..] {
        [] => Some(guard.zone),
        [Tag(0x8100, vlan)] => guard.vlans.get(&(0, vlan)).copied(),
        [Tag(0x88a8, outer), Tag(0x8100, inner)] => guard.vlans.get(&(outer, inner)).copied(),
        _ => None,
    }
}
