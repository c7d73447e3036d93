//! Searching the archive: segment by segment, each by a connection of its own that only reads, so that the writer waits for
//! nobody. A search is bounded in time, and few search at once.

use super::Shared;
use super::catalog::{Entry, State};
use super::row::{Stored, moment, token};
use super::segment::{self, SegmentError};
use crate::record::kind::Kind;
use crate::record::line::{mac, protocol};
use ipnet::IpNet;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How many may search at once.
const AT_ONCE: usize = 4;
/// How long a search may take: less than the API gives an answer.
const LONGEST: Duration = Duration::from_secs(5);
/// How many records are looked at before the time is.
const STEP: u64 = 131_072;
/// How many sums are kept apart.
const MOST_SUMS: usize = 100_000;

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The configuration says that nothing is kept.
    #[error("the archive of records is off; set `records.archive = true`")]
    Off,
    /// The folder has not been read yet, or cannot be.
    #[error(
        "the archive of records is not open; retry in a moment, and if that does not help look at the gateway's log"
    )]
    Closed,
    /// Enough others search.
    #[error("{AT_ONCE} others are searching the archive of records; retry in a moment")]
    Busy,
    /// There is too much to add up in the time there is.
    #[error("adding up took longer than {} s; narrow the question, by `since` and `until`", LONGEST.as_secs())]
    TooLong,
    /// There are too many sums.
    #[error("there are more than {MOST_SUMS} different answers; narrow the question, by `since` and `until`")]
    TooMany,
    /// What comes next is there, and cannot be read now.
    #[error("segment `{path}` of the archive of records cannot be read: {why}")]
    Unreadable {
        /// The segment.
        path: PathBuf,
        /// What the system or SQLite said.
        why: String,
    },
}

/// What is searched for; what is `None` is not looked at.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Filter {
    /// Of this type.
    pub kind: Option<String>,
    /// Of this user; of `admin`, by whom.
    pub user: Option<String>,
    /// About this app.
    pub app: Option<String>,
    /// Of the session with this token.
    pub session: Option<u64>,
    /// From there.
    pub client: Option<IpNet>,
    /// To there.
    pub destination: Option<IpNet>,
    /// To this port.
    pub port: Option<u16>,
    /// For this reason.
    pub reason: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// Determined by this policy, among others.
    pub policy: Option<String>,
    /// Not before.
    pub since: Option<OffsetDateTime>,
    /// Before that.
    pub until: Option<OffsetDateTime>,
}

/// Where a page begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageFrom {
    /// The newest records before this number, the newest first.
    Before(u64),
    /// The oldest records after this number, the oldest first.
    After(u64),
}

/// A record of the archive.
#[derive(Clone, PartialEq, Debug)]
pub struct Archived {
    /// Its number: grows from record to record, also across restarts.
    pub sequence: u64,
    /// What a line of the access log says.
    pub fields: Map<String, Value>,
}

impl Archived {
    /// When it was.
    #[must_use]
    pub fn time(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(self.text("time")?, &Rfc3339).ok()
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    /// A field, if it is there and a text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }
}

/// A page.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The records.
    pub items: Vec<Archived>,
    /// Where it goes on; `None` if there are no more.
    pub next: Option<PageFrom>,
}

/// A user and an app, as far as they were known.
pub type ReachedKey = (Option<String>, Option<String>);

/// What one user has had to do with one app.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReachedSum {
    /// When a connection first was open; `None` if all was denied.
    pub first: Option<OffsetDateTime>,
    /// And last.
    pub last: Option<OffsetDateTime>,
    /// Connections: those whose start was recorded, or those whose end was, whichever are more.
    pub connections: u64,
    /// Bytes of those that have ended.
    pub to_app_bytes: u64,
    /// The same to clients.
    pub to_client_bytes: u64,
    /// Packets that were denied.
    pub denied: u64,
    starts: u64,
    ends: u64,
}

/// Equal denials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeniedSum {
    /// Packets.
    pub packets: u64,
    /// When the first was seen.
    pub first: OffsetDateTime,
    /// And the last.
    pub last: OffsetDateTime,
}

