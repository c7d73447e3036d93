//! Apps, in the API and in files.

use super::health::{AppHealth, HealthCheck};
use super::problem::{Invalid, each, noted};
use super::quantity::Bytes;
use super::service::{format_prefix, parse_prefix, parse_service};
use crate::policy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A protected destination.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Unique among apps. May be left out where the path says it.
    #[serde(default)]
    pub name: String,
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
    /// Where it is: `192.0.2.0/24`, `2001:db8::/64`, `192.0.2.7`.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Names of where it is, too: `wiki.example.net`. The gateway looks them up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Where the names may lead, in prefixes; anywhere if it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<String>,
    /// How it is reached: `443/tcp`, `8000-8010/tcp`, `*/udp`, `2905/sctp`, `icmp`, `47/ip`.
    pub services: Vec<String>,
    /// What it may open by itself, toward clients that have a grant for it: their ports, written like `services`.
    #[serde(default)]
    pub opens: Vec<String>,
    /// Nobody should touch it, and whoever does loses the session. It is granted to nobody.
    #[serde(default)]
    pub trip_wire: bool,
    /// How many bytes a session may exchange with it, both directions together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Bytes>,
    /// Until when it can be reached if the daemon is gone: `lease`, until the daemon's lease is over, or `session`.
    #[serde(default)]
    pub on_daemon_loss: OnDaemonLoss,
    /// Who answers for it. For policies: `resource.owner == "finance"`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// How much depends on it, in your own words. For policies: `resource.sensitivity == "high"`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sensitivity: String,
    /// For policies: `resource.labels.contains("pci")`.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    /// How the gateway finds out whether it answers: `443/tcp`, `https://wiki.example.net/healthz`. Grants and denies nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// A disabled app is granted to nobody. Left out, it stays as it is; a new app is enabled.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// What its health check has found. Only in answers: what a request says here is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub health_state: Option<AppHealth>,
    /// Where its names lead now, if it has names. Only told: whatever a request says of it is ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(read_only)]
    pub resolved: Vec<ResolvedName>,
}

/// Where a name of an app leads now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ResolvedName {
    /// The name.
    pub name: String,
    /// `resolved`, `stale` if nobody confirms the addresses any more, or `unresolved` if there are none.
    pub state: String,
    /// The addresses that count.
    pub addresses: Vec<String>,
    /// Those of them that are not the app's for all that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedAddress>,
    /// Since when it is these, as far as this daemon knows.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// When the DNS is asked again.
    #[serde(with = "time::serde::rfc3339")]
    pub next_look: OffsetDateTime,
    /// Why the last question had no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<LookupFailure>,
}

/// An address that a name leads to and that is not its app's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusedAddress {
    /// The address.
    pub address: String,
    /// `not_routable`, `outside`, `declared` or `contested`.
    pub reason: String,
    /// The same for people, and what can be done about it.
    pub detail: String,
}

/// A question to the DNS that had no answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LookupFailure {
    /// `timeout`, `refused`, `servfail`, `unreachable` or `malformed`.
    pub kind: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// Until when an app can be reached if the daemon is gone, and with it whoever would take access away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnDaemonLoss {
    /// Until the daemon's lease is over.
    #[default]
    Lease,
    /// Until the session is over.
    Session,
}

/// A file of apps: `[[app]]`, in TOML.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppsFile {
    /// The apps.
    #[serde(default, rename = "app")]
    pub apps: Vec<App>,
}

impl From<&policy::App> for App {
    fn from(app: &policy::App) -> Self {
        let policy::App {
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
        } = app;
        Self {
            name: name.to_string(),
            description: description.clone(),
            prefixes: prefixes.iter().map(format_prefix).collect(),
            names: names.iter().map(ToString::to_string).collect(),
            within: within.iter().map(format_prefix).collect(),
            services: services.iter().map(ToString::to_string).collect(),
            opens: opens.iter().map(ToString::to_string).collect(),
            trip_wire: *trip_wire,
            budget: budget.map(Bytes::of),
            on_daemon_loss: if *outlasts_daemon { OnDaemonLoss::Session } else { OnDaemonLoss::Lease },
            owner: owner.clone(),
            sensitivity: sensitivity.clone(),
            labels: labels.clone(),
            health: health.as_ref().map(HealthCheck::from),
            enabled: Some(*enabled),
            health_state: None,
            resolved: Vec::new(),
        }
    }
}

