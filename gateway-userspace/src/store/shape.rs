//! What the rows look like. Unknown members are ignored, so that an older program reads what a newer one of the same
//! schema wrote; a member that is missing is damage, unless it came with a later schema: then it has a default.

mod health;
mod history;
mod provider;
mod resource;
mod service;
mod session;

use super::{Counters, StoredPolicy};
use crate::identity::{ApiToken, LastUsed, Scope, SecretHash, TokenId};
use crate::policy::{
    App, AppName, DnsName, Generation, GroupName, Kind, PolicyFile, Protocol, ProviderName, Risk, Service, Settings,
    Timezone, User, UserName,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

use health::HealthShape;
pub(super) use history::HistoryShape;
pub(super) use provider::ProviderSessionShape;
pub(super) use resource::ResourceShape;
pub(super) use service::ServiceIdentityShape;
pub(super) use session::{Common, written};

#[derive(Serialize, Deserialize)]
pub(super) struct UserShape {
    name: String,
    display_name: String,
    groups: Vec<String>,
    enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(default)]
    suspended: bool,
    #[serde(default)]
    suspended_at: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    devices: BTreeMap<String, bool>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    service: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    risk: String,
    #[serde(default)]
    risk_at: i64,
}

impl From<&User> for UserShape {
    fn from(user: &User) -> Self {
        let User { name, display_name, groups, enabled, provider, suspended, suspended_at, devices, .. } = user;
        let User { kind, attributes, risk, risk_at, .. } = user;
        Self {
            name: name.to_string(),
            display_name: display_name.clone(),
            groups: groups.iter().map(ToString::to_string).collect(),
            enabled: *enabled,
            provider: provider.as_ref().map(ToString::to_string),
            suspended: *suspended,
            suspended_at: *suspended_at,
            devices: devices.clone(),
            service: *kind == Kind::Service,
            attributes: attributes.clone(),
            risk: risk.label().to_owned(),
            risk_at: *risk_at,
        }
    }
}

impl TryFrom<UserShape> for User {
    type Error = String;

