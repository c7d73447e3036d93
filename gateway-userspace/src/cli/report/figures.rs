//! What a report says, computed from the answers of the API: as JSON it is what `--json` prints.
//!
//! Every list is bounded and says how much was left out.

use super::odd::{Odd, odd};
use crate::cli::command::Period;
use crate::cli::samples::Samples;
use crate::wire::{
    AuditHead, Digest, DigestDenied, DigestEvent, DigestLatency, DigestReason, ReachGrant, ReachMap, Reached, Record,
    Status,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// Rows of a table.
const ROWS: usize = 30;
/// Rows of the tables of grants, which somebody is to work through.
const GRANT_ROWS: usize = 200;
/// Names beside a number of people.
const NAMES: usize = 8;
/// Nobody stands out without more packets denied than that.
pub(super) const FEW_DENIED: u64 = 20;
/// Nobody stands out without more bytes than that.
pub(super) const FEW_BYTES: u64 = 10_000_000;

/// What the API has told.
pub(in crate::cli) struct Gathered {
    pub(in crate::cli) period: Period,
    pub(in crate::cli) made_at: OffsetDateTime,
    pub(in crate::cli) status: Status,
    pub(in crate::cli) digest: Digest,
    /// Who reached what in the period.
    pub(in crate::cli) reached: Vec<Reached>,
    /// And before; or why that is not known.
    pub(in crate::cli) before: Result<Vec<Reached>, String>,
    pub(in crate::cli) reach: ReachMap,
    /// The latest ends of sessions.
    pub(in crate::cli) ends: Vec<Record>,
    /// The latest changes.
    pub(in crate::cli) changes: Vec<Record>,
    /// Or why it is not known.
    pub(in crate::cli) head: Result<AuditHead, String>,
    /// Or why they are not known.
    pub(in crate::cli) samples: Result<Samples, String>,
}

/// The figures of a report.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct Figures {
    #[serde(with = "time::serde::rfc3339")]
    pub(super) since: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) until: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) made_at: OffsetDateTime,
    pub(super) gateway_version: String,
    pub(super) policy_generation: u64,
    pub(super) totals: Totals,
    /// By bytes.
    pub(super) apps: Top<Use>,
    pub(super) people: Top<Use>,
    pub(super) denials_by_reason: Vec<DigestReason>,
    pub(super) denials: Top<DigestDenied>,
    pub(super) unused_grants: Top<GrantUse>,
    pub(super) partly_used_grants: Top<GrantUse>,
    pub(super) idle_people: Names,
    /// Apps of which policies want no record of connections: who used these is not known.
    pub(super) unrecorded_apps: Names,
    pub(super) revocations: Revocations,
    pub(super) failed_logins: Top<DigestEvent>,
    pub(super) odd: Oddities,
    pub(super) changes: Top<Record>,
    pub(super) missing: Missing,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audit: Option<AuditHead>,
    /// Why the head of the audit trail is not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audit_unknown: Option<String>,
}

/// The period in numbers.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Totals {
    /// With a connection.
    pub(super) people: usize,
    pub(super) apps: usize,
    pub(super) connections: u64,
    pub(super) to_app_bytes: u64,
    pub(super) to_client_bytes: u64,
    pub(super) denied_packets: u64,
    pub(super) observed_packets: u64,
    pub(super) logins: u64,
    pub(super) failed_logins: u64,
    pub(super) session_ends: u64,
    pub(super) changes: u64,
    pub(super) records: u64,
    /// Now.
    pub(super) users: usize,
    pub(super) apps_declared: usize,
    pub(super) sessions: usize,
}

/// The first of a list.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Top<T> {
    pub(super) items: Vec<T>,
    /// How many more there are.
    pub(super) more: usize,
}

/// What an app was used for, or what a person did.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Use {
    pub(super) name: String,
    /// People of the app, or apps of the person.
    pub(super) others: usize,
    pub(super) connections: u64,
    pub(super) to_app_bytes: u64,
    pub(super) to_client_bytes: u64,
    pub(super) denied: u64,
}

/// Some names of many.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Names {
    pub(super) count: usize,
    /// The first of them.
    pub(super) names: Vec<String>,
}

/// What a policy permits, and what was made of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct GrantUse {
    pub(super) app: String,
    pub(super) policies: Vec<String>,
    pub(super) permitted: usize,
    pub(super) used: usize,
    /// Those who did not use it.
    pub(super) unused_by: Names,
    /// When somebody last did, before the period, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub(super) last_used: Option<OffsetDateTime>,
}

/// How access ended.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Revocations {
    pub(super) by_cause: Vec<(String, u64)>,
    pub(super) enforced: DigestLatency,
    pub(super) last_packet: DigestLatency,
    pub(super) recent: Vec<Record>,
}

/// What is not as usual.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Oddities {
    pub(super) denied_packets: Odd,
    pub(super) bytes: Odd,
    /// Apps that people used for the first time; absent if what was before the period is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_uses: Option<Top<Reached>>,
}

