//! Those who receive records. Each takes a batch, all of it or none, and says why if it does not.

pub(super) mod http;
pub(super) mod ipfix;
mod lines;
pub(super) mod otlp;
mod stream;
mod syslog;

use super::settings::{Destination, Endpoint, ExportSettings};
use super::{Failure, Origin, SetupError};
use crate::record::Archived;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{UdpSocket, lookup_host};

/// A way to a receiver.
pub(super) enum Receiver {
    /// By requests of HTTP.
    Http(http::Sender),
    /// By messages of syslog.
    Syslog(syslog::Sender),
    /// By lines over a connection.
    Lines(lines::Sender),
    /// By OpenTelemetry's protocol.
    Otlp(otlp::Sender),
    /// By messages of flows.
    Ipfix(ipfix::Sender),
}

impl Receiver {
    /// Sets it up; nothing is sent, and nobody is asked whether they are there.
    ///
    /// # Errors
    /// If a file that the settings name cannot be used.
    pub fn new(settings: &ExportSettings, origin: &Arc<Origin>) -> Result<Self, SetupError> {
        let ExportSettings { name, destination, .. } = settings;
        let origin = Arc::clone(origin);
        Ok(match destination {
            Destination::Http(settings) => Self::Http(http::Sender::lines(settings, origin)?),
            Destination::Splunk(settings) => Self::Http(http::Sender::splunk(settings, origin)?),
            Destination::Elastic(settings) => Self::Http(http::Sender::elastic(settings, origin)?),
            Destination::Syslog(settings) => Self::Syslog(syslog::Sender::new(settings, origin)?),
            Destination::Lines(settings) => Self::Lines(lines::Sender::new(settings, origin)?),
            Destination::Otlp(settings) => Self::Otlp(otlp::Sender::new(name, settings, origin)?),
            Destination::Ipfix(settings) => Self::Ipfix(ipfix::Sender::new(settings)),
        })
    }

    /// Sends records, and returns when the receiver has taken all of them.
    ///
    /// # Errors
    /// If it has not, or it is not known: they are to be sent again.
    pub async fn send(&mut self, records: &[Archived]) -> Result<(), Failure> {
        match self {
            Self::Http(sender) => sender.send(records).await,
            Self::Syslog(sender) => sender.send(records).await,
            Self::Lines(sender) => sender.send(records).await,
            Self::Otlp(sender) => sender.send(records).await,
            Self::Ipfix(sender) => sender.send(records).await,
        }
    }
}

/// A socket for datagrams to the first of somebody's addresses that there is a way to.
async fn datagrams(endpoint: &Endpoint) -> io::Result<UdpSocket> {
    let host = endpoint.host.to_str();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in lookup_host((host.as_ref(), endpoint.port)).await? {
        match connected(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    // What a host answers that has no such port is told to whoever is connected.
    socket.connect(address).await?;
    Ok(socket)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn unreachable(error: io::Error) -> Failure {
    Failure::Unreachable(error.to_string())
}
