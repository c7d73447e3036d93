//! The words of the gateway as types. Names are checked once, here; afterwards they are what they say.

mod assurance;
mod country;
mod decision;
mod dns;
mod factors;
mod health;
mod moment;
mod settings;
mod user;
mod word;

pub use assurance::{Assurance, Proof};
pub use country::Country;
pub use decision::{Decision, Logging, Permitted};
pub use dns::{Answers, DnsName, InvalidDnsName};
pub use factors::{Factor, Factors};
pub use health::{HealthCheck, InvalidHealthCheck, Probe, addresses};
pub use moment::{Grain, Moment, Span, Timestamp};
pub use settings::{Settings, Timezone, UnknownTimezone};
pub use user::{Attributes, InvalidAttribute, Kind, Risk, Standing, User, attribute};
pub use word::{InvalidWord, LONGEST_WORD, word};

use arcstr::ArcStr;
use gateway_common::KernelNanos;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "name `{name}` is not valid: use 1 to {LONGEST_NAME} of the characters a-z, 0-9, `.`, `_`, `-` and `@`, \
     beginning with a letter or digit"
)]
pub struct InvalidName {
    /// What was given.
    pub name: String,
}

/// Longest user, group or app name, in bytes.
pub const LONGEST_NAME: usize = 128;

macro_rules! names {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        $(
            $(#[$doc])+
            /// A copy is a pointer: sessions by the million name the same few users, apps and policies.
            #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
            pub struct $name(ArcStr);

            impl $name {
                /// Checks a name, after folding it to lower case so that two spellings never mean two things.
                ///
                /// # Errors
                /// If it is empty, too long, or has other characters than the permitted ones.
                pub fn new(name: &str) -> Result<Self, InvalidName> {
                    folded(name).map(|name| Self(name.into()))
                }

                /// The name.
                #[must_use]
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }
        )+
    };
}

fn folded(name: &str) -> Result<String, InvalidName> {
    let folded = name.to_ascii_lowercase();
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let valid = folded.len() <= LONGEST_NAME
        && folded.bytes().next().is_some_and(is_plain)
        && folded.bytes().all(|b| is_plain(b) || b"._-@".contains(&b));
    if valid { Ok(folded) } else { Err(InvalidName { name: name.to_owned() }) }
}

names! {
    /// The name of a user: what they log in with, and what records say.
    UserName,
    /// The name of a group of users.
    GroupName,
    /// The name of an app.
    AppName,
    /// The name of an identity provider, as the configuration says it.
    ProviderName,
}

macro_rules! numbers {
    ($($(#[$doc:meta])+ $name:ident($inner:ty),)+) => {
        $(
            $(#[$doc])+
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
            pub struct $name(pub $inner);
        )+
    };
}

numbers! {
    /// An app's number in the kernel; from 1. A name keeps its number for ever, also across restarts.
    AppId(u32),
    /// A compiled app table; from 1, never used again.
    AppSetId(u32),
    /// An interned set of grants; from 1, never used again. 0 is the list that grants nothing.
    AllowListId(u32),
    /// A block of destinations that share their ports; from 1, never used again.
    BlockId(u32),
    /// Number of the policy state in force: apps, groups and policies. Grows by one with each change.
    Generation(u64),
}

/// The random number that names a session in the kernel, in flow records and in logs. Never 0. Not a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionToken(pub u64);

impl fmt::Display for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A protocol that an app can be reached by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP and ICMPv6 echo.
    Icmp,
    /// Another IP protocol, by its number: it has no ports.
    Ip(u8),
}

impl Protocol {
    /// Whether a number is that of a protocol that can be granted as [`Protocol::Ip`]: none with a name of its own,
    /// none of the headers that IPv6 puts before its payload, and not the reserved number.
    #[must_use]
    pub const fn is_grantable(number: u8) -> bool {
        !matches!(number, 0 | 1 | 6 | 17 | 43 | 44 | 58 | 59 | 60 | 132 | 255)
    }

    /// Whether it has ports.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Sctp)
    }
}

/// One way to reach an app: a protocol and its ports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Service {
    /// The protocol.
    pub protocol: Protocol,
    /// First and last port, both inclusive, from 1; `None` for any port, and for protocols without ports.
    pub ports: Option<(u16, u16)>,
}