/// What the records do not say.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Missing {
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub(super) oldest_record: Option<OffsetDateTime>,
    /// Records do not reach back to the beginning of the period.
    pub(super) begins_late: bool,
    pub(super) lost_events: u64,
    pub(super) lost_records: u64,
    pub(super) damaged_files: usize,
    /// Why it is not known what was used before the period, although there are records of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) earlier_unknown: Option<String>,
    /// Since the tables were made: packets in no record, for want of room and by policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unrecorded_lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unrecorded_left_out: Option<u64>,
    /// Why these are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unrecorded_unknown: Option<String>,
}

impl<T> Top<T> {
    fn of(mut items: Vec<T>, most: usize, more: usize) -> Self {
        let more = more.saturating_add(items.len().saturating_sub(most));
        items.truncate(most);
        Self { items, more }
    }
}

impl Names {
    fn add(&mut self, name: &str) {
        self.count = self.count.saturating_add(1);
        if self.names.len() < NAMES {
            self.names.push(name.to_owned());
        }
    }
}

impl GrantUse {
    fn new(grant: &ReachGrant) -> Self {
        Self {
            app: grant.app.clone(),
            policies: grant.policies.clone(),
            permitted: 0,
            used: 0,
            unused_by: Names::default(),
            last_used: None,
        }
    }
}

impl Use {
    fn add(&mut self, reached: &Reached) {
        self.others = self.others.saturating_add(usize::from(reached.first.is_some()));
        self.connections = self.connections.saturating_add(reached.connections);
        self.to_app_bytes = self.to_app_bytes.saturating_add(reached.to_app_bytes);
        self.to_client_bytes = self.to_client_bytes.saturating_add(reached.to_client_bytes);
        self.denied = self.denied.saturating_add(reached.denied);
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.to_app_bytes.saturating_add(self.to_client_bytes)
    }
}

impl Figures {
    pub(in crate::cli) fn of(gathered: Gathered) -> Self {
        let Gathered { period, made_at, status, digest, reached, before, reach, ends, changes, head, samples } =
            gathered;
        let (apps, people) = (uses(&reached, |one| one.app.as_ref()), uses(&reached, |one| one.user.as_ref()));
        let of_type = |kind: &str| digest.records.get(kind).copied().unwrap_or_default();
        let sum = |of: fn(&Use) -> u64| apps.iter().map(of).fold(0, u64::saturating_add);
        let totals = Totals {
            people: people.iter().filter(|one| one.others != 0).count(),
            apps: apps.iter().filter(|one| one.others != 0).count(),
            connections: sum(|one| one.connections),
            to_app_bytes: sum(|one| one.to_app_bytes),
            to_client_bytes: sum(|one| one.to_client_bytes),
            denied_packets: digest.denied_packets,
            observed_packets: digest.observed_packets,
            logins: of_type("login"),
            failed_logins: of_type("login_failed"),
            session_ends: of_type("session_end"),
            changes: of_type("admin"),
            records: digest.records.values().copied().fold(0, u64::saturating_add),
            users: status.users,
            apps_declared: status.apps,
            sessions: status.sessions,
        };
        let (before, earlier_unknown) = parted(before);
        let begins_late = digest.oldest.is_none_or(|oldest| oldest > period.since);
        let odd = Oddities {
            denied_packets: odd(people.iter().map(|one| (one.name.clone(), one.denied)).collect(), FEW_DENIED),
            bytes: odd(people.iter().map(|one| (one.name.clone(), one.bytes())).collect(), FEW_BYTES),
            first_uses: before.as_ref().filter(|_| !begins_late).map(|before| first_uses(&reached, before)),
        };
        let Grants { unused, partly, idle, unrecorded: unrecorded_apps } =
            Grants::of(&reach, &reached, before.as_deref().unwrap_or_default());
        let (audit, audit_unknown) = parted(head);
        let (samples, unrecorded_unknown) = parted(samples);
        let unrecorded = |why| {
            let sum = samples.as_ref()?.sum("portcullis_unrecorded_packets_total", &[("why", why)])?;
            // Saturates.
            Some(sum as u64)
        };
        let missing = Missing {
            oldest_record: digest.oldest,
            begins_late,
            lost_events: digest.lost_events,
            lost_records: digest.lost_records,
            damaged_files: digest.damaged_files,
            earlier_unknown,
            unrecorded_lost: unrecorded("lost").zip(unrecorded("archive")).map(|(a, b)| a.saturating_add(b)),
            unrecorded_left_out: unrecorded("left_out"),
            unrecorded_unknown,
        };
        let failed = |event: &DigestEvent| event.kind == "login_failed";
        let more_failed = digest.more_events.get("login_failed").copied().unwrap_or_default();
        let failed_logins = digest.events.into_iter().filter(failed).collect();
        let more_changes = usize::try_from(totals.changes).unwrap_or(usize::MAX).saturating_sub(changes.len());
        Self {
            since: period.since,
            until: period.until,
            made_at,
            gateway_version: status.version,
            policy_generation: reach.policy_generation,
            apps: Top::of(apps, ROWS, 0),
            people: Top::of(people, ROWS, 0),
            denials_by_reason: digest.reasons,
            failed_logins: Top::of(failed_logins, ROWS, more_failed),
            revocations: Revocations {
                by_cause: by_cause(digest.causes),
                enforced: digest.enforced,
                last_packet: digest.last_packet,
                recent: ends,
            },
            denials: Top::of(digest.denied, ROWS, digest.more_denied),
            unused_grants: Top::of(unused, GRANT_ROWS, 0),
            partly_used_grants: Top::of(partly, ROWS, 0),
            idle_people: idle,
            unrecorded_apps,
            odd,
            changes: Top { items: changes, more: more_changes },
            missing,
            audit,
            audit_unknown,
            totals,
        }
    }
}

