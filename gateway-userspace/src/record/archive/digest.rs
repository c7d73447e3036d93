//! What happened in a time, added up for a report: how many records of which type, denials by policy, logins that failed, how
//! fast access ended, what was administered.

use super::catalog::State;
use super::row::moment;
use super::search::{Asking, Condition, Filter, SearchError, Texts, count, name, total};
use super::segment::SegmentError;
use crate::record::kind::Kind;
use rusqlite::{Connection, params_from_iter};
use std::collections::{BTreeMap, HashMap};
use time::OffsetDateTime;

/// Most ends of sessions whose times are told apart: sorted, they are 32 MB.
const MOST_ENDS: usize = 2_000_000;

/// Denials of one kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RefusedKey {
    /// Whose.
    pub user: Option<String>,
    /// To which app, if that is known.
    pub app: Option<String>,
    /// Why.
    pub reason: String,
    /// The policies that determined it.
    pub policies: Vec<String>,
}

/// How many there were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedSum {
    /// Packets that were dropped.
    pub packets: u64,
    /// Packets that passed, because the interface only observes.
    pub observed: u64,
    /// When the first was seen.
    pub first: OffsetDateTime,
    /// And the last.
    pub last: OffsetDateTime,
}

/// Logins, their failures, ends of sessions, and changes by administrators.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventKey {
    /// The type of the records.
    pub kind: String,
    /// Whose, or by whom.
    pub user: Option<String>,
    /// Why, or what was done.
    pub what: Option<String>,
}

/// How fast access ended: microseconds, sorted.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Latencies(Vec<f64>);

/// What happened.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Digest {
    /// Records by type.
    pub records: BTreeMap<String, u64>,
    /// When the first of them was made.
    pub first: Option<OffsetDateTime>,
    /// And the last.
    pub last: Option<OffsetDateTime>,
    /// When the oldest record that is kept was made, whatever was asked for.
    pub oldest: Option<OffsetDateTime>,
    /// Files of the archive that cannot be read.
    pub damaged: usize,
    /// Denials, the most packets first.
    pub denied: Vec<(RefusedKey, RefusedSum)>,
    /// Events, the most frequent first, with how many and when the last was.
    pub events: Vec<(EventKey, (u64, OffsetDateTime))>,
    /// From the request to end a session to the moment from which nothing is forwarded.
    pub enforced: Latencies,
    /// From the request to the session's last packet; 0 if that was before.
    pub last_packet: Latencies,
    /// Events that the kernel did not report.
    pub lost_events: u64,
    /// Records that are missing in the access log or the archive.
    pub lost_records: u64,
}

impl Latencies {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest that at least so many hundredths are not above.
    #[must_use]
    pub fn percentile(&self, hundredths: usize) -> Option<f64> {
        let rank = self.0.len().saturating_mul(hundredths).div_ceil(100).max(1);
        self.0.get(rank.min(self.0.len()).checked_sub(1)?).copied()
    }

    /// How many are at most this.
    #[must_use]
    pub fn up_to(&self, most: f64) -> usize {
        self.0.partition_point(|us| *us <= most)
    }

    fn sort(&mut self) {
        self.0.sort_by(f64::total_cmp);
    }
}

impl Asking {
    /// What happened in the time of a filter, of which nothing else is looked at.
    ///
    /// # Errors
    /// If it takes too long, or there are too many different things.
    pub fn digest(&self, since: Option<OffsetDateTime>, until: Option<OffsetDateTime>) -> Result<Digest, SearchError> {
        let filter = Filter { since, until, ..Filter::default() };
        let mut sums = Sums::default();
        for entry in self.segments(&filter)? {
            self.look(&entry, |connection| sums.look(connection, &filter));
            self.check(sums.denied.len().saturating_add(sums.events.len()))?;
        }
        let all = self.shared.catalog.all().ok_or(SearchError::Closed)?;
        let (mut oldest, mut damaged) = (None::<i64>, 0_usize);
        for entry in &all {
            match entry.state {
                State::Damaged => damaged = damaged.saturating_add(1),
                _ if entry.extent.records() == 0 => {}
                _ => oldest = Some(oldest.map_or(entry.extent.earliest, |oldest| oldest.min(entry.extent.earliest))),
            }
        }
        Ok(Digest { oldest: oldest.map(moment), damaged, ..sums.finish() })
    }
}

/// What has been added up so far.
#[derive(Default)]
struct Sums {
    digest: Digest,
    denied: HashMap<RefusedKey, RefusedSum>,
    events: HashMap<EventKey, (u64, OffsetDateTime)>,
}

impl Sums {
    /// A segment that turns out to be damaged on the way has counted as far as it could be read.
    fn look(&mut self, connection: &Connection, filter: &Filter) -> Result<(), SegmentError> {
        let Some(condition) = Condition::of(connection, filter)? else { return Ok(()) };
        self.count(connection, &condition)?;
        self.refusals(connection, &condition)?;
        self.happenings(connection, &condition)?;
        self.ends(connection, &condition)?;
        self.losses(connection, &condition)
    }

    fn count(&mut self, connection: &Connection, condition: &Condition) -> Result<(), SegmentError> {
        let question =
            format!("SELECT type, count(*), min(time), max(time) FROM record WHERE {} GROUP BY type", condition.text());
        let mut statement = connection.prepare(&question)?;
        let mut rows = statement.query(params_from_iter(&condition.values))?;
        let mut names = Texts::of(connection);
        while let Some(row) = rows.next()? {
            let known = self.digest.records.entry(names.get(row.get(0)?)?.unwrap_or_default()).or_default();
            *known = known.saturating_add(count(row.get(1)?));
            let (first, last) = (moment(row.get(2)?), moment(row.get(3)?));
            self.digest.first = Some(self.digest.first.map_or(first, |known| known.min(first)));
            self.digest.last = Some(self.digest.last.map_or(last, |known| known.max(last)));
        }
        Ok(())
    }

