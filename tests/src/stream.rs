//! A long download, watched while it runs: how much has come, when the last byte came, how it
//! ended. This is what a revocation has to cut.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    client::{Outcome, tcp_open},
    netns::Namespace,
};

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The server closed it in order.
    Closed,
    /// It was cut, by a reset or by an ICMP error.
    Cut(Outcome),
}

/// A running download. Dropping ends it.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    state: Arc<State>,
    reading: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    start: Instant,
    bytes: AtomicU64,
    /// Nanoseconds after `start`.
    last_byte: AtomicU64,
    end: Mutex<Option<(End, Instant)>>,
}

impl Stream {
    /// Asks an HTTP server for `path` and reads until the end.
    pub fn open(host: &Namespace, to: SocketAddr, path: &str, timeout: Duration) -> Result<Self> {
        let mut socket = tcp_open(host, to, timeout)?.with_context(|| format!("cannot connect to {to}"))?;
        // Silence is not the end: it is what a drop looks like from here.
        socket.set_read_timeout(None)?;
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {to}\r\n\r\n")?;
        let state = Arc::new(State {
            start: Instant::now(),
            bytes: AtomicU64::new(0),
            last_byte: AtomicU64::new(0),
            end: Mutex::new(None),
        });
        let (mut read, shared) = (socket.try_clone()?, Arc::clone(&state));
        let reading = Some(thread::spawn(move || shared.read_all(&mut read)));
        Ok(Self { socket, state, reading })
    }

    /// Bytes received so far, with the head of the answer.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::Acquire)
    }

    /// When the last byte came; when the transfer began, if none has.
    pub fn last_byte(&self) -> Instant {
        self.state.start + Duration::from_nanos(self.state.last_byte.load(Ordering::Acquire))
    }

    /// Since when nothing has come.
    pub fn silence(&self) -> Duration {
        self.last_byte().elapsed()
    }

    /// How and when it ended, if it has.
    pub fn ended(&self) -> Option<(End, Instant)> {
        *self.state.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a byte to the server, for the direction that a download hardly uses.
    pub fn poke(&mut self) -> Outcome {
        self.socket.write_all(b"\n").map_or_else(|error| Outcome::from(&error), |()| Outcome::Answered)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Ends the read that is waiting; the connection may be gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.reading.take().map(JoinHandle::join);
    }
}

impl State {
    fn read_all(&self, socket: &mut TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        let end = loop {
            match socket.read(&mut buffer) {
                Ok(0) => break End::Closed,
                Ok(length) => self.note(length),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break End::Cut(Outcome::from(&error)),
            }
        };
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some((end, Instant::now()));
    }

    fn note(&self, length: usize) {
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last_byte.store(now, Ordering::Release);
        self.bytes.fetch_add(length as u64, Ordering::AcqRel);
    }
}