fn parted<T>(known: Result<T, String>) -> (Option<T>, Option<String>) {
    match known {
        Ok(known) => (Some(known), None),
        Err(why) => (None, Some(why)),
    }
}

/// By what is known of it, the most bytes first.
fn uses<'r>(reached: &'r [Reached], by: impl Fn(&'r Reached) -> Option<&'r String>) -> Vec<Use> {
    let mut all = BTreeMap::<&str, Use>::new();
    for one in reached {
        let Some(name) = by(one) else { continue };
        all.entry(name).or_insert_with(|| Use { name: name.clone(), ..Use::default() }).add(one);
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|one| std::cmp::Reverse((one.bytes(), one.connections)));
    all
}

/// The most frequent first.
fn by_cause(causes: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    causes
}

/// Who has reached an app, and when they last did.
type Pairs<'r> = BTreeMap<(&'r str, &'r str), Option<OffsetDateTime>>;

fn pairs(reached: &[Reached]) -> Pairs<'_> {
    let known = reached.iter().filter(|one| one.first.is_some());
    known.filter_map(|one| Some(((one.user.as_deref()?, one.app.as_deref()?), one.last))).collect()
}

fn first_uses(reached: &[Reached], before: &[Reached]) -> Top<Reached> {
    let known = pairs(before);
    let is_new = |one: &&Reached| {
        let pair = one.user.as_deref().zip(one.app.as_deref());
        one.first.is_some() && pair.is_some_and(|pair| !known.contains_key(&pair))
    };
    let mut new: Vec<_> = reached.iter().filter(is_new).cloned().collect();
    new.sort_by_key(|one| std::cmp::Reverse(one.first));
    Top::of(new, ROWS, 0)
}

/// What was made of what the policies permit.
#[derive(Debug, Default)]
struct Grants {
    /// Nobody used them.
    unused: Vec<GrantUse>,
    /// Some of the people did not use them.
    partly: Vec<GrantUse>,
    /// People who used nothing of what they may.
    idle: Names,
    /// Apps with grants that leave no record. These are in none of the lists, and whoever has one of them is not called idle.
    unrecorded: Names,
}

impl Grants {
    fn of(reach: &ReachMap, reached: &[Reached], before: &[Reached]) -> Self {
        let (used, earlier) = (pairs(reached), pairs(before));
        let mut all = BTreeMap::<(&str, &[String]), GrantUse>::new();
        let (mut found, mut unrecorded) = (Self::default(), BTreeSet::<&str>::new());
        for alike in &reach.alike {
            let (recorded, others): (Vec<_>, Vec<_>) = alike.grants.iter().partition(|grant| grant.recorded);
            unrecorded.extend(others.iter().map(|grant| grant.app.as_str()));
            for user in &alike.users {
                let mut is_idle = !recorded.is_empty() && others.is_empty();
                for grant in &recorded {
                    let one = all.entry((&grant.app, &grant.policies)).or_insert_with(|| GrantUse::new(grant));
                    let pair = (user.as_str(), grant.app.as_str());
                    one.permitted = one.permitted.saturating_add(1);
                    if used.contains_key(&pair) {
                        (one.used, is_idle) = (one.used.saturating_add(1), false);
                    } else {
                        one.unused_by.add(user);
                    }
                    one.last_used = one.last_used.max(earlier.get(&pair).copied().flatten());
                }
                if is_idle {
                    found.idle.add(user);
                }
            }
        }
        let some_did_not = all.into_values().filter(|grant| grant.unused_by.count != 0);
        (found.unused, found.partly) = some_did_not.partition(|grant| grant.used == 0);
        found.unused.sort_by(|one, other| other.permitted.cmp(&one.permitted).then_with(|| one.app.cmp(&other.app)));
        let without = |grant: &GrantUse| grant.unused_by.count;
        found.partly.sort_by(|one, other| without(other).cmp(&without(one)).then_with(|| one.app.cmp(&other.app)));
        unrecorded.into_iter().for_each(|app| found.unrecorded.add(app));
        found
    }
}

#[cfg(test)]
mod tests;
