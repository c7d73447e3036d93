//! A bundle is put in force: settings, groups, apps and policies in one step.

use super::Gateway;
use super::draft::{Draft, Fact};
use super::judge::World;
use crate::policy::bundle::Bundle;
use crate::policy::change::Refusal;
use crate::policy::compile::{check, is_same};
use crate::policy::model::{App, AppId, AppName, Generation};
use std::collections::BTreeMap;

impl Gateway {
    /// Nothing happens if everything is in force already.
    pub(super) fn apply(
        &mut self,
        draft: &mut Draft,
        bundle: &Bundle,
        if_match: Option<Generation>,
    ) -> Result<(), Refusal> {
        self.expect(if_match)?;
        let Bundle { settings, groups: _, apps, policy } = bundle;
        for app in apps.values() {
            check(app).map_err(|problem| Refusal::App { app: app.name.clone(), problem })?;
        }
        let facts = self.difference(bundle)?;
        if facts.is_empty() {
            return Ok(());
        }
        let mut app_ids = self.app_ids.clone();
        app_ids.extend(facts.iter().filter_map(Fact::numbered));
        if !self.compile_to_the_same(apps) {
            draft.app_set = Some(self.app_set_of(apps, &app_ids)?);
        }
        let now = &self.now_in(&settings.timezone);
        self.move_all_under(draft, World { policy, apps, app_ids: &app_ids, now })?;
        draft.facts.extend(facts);
        Ok(())
    }

    /// What is in force, as a bundle.
    #[must_use]
    pub fn bundle(&self) -> Bundle {
        let Self { settings, groups, apps, policy, .. } = self;
        Bundle { settings: settings.clone(), groups: groups.clone(), apps: apps.clone(), policy: policy.clone() }
    }

    /// Whether a bundle would change nothing.
    #[must_use]
    pub fn is_in_force(&self, bundle: &Bundle) -> bool {
        self.difference(bundle).is_ok_and(|facts| facts.is_empty())
    }

    /// What there is to learn from a bundle.
    fn difference(&self, bundle: &Bundle) -> Result<Vec<Fact>, Refusal> {
        let Bundle { settings, groups, apps, policy } = bundle;
        let mut facts: Vec<Fact> = groups.difference(&self.groups).cloned().map(Fact::Group).collect();
        let mut numbers = self.app_numbers();
        for app in apps.values().filter(|app| self.apps.get(&app.name) != Some(*app)) {
            facts.push(Fact::App(app.clone(), numbers.of(&app.name)?));
        }
        let gone = self.apps.keys().filter(|name| !apps.contains_key(*name));
        facts.extend(gone.cloned().map(Fact::NoApp));
        if *policy != self.policy {
            facts.push(Fact::Policy(Box::new(policy.clone())));
        }
        if *settings != self.settings {
            facts.push(Fact::Settings(settings.clone()));
        }
        Ok(facts)
    }

    /// Whether apps lead to the entries that are in the tables.
    fn compile_to_the_same(&self, apps: &BTreeMap<AppName, App>) -> bool {
        let pairs = self.apps.values().zip(apps.values());
        self.apps.len() == apps.len() && pairs.into_iter().all(|(one, other)| is_same(one, other))
    }
}

impl Fact {
    /// The app that it puts, with its number.
    fn numbered(&self) -> Option<(AppName, AppId)> {
        if let Self::App(app, id) = self { Some((app.name.clone(), *id)) } else { None }
    }
}
