//! The words of the gateway as types. Names are checked once, here; afterwards they are what they say.

use gateway_common::KernelNanos;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
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
            #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
            pub struct $name(String);

            impl $name {
                /// Checks a name, after folding it to lower case so that two spellings never mean two things.
                ///
                /// # Errors
                /// If it is empty, too long, or has other characters than the permitted ones.
                pub fn new(name: &str) -> Result<Self, InvalidName> {
                    folded(name).map(Self)
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

/// A person who can log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Unique among users.
    pub name: UserName,
    /// What people call them.
    pub display_name: String,
    /// The groups they belong to. Every one of them exists.
    pub groups: BTreeSet<GroupName>,
    /// A disabled user has no access and cannot log in.
    pub enabled: bool,
}

/// A transport protocol that an app can be reached by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6 echo.
    Icmp,
}

impl Protocol {
    /// The name used in configuration, records and the API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }
}

/// One way to reach an app: a protocol and its ports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Service {
    /// The protocol.
    pub protocol: Protocol,
    /// First and last port, both inclusive, from 1; `None` for any port, and for ICMP.
    pub ports: Option<(u16, u16)>,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        })
    }
}

/// As the configuration and the API write it: `443/tcp`, `5000-5010/udp`, `*/tcp`, `icmp`.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ports {
            None if self.protocol == Protocol::Icmp => write!(f, "{}", self.protocol),
            None => write!(f, "*/{}", self.protocol),
            Some((first, last)) if first == last => write!(f, "{first}/{}", self.protocol),
            Some((first, last)) => write!(f, "{first}-{last}/{}", self.protocol),
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
    /// How it is reached.
    pub services: BTreeSet<Service>,
    /// For policies: `resource.labels.contains("pci")`.
    pub labels: BTreeSet<String>,
    /// A disabled app is granted to nobody: the kill switch of one app.
    pub enabled: bool,
}

/// How somebody proved who they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Factor {
    /// A password.
    Password,
    /// A time-based one-time password.
    Totp,
    /// A passkey.
    Passkey,
}

/// Where a session's packets come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The client's address.
    pub address: IpAddr,
    /// The zone, as the kernel numbers it.
    pub zone: u32,
    /// Name of the zone.
    pub zone_name: String,
    /// The guarded interface, as the kernel numbers it.
    pub interface: u32,
    /// Name of the interface.
    pub interface_name: String,
    /// The hardware address its frames carry, where there is a link layer: the client's, or its next hop's.
    pub mac: Option<[u8; 6]>,
}

/// What policy said about an app, and which policies determined it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Decision {
    /// Permit, or deny.
    pub permit: bool,
    /// The policies that determined it, by name. Empty for a denial by default.
    pub policies: Vec<String>,
    /// For a permit: how old the full authentication may be, in nanoseconds. `None` if that does not matter.
    pub max_authentication_age: Option<u64>,
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
    pub factors: BTreeSet<Factor>,
    /// When they logged in, on the boot clock.
    pub authenticated_at: KernelNanos,
    /// When it ends, on the boot clock.
    pub deadline: KernelNanos,
    /// What it may reach, by policy in force, with the policies that said so. Shared by sessions with equal facts.
    pub permitted: Arc<BTreeMap<AppName, Decision>>,
    /// The same, as the kernel knows it.
    pub allow_list: AllowListId,
}