/// The name used in configuration, records and the API; of a protocol that has none, its number.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Sctp => f.write_str("sctp"),
            Self::Icmp => f.write_str("icmp"),
            Self::Ip(number) => write!(f, "{number}"),
        }
    }
}

/// As the configuration and the API write it: `443/tcp`, `5000-5010/udp`, `*/sctp`, `icmp`, `47/ip`.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol, self.ports) {
            (Protocol::Ip(number), None) => write!(f, "{number}/ip"),
            (Protocol::Icmp, None) => write!(f, "icmp"),
            (protocol, None) => write!(f, "*/{protocol}"),
            (protocol, Some((first, last))) if first == last => write!(f, "{first}/{protocol}"),
            (protocol, Some((first, last))) => write!(f, "{first}-{last}/{protocol}"),
        }
    }
}

/// A protected destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct App {
    /// Unique among apps.
    pub name: AppName,
    /// What it is, for people.
    pub description: String,
    /// Where it is. Host bits are zero.
    pub prefixes: BTreeSet<IpNet>,
    /// Names of where it is, too: wherever the DNS says that these lead.
    pub names: BTreeSet<DnsName>,
    /// Where the names may lead; anywhere if empty. Host bits are zero.
    pub within: BTreeSet<IpNet>,
    /// How it is reached.
    pub services: BTreeSet<Service>,
    /// What it may open by itself: protocols, and ports at the clients whose sessions have a grant for it.
    pub opens: BTreeSet<Service>,
    /// Whoever touches it loses the session. It is granted to nobody.
    pub trip_wire: bool,
    /// How many bytes a session may exchange with it, both directions together.
    pub budget: Option<u64>,
    /// Whether it can be reached for as long as sessions last when the daemon is gone, and with it whoever would take access
    /// away; otherwise until the daemon's lease is over.
    pub outlasts_daemon: bool,
    /// Who answers for it. Policies know it as `resource.owner`.
    pub owner: String,
    /// How much depends on it, in words of the operator's own. Policies know it as `resource.sensitivity`.
    pub sensitivity: String,
    /// For policies: `resource.labels.contains("pci")`.
    pub labels: BTreeSet<String>,
    /// How it is found out whether it answers. Grants and denies nothing.
    pub health: Option<HealthCheck>,
    /// A disabled app is granted to nobody, and as a trip-wire it revokes nobody: the kill switch of one app.
    pub enabled: bool,
}

impl App {
    /// An app that is nowhere yet, enabled and with nothing special.
    #[must_use]
    pub const fn new(name: AppName) -> Self {
        Self {
            name,
            description: String::new(),
            prefixes: BTreeSet::new(),
            names: BTreeSet::new(),
            within: BTreeSet::new(),
            services: BTreeSet::new(),
            opens: BTreeSet::new(),
            trip_wire: false,
            budget: None,
            outlasts_daemon: false,
            owner: String::new(),
            sensitivity: String::new(),
            labels: BTreeSet::new(),
            health: None,
            enabled: true,
        }
    }

    /// Whether whoever touches it loses the session, as things stand.
    #[must_use]
    pub const fn is_armed(&self) -> bool {
        self.trip_wire && self.enabled
    }
}

/// How long each of so many units in `whole` takes; 0 if there is no limit.
const fn interval(whole: u64, units: u64) -> u64 {
    match whole.checked_div(units) {
        None => 0,
        Some(0) => 1,
        Some(interval) => interval,
    }
}

/// What a session may use in a second. 0 is no limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SessionLimits {
    /// New flows.
    pub new_flows_per_second: u32,
    /// Destinations that are tried.
    pub destinations_per_second: u32,
    /// Bytes of IP, in each direction.
    pub bytes_per_second: u64,
}

impl SessionLimits {
    /// The units of [`Self::flow_interval`] and [`Self::byte_interval`] in a second.
    const NANOS: u64 = 1_000_000_000;
    const NANOS_1024THS: u64 = Self::NANOS * 1024;

    /// How long a new flow takes, in nanoseconds; 0 if there is no limit.
    #[must_use]
    pub fn flow_interval(self) -> u64 {
        interval(Self::NANOS, self.new_flows_per_second.into())
    }

