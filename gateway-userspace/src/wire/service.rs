//! Ways to reach an app, and places, as people write them.

use crate::policy::{Protocol, Service};
use ipnet::IpNet;
use std::net::IpAddr;

/// A service, or a prefix, that is not written as it should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidService {
    /// Not a service.
    #[error("`{0}` is not a service; write `443/tcp`, `8000-8010/tcp`, `*/udp`, `icmp` or `47/ip`")]
    Form(String),
    /// A protocol that apps cannot have.
    #[error("`{service}` names the protocol `{protocol}`; use `tcp`, `udp`, `sctp`, `icmp` or `ip`")]
    Protocol {
        /// What was given.
        service: String,
        /// Its protocol.
        protocol: String,
    },
    /// Ports that cannot be.
    #[error("`{0}` has ports that cannot be: they go from 1 to 65535, the first not above the last")]
    Ports(String),
    /// An IP protocol that has a name of its own.
    #[error("`{service}` names a protocol by its number that has a name; write `{suggestion}`")]
    Named {
        /// What was given.
        service: String,
        /// What was probably meant.
        suggestion: &'static str,
    },
    /// An IP protocol that cannot be granted.
    #[error("`{0}` cannot be granted: IP protocols go from 2 to 254, without 43, 44, 59 and 60")]
    NotGrantable(String),
    /// Not a prefix.
    #[error("`{0}` is not a prefix; write `192.0.2.0/24`, `2001:db8::/64` or one address")]
    Prefix(String),
    /// Host bits.
    #[error("`{prefix}` has host bits; write `{suggestion}`, or `{host}` for the one host")]
    HostBits {
        /// What was given.
        prefix: String,
        /// The network.
        suggestion: IpNet,
        /// The host.
        host: IpAddr,
    },
}

/// Reads `443/tcp`, `8000-8010/tcp`, `*/udp`, `2905/sctp`, `icmp` or `47/ip`.
///
/// # Errors
/// What is wrong, and how to write it.
pub fn parse_service(text: &str) -> Result<Service, InvalidService> {
    if text == "icmp" {
        return Ok(Service { protocol: Protocol::Icmp, ports: None });
    }
    let form = || InvalidService::Form(text.to_owned());
    let (ports, protocol) = text.split_once('/').ok_or_else(form)?;
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        "ip" => return parse_number(text, ports),
        "icmp" => return Err(form()),
        other => return Err(InvalidService::Protocol { service: text.to_owned(), protocol: other.to_owned() }),
    };
    if ports == "*" {
        return Ok(Service { protocol, ports: None });
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    if !is_number(first) || !is_number(last) {
        return Err(form());
    }
    let bad = |_| InvalidService::Ports(text.to_owned());
    let (first, last) = (first.parse::<u16>().map_err(bad)?, last.parse::<u16>().map_err(bad)?);
    if first == 0 || first > last {
        return Err(InvalidService::Ports(text.to_owned()));
    }
    Ok(Service { protocol, ports: Some((first, last)) })
}

/// An IP protocol by its number.
fn parse_number(text: &str, number: &str) -> Result<Service, InvalidService> {
    if !is_number(number) {
        return Err(InvalidService::Form(text.to_owned()));
    }
    let named = |suggestion| Err(InvalidService::Named { service: text.to_owned(), suggestion });
    match number.parse::<u8>() {
        Ok(1 | 58) => named("icmp"),
        Ok(6) => named("*/tcp"),
        Ok(17) => named("*/udp"),
        Ok(132) => named("*/sctp"),
        Ok(number) if Protocol::is_grantable(number) => Ok(Service { protocol: Protocol::Ip(number), ports: None }),
        _ => Err(InvalidService::NotGrantable(text.to_owned())),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Reads a prefix, or one address.
///
/// # Errors
/// What is wrong, and how to write it.
pub fn parse_prefix(text: &str) -> Result<IpNet, InvalidService> {
    if let Ok(host) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(host));
    }
    let prefix: IpNet = text.parse().map_err(|_| InvalidService::Prefix(text.to_owned()))?;
    if prefix == prefix.trunc() {
        return Ok(prefix);
    }
    Err(InvalidService::HostBits { prefix: text.to_owned(), suggestion: prefix.trunc(), host: prefix.addr() })
}

/// Writes what [`parse_prefix`] reads: a single host as its address.
pub(super) fn format_prefix(prefix: &IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() { prefix.addr().to_string() } else { prefix.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "443/tcp",
            "8000-8010/tcp",
            "*/udp",
            "icmp",
            "1-65535/udp",
            "2905/sctp",
            "*/sctp",
            "2/ip",
            "47/ip",
            "254/ip",
        ] {
            assert_eq!(parse_service(text).unwrap().to_string(), text);
        }
        for text in ["192.0.2.0/24", "192.0.2.7", "2001:db8::/64", "2001:db8::1"] {
            assert_eq!(format_prefix(&parse_prefix(text).unwrap()), text);
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_text_and_the_remedy() {
        for (text, part) in [
            ("443", "is not a service; write `443/tcp`"),
            ("443/TCP", "names the protocol `TCP`"),
            ("443/dccp", "use `tcp`, `udp`, `sctp`, `icmp` or `ip`"),
            ("6/ip", "write `*/tcp`"),
            ("58/ip", "write `icmp`"),
            ("132/ip", "write `*/sctp`"),
            ("0/ip", "cannot be granted"),
            ("44/ip", "without 43, 44, 59 and 60"),
            ("255/ip", "from 2 to 254"),
            ("256/ip", "from 2 to 254"),
            ("*/ip", "is not a service"),
            ("47-50/ip", "is not a service"),
            ("0/tcp", "go from 1 to 65535"),
            ("9-8/tcp", "the first not above the last"),
            ("65536/tcp", "go from 1 to 65535"),
            ("+1/tcp", "is not a service"),
            ("-/tcp", "is not a service"),
            ("8/icmp", "is not a service"),
            ("", "is not a service"),
        ] {
            let message = parse_service(text).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains(&format!("`{text}`")), "{message}");
        }
        let message = parse_prefix("192.0.2.7/24").unwrap_err().to_string();
        assert_eq!(message, "`192.0.2.7/24` has host bits; write `192.0.2.0/24`, or `192.0.2.7` for the one host");
        assert!(parse_prefix("crm.example").unwrap_err().to_string().contains("is not a prefix"));
    }
}
