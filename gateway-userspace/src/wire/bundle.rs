//! Bundles: all that is declared about who may reach what, as one document.

use super::app::App;
use super::problem::{FieldError, Invalid, each, noted};
use crate::policy::{self, AppName, GroupName, PolicySet, Timezone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Settings, groups, apps and policies that belong together. Who is in a group is not part of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// What holds for all policies.
    #[serde(default)]
    pub settings: Settings,
    /// Names of groups that there are to be. Others stay.
    #[serde(default)]
    pub groups: Vec<String>,
    /// All apps there are to be.
    #[serde(default)]
    pub apps: Vec<App>,
    /// All policies there are to be, by file.
    #[serde(default)]
    pub policies: Vec<PolicyFile>,
}

/// What holds for all policies.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The time zone of `context.time`, by its name in the IANA database, as `Europe/Berlin`. `UTC` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// Policies that are written together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Its path in the bundle, with `/`: `finance.cedar`.
    pub name: String,
    /// Cedar.
    pub text: String,
}

impl Bundle {
    /// The shape of a bundle.
    #[must_use]
    pub fn of(declared: &policy::Declared) -> Self {
        let policy::Declared { settings: policy::Settings { timezone }, groups, apps, files } = declared;
        let file = |(name, text): (&String, &String)| PolicyFile { name: name.clone(), text: text.clone() };
        Self {
            settings: Settings { timezone: Some(timezone.to_string()) },
            groups: groups.iter().map(ToString::to_string).collect(),
            apps: apps.values().map(App::from).collect(),
            policies: files.iter().map(file).collect(),
        }
    }

    /// The bundle that is meant. `enabled` says of an app whether it is enabled if its shape does not say.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field: `apps[3].prefixes[0]`; of policies the name of the file, with line
    /// and column.
    pub fn into_model(self, enabled: impl Fn(&str) -> bool) -> Result<policy::Bundle, Invalid> {
        let Self { settings: Settings { timezone }, groups, apps, policies } = self;
        let mut errors = Vec::new();
        let timezone = timezone.map_or_else(
            || Some(Timezone::default()),
            |name| noted(&mut errors, "settings.timezone", Timezone::new(&name)),
        );
        let groups = each(&mut errors, "groups", &groups, GroupName::new);
        let apps = apps_of(apps, enabled, &mut errors);
        let files = files_of(policies, &mut errors);
        let policy = PolicySet::parse_files(files);
        let policy = policy.map_err(|found| errors.extend(found.iter().map(FieldError::from)));
        match (timezone, policy) {
            (Some(timezone), Ok(policy)) if errors.is_empty() => {
                Ok(policy::Bundle { settings: policy::Settings { timezone }, groups, apps, policy })
            }
            _ => Err(Invalid(errors)),
        }
    }
}

fn apps_of(
    shapes: Vec<App>,
    enabled: impl Fn(&str) -> bool,
    errors: &mut Vec<FieldError>,
) -> BTreeMap<AppName, policy::App> {
    let mut apps = BTreeMap::new();
    for (index, shape) in shapes.into_iter().enumerate() {
        let is_enabled = enabled(&shape.name);
        match shape.into_model(is_enabled) {
            Ok(app) => {
                let name = app.name.clone();
                if apps.insert(name.clone(), app).is_some() {
                    errors.push(FieldError::at(format!("apps[{index}].name"), format!("app `{name}` is there twice")));
                }
            }
            Err(Invalid(found)) => {
                errors.extend(found.into_iter().map(|error| error.within(&format!("apps[{index}]"))))
            }
        }
    }
    apps
}

fn files_of(shapes: Vec<PolicyFile>, errors: &mut Vec<FieldError>) -> Vec<policy::PolicyFile> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (index, PolicyFile { name, text }) in shapes.into_iter().enumerate() {
        let name = noted(errors, format!("policies[{index}].name"), policy::PolicyFile::checked_name(&name));
        let Some(name) = name else { continue };
        if files.insert(name.clone(), text).is_some() {
            errors.push(FieldError::at(format!("policies[{index}].name"), format!("file `{name}` is there twice")));
        }
    }
    files.into_iter().map(|(name, text)| policy::PolicyFile { name, text }).collect()
}
