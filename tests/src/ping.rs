//! ICMP echo by the kernel's ping sockets, so that no other program is needed.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::Result;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::{
    client::{Outcome, receive},
    netns::Namespace,
};

const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
/// Type, code, checksum, identifier, sequence number, and a few bytes of data. The kernel fills in
/// the checksum and the identifier.
const MESSAGE: usize = 8 + 24;

/// Sends one echo request and waits for its reply.
pub fn ping(host: &Namespace, to: IpAddr, timeout: Duration) -> Result<Outcome> {
    // Ping sockets are for the groups in this range; root is in none by default.
    host.sysctl("ipv4/ping_group_range", "0 0")?;
    Ok(host.enter(|| echo(to, timeout))?.map_or_else(|error| Outcome::from(&error), |()| Outcome::Answered))
}

fn echo(to: IpAddr, timeout: Duration) -> io::Result<()> {
    let socket = open(to)?;
    socket.set_read_timeout(Some(timeout))?;
    socket.connect(SocketAddr::new(to, 0))?;
    let mut message = [0; MESSAGE];
    message[0] = if to.is_ipv4() { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
    socket.send(&message)?;
    // Replies reach a ping socket only if they carry its identifier.
    receive(&socket, &mut message).map(|_| ())
}

fn open(to: IpAddr) -> io::Result<UdpSocket> {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    Ok(socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)?.into())
}
