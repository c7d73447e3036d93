//! The one name of a client certificate that is a service's: `uri:spiffe://example/ci`, `dns:host.example`, `cn:printer 3`.

use std::fmt;
use std::str::FromStr;

/// A name in a certificate: of its alternative names, or its subject's common name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CertificateName(Kind, String);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Kind {
    Uri,
    Dns,
    CommonName,
}

/// A text that names no certificate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` does not name a certificate; write one of its names with its kind, like `uri:spiffe://example.org/ci`, \
     `dns:host.example.org` or `cn:printer-3`"
)]
pub struct InvalidCertificateName(pub String);

impl CertificateName {
    /// Longest name, in bytes (SPIFFE ID 1.0, section 2.3).
    pub const LONGEST: usize = 2_048;

    /// A URI among the alternative names. Compared byte by byte: a URI that is written in another way is another one.
    #[must_use]
    pub fn uri(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once(':')?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let is_uri = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(is_scheme);
        let is_written = !rest.is_empty() && uri.bytes().all(|byte| byte.is_ascii_graphic());
        Self::of(Kind::Uri, uri.to_owned()).filter(|_| is_uri && is_written)
    }

    /// A host name among the alternative names. One with a wildcard names nobody.
    #[must_use]
    pub fn dns(name: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        Self::of(Kind::Dns, name.to_ascii_lowercase()).filter(|_| name.bytes().all(is_plain))
    }

    /// The subject's common name.
    #[must_use]
    pub fn common_name(name: &str) -> Option<Self> {
        let is_printed = name.trim() == name && !name.chars().any(char::is_control);
        Self::of(Kind::CommonName, name.to_owned()).filter(|_| is_printed)
    }

    fn of(kind: Kind, name: String) -> Option<Self> {
        (!name.is_empty() && name.len() <= Self::LONGEST).then_some(Self(kind, name))
    }
}

impl FromStr for CertificateName {
    type Err = InvalidCertificateName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = match text.split_once(':') {
            Some(("uri", uri)) => Self::uri(uri),
            Some(("dns", name)) => Self::dns(name),
            Some(("cn", name)) => Self::common_name(name),
            _ => None,
        };
        found.ok_or_else(|| InvalidCertificateName(text.to_owned()))
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Kind::Uri => "uri",
            Kind::Dns => "dns",
            Kind::CommonName => "cn",
        };
        write!(f, "{kind}:{}", self.1)
    }
}
