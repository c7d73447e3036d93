//! Packets of people who are permitted, one after the other: those that arrive say when the last one was forwarded.

use anyhow::{Context as _, Result};
use gateway_tests::{Namespace, wait_until};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use std::collections::HashMap;
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two packets of the same source. With the time that sending takes it is some 30 µs.
const PAUSE: Duration = Duration::from_micros(20);
/// A reader looks as often whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_secs(20);

/// When a packet of each source last arrived at the app's host, by the kernel's own time stamp: nanoseconds of the Unix
/// epoch.
type Arrivals = Arc<Mutex<HashMap<u32, i128>>>;

/// Who sends, and the app that hears.
pub struct Markers {
    client: Namespace,
    app: SocketAddrV4,
    next: u32,
    sources: Sender<Vec<(u32, UdpSocket)>>,
    arrivals: Arrivals,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Markers {
    /// Nobody sends yet.
    pub fn new(client: &Namespace, server: &Namespace, app: SocketAddrV4) -> Result<Self> {
        let socket = server.enter(|| -> Result<UdpSocket> { Ok(UdpSocket::bind(app)?) })??;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        socket.set_read_timeout(Some(LOOK))?;
        let (stop, arrivals) = (Arc::new(AtomicBool::new(false)), Arrivals::default());
        let (stopped, arrived) = (Arc::clone(&stop), Arc::clone(&arrivals));
        let hear = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some((number, at)) = hear(&socket) {
                    arrived.lock().unwrap_or_else(PoisonError::into_inner).insert(number, at);
                }
            }
        });
        let (sources, told) = channel::<Vec<(u32, UdpSocket)>>();
        let stopped = Arc::clone(&stop);
        let send = std::thread::spawn(move || {
            // Sleeps are rounded up to 50 µs otherwise.
            let _ = nix::sys::prctl::set_timerslack(1);
            let mut sources = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                sources = told.try_iter().last().unwrap_or(sources);
                for (number, socket) in &sources {
                    // A queue that is full takes the next one.
                    let _ = socket.send(&number.to_ne_bytes());
                }
                std::thread::sleep(PAUSE);
            }
        });
        Ok(Self { client: client.clone(), app, next: 0, sources, arrivals, stop, threads: vec![hear, send] })
    }

    /// From now on these send and nobody else; returns their numbers when a packet of each has arrived.
    pub fn of(&mut self, sources: &[Ipv4Addr]) -> Result<Vec<u32>> {
        let app = self.app;
        let open = |source: Ipv4Addr| {
            self.client.enter(|| -> Result<UdpSocket> {
                let socket = UdpSocket::bind((source, 0))?;
                socket.connect(app)?;
                Ok(socket)
            })?
        };
        let sockets = sources.iter().map(|source| open(*source)).collect::<Result<Vec<_>>>()?;
        let numbers: Vec<u32> = (self.next..).take(sources.len()).collect();
        self.next += u32::try_from(sources.len())?;
        self.sources.send(numbers.iter().copied().zip(sockets).collect()).ok().context("the sender has ended")?;
        for number in &numbers {
            wait_until("a marker to arrive", SOON, || self.last(*number)).context("of somebody who is permitted")?;
        }
        Ok(numbers)
    }

    /// When the last one of a source arrived.
    pub fn last(&self, number: u32) -> Option<i128> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).get(&number).copied()
    }
}

impl Drop for Markers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn hear(socket: &UdpSocket) -> Option<(u32, i128)> {
    let mut datagram = [0; 4];
    let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let mut pieces = [IoSliceMut::new(&mut datagram)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut space), MsgFlags::empty()).ok()?;
    let at = message.cmsgs().ok()?.find_map(|found| match found {
        ControlMessageOwned::ScmTimestampns(at) => {
            Some(i128::from(at.tv_sec()) * 1_000_000_000 + i128::from(at.tv_nsec()))
        }
        _ => None,
    });
    Some((u32::from_ne_bytes(datagram), at?))
}