/// What makes denials equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeniedKey {
    /// Whose.
    pub user: Option<String>,
    /// From where.
    pub client: Option<IpAddr>,
    /// To which app, if that is known.
    pub app: Option<String>,
    /// To where.
    pub destination: Option<IpAddr>,
    /// To which port.
    pub port: u16,
    /// By which protocol.
    pub protocol: String,
    /// Why.
    pub reason: String,
}

/// A place among those who search.
pub struct Asking {
    pub(super) shared: Arc<Shared>,
    until: Instant,
    /// Whether it takes a place of those.
    is_counted: bool,
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.is_counted {
            self.shared.asking.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Asking {
    pub(super) fn begin(shared: &Arc<Shared>) -> Result<Self, SearchError> {
        let others = shared.asking.fetch_add(1, Ordering::Relaxed);
        let mut asking = Self::beside(shared);
        asking.is_counted = true;
        if others < AT_ONCE { Ok(asking) } else { Err(SearchError::Busy) }
    }

    /// For the daemon's own parts, which are few: they take nobody's place.
    pub(super) fn beside(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), until: Instant::now() + LONGEST, is_counted: false }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// The segments with records of this time, the oldest first.
    pub(super) fn segments(&self, filter: &Filter) -> Result<Vec<Entry>, SearchError> {
        let micros = super::row::micros;
        let is_meant = |entry: &Entry| {
            entry.state != State::Damaged
                && entry.extent.records() != 0
                && filter.since.is_none_or(|since| entry.extent.latest >= micros(since))
                && filter.until.is_none_or(|until| entry.extent.earliest < micros(until))
        };
        let all = self.shared.catalog.all().ok_or(SearchError::Closed)?;
        Ok(all.into_iter().filter(is_meant).collect())
    }

    /// What a segment says; nothing if it cannot be read: then the log says so.
    pub(super) fn look<T>(
        &self,
        entry: &Entry,
        look: impl FnOnce(&Connection) -> Result<T, SegmentError>,
    ) -> Option<T> {
        let error = match self.attempt(entry, look) {
            Ok(found) => return Some(found),
            Err(error) => error,
        };
        if !error.is_damage() && entry.path.exists() {
            tracing::error!(path = %entry.path.display(), %error, "a segment of the archive cannot be searched");
        }
        None
    }

    /// What a segment says. One that is damaged is set aside.
    fn attempt<T>(
        &self,
        entry: &Entry,
        look: impl FnOnce(&Connection) -> Result<T, SegmentError>,
    ) -> Result<T, SegmentError> {
        let looked = segment::read(&entry.path, entry.state == State::Sealed).and_then(|connection| look(&connection));
        looked.inspect_err(|error| {
            if error.is_damage() {
                self.shared.catalog.damaged(entry, error);
            }
        })
    }

    /// A page of the records that match. It may hold fewer than `limit` although there are more, when looking for them takes
    /// long: then it says where to go on.
    ///
    /// # Errors
    /// If the archive is not open.
    pub fn records(&self, filter: &Filter, from: PageFrom, limit: usize) -> Result<Answer, SearchError> {
        let mut segments = self.segments(filter)?;
        if matches!(from, PageFrom::Before(_)) {
            segments.reverse();
        }
        let mut items = Vec::new();
        for entry in segments.iter().filter(|entry| holds_any(entry, from)) {
            let on = self.look(entry, |connection| self.fill(&mut items, limit, connection, filter, from, entry));
            if let Some(Some(next)) = on {
                return Ok(Answer { items, next: Some(next) });
            }
        }
        Ok(Answer { items, next: None })
    }

    /// The oldest records after a number, with everything that there is. What is damaged is gone; where a segment cannot be
    /// read now it ends, so that nobody goes on behind what may be read later. Nothing is logged of that: who asks asks again
    /// and again.
    ///
    /// # Errors
    /// If the archive is not open, or the first segment that there is cannot be read now.
    pub(super) fn following(&self, sequence: u64, limit: usize) -> Result<Vec<Archived>, SearchError> {
        let (filter, from, mut items) = (Filter::default(), PageFrom::After(sequence), Vec::new());
        for entry in self.segments(&filter)?.iter().filter(|entry| holds_any(entry, from)) {
            let on = self.attempt(entry, |connection| self.fill(&mut items, limit, connection, &filter, from, entry));
            let is_gone = || {
                let state = self.shared.catalog.state(entry.extent.first);
                matches!(state, None | Some(State::Damaged)) || !entry.path.exists()
            };
            match on {
                Ok(None) => {}
                Err(_) if is_gone() => {}
                Err(error) if items.is_empty() => {
                    return Err(SearchError::Unreadable { path: entry.path.clone(), why: error.to_string() });
                }
                Ok(Some(_)) | Err(_) => break,
            }
        }
        Ok(items)
    }

    /// Adds what matches in a segment, until there are enough or it has taken long enough: then it says where to go on.
    fn fill(
        &self,
        items: &mut Vec<Archived>,
        limit: usize,
        connection: &Connection,
        filter: &Filter,
        from: PageFrom,
        entry: &Entry,
    ) -> Result<Option<PageFrom>, SegmentError> {
        for (low, high) in steps(entry, from) {
            items.extend(page(connection, filter, from, (low, high), limit - items.len())?);
            let last = items.last().map(|item| item.sequence);
            let on = match from {
                PageFrom::Before(_) if items.len() >= limit => last.map(PageFrom::Before),
                PageFrom::After(_) if items.len() >= limit => last.map(PageFrom::After),
                PageFrom::Before(_) if self.is_over() => Some(PageFrom::Before(low)),
                PageFrom::After(_) if self.is_over() => Some(PageFrom::After(high - 1)),
                _ => None,
            };
            if on.is_some() {
                return Ok(on);
            }
        }
        Ok(None)
    }

    /// Who has reached what, by user and app.
    ///
    /// # Errors
    /// If it takes too long, or there are too many.
    pub fn reached(&self, filter: &Filter) -> Result<Vec<(ReachedKey, ReachedSum)>, SearchError> {
        let mut sums = BTreeMap::<_, ReachedSum>::new();
        for entry in self.segments(filter)? {
            for (key, sum) in self.look(&entry, |connection| reached(connection, filter)).unwrap_or_default() {
                sums.entry(key).or_default().add(&sum);
            }
            self.check(sums.len())?;
        }
        Ok(sums.into_iter().collect())
    }

    /// What was denied, by whose it was, from where to where, and why.
    ///
    /// # Errors
    /// If it takes too long, or there are too many.
    pub fn denied(&self, filter: &Filter) -> Result<Vec<(DeniedKey, DeniedSum)>, SearchError> {
        let mut sums = HashMap::<DeniedKey, DeniedSum>::new();
        for entry in self.segments(filter)? {
            for (key, sum) in self.look(&entry, |connection| denied(connection, filter)).unwrap_or_default() {
                let known = sums.entry(key).or_insert(DeniedSum { packets: 0, ..sum.clone() });
                known.packets = known.packets.saturating_add(sum.packets);
                known.first = known.first.min(sum.first);
                known.last = known.last.max(sum.last);
            }
            self.check(sums.len())?;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|(a, one), (b, other)| other.packets.cmp(&one.packets).then_with(|| a.cmp(b)));
        Ok(sums)
    }

    pub(super) fn check(&self, sums: usize) -> Result<(), SearchError> {
        if sums > MOST_SUMS {
            Err(SearchError::TooMany)
        } else if self.is_over() {
            Err(SearchError::TooLong)
        } else {
            Ok(())
        }
    }
}

impl ReachedSum {
    fn add(&mut self, other: &Self) {
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        self.starts = self.starts.saturating_add(other.starts);
        self.ends = self.ends.saturating_add(other.ends);
        self.connections = self.starts.max(self.ends);
        self.to_app_bytes = self.to_app_bytes.saturating_add(other.to_app_bytes);
        self.to_client_bytes = self.to_client_bytes.saturating_add(other.to_client_bytes);
        self.denied = self.denied.saturating_add(other.denied);
    }
}

/// Whether there is anything in a segment from there on: it is not opened otherwise.
fn holds_any(entry: &Entry, from: PageFrom) -> bool {
    steps(entry, from).next().is_some()
}

/// The numbers of a segment from which a page may begin on, in parts, each from its first to before its second number.
fn steps(entry: &Entry, from: PageFrom) -> impl Iterator<Item = (u64, u64)> {
    let (mut low, mut high) = (entry.extent.first, entry.extent.next);
    match from {
        PageFrom::Before(before) => high = high.min(before),
        PageFrom::After(after) => low = low.max(after.saturating_add(1)),
    }
    std::iter::from_fn(move || {
        if low >= high {
            return None;
        }
        let part = match from {
            PageFrom::Before(_) => (high.saturating_sub(STEP).max(low), high),
            PageFrom::After(_) => (low, low.saturating_add(STEP).min(high)),
        };
        match from {
            PageFrom::Before(_) => high = part.0,
            PageFrom::After(_) => low = part.1,
        }
        Some(part)
    })
}

/// A condition, and what its question marks stand for.
#[derive(Default)]
pub(super) struct Condition {
    all: Vec<String>,
    pub(super) values: Vec<Sql>,
}

impl Condition {
    pub(super) fn is(&mut self, clause: &str, values: impl IntoIterator<Item = Sql>) {
        self.all.push(clause.to_owned());
        self.values.extend(values);
    }

