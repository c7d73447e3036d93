//! What happened in a time, added up.

use crate::record::{self, EventKey, Kind, Latencies, RefusedKey, RefusedSum};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// What happened in a time, added up for a report.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Digest {
    /// How many records there are, by type.
    pub records: BTreeMap<String, u64>,
    /// When the first of them was made; absent if there is none.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first: Option<OffsetDateTime>,
    /// And the last.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last: Option<OffsetDateTime>,
    /// When the oldest record that is kept was made: what was before is not known.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest: Option<OffsetDateTime>,
    /// Files of the archive that cannot be read, and are missing here.
    pub damaged_files: usize,
    /// Packets that were dropped.
    pub denied_packets: u64,
    /// Packets that would have been dropped and passed, because the interface only observes.
    pub observed_packets: u64,
    /// All denials by reason alone, the most packets first.
    pub reasons: Vec<DigestReason>,
    /// Denials by whose they were, to which app, why, and by which policies; the most packets first, at most 1000.
    pub denied: Vec<DigestDenied>,
    /// How many more of these there are.
    pub more_denied: usize,
    /// Logins, logins that failed, ends of sessions and changes by administrators, by type, person and reason; the most
    /// frequent first, at most 1000 of each type.
    pub events: Vec<DigestEvent>,
    /// How many more of these there are, by type; a type of which all are here is left out.
    pub more_events: BTreeMap<String, usize>,
    /// All ends of sessions by cause, which is `unknown` if no record says it.
    pub causes: BTreeMap<String, u64>,
    /// From the request to end a session to the moment from which the kernel forwards nothing.
    pub enforced: DigestLatency,
    /// From the request to the last packet of the session; 0 if that was before.
    pub last_packet: DigestLatency,
    /// Events that the kernel did not report.
    pub lost_events: u64,
    /// Records that are missing.
    pub lost_records: u64,
}

/// Denials for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DigestReason {
    /// Why.
    pub reason: String,
    /// Packets that were dropped.
    pub packets: u64,
    /// Packets that passed all the same, because the interface only observes.
    pub observed: u64,
    /// How many people they were of, as far as that was known.
    pub people: usize,
}

/// Denials of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DigestDenied {
    /// Whose; absent if that was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// To which app; absent if that was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Why.
    pub reason: String,
    /// The policies that denied it; none if it was denied by default.
    pub policies: Vec<String>,
    /// Packets that were dropped.
    pub packets: u64,
    /// Packets that passed all the same, because the interface only observes.
    pub observed: u64,
    /// When the first was seen.
    #[serde(with = "time::serde::rfc3339")]
    pub first: OffsetDateTime,
    /// And the last.
    #[serde(with = "time::serde::rfc3339")]
    pub last: OffsetDateTime,
}

/// Events of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DigestEvent {
    /// The type of the records: `login`, `login_failed`, `session_end` or `admin`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whose; of `admin`, by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Why a login failed or a session ended, or what was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// How many.
    pub count: u64,
    /// When the last was.
    #[serde(with = "time::serde::rfc3339")]
    pub last: OffsetDateTime,
}

/// How long something took, over all sessions that ended.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct DigestLatency {
    /// How many.
    pub count: usize,
    /// The median, in microseconds; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_us: Option<f64>,
    /// What 95 of 100 did not take longer than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_us: Option<f64>,
    /// The longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_us: Option<f64>,
    /// How many took how long.
    pub buckets: Vec<DigestBucket>,
}

/// How many took longer than the bucket before, and not longer than this.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DigestBucket {
    /// The longest of these, in microseconds; absent for all that took longer than the bucket before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_us: Option<f64>,
    /// How many.
    pub count: usize,
}

/// Microseconds, from 10 to a second.
const BUCKETS: [f64; 11] =
    [10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0, 300_000.0, 1_000_000.0];
const MOST_ROWS: usize = 1_000;

impl From<record::Digest> for Digest {
    fn from(digest: record::Digest) -> Self {
        let record::Digest {
            records,
            first,
            last,
            oldest,
            damaged,
            denied,
            events,
            enforced,
            last_packet,
            lost_events,
            lost_records,
        } = digest;
        let packets = |of: fn(&RefusedSum) -> u64| denied.iter().map(|(_, sum)| of(sum)).fold(0, u64::saturating_add);
        let (denied_packets, observed_packets) = (packets(|sum| sum.packets), packets(|sum| sum.observed));
        let more_denied = denied.len().saturating_sub(MOST_ROWS);
        let (reasons, causes) = (reasons(&denied), causes(&events));
        let mut found = BTreeMap::<String, usize>::new();
        let is_told = |(key, _): &(EventKey, _)| {
            let found = found.entry(key.kind.clone()).or_default();
            *found = found.saturating_add(1);
            *found <= MOST_ROWS
        };
        let events = events.into_iter().filter(is_told).map(event).collect();
        let more_events = found.into_iter().map(|(kind, found)| (kind, found.saturating_sub(MOST_ROWS)));
        Self {
            records,
            first,
            last,
            oldest,
            damaged_files: damaged,
            denied_packets,
            observed_packets,
            reasons,
            denied: denied.into_iter().take(MOST_ROWS).map(refused).collect(),
            more_denied,
            events,
            more_events: more_events.filter(|(_, more)| *more != 0).collect(),
            causes,
            enforced: (&enforced).into(),
            last_packet: (&last_packet).into(),
            lost_events,
            lost_records,
        }
    }
}

