//! How the gateway finds out whether an app answers. It grants and denies nothing.

use super::App;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;
use url::{Host, Url};

/// Longest URL of a check, in bytes.
const LONGEST_URL: usize = 2_048;

/// An app's health check.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HealthCheck {
    /// What is tried.
    pub probe: Probe,
    /// How often, at each address; within [`Self::EVERY`].
    pub every: Duration,
    /// How long the answer may take; within [`Self::TIMEOUT`], and less than `every`.
    pub timeout: Duration,
    /// After how many failures in a row an address counts as down; within [`Self::FAILURES`].
    pub failures: u8,
}

/// What is tried at an address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Probe {
    /// A TCP connection to this port opens.
    Connection(u16),
    /// A GET is answered with a status from 200 to 399. The connection goes to the app's address; the URL says the port, the
    /// path, and the name for `Host`, for SNI and for the certificate.
    Get(Box<Url>),
}

/// Why a check is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidHealthCheck {
    /// Neither a port nor a URL.
    #[error(
        "`{0}` is not a health check; write a TCP port like `443/tcp`, or a URL like `https://wiki.example.net/healthz`"
    )]
    Neither(String),
    /// A URL of which something cannot be asked for.
    #[error("`{0}` {1}")]
    Url(String, &'static str),
    /// Too often, or too seldom.
    #[error("is out of bounds; choose a time from 5 s to 1 h")]
    Every,
    /// Too short, or too long.
    #[error("is out of bounds; choose a time from 100 ms to 30 s")]
    Timeout,
    /// One attempt could go on when the next begins.
    #[error("is not less than the time between two attempts; choose a shorter one, or a longer `every`")]
    TimeoutNotBelowEvery,
    /// None, or too many.
    #[error("is out of bounds; choose one from 1 to 10")]
    Failures,
}

impl HealthCheck {
    /// How often an address may be tried.
    pub const EVERY: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(3_600);
    /// How long an answer may take.
    pub const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30);
    /// How many failures may be waited for.
    pub const FAILURES: RangeInclusive<u8> = 1..=10;
    /// How often an address is tried, if nothing else is said.
    pub const USUAL_EVERY: Duration = Duration::from_secs(30);
    /// How long an answer may take, if nothing else is said and there is time for it.
    const USUAL_TIMEOUT: Duration = Duration::from_secs(5);
    /// How many failures are waited for, if nothing else is said.
    pub const USUAL_FAILURES: u8 = 3;
    /// At most so many addresses of an app are tried.
    pub const MOST_ADDRESSES: usize = 16;

    /// The check with the usual times.
    #[must_use]
    pub const fn of(probe: Probe) -> Self {
        let (every, timeout, failures) = (Self::USUAL_EVERY, Self::USUAL_TIMEOUT, Self::USUAL_FAILURES);
        Self { probe, every, timeout, failures }
    }

    /// How long an answer may take, if nothing else is said: 5 s, or half of `every` if that is less.
    #[must_use]
    pub fn usual_timeout(every: Duration) -> Duration {
        Self::USUAL_TIMEOUT.min(every.checked_div(2).unwrap_or(every))
    }

    /// The times that are not right, each by the name of its key, and why.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, InvalidHealthCheck)> {
        let Self { probe: _, every, timeout, failures } = self;
        let timeout = match Self::TIMEOUT.contains(timeout) {
            true => (timeout >= every).then_some(InvalidHealthCheck::TimeoutNotBelowEvery),
            false => Some(InvalidHealthCheck::Timeout),
        };
        let every = (!Self::EVERY.contains(every)).then_some(InvalidHealthCheck::Every);
        let failures = (!Self::FAILURES.contains(failures)).then_some(InvalidHealthCheck::Failures);
        let all = [("every", every), ("timeout", timeout), ("failures", failures)];
        all.into_iter().filter_map(|(key, fault)| Some((key, fault?))).collect()
    }

    /// Whether the times are the usual ones: then the probe says all.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::of(self.probe.clone())
    }

    /// The addresses of an app at which it is tried: the one that the URL names, if the app is there; otherwise the app's
    /// single addresses, of which the first [`Self::MOST_ADDRESSES`]. Of larger prefixes nothing is tried.
    #[must_use]
    pub fn targets(&self, app: &App) -> Vec<IpAddr> {
        match self.probe.address() {
            Some(named) => {
                let is_there = app.prefixes.iter().any(|prefix| prefix.contains(&named));
                if is_there || addresses(app).contains(&named) { vec![named] } else { Vec::new() }
            }
            None => addresses(app).into_iter().take(Self::MOST_ADDRESSES).collect(),
        }
    }
}

/// The addresses that are known of an app one by one.
#[must_use]
pub fn addresses(app: &App) -> BTreeSet<IpAddr> {
    let single = |prefix: &&IpNet| prefix.prefix_len() == prefix.max_prefix_len();
    app.prefixes.iter().filter(single).map(IpNet::addr).collect()
}

