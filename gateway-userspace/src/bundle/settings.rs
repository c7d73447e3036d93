//! `bundle.toml`: what holds for all policies.

use super::Findings;
use super::finding::Finding;
use crate::config::section::{Section, read_part};
use crate::policy::{self, Timezone};

/// What holds for all policies.
#[derive(Default)]
pub(super) struct Settings {
    /// As it is written.
    pub timezone: Option<String>,
    /// What is meant.
    pub meant: policy::Settings,
}

pub(super) fn read(files: &[(&str, &str)], findings: &mut Findings) -> Settings {
    let mut settings = Settings::default();
    for (path, text) in files {
        let (found, errors) = read_part(text, section);
        findings.errors.extend(errors.into_iter().map(|error| Finding::of_config(path, error)));
        settings = found.unwrap_or_default();
    }
    settings
}

fn section(root: &mut Section<'_, '_>) -> Settings {
    let mut section = root.section("settings");
    let Some(value) = section.value("timezone") else { return Settings::default() };
    let Some(name) = value.text("Europe/Berlin") else { return Settings::default() };
    match Timezone::new(name) {
        Ok(timezone) => Settings { timezone: Some(name.to_owned()), meant: policy::Settings { timezone } },
        Err(error) => {
            value.refuse(error.to_string(), "");
            Settings::default()
        }
    }
}