impl App {
    /// The app that is meant. `enabled` is what it is if the shape does not say.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field.
    pub fn into_model(self, enabled: bool) -> Result<policy::App, Invalid> {
        let Self {
            name,
            description,
            prefixes,
            names,
            within,
            services,
            opens,
            trip_wire,
            budget,
            on_daemon_loss,
            owner,
            sensitivity,
            labels,
            health,
            enabled: said,
            health_state: _,
            resolved: _,
        } = self;
        let mut errors = Vec::new();
        let name = noted(&mut errors, "name", policy::AppName::new(&name));
        let prefixes = each(&mut errors, "prefixes", &prefixes, parse_prefix);
        let names = each(&mut errors, "names", &names, policy::DnsName::new);
        let within = each(&mut errors, "within", &within, parse_prefix);
        let services = each(&mut errors, "services", &services, parse_service);
        let opens = each(&mut errors, "opens", &opens, parse_service);
        let budget = budget.and_then(|budget| noted(&mut errors, "budget", budget.count()));
        let owner = noted(&mut errors, "owner", policy::word(owner)).unwrap_or_default();
        let sensitivity = noted(&mut errors, "sensitivity", policy::word(sensitivity)).unwrap_or_default();
        let health = health.and_then(|health| health.into_model().map_err(|found| errors.extend(found)).ok());
        let enabled = said.unwrap_or(enabled);
        let outlasts_daemon = on_daemon_loss == OnDaemonLoss::Session;
        match name {
            Some(name) if errors.is_empty() => Ok(policy::App {
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
            }),
            _ => Err(Invalid(errors)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [[app]]
        name = "CRM"
        prefixes = ["192.0.2.0/24", "2001:db8::1"]
        services = ["443/tcp", "icmp"]
        opens = ["514/udp"]
        trip_wire = true
        budget = "2 GiB"
        on_daemon_loss = "session"
        owner = "finance"
        sensitivity = "high"
        labels = ["pci"]
        health = { check = "443/tcp", every = "10 s" }
    "#;

    #[test]
    fn an_app_from_a_file_becomes_the_model_and_comes_back_in_one_spelling() {
        let file: AppsFile = toml::from_str(FILE).unwrap();
        let model = file.apps[0].clone().into_model(true).unwrap();
        assert_eq!((model.name.as_str(), model.enabled, model.services.len()), ("crm", true, 2));
        let shape = App::from(&model);
        assert_eq!(shape.prefixes, ["192.0.2.0/24", "2001:db8::1"]);
        assert_eq!((&shape.opens[..], shape.trip_wire), (&["514/udp".to_owned()][..], true));
        assert_eq!((model.budget, shape.budget.as_ref().unwrap().to_string()), (Some(2 << 30), "2 GiB".into()));
        assert_eq!((model.outlasts_daemon, shape.on_daemon_loss), (true, OnDaemonLoss::Session));
        assert_eq!((model.owner.as_str(), shape.sensitivity.as_str()), ("finance", "high"));
        assert_eq!(model.health.as_ref().map(|health| health.every.as_secs()), Some(10));
        assert_eq!(shape.clone().into_model(false).unwrap(), model);
    }

    #[test]
    fn every_error_is_reported_with_its_field() {
        let file =
            FILE.replace("CRM", "c rm").replace("/24", "/33").replace("514/udp", "514").replace("\"2 GiB\"", "0");
        let file: AppsFile = toml::from_str(&file).unwrap();
        let Invalid(errors) = file.apps[0].clone().into_model(true).unwrap_err();
        let fields: Vec<_> = errors.iter().filter_map(|error| error.field.as_deref()).collect();
        assert_eq!(fields, ["name", "prefixes[0]", "opens[0]", "budget"]);
    }

    #[test]
    fn what_is_left_out_is_none_of_it() {
        let optional = ["opens", "trip", "budget", "on_daemon_loss", "owner", "sensitivity", "health"];
        let file = FILE.lines().filter(|line| !optional.iter().any(|key| line.contains(key)));
        let file: AppsFile = toml::from_str(&file.collect::<Vec<_>>().join("\n")).unwrap();
        let model = file.apps[0].clone().into_model(true).unwrap();
        assert_eq!((model.opens.len(), model.trip_wire, model.budget), (0, false, None));
        assert!(!model.outlasts_daemon);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<AppsFile>(&FILE.replace("labels", "lables")).is_err());
    }
}
