//! Ways that flows remember: somebody has to watch the kernel's routes, and say when a way may have become another one.
//!
//! What has changed is not looked at: whatever it was, each flow asks once more for its way. And what is remembered counts
//! only as long as somebody says that he watches: without a daemon, or with one that stands still, every packet asks.

use super::mapped::Mapped;
use super::{DataPlaneError, clock, load};
use gateway_common::KernelNanos;
use gateway_common::abi::{Epoch, map};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};
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
        // What happened before anybody listened.
        self.have_changed();
        while !stop.load(Ordering::Relaxed) {
            self.watched_until(clock::boot().after(WATCHED));
            match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::from(RENEWED)) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => {
                    drain(&socket)?;
                    self.have_changed();
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

/// Takes what has come. What it says does not matter, nor that some of it was lost.
fn drain(socket: &OwnedFd) -> nix::Result<()> {
    loop {
        match recv(socket.as_raw_fd(), &mut [0; 64], MsgFlags::empty()) {
            Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
