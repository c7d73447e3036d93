//! What the servers on the hosts of the world share. The socket is opened in the namespace and
//! stays there; the threads that serve it need not. They end when the server is dropped.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::socket::{Shutdown, shutdown};

use crate::netns::Namespace;

/// How soon a thread that waits for a peer notices that its server is gone.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// What a server has seen, and whether it goes on.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) stopped: AtomicBool,
    /// Connections accepted so far.
    pub connections: AtomicU64,
    /// Connections that are open.
    pub open: AtomicU64,
    /// Connections that ended by a reset.
    pub resets: AtomicU64,
    /// Payload bytes received.
    pub received: AtomicU64,
    /// Payload bytes handed to the kernel to send.
    pub sent: AtomicU64,
}

impl Counters {
    /// Whether the server has been dropped.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Accepts connections and serves each on a thread.
#[derive(Debug)]
pub struct TcpServer {
    listener: Arc<TcpListener>,
    counters: Arc<Counters>,
    accepting: Option<JoinHandle<()>>,
}

impl TcpServer {
    /// Listens on `address` of `host`; port 0 picks one.
    pub fn start<F>(host: &Namespace, address: SocketAddr, serve: F) -> Result<Self>
    where
        F: Fn(&mut TcpStream, &Counters) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = host.enter(|| TcpListener::bind(address))?;
        let listener = Arc::new(listener.with_context(|| format!("cannot listen on {address} of {}", host.name()))?);
        let counters = Arc::<Counters>::default();
        let (accepted, shared) = (Arc::clone(&listener), Arc::clone(&counters));
        let accepting = Some(thread::spawn(move || accept(&accepted, &shared, &Arc::new(serve))));
        Ok(Self { listener, counters, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// What it has seen.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.counters.stopped.store(true, Ordering::Relaxed);
        // Ends the accept that is waiting.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

fn accept<F>(listener: &TcpListener, counters: &Arc<Counters>, serve: &Arc<F>)
where
    F: Fn(&mut TcpStream, &Counters) -> io::Result<()> + Send + Sync + 'static,
{
    while !counters.stopped() {
        let Ok((stream, _)) = listener.accept() else { continue };
        let (counters, serve) = (Arc::clone(counters), Arc::clone(serve));
        thread::spawn(move || attend(stream, &counters, &*serve));
    }
}

fn attend(mut stream: TcpStream, counters: &Counters, serve: impl Fn(&mut TcpStream, &Counters) -> io::Result<()>) {
    counters.connections.fetch_add(1, Ordering::Relaxed);
    counters.open.fetch_add(1, Ordering::Relaxed);
    let timeouts = stream.set_read_timeout(Some(TICK)).and_then(|()| stream.set_write_timeout(Some(TICK)));
    let served = timeouts.and_then(|()| serve(&mut stream, counters));
    if served.is_err_and(|error| matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)) {
        counters.resets.fetch_add(1, Ordering::Relaxed);
    }
    counters.open.fetch_sub(1, Ordering::Relaxed);
}

/// Reads what has come; `None` at the end of the stream, or when the server is gone.
pub fn read_some(stream: &mut TcpStream, buffer: &mut [u8], counters: &Counters) -> io::Result<Option<usize>> {
    while !counters.stopped() {
        match stream.read(buffer) {
            Ok(0) => return Ok(None),
            Ok(length) => {
                counters.received.fetch_add(length as u64, Ordering::Relaxed);
                return Ok(Some(length));
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Sends all of it, for as long as the peer takes it and the server is there.
pub fn write_all(stream: &mut TcpStream, mut bytes: &[u8], counters: &Counters) -> io::Result<()> {
    while !bytes.is_empty() && !counters.stopped() {
        match stream.write(bytes) {
            Ok(length) => {
                counters.sent.fetch_add(length as u64, Ordering::Relaxed);
                bytes = &bytes[length..];
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
