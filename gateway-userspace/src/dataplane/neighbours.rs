//! Where a peer is: behind which guarded interface, and with which hardware address its frames arrive.
//!
//! Asked of the kernel's routes and neighbours, never of anything that the peer says. The peer has just completed a
//! handshake with us, so the way back to it is known.

use super::attach::{GuardedInterface, GuardedVlan};
use futures_util::TryStreamExt as _;
use gateway_common::abi::Vlan;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{InfoData, InfoVlan, LinkAttribute, LinkInfo, LinkMessage, VlanProtocol};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::{Handle, RouteMessageBuilder};
use std::net::IpAddr;

/// Where a peer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whereabouts {
    /// The guarded interface.
    pub interface: GuardedInterface,
    /// The VLAN on it; `None` if the peer's frames are untagged.
    pub vlan: Option<GuardedVlan>,
    /// The hardware address of the peer or of the router before it, where there is a link layer.
    pub mac: Option<[u8; 6]>,
}

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum NeighbourError {
    /// The way back does not lead through a guarded interface.
    #[error("address `{0}` is not behind a guarded interface; log in from a network that the gateway guards")]
    NotGuarded(IpAddr),
    /// The kernel has no hardware address for it.
    #[error("the hardware address of `{0}` is not known yet; try again")]
    Unresolved(IpAddr),
    /// The kernel did not answer.
    #[error("the kernel's routes and neighbours cannot be read: {0}")]
    Netlink(#[from] rtnetlink::Error),
    /// No socket.
    #[error("the kernel's routes and neighbours cannot be asked: {0}")]
    Socket(#[from] std::io::Error),
}

/// Where the peer at `address` is, among these interfaces. A hardware address that is known is not asked for.
///
/// # Errors
/// If it is behind none of them, or the kernel does not know its hardware address.
pub async fn locate(
    address: IpAddr,
    known: Option<[u8; 6]>,
    guarded: &[GuardedInterface],
) -> Result<Whereabouts, NeighbourError> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let found = ask(&handle, address, known, guarded).await;
    connection.abort();
    found
}

async fn ask(
    handle: &Handle,
    address: IpAddr,
    known: Option<[u8; 6]>,
    guarded: &[GuardedInterface],
) -> Result<Whereabouts, NeighbourError> {
    let route = route(handle, address).await?.ok_or(NeighbourError::NotGuarded(address))?;
    let out = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    let out = out.ok_or(NeighbourError::NotGuarded(address))?;
    let (interface, vlan) = guard(handle, out, guarded).await?.ok_or(NeighbourError::NotGuarded(address))?;
    if !interface.has_link_layer {
        return Ok(Whereabouts { interface, vlan, mac: None });
    }
    if known.is_some() {
        return Ok(Whereabouts { interface, vlan, mac: known });
    }
    let next_hop = gateway(&route).unwrap_or(address);
    let mac = mac(handle, next_hop, out).await?.ok_or(NeighbourError::Unresolved(address))?;
    Ok(Whereabouts { interface, vlan, mac: Some(mac) })
}

/// The guarded interface that a link is, or that it is a VLAN on.
async fn guard(
    handle: &Handle,
    link: u32,
    guarded: &[GuardedInterface],
) -> Result<Option<(GuardedInterface, Option<GuardedVlan>)>, NeighbourError> {
    if let Some(interface) = guarded.iter().find(|interface| interface.index == link) {
        return Ok(Some((interface.clone(), None)));
    }
    let (mut tags, mut below) = (Vec::new(), link);
    // A VLAN in a VLAN is as deep as the programs read.
    for _ in 0..2 {
        let Some(message) = handle.link().get().match_index(below).execute().try_next().await? else { return Ok(None) };
        let Some((tag, parent)) = tag(&message) else { return Ok(None) };
        tags.insert(0, tag);
        below = parent;
        if let Some(interface) = guarded.iter().find(|interface| interface.index == below) {
            let carried = interface.vlans.iter().find(|carried| Some(carried.vlan) == stack(&tags));
            return Ok(carried.map(|carried| (interface.clone(), Some(carried.clone()))));
        }
    }
    Ok(None)
}

/// The tag that a VLAN link adds, as its protocol and number, and the link that it is on.
fn tag(link: &LinkMessage) -> Option<((VlanProtocol, u16), u32)> {
    let parent = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Link(parent) => Some(*parent),
        _ => None,
    })?;
    let data = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(info) => info.iter().find_map(|info| match info {
            LinkInfo::Data(InfoData::Vlan(data)) => Some(data),
            _ => None,
        }),
        _ => None,
    })?;
    let number = data.iter().find_map(|info| if let InfoVlan::Id(number) = info { Some(*number) } else { None })?;
    let protocol = data.iter().find_map(|info| if let InfoVlan::Protocol(found) = info { Some(*found) } else { None });
    Some(((protocol.unwrap_or(VlanProtocol::Ieee8021Q), number), parent))
}

