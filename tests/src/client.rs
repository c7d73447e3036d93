//! Short conversations from a host, and what became of them.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::netns::Namespace;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The TCP handshake ended well.
    Connected,
    /// An answer came (UDP, ICMP).
    Answered,
    /// Refused: a TCP reset of the handshake, or an ICMP port unreachable.
    Refused,
    /// A TCP reset of a connection that was open.
    Reset,
    /// An ICMP error said that the network, the host or the way there is closed.
    Unreachable,
    /// Nothing came back in time.
    TimedOut,
    /// Something that is not about the network.
    Failed(ErrorKind),
}

impl From<&io::Error> for Outcome {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Self::Reset,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::PermissionDenied => {
                Self::Unreachable
            }
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::TimedOut,
            other => Self::Failed(other),
        }
    }
}

/// Tries a TCP handshake, and ends the connection.
pub fn tcp_connect(host: &Namespace, to: SocketAddr, timeout: Duration) -> Result<Outcome> {
    Ok(tcp_open(host, to, timeout)?.map_or_else(|error| Outcome::from(&error), |_| Outcome::Connected))
}

/// Opens a TCP connection. Its reads and writes time out as the handshake does.
pub fn tcp_open(host: &Namespace, to: SocketAddr, timeout: Duration) -> Result<io::Result<TcpStream>> {
    host.enter(|| {
        let stream = TcpStream::connect_timeout(&to, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}

/// Sends `payload` on an open connection and waits until as many bytes have come back.
pub fn tcp_exchange(stream: &mut TcpStream, payload: &[u8]) -> Outcome {
    let mut echo = vec![0; payload.len()];
    match stream.write_all(payload).and_then(|()| stream.read_exact(&mut echo)) {
        Ok(()) if echo == payload => Outcome::Answered,
        Ok(()) => Outcome::Failed(ErrorKind::InvalidData),
        Err(error) => Outcome::from(&error),
    }
}

/// Sends one datagram and waits for one answer.
pub fn udp_exchange(host: &Namespace, to: SocketAddr, payload: &[u8], timeout: Duration) -> Result<Outcome> {
    let exchange = || -> io::Result<usize> {
        let local = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(local)?;
        socket.set_read_timeout(Some(timeout))?;
        // Connected, so that ICMP errors arrive as errors of the socket.
        socket.connect(to)?;
        socket.send(payload)?;
        receive(&socket, &mut [0; 2048])
    };
    Ok(host.enter(exchange)?.map_or_else(|error| Outcome::from(&error), |_| Outcome::Answered))
}

/// The next datagram. A process that was frozen and goes on is interrupted where it waits with a timeout, and waits again.
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.recv(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => return received,
        }
    }
}

/// One HTTP request without TLS: the status and the body.
pub fn http_get(host: &Namespace, to: SocketAddr, path: &str, timeout: Duration) -> Result<(u16, String)> {
    let mut stream = tcp_open(host, to, timeout)?.with_context(|| format!("cannot connect to {to}"))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("no whole answer from {to}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(|| format!("no status in `{head}`"))?, body.to_owned()))
}