    pub(super) fn text(&self) -> String {
        if self.all.is_empty() { "1".to_owned() } else { self.all.join(" AND ") }
    }

    /// That of a filter in one segment; `None` if nothing there can match.
    pub(super) fn of(connection: &Connection, filter: &Filter) -> rusqlite::Result<Option<Self>> {
        let Filter { kind, user, app, session, client, destination, port, reason, outcome, policy, since, until } =
            filter;
        let mut condition = Self::default();
        for (column, text) in [("user", user), ("app", app), ("reason", reason), ("outcome", outcome), ("type", kind)] {
            let Some(text) = text else { continue };
            let Some(id) = name(connection, text)? else { return Ok(None) };
            condition.is(&format!("{column} = ?"), [Sql::Integer(id)]);
        }
        if let Some(policy) = policy {
            let lists = lists_with(connection, policy)?;
            condition.is(&format!("policies IN ({lists})"), []);
        }
        if let Some(session) = session {
            condition.is("session = ?", [Sql::Integer(token(*session))]);
        }
        if let Some(port) = port {
            condition.is("port = ?", [Sql::Integer((*port).into())]);
        }
        for (column, prefix) in [("client", client), ("destination", destination)] {
            if let Some(prefix) = prefix {
                condition.is(&format!("{column} BETWEEN ? AND ?"), bounds(prefix));
            }
        }
        let micros = |time: &OffsetDateTime| Sql::Integer(super::row::micros(*time));
        condition.since("time >= ?", since.as_ref().map(micros));
        condition.since("time < ?", until.as_ref().map(micros));
        Ok(Some(condition))
    }

