//! Ending TCP connections that are cut: both ends get a reset that they accept, so that nothing hangs.
//!
//! Sent by the host's own stack, which knows the way, with a mark by which the program on egress knows them.

use gateway_common::Address;
use gateway_common::abi::{Flow, FlowCopy, FlowKey};
use gateway_common::answer::Reset;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, sendto,
    setsockopt, socket, sockopt,
};
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd as _, OwnedFd};

/// Sends resets.
pub struct Resets {
    v4: OwnedFd,
    v6: OwnedFd,
}

impl Resets {
    /// Opens the sockets, whose packets carry the mark.
    ///
    /// # Errors
    /// If the kernel refuses, for want of `CAP_NET_RAW`.
    pub fn open(mark: u32) -> nix::Result<Self> {
        let open = |family| {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(family, SockType::Raw, flags, SockProtocol::Raw)?;
            setsockopt(&socket, sockopt::Mark, &mark)?;
            Ok(socket)
        };
        Ok(Self { v4: open(AddressFamily::Inet)?, v6: open(AddressFamily::Inet6)? })
    }

    /// Resets both ends of a connection. Best effort: an end that is not reached finds out by its own timeout.
    pub fn send(&self, key: &FlowKey, flow: &FlowCopy) {
        for reset in resets(key, flow) {
            let packet = reset.packet();
            let bytes = packet.bytes.get(..packet.length).unwrap_or_default();
            let sent = match IpAddr::from(reset.to.0) {
                IpAddr::V4(to) => send_to(&self.v4, bytes, &SockaddrIn::from(SocketAddrV4::new(to, 0))),
                IpAddr::V6(to) => send_to(&self.v6, bytes, &SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, 0))),
            };
            if let Err(error) = sent {
                tracing::debug!(%error, to = %reset.to.0, "a reset could not be sent");
            }
        }
    }
}

fn send_to(socket: &OwnedFd, bytes: &[u8], to: &dyn SockaddrLike) -> nix::Result<usize> {
    sendto(socket.as_raw_fd(), bytes, to, MsgFlags::MSG_DONTWAIT)
}

/// The resets for both ends. What an end expects next is what the other has sent last, if it has received that; else
/// what it has acknowledged last: both are tried (RFC 5961, 3.2, asks for the exact number).
fn resets(key: &FlowKey, flow: &FlowCopy) -> Vec<Reset> {
    let client = (key.client, u16::from_be_bytes(key.client_port));
    let app = (key.app, u16::from_be_bytes(key.app_port));
    let mut resets = towards(client, app, flow.client_progress, flow.app_progress);
    resets.extend(towards(app, client, flow.app_progress, flow.client_progress));
    resets
}

type End = (Address, u16);

/// Resets to an end, given how far it and the other have come: see [`Flow::client_progress`].
fn towards(to: End, from: End, own: u64, others: u64) -> Vec<Reset> {
    let (sent, acknowledged) = ((own >> 32) as u32, own as u32);
    let mut expected = vec![if others == 0 { acknowledged } else { (others >> 32) as u32 }];
    if own != 0 && !expected.contains(&acknowledged) {
        expected.push(acknowledged);
    }
    let reset = |sequence| Reset { from, to, sequence, acknowledgement: sent };
    expected.into_iter().map(reset).collect()
}

/// Whether a flow is a TCP connection that is still open.
#[must_use]
pub fn is_due(key: &FlowKey, flow: &FlowCopy) -> bool {
    key.protocol == gateway_common::Packet::TCP && !Flow::is_over(flow.ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn progress(sent: u32, acknowledged: u32) -> u64 {
        (sent as u64) << 32 | acknowledged as u64
    }

    #[track_caller]
    fn check(client_progress: u64, app_progress: u64, to_client: &[(u32, u32)], to_app: &[(u32, u32)]) {
        let key = FlowKey { client_port: [1, 0], app_port: [2, 0], protocol: 6, ..FlowKey::default() };
        let flow = FlowCopy { client_progress, app_progress, ..FlowCopy::default() };
        let found = |port| {
            let resets = resets(&key, &flow).into_iter().filter(move |reset| reset.to.1 == port);
            resets.map(|reset| (reset.sequence, reset.acknowledgement)).collect::<Vec<_>>()
        };
        assert_eq!(found(0x100), to_client, "to the client");
        assert_eq!(found(0x200), to_app, "to the app");
    }

    #[test]
    fn an_end_is_reset_at_what_it_expects_next_and_at_what_it_acknowledged_last() {
        check(progress(100, 900), progress(950, 100), &[(950, 100), (900, 100)], &[(100, 950)]);
        check(progress(100, 900), progress(900, 80), &[(900, 100)], &[(100, 900), (80, 900)]);
    }

    #[test]
    fn a_connection_that_nobody_has_answered_is_reset_by_what_it_acknowledges() {
        check(progress(101, 0), 0, &[(0, 101)], &[(101, 0)]);
    }
}
