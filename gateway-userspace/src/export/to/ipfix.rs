//! A collector of flows. Nothing in IPFIX says that a record has been taken: a datagram may be lost on its way, and a
//! connection breaks after the system has taken what was written. What the system tells is listened to, and no more.

use super::{datagrams, unreachable};
use crate::export::Failure;
use crate::export::form::ipfix::Exporter;
use crate::export::settings::{IpfixSettings, Transport};
use crate::record::Archived;
use std::io;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};

const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(5);
/// How long a collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it is listened for a complaint after a batch.
const LISTEN: Duration = Duration::from_millis(20);
/// Datagrams at once, and the pause after them: a collector's buffer has room for about a hundred.
const BURST: usize = 16;
const BREATH: Duration = Duration::from_millis(1);

/// Sends flows.
pub(in crate::export) struct Sender {
    settings: IpfixSettings,
    way: Option<Way>,
}

/// A connection; what follows a failure begins with another.
struct Way {
    socket: Socket,
    exporter: Exporter,
    /// When the templates were sent last.
    told_at: Option<Instant>,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Sender {
    pub fn new(settings: &IpfixSettings) -> Self {
        Self { settings: settings.clone(), way: None }
    }

    /// # Errors
    /// If the system says that they did not arrive.
    pub async fn send(&mut self, records: &[Archived]) -> Result<(), Failure> {
        let mut way = match self.way.take() {
            Some(way) if way.socket.is_alive() => way,
            _ => timeout(PATIENCE_TO_CONNECT, self.connect())
                .await
                .map_err(|_| Failure::Unreachable("no connection in time".into()))?
                .map_err(unreachable)?,
        };
        let sent = way.send(&self.settings, records);
        timeout(PATIENCE, sent).await.map_err(|_| Failure::TimedOut)?.map_err(unreachable)?;
        self.way = Some(way);
        Ok(())
    }

    async fn connect(&self) -> io::Result<Way> {
        let IpfixSettings { endpoint, transport, domain, enterprise, message, templates: _ } = &self.settings;
        let socket = match transport {
            Transport::Udp => Socket::Udp(datagrams(endpoint).await?),
            Transport::Tcp => Socket::Tcp(TcpStream::connect((endpoint.host.to_str().as_ref(), endpoint.port)).await?),
        };
        Ok(Way { socket, exporter: Exporter::new(*domain, *enterprise, *message), told_at: None })
    }
}

impl Way {
    async fn send(&mut self, settings: &IpfixSettings, records: &[Archived]) -> io::Result<()> {
        let at = u32::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(u32::MAX);
        let is_due = match settings.transport {
            // A collector that was started anew has forgotten them, or has never heard the first.
            Transport::Udp => self.told_at.is_none_or(|told_at| told_at.elapsed() >= settings.templates),
            Transport::Tcp => self.told_at.is_none(),
        };
        let mut messages = Vec::new();
        if is_due {
            messages = self.exporter.templates(at);
            self.told_at = Some(Instant::now());
        }
        messages.extend(self.exporter.messages(records, at));
        match &mut self.socket {
            Socket::Udp(socket) => {
                for burst in messages.chunks(BURST) {
                    for message in burst {
                        socket.send(message).await?;
                    }
                    sleep(BREATH).await;
                }
            }
            Socket::Tcp(stream) => stream.write_all(&messages.concat()).await?,
        }
        self.socket.complaint().await
    }
}

impl Socket {
    /// Whether nobody has closed it meanwhile.
    fn is_alive(&self) -> bool {
        let mut nothing = [0; 64];
        match self {
            Self::Udp(socket) => matches!(socket.take_error(), Ok(None)),
            Self::Tcp(stream) => match stream.try_read(&mut nothing) {
                Ok(length) => length > 0,
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            },
        }
    }

    /// Listens a little whether it is said that nobody is there.
    async fn complaint(&self) -> io::Result<()> {
        match self {
            // What a host answers that has no collector makes no socket readable: it waits until it is asked for.
            Self::Udp(socket) => {
                sleep(LISTEN).await;
                socket.take_error()?.map_or(Ok(()), Err)
            }
            Self::Tcp(stream) => {
                let heard = async {
                    stream.readable().await?;
                    // A collector has nothing to say; that it does is no complaint.
                    match stream.try_read(&mut [0; 64]) {
                        Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has closed the connection")),
                        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                        _ => Ok(()),
                    }
                };
                timeout(LISTEN, heard).await.unwrap_or(Ok(()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