    fn since(&mut self, clause: &str, value: Option<Sql>) {
        if let Some(value) = value {
            self.is(clause, [value]);
        }
    }
}

/// The number of a text; `None` if the segment does not have it.
pub(super) fn name(connection: &Connection, text: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT id FROM name WHERE text = ?1", [text], |row| row.get(0)).optional()
}

/// The numbers of the lists that hold a policy, for `IN`.
fn lists_with(connection: &Connection, policy: &str) -> rusqlite::Result<String> {
    let mut all = connection.prepare("SELECT id, text FROM name WHERE text >= '[' AND text < '\\'")?;
    let mut lists = all.query([])?;
    let mut found = Vec::new();
    while let Some(row) = lists.next()? {
        let list: Vec<String> = serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default();
        if list.iter().any(|name| name == policy) {
            found.push(row.get::<_, i64>(0)?.to_string());
        }
    }
    Ok(found.join(", "))
}

/// The first and the last address of a prefix, as columns hold them.
fn bounds(prefix: &IpNet) -> [Sql; 2] {
    match prefix {
        IpNet::V4(prefix) => {
            [prefix.network(), prefix.broadcast()].map(|address| Sql::Integer(address.to_bits().into()))
        }
        IpNet::V6(prefix) => [prefix.network(), prefix.broadcast()].map(|address| Sql::Blob(address.octets().into())),
    }
}

fn page(
    connection: &Connection,
    filter: &Filter,
    from: PageFrom,
    (low, high): (u64, u64),
    limit: usize,
) -> Result<Vec<Archived>, SegmentError> {
    let Some(mut condition) = Condition::of(connection, filter)? else { return Ok(Vec::new()) };
    let number = |number: u64| Sql::Integer(number.cast_signed());
    condition.is("sequence >= ? AND sequence < ?", [number(low), number(high)]);
    let order = if matches!(from, PageFrom::Before(_)) { "DESC" } else { "ASC" };
    let question = format!("SELECT * FROM record WHERE {} ORDER BY sequence {order} LIMIT {limit}", condition.text());
    let mut statement = connection.prepare(&question)?;
    let mut rows = statement.query(params_from_iter(&condition.values))?;
    let (mut names, mut found) = (Texts::of(connection), Vec::new());
    while let Some(row) = rows.next()? {
        found.push(archived(row, &mut names)?);
    }
    Ok(found)
}

fn reached(connection: &Connection, filter: &Filter) -> Result<Vec<(ReachedKey, ReachedSum)>, SegmentError> {
    let Some(condition) = Condition::of(connection, filter)? else { return Ok(Vec::new()) };
    // A type that the segment does not have is no number that a row has.
    let id = |kind: Kind| name(connection, kind.label()).map(|id| id.unwrap_or(-1));
    let (start, update) = (id(Kind::FlowStart)?, id(Kind::FlowUpdate)?);
    let (end, denied) = (id(Kind::FlowEnd)?, id(Kind::Denied)?);
    let question = format!(
        "SELECT user, app,
            min(CASE WHEN type <> {denied} THEN time - coalesce(first_before, 0) END),
            max(CASE WHEN type <> {denied} THEN time - coalesce(last_before, 0) END),
            sum(type = {start}), sum(type = {end}),
            total(CASE WHEN type = {end} THEN to_app_bytes END),
            total(CASE WHEN type = {end} THEN to_client_bytes END),
            total(CASE WHEN type = {denied} AND observed IS NULL THEN packets END)
        FROM record WHERE {} AND type IN ({start}, {update}, {end}, {denied}) GROUP BY user, app",
        condition.text()
    );
    let mut statement = connection.prepare(&question)?;
    let mut rows = statement.query(params_from_iter(&condition.values))?;
    let (mut names, mut found) = (Texts::of(connection), Vec::new());
    while let Some(row) = rows.next()? {
        let key = (names.get(row.get(0)?)?, names.get(row.get(1)?)?);
        let time = |at| row.get::<_, Option<i64>>(at).map(|time| time.map(moment));
        let sum = ReachedSum {
            first: time(2)?,
            last: time(3)?,
            starts: count(row.get(4)?),
            ends: count(row.get(5)?),
            to_app_bytes: total(row.get(6)?),
            to_client_bytes: total(row.get(7)?),
            denied: total(row.get(8)?),
            connections: 0,
        };
        found.push((key, sum));
    }
    Ok(found)
}

fn denied(connection: &Connection, filter: &Filter) -> Result<Vec<(DeniedKey, DeniedSum)>, SegmentError> {
    let filter = Filter { kind: Some(Kind::Denied.label().to_owned()), ..filter.clone() };
    let Some(condition) = Condition::of(connection, &filter)? else { return Ok(Vec::new()) };
    let question = format!(
        "SELECT user, client, app, destination, port, protocol, reason, total(packets),
            min(time - first_before), max(time - last_before)
        FROM record WHERE reason IS NOT NULL AND {} GROUP BY user, client, app, destination, port, protocol, reason",
        condition.text()
    );
    let mut statement = connection.prepare(&question)?;
    let mut rows = statement.query(params_from_iter(&condition.values))?;
    let (mut names, mut found) = (Texts::of(connection), Vec::new());
    while let Some(row) = rows.next()? {
        if found.len() > MOST_SUMS {
            break;
        }
        let key = DeniedKey {
            user: names.get(row.get(0)?)?,
            client: Stored::read(row.get_ref(1)?),
            app: names.get(row.get(2)?)?,
            destination: Stored::read(row.get_ref(3)?),
            port: row.get::<_, Option<u16>>(4)?.unwrap_or_default(),
            protocol: protocol(row.get::<_, Option<u8>>(5)?.unwrap_or_default()),
            reason: names.get(row.get(6)?)?.unwrap_or_default(),
        };
        let (first, last) = (moment(row.get(8)?), moment(row.get(9)?));
        found.push((key, DeniedSum { packets: total(row.get(7)?), first, last }));
    }
    Ok(found)
}

pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// A sum, which SQLite makes without overflow as a fraction.
pub(super) fn total(sum: f64) -> u64 {
    // Saturates.
    sum as u64
}

/// The texts of a segment by number, as far as they were asked for.
pub(super) struct Texts<'c> {
    connection: &'c Connection,
    known: HashMap<i64, String>,
}