impl Probe {
    /// The TCP port that it goes to.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Connection(port) => *port,
            Self::Get(url) => url.port_or_known_default().unwrap_or_default(),
        }
    }

    /// The address that a URL names in the place of a host.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let Self::Get(url) = self else { return None };
        match url.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }
}

/// As configuration and API write it: `443/tcp`, `https://wiki.example.net/healthz`.
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(port) => write!(f, "{port}/tcp"),
            Self::Get(url) => f.write_str(url.as_str()),
        }
    }
}

impl FromStr for Probe {
    type Err = InvalidHealthCheck;

    fn from_str(text: &str) -> Result<Self, InvalidHealthCheck> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if scheme.is_some_and(|scheme| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))) {
            return get(text)
                .map(|url| Self::Get(Box::new(url)))
                .map_err(|what| InvalidHealthCheck::Url(text.to_owned(), what));
        }
        let digits = text.strip_suffix("/tcp").filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let port = digits.and_then(|port| port.parse().ok()).filter(|port| *port != 0);
        port.map(Self::Connection).ok_or_else(|| InvalidHealthCheck::Neither(text.to_owned()))
    }
}

/// A URL that can be asked for, or what is wrong with it.
fn get(text: &str) -> Result<Url, &'static str> {
    const SPELL: &str = "is not a URL; write one like `https://wiki.example.net/healthz`";
    if text.len() > LONGEST_URL {
        return Err("is too long; write at most 2048 bytes");
    }
    // What the parser would drop or put right is a typo: it is refused, not asked for in another way than it is written.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let url = Url::parse(text).ok().filter(|url| is_plain && url.has_host()).ok_or(SPELL)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or a password, which everybody who reads the app would see; leave it out");
    }
    if url.fragment().is_some() {
        return Err("has a fragment, which no server is told; leave out what begins with `#`");
    }
    if url.port_or_known_default().is_none_or(|port| port == 0) {
        return Err("has no port that can be connected to; write one from 1 to 65535");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AppName;

    #[test]
    fn a_port_and_a_url_are_checks_in_one_spelling_and_nothing_else_is() {
        for (text, written, port) in [
            ("443/tcp", "443/tcp", 443),
            ("0443/tcp", "443/tcp", 443),
            ("https://wiki.example.net", "https://wiki.example.net/", 443),
            ("HTTP://Wiki.example.net:8080/a?b=c", "http://wiki.example.net:8080/a?b=c", 8080),
            ("https://[2001:db8::7]:8443/x", "https://[2001:db8::7]:8443/x", 8443),
        ] {
            let probe: Probe = text.parse().unwrap();
            assert_eq!((probe.to_string().as_str(), probe.port()), (written, port), "{text}");
            assert_eq!(written.parse(), Ok(probe), "{text}");
        }
        for wrong in [
            "",
            "443",
            "/tcp",
            "0/tcp",
            "65536/tcp",
            "+1/tcp",
            "443/udp",
            "443-444/tcp",
            "icmp",
            "ftp://a/",
            "https://",
            "https://a b/",
            "https://a/\n",
            "http://a\\b/",
            "http://u@a/",
            "http://u:p@a/",
            "http://a/#b",
            "http://a:0/",
            "wiki.example.net",
        ] {
            assert!(wrong.parse::<Probe>().is_err(), "{wrong:?}");
        }
        let long = format!("https://a/{}", "x".repeat(LONGEST_URL));
        assert!(long.parse::<Probe>().unwrap_err().to_string().ends_with("write at most 2048 bytes"));
    }

    #[test]
    fn single_addresses_are_tried_or_the_one_that_the_url_names_if_the_app_is_there() {
        let app = |prefixes: &[&str]| App {
            prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            ..App::new(AppName::new("crm").unwrap())
        };
        let targets = |check: &str, prefixes: &[&str]| -> Vec<String> {
            let check = HealthCheck::of(check.parse().unwrap());
            check.targets(&app(prefixes)).iter().map(ToString::to_string).collect()
        };
        let mixed = ["192.0.2.0/24", "198.51.100.7/32", "2001:db8::7/128", "2001:db8:1::/64"];
        for check in ["443/tcp", "https://wiki.example.net/"] {
            assert_eq!(targets(check, &mixed), ["198.51.100.7", "2001:db8::7"]);
            assert!(targets(check, &["192.0.2.0/24"]).is_empty());
        }
        assert_eq!(targets("http://192.0.2.9/", &mixed), ["192.0.2.9"]);
        assert_eq!(targets("http://[2001:db8:1::9]/", &mixed), ["2001:db8:1::9"]);
        assert!(targets("http://203.0.113.9/", &mixed).is_empty(), "the app is not there");
        let many: Vec<String> = (1..=40).map(|host| format!("192.0.2.{host}/32")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(targets("443/tcp", &many).len(), HealthCheck::MOST_ADDRESSES);
    }
}
