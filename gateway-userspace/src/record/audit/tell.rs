//! What the recorder tells the trail, from what the core has decided.

use super::{AuditTrail, Because, Detail, Entry, Lot, kind};
use crate::core::{Actor, Done, Receipt};
use crate::identity::{ApiToken, Service};
use crate::policy::{Difference, Gateway, HistoryEntry, Input};
use crate::record::Recorder;
use crate::record::line::Record;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Refused attempts to administer, and refused logins, that are told one by one in a window. Others are counted, and told with
/// the next one: nobody fills the disk by being refused.
pub(super) const REFUSALS: u32 = 5;
pub(super) const FAILED_LOGINS: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);

/// How many refusals were told in the present window, and how many were not since one was.
#[derive(Default)]
pub(super) struct Refusals {
    window: Option<Instant>,
    told: u32,
    others: u64,
}

impl Refusals {
    /// How many others there were, if this one is to be told.
    pub(super) fn tell(&mut self, most: u32, now: Instant) -> Option<u64> {
        if self.window.is_none_or(|begun| now.duration_since(begun) >= WINDOW) {
            (self.window, self.told) = (Some(now), 0);
        }
        self.told = self.told.saturating_add(1);
        if self.told > most {
            self.others = self.others.saturating_add(1);
            return None;
        }
        Some(std::mem::take(&mut self.others))
    }
}

impl Recorder {
    /// The audit trail.
    #[must_use]
    pub fn audit(&self) -> &AuditTrail {
        &self.shared.audit
    }

    /// An API token was made or removed.
    pub fn token_changed(&self, actor: &Actor, action: &'static str, token: &ApiToken) {
        let object = token.id.to_string();
        self.write(Record::admin(actor, action, &object, None));
        self.put_admin(actor, action, &object, Detail::of_token(token));
    }

    /// A service was made, or is another than before.
    pub fn service_put(&self, actor: &Actor, service: &Service) {
        let object = service.name.as_str();
        self.write(Record::admin(actor, "service_put", object, None));
        self.put_admin(actor, "service_put", object, Detail::of_service(service));
    }

    /// A generation of apps, policies and settings is in force, which differs so from the one before.
    pub fn generation_began(&self, actor: &Actor, entry: &HistoryEntry, difference: Difference) {
        let (from, entry) = (actor.address, HistoryEntry { undo: Default::default(), ..entry.clone() });
        self.audit().put(Lot::one(kind::GENERATION, move || Entry::generation(entry, from, &difference)));
    }

    /// Somebody wanted to administer and may not. `why` is from a closed list; `by` is who they have proved to be, if they
    /// have.
    pub fn admin_refused(&self, by: &str, from: IpAddr, operation: String, why: &'static str) {
        let Some(others) = self.audit().refused(Instant::now()) else { return };
        let by = by.to_owned();
        self.audit().put(Lot::one(kind::ADMIN_REFUSED, move || Entry::AdminRefused {
            by,
            from,
            operation,
            why,
            others,
        }));
    }

    pub(in crate::record) fn audit_admin(&self, actor: &Actor, action: &'static str, object: &str) {
        self.put_admin(actor, action, object, Detail::default());
    }

    fn put_admin(&self, actor: &Actor, action: &'static str, object: &str, detail: Detail) {
        let (actor, object) = (actor.clone(), object.to_owned());
        self.audit().put(Lot::one(kind::ADMIN, move || Entry::admin(actor, action, object, None, detail)));
    }

    pub(in crate::record) fn audit_failed_login(&self, user: &str, source: IpAddr, why: &'static str) {
        let Some(others) = self.audit().failed(Instant::now()) else { return };
        let user = user.to_owned();
        self.audit().put(Lot::one(kind::LOGIN_FAILED, move || Entry::login_failed(user, source, why, others)));
    }

    /// A change was made, which is `described` if somebody asked for it. What was asked for comes first, then what has come
    /// of it.
    pub(in crate::record) fn audit_change(
        &self,
        (actor, input, described): (&Actor, &Input, Option<(&'static str, String)>),
        gateway: &Gateway,
        done: &Done,
        receipts: &Arc<[Receipt]>,
    ) {
        if self.audit().is_none() {
            return;
        }
        let Done { opened, regranted, generation, .. } = done;
        let generation = *generation;
        if let Some((action, object)) = described.clone() {
            let (actor, detail) = (actor.clone(), Detail::of(input));
            self.audit().put(Lot::one(kind::ADMIN, move || Entry::admin(actor, action, object, generation, detail)));
        }
        if let Some(session) = opened.clone() {
            self.audit().put(Lot::one(kind::LOGIN, move || Entry::login(&session)));
        }
        let (receipts, from) = (Arc::clone(receipts), actor.address);
        self.audit().put(Lot::many(kind::SESSION_ENDED, receipts.len(), move |at| {
            receipts.get(at).map(|receipt| Entry::session_ended(receipt, from))
        }));
        let now = regranted.iter().map(|it| gateway.session(it.token).map(|session| Arc::clone(&session.permitted)));
        let because = Because::of(actor, input, described, generation);
        self.audit().put(Lot::regranted(regranted, now.collect(), because));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_in_a_flood_are_counted_and_told_with_the_next_one() {
        let (mut refusals, begun) = (Refusals::default(), Instant::now());
        let told: Vec<_> = (0..50).map(|_| refusals.tell(REFUSALS, begun)).collect();
        assert_eq!(told.iter().flatten().count(), REFUSALS as usize);
        assert_eq!(refusals.tell(REFUSALS, begun + WINDOW), Some(50 - u64::from(REFUSALS)));
        assert_eq!(refusals.tell(REFUSALS, begun + WINDOW), Some(0));
    }
}
