//! Servers that send back what they receive.

use std::{
    net::{SocketAddr, UdpSocket},
    ops::Deref,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};

use crate::{
    netns::Namespace,
    service::{Counters, TICK, TcpServer, read_some, write_all},
};

/// Sends back what it receives, over TCP.
#[derive(Debug)]
pub struct TcpEcho(TcpServer);

impl TcpEcho {
    /// Starts it on `address` of `host`; port 0 picks one.
    pub fn start(host: &Namespace, address: SocketAddr) -> Result<Self> {
        TcpServer::start(host, address, |stream, counters| {
            let mut buffer = [0; 16 * 1024];
            while let Some(length) = read_some(stream, &mut buffer, counters)? {
                write_all(stream, &buffer[..length], counters)?;
            }
            Ok(())
        })
        .map(Self)
    }
}

impl Deref for TcpEcho {
    type Target = TcpServer;

    fn deref(&self) -> &TcpServer {
        &self.0
    }
}

/// Sends back what it receives, over UDP.
#[derive(Debug)]
pub struct UdpEcho {
    socket: Arc<UdpSocket>,
    counters: Arc<Counters>,
    serving: Option<JoinHandle<()>>,
}

impl UdpEcho {
    /// Starts it on `address` of `host`; port 0 picks one.
    pub fn start(host: &Namespace, address: SocketAddr) -> Result<Self> {
        let socket = host.enter(|| UdpSocket::bind(address))?;
        let socket = Arc::new(socket.with_context(|| format!("cannot bind {address} of {}", host.name()))?);
        socket.set_read_timeout(Some(TICK))?;
        let counters = Arc::<Counters>::default();
        let (served, shared) = (Arc::clone(&socket), Arc::clone(&counters));
        let serving = Some(thread::spawn(move || echo_datagrams(&served, &shared)));
        Ok(Self { socket, counters, serving })
    }

    /// Where it receives.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// What it has seen; a datagram is a connection.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.counters.stopped.store(true, Ordering::Relaxed);
        let _ = self.serving.take().map(JoinHandle::join);
    }
}

fn echo_datagrams(socket: &UdpSocket, counters: &Counters) {
    let mut buffer = [0; 64 * 1024];
    while !counters.stopped() {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        counters.connections.fetch_add(1, Ordering::Relaxed);
        counters.received.fetch_add(length as u64, Ordering::Relaxed);
        // The way back may be closed; that is what the client's side finds out.
        if let Ok(sent) = socket.send_to(&buffer[..length], peer) {
            counters.sent.fetch_add(sent as u64, Ordering::Relaxed);
        }
    }
}
