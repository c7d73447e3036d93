//! What is watched from outside: markers on the applications' own socket.

use anyhow::Result;
use gateway_tests::Namespace;
use gateway_tests::gate::BEACON;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Who is permitted.
const ALICE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Who was never permitted anything, on the second client.
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 66);
/// Between two markers of the same person.
const PAUSE: Duration = Duration::from_millis(1);
/// Of those who are permitted.
const PERMITTED: u8 = b'a';

/// Markers that were sent, and that were heard.
pub struct Markers {
    permitted: Running,
    strangers: Running,
    leaks: Running,
    heard: Arc<AtomicU64>,
}

impl Markers {
    /// From both clients to the app.
    pub fn start(client: &Namespace, client2: &Namespace, app: &Namespace) -> Result<Self> {
        // One socket hears both: what alice sends shows that it hears.
        let heard = Arc::new(AtomicU64::new(0));
        let heard_permitted = Arc::clone(&heard);
        let leaks = Running::start(app, BEACON, move |socket| {
            let mut datagram = [0; 8];
            match socket.recv(&mut datagram) {
                Ok(1..) if datagram[0] == PERMITTED => {
                    heard_permitted.fetch_add(1, Ordering::Relaxed);
                    0
                }
                // A packet of the flood is empty.
                Ok(_) => 1,
                Err(_) => 0,
            }
        })?;
        let permitted = Running::start(client, SocketAddrV4::new(ALICE, 0), marker(PERMITTED))?;
        let strangers = Running::start(client2, SocketAddrV4::new(STRANGER, 0), marker(b'x'))?;
        Ok(Self { permitted, strangers, leaks, heard })
    }

    /// Of strangers, and heard: none of them must be.
    pub fn leaks(&self) -> u64 {
        self.leaks.count()
    }

    /// Of strangers.
    pub fn forbidden(&self) -> u64 {
        self.strangers.count()
    }

    /// Of those who are permitted: sent, and heard.
    pub fn permitted(&self) -> (u64, u64) {
        (self.permitted.count(), self.heard.load(Ordering::Relaxed))
    }
}

fn marker(byte: u8) -> impl FnMut(&UdpSocket) -> u64 {
    move |socket| {
        std::thread::sleep(PAUSE);
        // What a full queue refuses, or an interface that is not there, is not counted.
        u64::from(socket.send_to(&[byte], BEACON).is_ok())
    }
}

/// A thread that does something with a socket again and again, and counts.
struct Running {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(
        host: &Namespace,
        bind: SocketAddrV4,
        mut act: impl FnMut(&UdpSocket) -> u64 + Send + 'static,
    ) -> Result<Self> {
        let socket = host.enter(|| UdpSocket::bind(bind))??;
        // A reader looks whether it is to stop.
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                counter.fetch_add(act(&socket), Ordering::Relaxed);
            }
        });
        Ok(Self { stop, count, thread: Some(thread) })
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
