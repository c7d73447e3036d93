//! Hosts without a person: keeps a session open for each binding of a service.
//!
//! Looks when something has changed, and now and then by itself: a hardware address that nobody has written down is known
//! only once its host has spoken. What a binding is waiting for is said once.

use super::countries::Countries;
use super::whereabouts::{KernelResolver, source};
use crate::api::SourceError;
use crate::core::{Actor, Core, CoreError, Login, Request, Who};
use crate::dataplane::neighbours::locate;
use crate::dataplane::{Guarding, clock};
use crate::identity::{Binding, Credential, SessionSecret};
use crate::policy::{Factor, SessionToken, UserName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the bindings are looked at when nothing has changed.
const SLOWLY: Duration = Duration::from_secs(3);
/// How long a look waits for the next change, however many there are: a flood of logins is not one of looks.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a session of a binding lasts: it ends with its binding, its user or its interface.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Keeps the sessions of bindings open.
pub(super) async fn keep(core: Core, guarding: Guarding, countries: Arc<Countries>) {
    let (mut told, mut changes) = (Told::default(), core.changes());
    loop {
        // Fails while the daemon stops, or is busy: then it is looked again.
        if let Ok(unopened) = core.read(|state| state.unopened()).await {
            told.forget_all_but(&unopened);
            for (name, binding) in unopened {
                let waits = open(&core, (&guarding, &countries), &name, binding).await.err();
                told.tell(&name, waits);
            }
        }
        tokio::time::sleep(PAUSE).await;
        let _ = tokio::time::timeout(SLOWLY, changes.changed()).await;
    }
}

/// Why a binding has no session yet.
#[derive(Debug, thiserror::Error)]
enum Waits {
    #[error(transparent)]
    Nowhere(#[from] SourceError),
    #[error(transparent)]
    Refused(#[from] CoreError),
}

async fn open(
    core: &Core,
    (guarding, countries): (&Guarding, &Countries),
    name: &UserName,
    binding: Binding,
) -> Result<(), Waits> {
    let found = locate(binding.address, binding.mac, &guarding.interfaces()).await.map_err(KernelResolver::failed)?;
    let token = SessionToken(rand::random_range(1..=u64::MAX));
    let lifetime = u64::try_from(LIFETIME.as_nanos()).unwrap_or(u64::MAX);
    let login = Login {
        token,
        // Nobody is told the secret: the session ends with the binding, and not by a logout.
        secret: SessionSecret::draw(token).hash,
        who: Who::Service(name.clone(), Credential::Binding(binding)),
        source: source(binding.address, found, countries),
        proof: [Factor::Binding].into(),
        deadline: clock::boot().after(lifetime),
    };
    core.change(Actor::local(), Request::Login(Box::new(login))).await?;
    Ok(())
}

/// What has been said of each binding.
#[derive(Default)]
struct Told(BTreeMap<UserName, String>);

impl Told {
    /// Says why a binding has no session, or that it has one, unless that was said last.
    fn tell(&mut self, name: &UserName, waits: Option<Waits>) {
        let Some(waits) = waits else {
            tracing::info!(service = %name, "a session of a binding is open");
            self.0.remove(name);
            return;
        };
        let reason = waits.to_string();
        if self.0.get(name) != Some(&reason) {
            tracing::warn!(service = %name, reason, "a binding has no session yet");
            self.0.insert(name.clone(), reason);
        }
    }

    /// Whoever does not wait is told of anew if it ever does again.
    fn forget_all_but(&mut self, waiting: &[(UserName, Binding)]) {
        self.0.retain(|name, _| waiting.iter().any(|(waits, _)| waits == name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_binding_waits_for_is_told_once_until_that_changes() {
        let (mut told, name) = (Told::default(), UserName::new("printer").unwrap());
        let nowhere = || Some(Waits::Nowhere(SourceError::NotGuarded([192, 0, 2, 9].into())));
        let remembered = |told: &Told| told.0.values().next().cloned();
        told.tell(&name, nowhere());
        let first = remembered(&told).unwrap();
        told.tell(&name, nowhere());
        assert_eq!(remembered(&told), Some(first.clone()));
        told.tell(&name, Some(Waits::Refused(CoreError::Busy)));
        assert_ne!(remembered(&told), Some(first));
        told.tell(&name, None);
        assert_eq!(remembered(&told), None);
        told.tell(&name, nowhere());
        told.forget_all_but(&[]);
        assert_eq!(remembered(&told), None);
    }
}