/// Before anything is cut off: of a list that was cut the sums are too low.
fn reasons(denied: &[(RefusedKey, RefusedSum)]) -> Vec<DigestReason> {
    let mut all = BTreeMap::<&str, (u64, u64, BTreeSet<&str>)>::new();
    for (key, sum) in denied {
        let (packets, observed, people) = all.entry(&key.reason).or_default();
        *packets = packets.saturating_add(sum.packets);
        *observed = observed.saturating_add(sum.observed);
        people.extend(key.user.as_deref());
    }
    let reason = |(reason, (packets, observed, people)): (&str, (u64, u64, BTreeSet<&str>))| DigestReason {
        reason: reason.to_owned(),
        packets,
        observed,
        people: people.len(),
    };
    let mut all: Vec<_> = all.into_iter().map(reason).collect();
    all.sort_by_key(|one| Reverse(one.packets.saturating_add(one.observed)));
    all
}

/// Likewise.
fn causes(events: &[(EventKey, (u64, OffsetDateTime))]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::<String, u64>::new();
    for (key, (count, _)) in events.iter().filter(|(key, _)| key.kind == Kind::SessionEnd.label()) {
        let cause = all.entry(key.what.clone().unwrap_or_else(|| "unknown".to_owned())).or_default();
        *cause = cause.saturating_add(*count);
    }
    all
}

fn refused((key, sum): (RefusedKey, RefusedSum)) -> DigestDenied {
    let (RefusedKey { user, app, reason, policies }, RefusedSum { packets, observed, first, last }) = (key, sum);
    DigestDenied { user, app, reason, policies, packets, observed, first, last }
}

fn event((EventKey { kind, user, what }, (count, last)): (EventKey, (u64, OffsetDateTime))) -> DigestEvent {
    DigestEvent { kind, user, what, count, last }
}

impl From<&Latencies> for DigestLatency {
    fn from(latencies: &Latencies) -> Self {
        let ends = BUCKETS.iter().map(|most| (Some(*most), latencies.up_to(*most)));
        let ends = ends.chain([(None, latencies.len())]);
        let buckets = ends.scan(0, |before, (up_to_us, all)| {
            let count = all.saturating_sub(std::mem::replace(before, all));
            Some(DigestBucket { up_to_us, count })
        });
        Self {
            count: latencies.len(),
            median_us: latencies.percentile(50),
            p95_us: latencies.percentile(95),
            worst_us: latencies.percentile(100),
            buckets: buckets.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_up_by_reason_and_by_cause_is_all_there_is_also_where_lists_are_cut() {
        let at = OffsetDateTime::UNIX_EPOCH;
        let refused = |number: usize| {
            let reason = if number.is_multiple_of(2) { "no_grant" } else { "no_session" };
            let user = Some(format!("u{}", number % 700));
            let key = RefusedKey { user, app: Some(format!("a{number}")), reason: reason.into(), policies: Vec::new() };
            (key, RefusedSum { packets: 3, observed: 1, first: at, last: at })
        };
        let event = |kind: &str, number: usize| {
            let what = if number == 0 { None } else { Some("revoked".to_owned()) };
            (EventKey { kind: kind.into(), user: Some(format!("u{number}")), what }, (2, at))
        };
        let ends = (0..1_500).map(|number| event("session_end", number));
        let failures = (0..1_007).map(|number| event("login_failed", number));
        let all = record::Digest {
            denied: (0..2_100).map(refused).collect(),
            events: ends.chain(failures).chain([event("admin", 1)]).collect(),
            ..record::Digest::default()
        };
        let digest = Digest::from(all);
        let told: Vec<_> =
            digest.reasons.iter().map(|one| (&*one.reason, one.packets, one.observed, one.people)).collect();
        assert_eq!(told, [("no_grant", 3_150, 1_050, 350), ("no_session", 3_150, 1_050, 350)]);
        assert_eq!((digest.denied.len(), digest.more_denied), (1_000, 1_100));
        let map = |all: &[(&str, u64)]| all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        assert_eq!(digest.causes, map(&[("revoked", 2_998), ("unknown", 2)]));
        let more: Vec<_> = digest.more_events.iter().map(|(kind, more)| (kind.as_str(), *more)).collect();
        assert_eq!((digest.events.len(), more), (2_001, vec![("login_failed", 7), ("session_end", 500)]));
    }
}
