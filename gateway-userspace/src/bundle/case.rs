//! A test case: who wants to reach what, and what is to come out.

use crate::config::Place;
use crate::policy::cedar::Subject;
use crate::policy::{AppName, Protocol};
use jiff::Timestamp;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A test case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What it is about; unique in a bundle.
    pub name: String,
    /// The path of its file in the bundle.
    pub file: String,
    /// Where it stands there.
    pub place: Place,
    /// Who, from where, and how they proved who they are.
    pub subject: Subject,
    /// When; `None` if that does not matter.
    pub at: Option<Timestamp>,
    /// How old their login is.
    pub login_age: Duration,
    /// What they want to reach.
    pub to: Target,
    /// Whether they may.
    pub permit: bool,
    /// A policy that is to be among those that determine it.
    pub because: Option<String>,
    /// How old a login may be, for a permit.
    pub reauthenticate: Option<Duration>,
}

/// What somebody wants to reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// An app.
    App(AppName),
    /// Whatever is there.
    Address(Address),
}

/// A place to connect to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port; 0 where there is none.
    pub port: u16,
}

/// It is not written as it should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is neither an app nor an address; write `crm`, `10.20.0.10:443/tcp`, `[2001:db8::10]:443/tcp`, `10.20.0.10/icmp` \
     or `10.20.0.10:47/ip`"
)]
pub struct InvalidTarget(String);

impl Target {
    /// Reads the name of an app, or an address with a protocol.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        let invalid = || InvalidTarget(text.to_owned());
        let is_bare = text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok();
        match text.rsplit_once('/') {
            None if is_bare => Err(invalid()),
            None => AppName::new(text).map(Self::App).map_err(|_| invalid()),
            Some((place, protocol)) => Address::parse(place, protocol).map(Self::Address).ok_or_else(invalid),
        }
    }
}

impl Address {
    fn parse(place: &str, protocol: &str) -> Option<Self> {
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            "icmp" => {
                let bare = place.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(place);
                return Some(Self { ip: bare.parse().ok()?, protocol: Protocol::Icmp, port: 0 });
            }
            "ip" => {
                let socket: SocketAddr = place.parse().ok()?;
                let number = u8::try_from(socket.port()).ok().filter(|number| Protocol::is_grantable(*number))?;
                return Some(Self { ip: socket.ip(), protocol: Protocol::Ip(number), port: 0 });
            }
            _ => return None,
        };
        let socket: SocketAddr = place.parse().ok().filter(|socket: &SocketAddr| socket.port() != 0)?;
        Some(Self { ip: socket.ip(), protocol, port: socket.port() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(name) => write!(f, "{name}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, protocol, port } = self;
        match protocol {
            Protocol::Icmp => write!(f, "{ip}/icmp"),
            Protocol::Ip(number) => write!(f, "{}/ip", SocketAddr::new(*ip, (*number).into())),
            protocol => write!(f, "{}/{protocol}", SocketAddr::new(*ip, *port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_app_or_an_address_and_is_written_as_it_is_read() {
        for text in [
            "crm",
            "10.20.0.10:443/tcp",
            "[2001:db8::10]:53/udp",
            "10.20.0.10/icmp",
            "2001:db8::10/icmp",
            "10.20.0.10:47/ip",
            "10.0.0.1:2905/sctp",
        ] {
            assert_eq!(Target::parse(text).map(|target| target.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(Target::parse("[::1]/icmp").unwrap().to_string(), "::1/icmp");
        assert_eq!(Target::parse("CRM").unwrap().to_string(), "crm");
        for text in
            ["", "10.20.0.10", "10.20.0.10:443", "10.20.0.10/tcp", "10.20.0.10:0/tcp", "10.0.0.1:443/dccp", "c rm"]
        {
            let error = Target::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
        for text in ["10.20.0.10:6/ip", "10.20.0.10:256/ip", "::1:443/tcp"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
