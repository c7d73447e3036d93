//! How many connections are taken, from all and from one address, and how long one may be silent. Applied before TLS:
//! a handshake is what an attacker would like to make us do.

use super::unread::Linger;
use axum_server::accept::Accept;
use std::collections::HashMap;
use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// What is admitted.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at once.
    pub total: usize,
    /// Of them, from one address.
    pub per_address: usize,
    /// How long a connection may be silent.
    pub silence: Duration,
    /// How long a connection may last: whoever sends a byte now and then holds it no longer than this.
    pub life: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 1024, per_address: 64, silence: Duration::from_secs(30), life: Duration::from_secs(600) }
    }
}

/// Takes connections within the limits, and closes the others at once.
#[derive(Clone, Debug)]
pub struct LimitedAcceptor {
    limits: ConnectionLimits,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl LimitedAcceptor {
    /// One without connections. Clones count together.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { limits, open: Arc::default() }
    }

    fn admit(&self, peer: IpAddr) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = open.values().sum();
        let own = open.get(&peer).copied().unwrap_or_default();
        if total >= self.limits.total || own >= self.limits.per_address {
            return None;
        }
        open.insert(peer, own + 1);
        Some(Place { peer, open: Arc::clone(&self.open) })
    }
}

impl<S> Accept<TcpStream, S> for LimitedAcceptor {
    type Stream = LimitedStream;
    type Service = S;
    type Future = Ready<io::Result<(LimitedStream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(stream.peer_addr().and_then(|peer| {
            let place = self.admit(peer.ip().to_canonical());
            let place = place.ok_or_else(|| io::Error::other("too many connections"))?;
            stream.set_nodelay(true)?;
            let ConnectionLimits { silence, life, .. } = self.limits;
            let end = Box::pin(sleep(silence.min(life)));
            let stream = LimitedStream {
                stream,
                silence,
                last: Instant::now() + life,
                end,
                linger: Linger::default(),
                is_shut: false,
                _place: place,
            };
            Ok((stream, service))
        }))
    }
}

/// One connection's place among them.
#[derive(Debug)]
struct Place {
    peer: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.peer)),
        }
    }
}

/// A connection that ends when it is silent, or has lasted, for too long.
#[derive(Debug)]
pub struct LimitedStream {
    stream: TcpStream,
    silence: Duration,
    last: Instant,
    end: Pin<Box<Sleep>>,
    linger: Linger,
    is_shut: bool,
    _place: Place,
}

impl LimitedStream {
    /// What decides whether it is read to its end before it is closed.
    pub(super) fn linger(&self) -> Linger {
        self.linger.clone()
    }

    /// Reads, and throws away, what still comes: until the other end closes too, at most for as long as one may be silent.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 4096];
        loop {
            if self.end.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }

    /// The result of an operation, unless time is up.
    fn timed<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.end.as_mut().reset(self.last.min(Instant::now() + self.silence));
        }
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => result,
        }
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.timed(cx, result)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.timed(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        if self.linger.is_due() { self.poll_rest(cx).map(Ok) } else { Poll::Ready(Ok(())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    #[test]
    fn one_address_and_all_together_are_limited_and_places_come_back() {
        let limits = ConnectionLimits { total: 3, per_address: 2, ..ConnectionLimits::default() };
        let acceptor = LimitedAcceptor::new(limits);
        let (one, two) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = acceptor.admit(one).unwrap();
        let _second = acceptor.admit(one).unwrap();
        assert!(acceptor.admit(one).is_none());
        let _third = acceptor.admit(two).unwrap();
        assert!(acceptor.admit(two).is_none());
        drop(first);
        assert!(acceptor.admit(two).is_some());
    }

    #[test]
    fn whoever_is_refused_leaves_nothing_behind() {
        let acceptor = LimitedAcceptor::new(ConnectionLimits { total: 1, ..ConnectionLimits::default() });
        let _first = acceptor.admit(IpAddr::from([192, 0, 2, 1])).unwrap();
        for host in 2..=200 {
            assert!(acceptor.admit(IpAddr::from([192, 0, 2, host])).is_none());
        }
        assert_eq!(acceptor.open.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_silent_connection_ends() {
        let silence = Duration::from_millis(20);
        let limits = ConnectionLimits { silence, ..ConnectionLimits::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (mut stream, ()) = LimitedAcceptor::new(limits).accept(stream, ()).await.unwrap();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
