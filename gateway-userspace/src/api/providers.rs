//! The identity providers of the gateway, as its handlers know them.

use crate::identity::ProviderSession;
use crate::policy::{Assurance, ProviderName, Session};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All of them, by name.
#[derive(Clone, Default)]
pub struct Providers(Arc<BTreeMap<ProviderName, ProviderEntry>>);

/// One of them.
pub struct ProviderEntry {
    /// What people call it.
    pub title: String,
    /// What is asked of the authentication (`acr_values`).
    pub acr_values: Vec<String>,
    /// The classes that stand for more than one factor.
    pub mfa_acr: BTreeSet<String>,
}

impl FromIterator<(ProviderName, ProviderEntry)> for Providers {
    fn from_iter<I: IntoIterator<Item = (ProviderName, ProviderEntry)>>(entries: I) -> Self {
        Self(Arc::new(entries.into_iter().collect()))
    }
}

impl Providers {
    /// Names and titles, in the order of names.
    pub(super) fn titles(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry.title.as_str()))
    }

    /// Where somebody signs out of their provider too, if it has a place for that.
    pub(super) fn sign_out_at(&self, _kept: &ProviderSession) -> Option<String> {
        None
    }

    /// What the provider of a session could vouch for, at most.
    pub(super) fn stronger(&self, session: &Session) -> Assurance {
        let before = &session.assurance;
        let entry = before.provider.as_ref().and_then(|name| self.0.get(name));
        let acr = entry.and_then(|entry| entry.mfa_acr.first().or(entry.acr_values.first()));
        let acr = acr.cloned().unwrap_or_else(|| before.acr.clone());
        let amr = before.amr.iter().cloned().chain(["mfa".to_owned()]).collect();
        Assurance { provider: before.provider.clone(), acr, amr, mfa: true }
    }
}