    /// How long a byte takes, in 1024ths of a nanosecond; 0 if there is no limit.
    #[must_use]
    pub const fn byte_interval(self) -> u64 {
        interval(Self::NANOS_1024THS, self.bytes_per_second)
    }

    /// What intervals and destinations amount to. Rates lose a little in their intervals and come back as the nearest
    /// one that is not below them.
    #[must_use]
    pub fn counted(flow_interval: u64, destinations_per_second: u32, byte_interval: u64) -> Self {
        let rate = |whole: u64, interval: u64| whole.checked_div(interval).unwrap_or(0);
        Self {
            new_flows_per_second: u32::try_from(rate(Self::NANOS, flow_interval)).unwrap_or(u32::MAX),
            destinations_per_second,
            bytes_per_second: rate(Self::NANOS_1024THS, byte_interval),
        }
    }

    /// The nearest limits, not below these, that the kernel can count: it knows intervals. What is read from its tables
    /// compares equal with these.
    #[must_use]
    pub fn countable(self) -> Self {
        Self::counted(self.flow_interval(), self.destinations_per_second, self.byte_interval())
    }

    /// Whether anything that `other` permits is not permitted.
    #[must_use]
    pub fn tighten(self, other: Self) -> bool {
        // No limit is the largest number there is.
        let room = |limit: u64| limit.wrapping_sub(1);
        room(self.new_flows_per_second.into()) < room(other.new_flows_per_second.into())
            || room(self.destinations_per_second.into()) < room(other.destinations_per_second.into())
            || room(self.bytes_per_second) < room(other.bytes_per_second)
    }
}

/// Where a session's packets come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The client's address.
    pub address: IpAddr,
    /// The zone, as the kernel numbers it.
    pub zone: u32,
    /// Name of the zone. Names of places are shared by the sessions there, as those of users are.
    pub zone_name: ArcStr,
    /// The guarded interface, as the kernel numbers it.
    pub interface: u32,
    /// Name of the interface.
    pub interface_name: ArcStr,
    /// The hardware address its frames carry, where there is a link layer: the client's, or its next hop's.
    pub mac: Option<[u8; 6]>,
    /// The country that the address is in, as far as that was known when the session began.
    pub country: Country,
}

/// A user on a source, until a deadline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its name.
    pub token: SessionToken,
    /// Whose it is.
    pub user: UserName,
    /// Where it is.
    pub source: Source,
    /// How they logged in.
    pub factors: Factors,
    /// What their provider vouches for. Shared by sessions of which it is the same.
    pub assurance: Arc<Assurance>,
    /// When they proved who they are, on the boot clock; [`Proof::UNDATED`] if nobody knows.
    pub authenticated_at: KernelNanos,
    /// When it ends, on the boot clock.
    pub deadline: KernelNanos,
    /// What it may reach, by policy in force, with the policies that said so. Shared by sessions with equal facts.
    pub permitted: Arc<Permitted>,
    /// The same, as the kernel knows it.
    pub allow_list: AllowListId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countable_limits_are_near_not_below_and_countable_themselves() {
        for rate in [0_u32, 1, 3, 50, 999, 31_623, 60_000, 333_333, 1_000_000] {
            let bytes = u64::from(rate) * 12_500;
            let limits =
                SessionLimits { new_flows_per_second: rate, destinations_per_second: 48, bytes_per_second: bytes };
            let countable = limits.countable();
            assert_eq!(countable.countable(), countable, "{rate}");
            assert_eq!((countable.new_flows_per_second == 0, countable.destinations_per_second), (rate == 0, 48));
            assert!(!countable.tighten(limits), "{rate}");
            let near = |found: u64, asked: u64| found <= asked + asked / 5;
            assert!(near(countable.new_flows_per_second.into(), rate.into()), "{countable:?}");
            assert!(near(countable.bytes_per_second, bytes), "{countable:?}");
        }
    }

    #[test]
    fn no_limit_is_the_widest() {
        let of = |bytes_per_second| SessionLimits { bytes_per_second, ..SessionLimits::default() };
        assert!(of(1).tighten(of(0)) && of(1).tighten(of(2)));
        assert!(!of(0).tighten(of(1)) && !of(2).tighten(of(1)) && !of(2).tighten(of(2)));
    }
}