impl<'c> Texts<'c> {
    pub(super) fn of(connection: &'c Connection) -> Self {
        Self { connection, known: HashMap::new() }
    }

    pub(super) fn get(&mut self, id: Option<i64>) -> rusqlite::Result<Option<String>> {
        let Some(id) = id else { return Ok(None) };
        if let Some(text) = self.known.get(&id) {
            return Ok(Some(text.clone()));
        }
        let mut look = self.connection.prepare_cached("SELECT text FROM name WHERE id = ?1")?;
        let text: Option<String> = look.query_row([id], |row| row.get(0)).optional()?;
        if let Some(text) = &text {
            self.known.insert(id, text.clone());
        }
        Ok(text)
    }
}

/// A row as the line of the access log that it was.
fn archived(row: &Row<'_>, names: &mut Texts<'_>) -> rusqlite::Result<Archived> {
    let sequence = row.get::<_, i64>("sequence")?.cast_unsigned();
    let fields = match row.get::<_, Option<String>>("line")? {
        Some(line) => serde_json::from_str(&line).unwrap_or_default(),
        None => fields(row, names)?,
    };
    Ok(Archived { sequence, fields })
}

fn fields(row: &Row<'_>, names: &mut Texts<'_>) -> rusqlite::Result<Map<String, Value>> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| fields.insert(name.to_owned(), value));
    let time: i64 = row.get("time")?;
    put("time", Some(rfc3339(time)));
    let kind = names.get(row.get("type")?)?.unwrap_or_default();
    let (is_denied, is_start) = (kind == Kind::Denied.label(), kind == Kind::FlowStart.label());
    put("type", Some(kind.into()));
    for name in ["user", "app", "opened_by", "direction", "interface", "zone", "outcome", "tcp", "reason"] {
        put(name, names.get(row.get(name)?)?.map(Value::from));
    }
    let numbers = ["client_port", "port", "packets", "answered"];
    let carried = ["to_app_packets", "to_app_bytes", "to_client_packets", "to_client_bytes"];
    for name in numbers.into_iter().chain(carried) {
        put(name, row.get::<_, Option<i64>>(name)?.map(Value::from));
    }
    put("session", row.get::<_, Option<i64>>("session")?.map(|it| format!("{:016x}", it.cast_unsigned()).into()));
    let list = names.get(row.get("policies")?)?;
    put("policies", list.and_then(|list| serde_json::from_str(&list).ok()));
    for name in ["alert", "observed", "incomplete"] {
        put(name, row.get::<_, Option<i64>>(name)?.map(|it| (it != 0).into()));
    }
    let address = |name: &str| row.get_ref(name).map(|it| Stored::read(it).map(|address| address.to_string().into()));
    put(if is_denied { "source" } else { "client" }, address("client")?);
    put("destination", address("destination")?);
    put("protocol", row.get::<_, Option<u8>>("protocol")?.map(|number| protocol(number).into()));
    put(
        "mac",
        row.get::<_, Option<i64>>("mac")?.map(|number| {
            let [_, _, octets @ ..] = number.to_be_bytes();
            mac(octets).into()
        }),
    );
    if !is_start {
        let before =
            |name: &str| row.get::<_, Option<i64>>(name).map(|it| it.map(|it| rfc3339(time.saturating_sub(it))));
        put(if is_denied { "first" } else { "opened_at" }, before("first_before")?);
        put(if is_denied { "last" } else { "last_seen" }, before("last_before")?);
    }
    Ok(fields)
}

fn rfc3339(micros: i64) -> Value {
    moment(micros).format(&Rfc3339).unwrap_or_default().into()
}
