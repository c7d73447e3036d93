//! What happened in a time, added up.

use crate::record::{self, EventKey, Latencies, RefusedKey, RefusedSum};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    /// Denials by whose they were, to which app, why, and by which policies; the most packets first, at most 1000.
    pub denied: Vec<DigestDenied>,
    /// How many more of these there are.
    pub more_denied: usize,
    /// Logins, logins that failed, ends of sessions and changes by administrators, by type, person and reason; the most
    /// frequent first, at most 1000 of each type.
    pub events: Vec<DigestEvent>,
    /// How many more of these there are.
    pub more_events: usize,
    /// From the request to end a session to the moment from which the kernel forwards nothing.
    pub enforced: DigestLatency,
    /// From the request to the last packet of the session; 0 if that was before.
    pub last_packet: DigestLatency,
    /// Events that the kernel did not report.
    pub lost_events: u64,
    /// Records that are missing.
    pub lost_records: u64,
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
        let all_events = events.len();
        let mut told = BTreeMap::<String, usize>::new();
        let is_told = |(key, _): &(EventKey, _)| {
            let told = told.entry(key.kind.clone()).or_default();
            *told = told.saturating_add(1);
            *told <= MOST_ROWS
        };
        let events: Vec<_> = events.into_iter().filter(is_told).map(event).collect();
        Self {
            records,
            first,
            last,
            oldest,
            damaged_files: damaged,
            denied_packets,
            observed_packets,
            denied: denied.into_iter().take(MOST_ROWS).map(refused).collect(),
            more_denied,
            more_events: all_events.saturating_sub(events.len()),
            events,
            enforced: (&enforced).into(),
            last_packet: (&last_packet).into(),
            lost_events,
            lost_records,
        }
    }
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
