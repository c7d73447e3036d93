//! Where a peer is: behind which guarded interface, and with which hardware address its frames arrive.
//!
//! Asked of the kernel's routes and neighbours, never of anything that the peer says. The peer has just completed a
//! handshake with us, so the way back to it is known.

use super::attach::GuardedInterface;
use futures_util::TryStreamExt as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::{Handle, RouteMessageBuilder};
use std::net::IpAddr;

/// Where a peer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whereabouts {
    /// The guarded interface.
    pub interface: GuardedInterface,
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

/// Where the peer at `address` is, among these interfaces.
///
/// # Errors
/// If it is behind none of them, or the kernel does not know its hardware address.
pub async fn locate(address: IpAddr, guarded: &[GuardedInterface]) -> Result<Whereabouts, NeighbourError> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let found = ask(&handle, address, guarded).await;
    connection.abort();
    found
}

async fn ask(handle: &Handle, address: IpAddr, guarded: &[GuardedInterface]) -> Result<Whereabouts, NeighbourError> {
    let route = route(handle, address).await?.ok_or(NeighbourError::NotGuarded(address))?;
    let out = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    let interface = guarded.iter().find(|interface| Some(interface.index) == out);
    let interface = interface.ok_or(NeighbourError::NotGuarded(address))?.clone();
    if !interface.has_link_layer {
        return Ok(Whereabouts { interface, mac: None });
    }
    let next_hop = gateway(&route).unwrap_or(address);
    let mac = mac(handle, next_hop, interface.index).await?.ok_or(NeighbourError::Unresolved(address))?;
    Ok(Whereabouts { interface, mac: Some(mac) })
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
