//! `apps.toml` and `apps/*.toml`: the apps that there are to be.

use super::Findings;
use super::finding::Finding;
use crate::config::apps::{Entry, entries};
use crate::config::section::read_part;
use crate::config::{Place, Places};
use crate::policy::compile::check;
use crate::policy::{App, AppName, HealthCheck, Probe, Protocol, addresses};
use crate::wire;
use std::collections::BTreeMap;

/// Apps that there are to be.
#[derive(Default)]
pub(super) struct Apps {
    known: BTreeMap<AppName, Declared>,
    /// Whether some file could not be understood at all.
    pub has_gap: bool,
}

/// An app that is declared.
pub(super) struct Declared {
    /// Where.
    pub file: String,
    /// Where its name stands there.
    pub place: Place,
    /// What it is, if all is right with it, and whether it says that it is enabled.
    app: Option<(Option<bool>, App)>,
}

impl Apps {
    pub(super) fn read(files: &[(&str, &str)], findings: &mut Findings) -> Self {
        let mut apps = Self::default();
        for (path, text) in files {
            let (found, errors) = read_part(text, entries);
            apps.has_gap |= found.is_none();
            findings.errors.extend(errors.into_iter().map(|error| Finding::of_config(path, error)));
            let places = Places::of(text);
            for Entry { name, at, app } in found.unwrap_or_default() {
                let Some(name) = name else { continue };
                apps.declare(name, Declared { file: (*path).to_owned(), place: places.at(at), app }, findings);
            }
        }
        apps
    }

    /// All names, also of apps with which something is wrong.
    pub(super) fn names(&self) -> impl Iterator<Item = &AppName> {
        self.known.keys()
    }

    pub(super) fn has(&self, name: &AppName) -> bool {
        self.known.contains_key(name)
    }

    /// Where an app is declared.
    pub(super) fn declared(&self, name: &AppName) -> Option<&Declared> {
        self.known.get(name)
    }

    /// Those with which nothing is wrong.
    pub(super) fn models(&self) -> impl Iterator<Item = &App> {
        self.known.values().filter_map(|declared| declared.app.as_ref().map(|(_, app)| app))
    }

    pub(super) fn into_models(self) -> BTreeMap<AppName, App> {
        let model = |(name, declared): (AppName, Declared)| Some((name, declared.app?.1));
        self.known.into_iter().filter_map(model).collect()
    }

    /// As the API wants to hear it.
    pub(super) fn shapes(&self) -> impl Iterator<Item = wire::App> {
        let said = self.known.values().filter_map(|declared| declared.app.as_ref());
        said.map(|(enabled, app)| wire::App { enabled: *enabled, ..wire::App::from(app) })
    }

    fn declare(&mut self, name: AppName, declared: Declared, findings: &mut Findings) {
        let Declared { file, place, app } = declared;
        if let Some(first) = self.known.get(&name) {
            // Within one file it has been said.
            if first.file != file {
                let hint = format!("remove it; the other one is in line {} of `{}`", first.place.line, first.file);
                findings.errors.push(Finding::about(file, format!("app `{name}` is there twice"), &hint).at(place));
            }
            return;
        }
        let wrong = app.as_ref().and_then(|(_, app)| check(app).err());
        let is_right = wrong.is_none();
        if let Some(problem) = wrong {
            findings.errors.push(Finding::about(&*file, format!("app `{name}`: {problem}"), "").at(place));
        }
        findings.warnings.extend(
            app.as_ref()
                .into_iter()
                .flat_map(|(_, app)| health(app))
                .map(|(message, hint)| Finding::about(&*file, format!("app `{name}`: {message}"), hint).at(place)),
        );
        self.known.insert(name, Declared { file, place, app: app.filter(|_| is_right) });
    }
}

/// What looks odd about a health check, and what to do about it. A port that is for checks alone is a good one, so nothing
/// here is an error.
fn health(app: &App) -> Vec<(String, &'static str)> {
    let Some(check) = &app.health else { return Vec::new() };
    let mut odd = Vec::new();
    // Where names lead is not known here.
    if check.targets(app).is_empty() && app.names.is_empty() {
        let what = match check.probe {
            Probe::Get(_) if check.probe.address().is_some() => "its prefixes do not hold the address of the URL",
            _ => "it has no single address, and of larger prefixes nothing is tried",
        };
        odd.push((
            format!("its health check has nothing to try: {what}"),
            "add a single address to its prefixes, or name one within them in the URL, like `https://198.51.100.10/healthz`",
        ));
    }
    let (count, most) = (addresses(app).len(), HealthCheck::MOST_ADDRESSES);
    if count > most && check.probe.address().is_none() {
        let message = format!("its health check tries {most} of its {count} addresses");
        odd.push((message, "make several apps of it if each of them matters"));
    }
    let port = check.probe.port();
    let is_tcp = |service: &&crate::policy::Service| service.protocol == Protocol::Tcp;
    let holds =
        |service: &crate::policy::Service| service.ports.is_none_or(|(first, last)| (first..=last).contains(&port));
    if !app.services.iter().filter(is_tcp).any(holds) {
        let message = format!("its health check tries {port}/tcp, which is none of its services");
        odd.push((message, "that is right if the app answers there for checks alone; otherwise correct the port"));
    }
    odd
}