/// Tags, the outermost first, as the programs know them.
fn stack(tags: &[(VlanProtocol, u16)]) -> Option<Vlan> {
    match tags {
        [(VlanProtocol::Ieee8021Q, inner)] => Some(Vlan { outer: 0, inner: *inner }),
        [(VlanProtocol::Ieee8021Ad, outer), (VlanProtocol::Ieee8021Q, inner)] => {
            Some(Vlan { outer: *outer, inner: *inner })
        }
        _ => None,
    }
}

async fn route(handle: &Handle, address: IpAddr) -> Result<Option<RouteMessage>, NeighbourError> {
    let length = if address.is_ipv4() { 32 } else { 128 };
    let question = match RouteMessageBuilder::<IpAddr>::new().destination_prefix(address, length) {
        Ok(question) => question.build(),
        Err(_) => return Ok(None),
    };
    match handle.route().get(question).execute().try_next().await {
        Ok(answer) => Ok(answer),
        // The kernel has no route.
        Err(rtnetlink::Error::NetlinkError(error)) if error.code.is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The router that packets to the peer go to, if it is not on the link itself.
fn gateway(route: &RouteMessage) -> Option<IpAddr> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        RouteAttribute::Gateway(RouteAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })
}

async fn mac(handle: &Handle, address: IpAddr, interface: u32) -> Result<Option<[u8; 6]>, NeighbourError> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let mut neighbours = handle.neighbours().get().set_address_family(family).execute();
    while let Some(neighbour) = neighbours.try_next().await? {
        if neighbour.header.ifindex == interface && destination(&neighbour) == Some(address) {
            return Ok(link_address(&neighbour));
        }
    }
    Ok(None)
}

fn destination(neighbour: &NeighbourMessage) -> Option<IpAddr> {
    neighbour.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })
}

fn link_address(neighbour: &NeighbourMessage) -> Option<[u8; 6]> {
    neighbour.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(parent: Option<u32>, data: Option<Vec<InfoVlan>>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.attributes.extend(parent.map(LinkAttribute::Link));
        message.attributes.extend(data.map(|data| LinkAttribute::LinkInfo(vec![LinkInfo::Data(InfoData::Vlan(data))])));
        message
    }

    #[test]
    fn a_vlan_link_names_its_tag_and_what_it_is_on_and_other_links_do_not() {
        let data = vec![InfoVlan::Id(10), InfoVlan::Protocol(VlanProtocol::Ieee8021Ad)];
        assert_eq!(tag(&link(Some(3), Some(data))), Some(((VlanProtocol::Ieee8021Ad, 10), 3)));
        assert_eq!(tag(&link(Some(3), Some(vec![InfoVlan::Id(7)]))), Some(((VlanProtocol::Ieee8021Q, 7), 3)));
        assert_eq!(tag(&link(None, Some(vec![InfoVlan::Id(7)]))), None);
        assert_eq!(tag(&link(Some(3), None)), None);
    }

    #[test]
    fn only_stacks_of_tags_that_the_programs_read_are_vlans() {
        const Q: VlanProtocol = VlanProtocol::Ieee8021Q;
        const AD: VlanProtocol = VlanProtocol::Ieee8021Ad;
        assert_eq!(stack(&[(Q, 10)]), Some(Vlan { outer: 0, inner: 10 }));
        assert_eq!(stack(&[(AD, 100), (Q, 20)]), Some(Vlan { outer: 100, inner: 20 }));
        for other in [&[(AD, 10)][..], &[(Q, 10), (Q, 20)], &[(Q, 10), (AD, 20)], &[]] {
            assert_eq!(stack(other), None, "{other:?}");
        }
    }
}
