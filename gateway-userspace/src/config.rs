//! The daemon's configuration: what the file says, and what it means.
//!
//! Unknown keys are refused, all errors are reported together, each with its place and what to do. No secret is in the
//! file: certificates and keys are named by path. Users, apps and policies are not configuration but state: the file
//! only names what a new gateway begins with.

pub mod apps;

mod dns;
mod endpoint;
mod error;
mod export;
mod forwarding;
mod interface;
mod limits;
mod name;
mod provider;
mod quantity;
mod read;
pub(crate) mod section;
pub(crate) mod suggest;
pub(crate) mod value;

use crate::dataplane::interfaces::Wanted;
use crate::dataplane::{AppSide, BarrierChoice};
use crate::export::ExportSettings;
use crate::policy::Capacities;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use dns::DnsConfig;
pub(crate) use error::Places;
pub use error::{ConfigError, ConfigErrors, Place};
pub use interface::vlan_id;
pub use limits::LimitsConfig;
pub use provider::{ClaimNames, Delivery, GroupSource, Link, ProviderConfig, ScimConfig, SignalsConfig, UserSource};
pub use quantity::parse_duration;
pub(crate) use quantity::written_duration;

/// What the daemon is to do. Relative paths in the file are relative to the file, and absolute here if its own path is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The folder that holds what has to survive a restart.
    pub state: PathBuf,
    /// The folder on a BPF file system in which maps and links are pinned.
    pub bpffs: PathBuf,
    /// Whether there is a second barrier, behind the programs.
    pub barrier: BarrierChoice,
    /// The guarded interfaces; at least one, each name once.
    pub interfaces: Vec<Wanted>,
    /// The interfaces that face apps; none if no interface forwards in XDP.
    pub app_side: AppSide,
    /// The API.
    pub api: ApiConfig,
    /// How people log in.
    pub login: LoginConfig,
    /// Identity providers; each name once.
    pub providers: Vec<ProviderConfig>,
    /// Other services of the gateway that can be reached through guarded interfaces.
    pub services: Vec<ServiceConfig>,
    /// What one source, or one session, may use.
    pub limits: LimitsConfig,
    /// The file that says in which country an address is, in MaxMind's format; `None` if nobody knows.
    pub countries: Option<PathBuf>,
    /// How names of apps are looked up.
    pub dns: DnsConfig,
    /// How much the tables hold.
    pub capacity: Capacities,
    /// Flow records and denials.
    pub records: RecordsConfig,
    /// Where records are passed on to.
    pub exports: Vec<ExportSettings>,
    /// What a gateway without state begins with.
    pub first_start: FirstStart,
    /// The directory of a bundle that is kept in force, if there is one.
    pub followed: Option<Followed>,
    /// The daemon's log.
    pub log: LogConfig,
}

/// The API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiConfig {
    /// Where it answers; at least one.
    pub listen: Vec<SocketAddr>,
    /// Who may reach it, and the services for management. Host bits are zero.
    pub management: Vec<IpNet>,
    /// The certificate chain in PEM; there if and only if `key` is. Without, the daemon makes one of its own.
    pub certificate: Option<PathBuf>,
    /// The certificate's key in PEM.
    pub key: Option<PathBuf>,
    /// The authorities that sign certificates of clients, in PEM; `None` if nobody does.
    pub client_ca: Option<PathBuf>,
    /// What they have revoked, in PEM; there only if `client_ca` is.
    pub client_crl: Option<PathBuf>,
    /// Who may read the metrics.
    pub metrics: MetricsAccess,
}

/// Who may read the metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MetricsAccess {
    /// Whoever has a token with the scope for it.
    #[default]
    Token,
    /// Whoever asks from a management prefix.
    Management,
}

/// How people log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginConfig {
    /// Addresses on guarded interfaces at which only login, logout and the own session answer. May be empty.
    pub listen: Vec<SocketAddr>,
    /// How long a session lasts.
    pub session: Duration,
    /// Where browsers find these pages, and providers send them back to; without a slash at its end.
    pub url: Option<String>,
}

/// Another service of the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceConfig {
    /// What it is called in messages.
    pub name: String,
    /// Its protocol.
    pub protocol: Transport,
    /// Its port; not 0.
    pub port: u16,
    /// Who may reach it.
    pub access: Access,
    /// At which of the gateway's addresses; empty for all of them.
    pub addresses: Vec<IpAddr>,
}

/// The protocol of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Who may reach a service of the gateway through a guarded interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody.
    Everyone,
    /// The management prefixes.
    Management,
}

/// Flow records and denials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordsConfig {
    /// Where allowed and denied connections are written, as JSON lines; `-` for the standard output.
    pub access_log: Option<PathBuf>,
    /// Whether records are kept to be searched, below the state folder.
    pub archive: bool,
    /// For how long they are.
    pub keep: Duration,
    /// And how many bytes of them at most.
    pub keep_bytes: u64,
    /// Equal denials within this time become one record.
    pub denial_window: Duration,
    /// How often it is recorded that a flow goes on; 0 for never.
    pub flow_update: Duration,
    /// Events of each kind that one CPU may emit in a second; beyond it they are counted as lost.
    pub events_per_second: u32,
}

impl RecordsConfig {
    /// The same limit for one [`gateway_common::abi::EVENT_WINDOW`]; never 0.
    #[must_use]
    pub fn events_per_window(&self) -> u32 {
        per_window(self.events_per_second)
    }
}

fn per_window(per_second: u32) -> u32 {
    let windows = 1_000_000_000 / gateway_common::abi::EVENT_WINDOW;
    u32::try_from(u64::from(per_second) / windows).unwrap_or(u32::MAX).max(1)
}

/// The directory of a bundle that is kept in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Followed {
    /// The directory.
    pub directory: PathBuf,
    /// Whether changes are noticed without SIGHUP.
    pub watch: bool,
}

/// What a gateway without state begins with. Afterwards the API is the source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FirstStart {
    /// A file of apps, see [`apps::parse_apps`].
    pub apps: Option<PathBuf>,
    /// A file of Cedar policies.
    pub policies: Option<PathBuf>,
}

/// The daemon's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// A filter of the `tracing` kind: a level, or levels by module.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigErrors::unreadable(path, &error))?;
        Self::parse(&text, path)
    }

    /// Reads the text of a configuration file that is, or would be, at `origin`.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn parse(text: &str, origin: &Path) -> Result<Self, ConfigErrors> {
        let folder = origin.parent().unwrap_or(Path::new(""));
        section::read(text, origin, |root| read::config(root, folder))
    }
}

#[cfg(test)]
mod tests;