    fn try_from(shape: UserShape) -> Result<Self, String> {
        let UserShape { name, display_name, groups, enabled, provider, suspended, suspended_at, devices, .. } = shape;
        let UserShape { service, attributes, risk, risk_at, .. } = shape;
        let groups = groups.iter().map(|group| GroupName::new(group)).collect::<Result<_, _>>().map_err(words)?;
        let name = UserName::new(&name).map_err(words)?;
        let provider = provider.map(|name| ProviderName::new(&name)).transpose().map_err(words)?;
        let kind = if service { Kind::Service } else { Kind::Person };
        let risk = Risk::named(&risk).ok_or_else(|| format!("risk `{risk}` is not known"))?;
        let user = Self { enabled, provider, suspended, suspended_at, devices, kind, ..Self::new(name) };
        Ok(Self { display_name, groups, attributes, risk, risk_at, ..user })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct AppShape {
    name: String,
    description: String,
    prefixes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    within: Vec<String>,
    services: Vec<ServiceShape>,
    #[serde(default)]
    opens: Vec<ServiceShape>,
    #[serde(default)]
    trip_wire: bool,
    #[serde(default)]
    budget: Option<u64>,
    #[serde(default)]
    outlasts_daemon: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sensitivity: String,
    labels: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<HealthShape>,
    enabled: bool,
}

#[derive(Serialize, Deserialize)]
struct ServiceShape {
    protocol: String,
    ports: Option<(u16, u16)>,
}

impl From<&App> for AppShape {
    fn from(app: &App) -> Self {
        let App { name, description, prefixes, services, opens, trip_wire, budget, outlasts_daemon, .. } = app;
        let App { names, within, owner, sensitivity, labels, health, enabled, .. } = app;
        Self {
            name: name.to_string(),
            description: description.clone(),
            prefixes: prefixes.iter().map(ToString::to_string).collect(),
            names: names.iter().map(ToString::to_string).collect(),
            within: within.iter().map(ToString::to_string).collect(),
            services: services.iter().map(ServiceShape::from).collect(),
            opens: opens.iter().map(ServiceShape::from).collect(),
            trip_wire: *trip_wire,
            budget: *budget,
            outlasts_daemon: *outlasts_daemon,
            owner: owner.clone(),
            sensitivity: sensitivity.clone(),
            labels: labels.clone(),
            health: health.as_ref().map(HealthShape::from),
            enabled: *enabled,
        }
    }
}

impl TryFrom<AppShape> for App {
    type Error = String;

    fn try_from(shape: AppShape) -> Result<Self, String> {
        let AppShape {
            name,
            description,
            prefixes,
            names,
            within,
            services,
            opens,
            trip_wire,
            budget,
            outlasts_daemon,
            owner,
            sensitivity,
            labels,
            health,
            enabled,
        } = shape;
        let parsed = |prefixes: Vec<String>| {
            prefixes.iter().map(|text| text.parse()).collect::<Result<BTreeSet<IpNet>, _>>().map_err(words)
        };
        let (prefixes, within) = (parsed(prefixes)?, parsed(within)?);
        let names = names.iter().map(|name| DnsName::new(name)).collect::<Result<_, _>>().map_err(words)?;
        let services = services.into_iter().map(Service::try_from).collect::<Result<_, _>>()?;
        let opens = opens.into_iter().map(Service::try_from).collect::<Result<_, _>>()?;
        let name = AppName::new(&name).map_err(words)?;
        let health = health.map(crate::policy::HealthCheck::try_from).transpose()?;
        Ok(Self {
            name,
            description,
            prefixes,
            names,
            within,
            services,
            opens,
            trip_wire,
            budget,
            outlasts_daemon,
            owner,
            sensitivity,
            labels,
            health,
            enabled,
        })
    }
}

impl From<&Service> for ServiceShape {
    fn from(service: &Service) -> Self {
        let Service { protocol, ports } = *service;
        let protocol = match protocol {
            Protocol::Tcp => "tcp".to_owned(),
            Protocol::Udp => "udp".to_owned(),
            Protocol::Sctp => "sctp".to_owned(),
            Protocol::Icmp => "icmp".to_owned(),
            Protocol::Ip(number) => number.to_string(),
        };
        Self { protocol, ports }
    }
}

impl TryFrom<ServiceShape> for Service {
    type Error = String;

    fn try_from(shape: ServiceShape) -> Result<Self, String> {
        let ServiceShape { protocol, ports } = shape;
        let protocol = match protocol.as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            "icmp" => Protocol::Icmp,
            other => Protocol::Ip(other.parse().map_err(|_| format!("protocol `{other}` is not known"))?),
        };
        Ok(Self { protocol, ports })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct PolicyShape {
    generation: u64,
    #[serde(default)]
    files: Vec<PolicyFileShape>,
    /// What was there before schema 4.
    #[serde(default, skip_serializing)]
    text: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct PolicyFileShape {
    name: String,
    text: String,
}

impl From<&StoredPolicy> for PolicyShape {
    fn from(policy: &StoredPolicy) -> Self {
        let StoredPolicy { generation, files } = policy;
        let shape = |PolicyFile { name, text }: &PolicyFile| PolicyFileShape { name: name.clone(), text: text.clone() };
        Self { generation: generation.0, files: files.iter().map(shape).collect(), text: None }
    }
}

impl From<PolicyShape> for StoredPolicy {
    fn from(shape: PolicyShape) -> Self {
        let PolicyShape { generation, files, text } = shape;
        let files = files.into_iter().map(|PolicyFileShape { name, text }| PolicyFile { name, text });
        let files = files.chain(text.iter().map(|text| PolicyFile::alone(text))).collect();
        Self { generation: Generation(generation), files }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SettingsShape {
    timezone: String,
}

impl From<&Settings> for SettingsShape {
    fn from(settings: &Settings) -> Self {
        let Settings { timezone } = settings;
        Self { timezone: timezone.to_string() }
    }
}

impl TryFrom<SettingsShape> for Settings {
    type Error = String;

    fn try_from(shape: SettingsShape) -> Result<Self, String> {
        let SettingsShape { timezone } = shape;
        Ok(Self { timezone: Timezone::new(&timezone).map_err(|error| error.to_string())? })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct CountersShape {
    next_app: u32,
    next_app_set: u32,
    next_allow_list: u32,
    next_block: u32,
}

impl From<Counters> for CountersShape {
    fn from(counters: Counters) -> Self {
        let Counters { next_app, next_app_set, next_allow_list, next_block } = counters;
        Self { next_app, next_app_set, next_allow_list, next_block }
    }
}

impl From<CountersShape> for Counters {
    fn from(shape: CountersShape) -> Self {
        let CountersShape { next_app, next_app_set, next_allow_list, next_block } = shape;
        Self { next_app, next_app_set, next_allow_list, next_block }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct TokenShape {
    id: String,
    name: String,
    scopes: Vec<String>,
    secret_hash: [u8; 32],
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    last_used: Option<OffsetDateTime>,
}

impl From<&ApiToken> for TokenShape {
    fn from(token: &ApiToken) -> Self {
        let ApiToken { id, name, scopes, secret_hash, created_at, expires_at, last_used } = token;
        Self {
            id: id.to_string(),
            name: name.clone(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            secret_hash: *secret_hash.expose_bytes(),
            created_at: *created_at,
            expires_at: *expires_at,
            last_used: last_used.at(),
        }
    }
}

impl TryFrom<TokenShape> for ApiToken {
    type Error = String;

    fn try_from(shape: TokenShape) -> Result<Self, String> {
        let TokenShape { id, name, scopes, secret_hash, created_at, expires_at, last_used } = shape;
        Ok(Self {
            id: TokenId::new(&id).map_err(words)?,
            name,
            scopes: scopes.iter().map(|scope| scope.parse()).collect::<Result<BTreeSet<Scope>, _>>().map_err(words)?,
            secret_hash: SecretHash::from_bytes(secret_hash),
            created_at,
            expires_at,
            last_used: LastUsed::restored(last_used),
        })
    }
}

fn words(error: impl std::error::Error) -> String {
    error.to_string()
}
