//! Next hops that packets are redirected to are asked, now and then, whether they are still there.
//!
//! The network stack asks those that it sends to itself. Of what is redirected it knows nothing, so a neighbour whose
//! hardware address has changed without a word would be sent to at the old one for ever.

use super::neighbours::NeighbourError;
use futures_util::TryStreamExt as _;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use std::net::IpAddr;

/// How many are asked at once. The others have their turn when these have answered, and are stale no longer.
const MOST: usize = 256;

/// Has the kernel ask the neighbours on these interfaces of which it has not heard for a while.
///
/// # Errors
/// If it does not list them.
pub async fn confirm(interfaces: &[u32]) -> Result<(), NeighbourError> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let listed: Result<Vec<_>, _> = handle.neighbours().get().execute().try_collect().await;
    let stale = listed.map(|all| all.iter().filter_map(stale).filter(|(on, _)| interfaces.contains(on)).collect());
    let stale: Vec<(u32, IpAddr)> = stale.inspect_err(|_| connection.abort())?;
    for (interface, address) in stale.into_iter().take(MOST) {
        let used = handle.neighbours().add(interface, address).state(NeighbourState::None).flags(NeighbourFlags::Use);
        if let Err(error) = used.replace().execute().await {
            tracing::debug!(%error, %address, interface, "a neighbour could not be asked");
        }
    }
    connection.abort();
    Ok(())
}

/// Where a neighbour is, if it has not been heard of for a while.
fn stale(neighbour: &NeighbourMessage) -> Option<(u32, IpAddr)> {
    let address = neighbour.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    });
    let is_stale = neighbour.header.state == NeighbourState::Stale;
    address.filter(|_| is_stale).map(|address| (neighbour.header.ifindex, address))
}
