//! Names of hosts in the DNS.

use arcstr::ArcStr;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// The full name of a host: lower case, without the dot at its end. A copy is a pointer.
///
/// Labels are those of hosts (RFC 1123, section 2.1): letters, digits and hyphens inside; and underscores, which services
/// have (RFC 8552).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DnsName(ArcStr);

/// The addresses of names.
pub type Answers = BTreeMap<DnsName, BTreeSet<IpAddr>>;

/// Why a name was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidDnsName {
    /// A pattern.
    #[error("`{0}` is a pattern; give each host by its own name, as only those can be asked for")]
    Wildcard(String),
    /// It needs no DNS.
    #[error("`{0}` is an address; write it to `prefixes`")]
    Address(String),
    /// A part of a name.
    #[error("`{0}` is not a full name; write it like `wiki.example.net`")]
    Relative(String),
    /// Something else.
    #[error(
        "`{0}` is not the name of a host; write labels of at most 63 letters, digits and hyphens, separated by dots, and \
         not more than 253 characters in all"
    )]
    Malformed(String),
}

impl DnsName {
    /// Longest name, in bytes of its text (RFC 1035, section 2.3.4, without the lengths of the labels).
    const LONGEST: usize = 253;
    /// Longest label.
    const LONGEST_LABEL: usize = 63;

    /// Checks a name.
    ///
    /// # Errors
    /// If it is not the full name of a host.
    pub fn new(text: &str) -> Result<Self, InvalidDnsName> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let given = || text.to_owned();
        if name.contains('*') {
            return Err(InvalidDnsName::Wildcard(given()));
        }
        if name.parse::<IpAddr>().is_ok() || name.parse::<ipnet::IpNet>().is_ok() {
            return Err(InvalidDnsName::Address(given()));
        }
        if name.len() > Self::LONGEST || !name.split('.').all(is_label) {
            return Err(InvalidDnsName::Malformed(given()));
        }
        match name.rsplit('.').next() {
            // Old programs read `10.1` as an address.
            Some(last) if last.bytes().all(|byte| byte.is_ascii_digit()) => Err(InvalidDnsName::Malformed(given())),
            _ if !name.contains('.') => Err(InvalidDnsName::Relative(given())),
            _ => Ok(Self(name.into())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let has_end = |end: Option<&u8>| end.is_some_and(|byte| *byte != b'-');
    let bytes = label.as_bytes();
    bytes.len() <= DnsName::LONGEST_LABEL
        && has_end(bytes.first())
        && has_end(bytes.last())
        && bytes.iter().all(|byte| is_inner(*byte))
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_are_full_and_lower_case() {
        for (given, kept) in [
            ("Wiki.Example.NET.", "wiki.example.net"),
            ("a.b", "a.b"),
            ("_sip.x1-y.example.net", "_sip.x1-y.example.net"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(DnsName::new(given).unwrap().as_str(), kept);
        }
        let label = "x".repeat(63);
        assert!(DnsName::new(&format!("{label}.{label}.{label}.{}", "x".repeat(61))).is_ok());
    }

    #[test]
    fn what_is_no_name_of_a_host_is_refused_with_what_to_write() {
        for (given, part) in [
            ("*.example.net", "is a pattern"),
            ("10.0.0.1", "is an address"),
            ("2001:db8::/32", "is an address"),
            ("wiki", "is not a full name"),
            ("", "is not the name"),
            (".", "is not the name"),
            ("a..b", "is not the name"),
            ("a.b..", "is not the name"),
            ("-a.b", "is not the name"),
            ("a-.b", "is not the name"),
            ("a b.c", "is not the name"),
            ("bücher.example", "is not the name"),
            ("a.1", "is not the name"),
            (&format!("{}.b", "x".repeat(64)), "is not the name"),
            (&format!("{}b", "x.".repeat(127)), "is not the name"),
        ] {
            let found = DnsName::new(given).map_err(|error| error.to_string());
            assert!(found.as_ref().is_err_and(|error| error.contains(part)), "{given}: {found:?}");
        }
    }
}
