//! Which service of the gateway answers where: no place is given away twice.

use super::value::Value;
use super::{Transport, suggest::listed};
use std::net::{IpAddr, SocketAddr};

/// The places that were given away so far.
#[derive(Default)]
pub(super) struct Endpoints(Vec<Endpoint>);

struct Endpoint {
    protocol: Transport,
    address: IpAddr,
    port: u16,
    key: String,
}

impl Endpoints {
    /// Gives `socket` to the service of `value`, or reports who has it.
    pub(super) fn take(&mut self, value: &Value<'_, '_>, protocol: Transport, socket: SocketAddr) {
        let wanted = Endpoint { protocol, address: socket.ip(), port: socket.port(), key: value.path.clone() };
        match self.0.iter().find(|taken| taken.overlaps(&wanted)) {
            None => self.0.push(wanted),
            Some(taken) => value.refuse(
                format!("`{protocol} {socket}` belongs to {} already", listed(&[&taken.key])),
                "choose another port, or another address",
            ),
        }
    }
}

impl Endpoint {
    /// Linux lets `[::]` answer IPv4 too.
    fn overlaps(&self, other: &Self) -> bool {
        let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
        let addresses =
            self.address == other.address || covers(self.address, other.address) || covers(other.address, self.address);
        self.protocol == other.protocol && self.port == other.port && addresses
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}
