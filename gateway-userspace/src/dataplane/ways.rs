//! Ways that flows remember: somebody has to watch the kernel's routes, and say when a way may have become another one.
//!
//! Whatever has changed, each flow asks once more for its way; only of neighbours that are where they were nothing is made,
//! because the kernel speaks of them all the time. And what is remembered counts only as long as somebody says that he
//! watches: without a daemon, or with one that stands still, every packet asks.

use super::mapped::Mapped;
use super::netlink::{LONGEST, Message, inside, messages};
use super::{DataPlaneError, clock, load};
use gateway_common::KernelNanos;
use gateway_common::abi::{Epoch, map};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};
use std::collections::HashMap;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// For how long a way may be taken on somebody's word.
const WATCHED: u64 = 2_000_000_000;
/// How often the word is given at least, in milliseconds.
const RENEWED: u16 = 250;
/// When it is tried again to watch, after that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// `RTM_NEWNEIGH` and `RTM_DELNEIGH`, the length of `struct ndmsg`, and `NDA_DST` and `NDA_LLADDR`.
const NEW_NEIGHBOUR: u16 = 28;
const DEL_NEIGHBOUR: u16 = 29;
const ABOUT: usize = 12;
const DESTINATION: u16 = 1;
const HARDWARE: u16 = 2;
/// The states in which packets can be sent to a neighbour (`NUD_VALID`).
const VALID: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;
/// Of how many neighbours is kept what was heard of them; many more than a kernel keeps.
const MOST_NEIGHBOURS: usize = 65_536;
/// What is listened to, as numbers of `enum rtnetlink_groups`: links, neighbours, addresses, routes and rules of IPv4, the
/// same of IPv6, what is forwarded at all, and next hops that routes share.
const GROUPS: [u32; 11] = [1, 3, 5, 7, 8, 9, 11, 19, 24, 25, 32];

/// The epoch, for whoever knows about ways.
#[derive(Debug)]
pub struct Ways(Mapped<Epoch>);

impl Ways {
    /// Those of the tables pinned in this folder.
    ///
    /// # Errors
    /// If they are not there.
    pub fn open(pins: &Path) -> Result<Self, DataPlaneError> {
        load::mapped(pins, map::EPOCH, 1).map(Self)
    }

    /// Flows ask for their ways again.
    pub fn have_changed(&self) {
        if let Some(epoch) = self.0.get(0) {
            epoch.number.add(1);
        }
    }

    /// Until then flows may take the ways that they remember.
    fn watched_until(&self, then: KernelNanos) {
        if let Some(epoch) = self.0.get(0) {
            epoch.watched_until.store(then.0);
        }
    }

    /// Watches the routes of the network namespace that the calling thread is in, until it is told to stop.
    ///
    /// # Errors
    /// If the kernel does not, or no longer, say what happens to them.
    fn watch(&self, stop: &AtomicBool) -> nix::Result<()> {
        let socket = listen()?;
        let mut neighbours = Neighbours::default();
        // What happened before anybody listened.
        self.have_changed();
        while !stop.load(Ordering::Relaxed) {
            self.watched_until(clock::boot().after(WATCHED));
            match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::from(RENEWED)) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => {
                    if drain(&socket, &mut neighbours)? {
                        self.have_changed();
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.watched_until(KernelNanos(0));
        Ok(())
    }
}

/// Watches in a thread of its own, which does not wait for anybody. While that fails, every packet asks for its way.
///
/// # Errors
/// If there is no thread to be had.
pub fn watch(ways: Ways, stop: Arc<AtomicBool>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("ways".into()).spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = ways.watch(&stop) {
                tracing::error!(%error, "routes cannot be watched: forwarding in XDP asks for the way of every packet");
                std::thread::sleep(AGAIN);
            }
        }
    })
}

fn listen() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    let groups = GROUPS.iter().fold(0, |groups, group| groups | 1 << (group - 1));
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}

/// Takes what has come; whether a way may have become another one.
fn drain(socket: &OwnedFd, neighbours: &mut Neighbours) -> nix::Result<bool> {
    let mut datagram = vec![0; LONGEST];
    let mut is_changed = false;
    loop {
        match recv(socket.as_raw_fd(), &mut datagram, MsgFlags::empty()) {
            Ok(length) => {
                for message in datagram.get(..length).map(messages).into_iter().flatten() {
                    is_changed |= neighbours.is_changed_by(&message);
                }
            }
            Err(Errno::EINTR) => {}
            Err(Errno::ENOBUFS) => {
                // Some of what was said is lost.
                neighbours.0.clear();
                is_changed = true;
            }
            Err(Errno::EAGAIN) => return Ok(is_changed),
            Err(error) => return Err(error),
        }
    }
}