    fn refusals(&mut self, connection: &Connection, condition: &Condition) -> Result<(), SegmentError> {
        let Some(denied) = name(connection, Kind::Denied.label())? else { return Ok(()) };
        let question = format!(
            "SELECT user, app, reason, policies,
                total(CASE WHEN observed IS NULL THEN packets END), total(CASE WHEN observed IS NOT NULL THEN packets END),
                min(time - first_before), max(time - last_before)
            FROM record WHERE {} AND +type = {denied} GROUP BY user, app, reason, policies",
            condition.text()
        );
        let mut statement = connection.prepare(&question)?;
        let mut rows = statement.query(params_from_iter(&condition.values))?;
        let mut names = Texts::of(connection);
        while let Some(row) = rows.next()? {
            let policies = names.get(row.get(3)?)?;
            let key = RefusedKey {
                user: names.get(row.get(0)?)?,
                app: names.get(row.get(1)?)?,
                reason: names.get(row.get(2)?)?.unwrap_or_default(),
                policies: policies.and_then(|list| serde_json::from_str(&list).ok()).unwrap_or_default(),
            };
            let (first, last) = (moment(row.get(6)?), moment(row.get(7)?));
            let known = self.denied.entry(key).or_insert(RefusedSum { packets: 0, observed: 0, first, last });
            known.packets = known.packets.saturating_add(total(row.get(4)?));
            known.observed = known.observed.saturating_add(total(row.get(5)?));
            (known.first, known.last) = (known.first.min(first), known.last.max(last));
        }
        Ok(())
    }

    fn happenings(&mut self, connection: &Connection, condition: &Condition) -> Result<(), SegmentError> {
        let mut kinds = Vec::new();
        for kind in [Kind::Login, Kind::LoginFailed, Kind::SessionEnd, Kind::Admin] {
            kinds.extend(name(connection, kind.label())?.map(|id| id.to_string()));
        }
        let question = format!(
            "SELECT type, user, coalesce(reason, action), count(*), max(time)
            FROM record WHERE {} AND type IN ({}) GROUP BY 1, 2, 3",
            condition.text(),
            kinds.join(", ")
        );
        let mut statement = connection.prepare(&question)?;
        let mut rows = statement.query(params_from_iter(&condition.values))?;
        let mut names = Texts::of(connection);
        while let Some(row) = rows.next()? {
            let kind = names.get(row.get(0)?)?.unwrap_or_default();
            let key = EventKey { kind, user: names.get(row.get(1)?)?, what: names.get(row.get(2)?)? };
            let last = moment(row.get(4)?);
            let known = self.events.entry(key).or_insert((0, last));
            *known = (known.0.saturating_add(count(row.get(3)?)), known.1.max(last));
        }
        Ok(())
    }

    fn ends(&mut self, connection: &Connection, condition: &Condition) -> Result<(), SegmentError> {
        let Some(end) = name(connection, Kind::SessionEnd.label())? else { return Ok(()) };
        let question = format!(
            "SELECT json_extract(line, '$.enforced_after_us'), json_extract(line, '$.last_packet_after_request_us')
            FROM record WHERE {} AND type = {end}",
            condition.text()
        );
        let mut statement = connection.prepare(&question)?;
        let mut rows = statement.query(params_from_iter(&condition.values))?;
        while let Some(row) = rows.next()? {
            if self.digest.enforced.len() >= MOST_ENDS {
                break;
            }
            self.digest.enforced.0.extend(row.get::<_, Option<f64>>(0)?);
            self.digest.last_packet.0.extend(row.get::<_, Option<f64>>(1)?.map(|us| us.max(0.0)));
        }
        Ok(())
    }

    fn losses(&mut self, connection: &Connection, condition: &Condition) -> Result<(), SegmentError> {
        let Some(lost) = name(connection, Kind::Lost.label())? else { return Ok(()) };
        let question = format!(
            "SELECT total(json_extract(line, '$.kernel_events')), total(json_extract(line, '$.records'))
            FROM record WHERE {} AND type = {lost}",
            condition.text()
        );
        let sums = connection
            .query_row(&question, params_from_iter(&condition.values), |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.digest.lost_events = self.digest.lost_events.saturating_add(total(sums.0));
        self.digest.lost_records = self.digest.lost_records.saturating_add(total(sums.1));
        Ok(())
    }

    fn finish(self) -> Digest {
        let Self { mut digest, denied, events } = self;
        digest.enforced.sort();
        digest.last_packet.sort();
        digest.denied = denied.into_iter().collect();
        digest.denied.sort_by(|(a, one), (b, other)| {
            let all = |sum: &RefusedSum| sum.packets.saturating_add(sum.observed);
            all(other).cmp(&all(one)).then_with(|| a.cmp(b))
        });
        digest.events = events.into_iter().collect();
        digest.events.sort_by(|(a, (one, _)), (b, (other, _))| other.cmp(one).then_with(|| a.cmp(b)));
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let latencies = |mut all: Vec<f64>| {
            all.sort_by(f64::total_cmp);
            Latencies(all)
        };
        let hundred = latencies((1..=100).map(f64::from).collect());
        assert_eq!([50, 95, 100].map(|at| hundred.percentile(at)), [Some(50.0), Some(95.0), Some(100.0)]);
        let few = latencies(vec![7.0, 3.0, 5.0]);
        assert_eq!([0, 50, 95].map(|at| few.percentile(at)), [Some(3.0), Some(5.0), Some(7.0)]);
        assert_eq!((few.up_to(4.9), few.up_to(5.0), latencies(Vec::new()).percentile(50)), (1, 2, None));
    }
}
