//! Apps, in the API and in files.

use super::problem::{FieldError, Invalid, noted};
use super::service::{format_prefix, parse_prefix, parse_service};
use crate::policy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
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
    pub prefixes: Vec<String>,
    /// How it is reached: `443/tcp`, `8000-8010/tcp`, `*/udp`, `icmp`.
    pub services: Vec<String>,
    /// For policies: `resource.labels.contains("pci")`.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    /// A disabled app is granted to nobody. Left out, it stays as it is; a new app is enabled.
    #[serde(default)]
    pub enabled: Option<bool>,
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
        let policy::App { name, description, prefixes, services, labels, enabled } = app;
        Self {
            name: name.to_string(),
            description: description.clone(),
            prefixes: prefixes.iter().map(format_prefix).collect(),
            services: services.iter().map(ToString::to_string).collect(),
            labels: labels.clone(),
            enabled: Some(*enabled),
        }
    }
}

impl App {
    /// The app that is meant. `enabled` is what it is if the shape does not say.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field.
    pub fn into_model(self, enabled: bool) -> Result<policy::App, Invalid> {
        let Self { name, description, prefixes, services, labels, enabled: said } = self;
        let mut errors = Vec::new();
        let name = noted(&mut errors, "name", policy::AppName::new(&name));
        let prefixes = each(&mut errors, "prefixes", &prefixes, parse_prefix);
        let services = each(&mut errors, "services", &services, parse_service);
        match name {
            Some(name) if errors.is_empty() => {
                Ok(policy::App { name, description, prefixes, services, labels, enabled: said.unwrap_or(enabled) })
            }
            _ => Err(Invalid(errors)),
        }
    }
}

fn each<T: Ord, E: std::fmt::Display>(
    errors: &mut Vec<FieldError>,
    field: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> BTreeSet<T> {
    let parsed = texts.iter().enumerate();
    parsed.filter_map(|(index, text)| noted(errors, format!("{field}[{index}]"), parse(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [[app]]
        name = "CRM"
        prefixes = ["192.0.2.0/24", "2001:db8::1"]
        services = ["443/tcp", "icmp"]
        labels = ["pci"]
    "#;

    #[test]
    fn an_app_from_a_file_becomes_the_model_and_comes_back_in_one_spelling() {
        let file: AppsFile = toml::from_str(FILE).unwrap();
        let model = file.apps[0].clone().into_model(true).unwrap();
        assert_eq!((model.name.as_str(), model.enabled, model.services.len()), ("crm", true, 2));
        let shape = App::from(&model);
        assert_eq!(shape.prefixes, ["192.0.2.0/24", "2001:db8::1"]);
        assert_eq!(shape.clone().into_model(false).unwrap(), model);
    }

    #[test]
    fn every_error_is_reported_with_its_field() {
        let file: AppsFile = toml::from_str(&FILE.replace("CRM", "c rm").replace("/24", "/33")).unwrap();
        let Invalid(errors) = file.apps[0].clone().into_model(true).unwrap_err();
        let fields: Vec<_> = errors.iter().filter_map(|error| error.field.as_deref()).collect();
        assert_eq!(fields, ["name", "prefixes[0]"]);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<AppsFile>(&FILE.replace("labels", "lables")).is_err());
    }
}