/// What was last heard of neighbours: the hardware address, or that there is none. By interface, family and address.
#[derive(Default)]
struct Neighbours(HashMap<(u32, u8, Vec<u8>), Option<Vec<u8>>>);

impl Neighbours {
    /// Whether a way may have become another one by what a message says.
    fn is_changed_by(&mut self, message: &Message<'_>) -> bool {
        match message.kind {
            NEW_NEIGHBOUR | DEL_NEIGHBOUR => self.hear(message).unwrap_or(true),
            _ => true,
        }
    }

    /// Whether a neighbour is not as it was when last heard of, or was not heard of before. `None` if it cannot be read.
    fn hear(&mut self, Message { kind, body }: &Message<'_>) -> Option<bool> {
        let (about, rest) = body.split_at_checked(ABOUT)?;
        let (family, interface, state) = (*about.first()?, about.get(4..8)?, about.get(8..10)?);
        let interface = u32::from_ne_bytes(interface.try_into().ok()?);
        let is_valid = u16::from_ne_bytes(state.try_into().ok()?) & VALID != 0;
        let key = (interface, family, inside(rest, DESTINATION).to_vec());
        if *kind == DEL_NEIGHBOUR {
            return Some(self.0.remove(&key) != Some(None));
        }
        if self.0.len() >= MOST_NEIGHBOURS {
            self.0.clear();
        }
        let now = is_valid.then(|| inside(rest, HARDWARE).to_vec());
        Some(self.0.insert(key, now.clone()) != Some(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::netlink::attribute;

    const REACHABLE: u16 = 2;
    const STALE: u16 = 4;
    const FAILED: u16 = 0x20;

    fn about(interface: u32, state: u16, host: u8, mac: u8) -> Vec<u8> {
        let mut body = vec![2, 0, 0, 0];
        body.extend(interface.to_ne_bytes());
        body.extend(state.to_ne_bytes());
        body.extend([0, 0]);
        body.extend(attribute(DESTINATION, &[10, 0, 0, host]));
        body.extend(attribute(HARDWARE, &[2, 0, 0, 0, 0, mac]));
        body
    }

    #[test]
    fn neighbour_that_is_where_it_was_changes_nothing_and_everything_else_does() {
        let mut neighbours = Neighbours::default();
        let mut hear = |kind, body: &[u8]| neighbours.is_changed_by(&Message { kind, body });
        let heard = [
            // The first time it may have been elsewhere before.
            (NEW_NEIGHBOUR, about(1, REACHABLE, 1, 1), true),
            (NEW_NEIGHBOUR, about(1, STALE, 1, 1), false),
            (NEW_NEIGHBOUR, about(1, STALE, 1, 2), true),
            (NEW_NEIGHBOUR, about(1, REACHABLE, 1, 2), false),
            (NEW_NEIGHBOUR, about(2, REACHABLE, 1, 2), true),
            (NEW_NEIGHBOUR, about(1, REACHABLE, 2, 2), true),
            (NEW_NEIGHBOUR, about(1, FAILED, 1, 2), true),
            (NEW_NEIGHBOUR, about(1, FAILED, 1, 2), false),
            (DEL_NEIGHBOUR, about(1, FAILED, 1, 2), false),
            (NEW_NEIGHBOUR, about(1, STALE, 1, 2), true),
            (DEL_NEIGHBOUR, about(1, STALE, 1, 2), true),
            (NEW_NEIGHBOUR, about(1, STALE, 1, 2), true),
        ];
        for (step, (kind, body, is_change)) in heard.iter().enumerate() {
            assert_eq!(hear(*kind, body), *is_change, "{step}");
        }
        // `RTM_NEWROUTE`, and what is too short to be read.
        assert!(hear(24, &[]) && hear(NEW_NEIGHBOUR, &[2, 0, 0]));
    }

    #[test]
    fn neighbours_beyond_those_that_can_be_kept_are_heard_of_as_if_for_the_first_time() {
        let mut neighbours = Neighbours::default();
        for interface in 0..MOST_NEIGHBOURS as u32 {
            let body = about(interface, STALE, 1, 1);
            assert!(neighbours.is_changed_by(&Message { kind: NEW_NEIGHBOUR, body: &body }));
        }
        let body = about(0, STALE, 1, 1);
        assert!(neighbours.is_changed_by(&Message { kind: NEW_NEIGHBOUR, body: &body }));
        assert_eq!(neighbours.0.len(), 1);
        assert!(!neighbours.is_changed_by(&Message { kind: NEW_NEIGHBOUR, body: &body }));
    }
}
