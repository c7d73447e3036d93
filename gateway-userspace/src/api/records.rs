//! What was recorded, searched: records as they were written, and sums of them.
//!
//! Whoever searches does so on a thread of its own, a few at once; the core and the writer of the archive wait for nobody.

use super::context::Shared;
use super::extract::{Parameters, Segment as _};
use super::problem::ApiError;
use crate::policy::{AppName, SessionToken};
use crate::record::{
    Answer, Archived, Asking, DeniedKey, DeniedSum, Filter, Kind, PageFrom, ReachedKey, ReachedSum, SearchError,
};
use crate::wire::{Denied, Digest, Page, Reached, Record};
use axum::Json;
use axum::extract::State;
use ipnet::IpNet;
use serde::Deserialize;
use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::IntoParams;

const USUAL: usize = 100;
const MOST: usize = 1_000;
const USUAL_SUMS: usize = 1_000;
const MOST_SUMS: usize = 10_000;
/// All that are kept apart: who has reached anything is asked for whole.
const MOST_REACHED: usize = 100_000;
/// Longest text that is searched for, in bytes: no name and no policy is longer.
const LONGEST: usize = 1_024;

/// Which records.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RecordQuery {
    /// Of this type, like `flow_end` or `denied`.
    r#type: Option<String>,
    /// Of this user; of `admin`, by whom.
    user: Option<String>,
    /// About this app.
    app: Option<String>,
    /// Of this session.
    session: Option<String>,
    /// From this address, or an address of this prefix.
    client: Option<String>,
    /// To this address, or an address of this prefix.
    destination: Option<String>,
    /// To this port.
    port: Option<u16>,
    /// Why: of denials, of logins that failed, of the ends of sessions.
    reason: Option<String>,
    /// How a flow ended, like `closed` or `revoked`.
    outcome: Option<String>,
    /// Determined by this policy, by `@id`.
    policy: Option<String>,
    /// Made at this time or later, in RFC 3339.
    since: Option<String>,
    /// Made before this time.
    until: Option<String>,
    /// The oldest first, of those whose `sequence` is greater: for whoever follows.
    after: Option<u64>,
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<String>,
    /// How many at most: 1 to 1000, usually 100.
    limit: Option<usize>,
}

/// Sums of what.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReachedQuery {
    /// Who reached this app.
    app: Option<String>,
    /// What this user reached.
    user: Option<String>,
    /// By records made at this time or later, in RFC 3339.
    since: Option<String>,
    /// By records made before this time.
    until: Option<String>,
    /// How many at most: 1 to 100000, usually 1000.
    limit: Option<usize>,
}

/// What happened when.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DigestQuery {
    /// By records made at this time or later, in RFC 3339.
    since: Option<String>,
    /// By records made before this time.
    until: Option<String>,
}

/// Sums of which denials.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeniedQuery {
    /// Of this user.
    user: Option<String>,
    /// To this app.
    app: Option<String>,
    /// From this address, or an address of this prefix.
    client: Option<String>,
    /// To this address, or an address of this prefix.
    destination: Option<String>,
    /// For this reason.
    reason: Option<String>,
    /// By records made at this time or later, in RFC 3339.
    since: Option<String>,
    /// By records made before this time.
    until: Option<String>,
    /// How many at most: 1 to 10000, usually 1000.
    limit: Option<usize>,
}

/// Search what was recorded, the newest first. A page may hold fewer records than asked for, even none, and go on: when
/// looking for them takes long.
#[utoipa::path(get, path = "/v1/records", tag = "records", params(RecordQuery), responses((status = 200, body = Page<Record>)))]
pub(super) async fn records(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<RecordQuery>,
) -> Result<Json<Page<Record>>, ApiError> {
    let limit = query.limit.unwrap_or(USUAL).clamp(1, MOST);
    let from = beginning(query.after, query.cursor.as_deref())?;
    let filter = query.filter()?;
    let Answer { items, next } = search(&shared, move |asking| asking.records(&filter, from, limit)).await?;
    let shape = |Archived { sequence, fields }| Record { sequence, fields: fields.into_iter().collect() };
    Ok(Json(Page { items: items.into_iter().map(shape).collect(), next_cursor: next.map(cursor) }))
}

/// Add up who reached an app, what a user reached, or with neither who reached what. The latest first.
#[utoipa::path(get, path = "/v1/reached", tag = "records", params(ReachedQuery), responses((status = 200, body = Page<Reached>)))]
pub(super) async fn reached(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<ReachedQuery>,
) -> Result<Json<Page<Reached>>, ApiError> {
    let ReachedQuery { app, user, since, until, limit } = query;
    let (app, user) = (app_of(app)?, text("user", user)?);
    let (since, until) = span(since.as_deref(), until.as_deref())?;
    let filter = Filter { app, user, since, until, ..Filter::default() };
    let mut found = search(&shared, move |asking| asking.reached(&filter)).await?;
    found.sort_by(|(key, sum), (other_key, other)| {
        Reverse(sum.last).cmp(&Reverse(other.last)).then_with(|| key.cmp(other_key))
    });
    let items = found.into_iter().take(limit.unwrap_or(USUAL_SUMS).clamp(1, MOST_REACHED)).map(reached_shape).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// Add up denials by whose they were, from where to where, and why. The most frequent first.
#[utoipa::path(get, path = "/v1/denied", tag = "records", params(DeniedQuery), responses((status = 200, body = Page<Denied>)))]
pub(super) async fn denied(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<DeniedQuery>,
) -> Result<Json<Page<Denied>>, ApiError> {
    let DeniedQuery { user, app, client, destination, reason, since, until, limit } = query;
    let (since, until) = span(since.as_deref(), until.as_deref())?;
    let filter = Filter {
        user: text("user", user)?,
        app: app_of(app)?,
        client: client.as_deref().map(|text| prefix("client", text)).transpose()?,
        destination: destination.as_deref().map(|text| prefix("destination", text)).transpose()?,
        reason: text("reason", reason)?,
        since,
        until,
        ..Filter::default()
    };
    let found = search(&shared, move |asking| asking.denied(&filter)).await?;
    let items = found.into_iter().take(limit.unwrap_or(USUAL_SUMS).clamp(1, MOST_SUMS)).map(denied_shape).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// Add up what happened: records by type, denials by policy, logins, ends of sessions and how fast they were, changes.
#[utoipa::path(get, path = "/v1/digest", tag = "records", params(DigestQuery), responses((status = 200, body = Digest)))]
pub(super) async fn digest(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<DigestQuery>,
) -> Result<Json<Digest>, ApiError> {
    let (since, until) = span(query.since.as_deref(), query.until.as_deref())?;
    Ok(Json(search(&shared, move |asking| asking.digest(since, until)).await?.into()))
}

/// The place among those who search is taken here, so that nobody waits for one.
async fn search<T: Send + 'static>(
    shared: &Shared,
    look: impl FnOnce(&Asking) -> Result<T, SearchError> + Send + 'static,
) -> Result<T, ApiError> {
    let asking = shared.context.recorder.archive().ask()?;
    match tokio::task::spawn_blocking(move || look(&asking)).await {
        Ok(found) => Ok(found?),
        Err(error) => {
            tracing::error!(%error, "a search of the archive panicked");
            Err(ApiError::internal())
        }
    }
}

impl RecordQuery {
    fn filter(self) -> Result<Filter, ApiError> {
        let Self {
            r#type, user, app, session, client, destination, port, reason, outcome, policy, since, until, ..
        } = self;
        if let Some(kind) = r#type.as_deref().filter(|kind| Kind::of(kind).is_none()) {
            let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.label()).collect();
            return Err(ApiError::bad_request(format!(
                "`{kind}` is not a type of records: use one of {}",
                kinds.join(", ")
            )));
        }
        let (since, until) = span(since.as_deref(), until.as_deref())?;
        Ok(Filter {
            kind: r#type,
            user: text("user", user)?,
            app: app_of(app)?,
            session: session.as_deref().map(SessionToken::read).transpose()?.map(|SessionToken(token)| token),
            client: client.as_deref().map(|text| prefix("client", text)).transpose()?,
            destination: destination.as_deref().map(|text| prefix("destination", text)).transpose()?,
            port,
            reason: text("reason", reason)?,
            outcome: text("outcome", outcome)?,
            policy: text("policy", policy)?,
            since,
            until,
        })
    }
}

/// Whoever did something need not be a user: it may be an API token or a provider.
fn text(name: &str, text: Option<String>) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.len() > LONGEST => {
            Err(ApiError::bad_request(format!("`{name}` is longer than {LONGEST} bytes")))
        }
        text => Ok(text),
    }
}

fn app_of(app: Option<String>) -> Result<Option<String>, ApiError> {
    app.as_deref().map(AppName::read).transpose().map(|app| app.map(|app| app.to_string()))
}

pub(super) fn prefix(name: &str, text: &str) -> Result<IpNet, ApiError> {
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    address.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
        ApiError::bad_request(format!("`{name}`: `{text}` is neither an address nor a prefix, like `10.9.0.0/24`"))
    })
}

type Span = (Option<OffsetDateTime>, Option<OffsetDateTime>);

fn span(since: Option<&str>, until: Option<&str>) -> Result<Span, ApiError> {
    let read = |name: &str, text: &str| {
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            ApiError::bad_request(format!("`{name}`: `{text}` is not a time in RFC 3339, like `2026-03-02T08:00:00Z`"))
        })
    };
    let since = since.map(|text| read("since", text)).transpose()?;
    let until = until.map(|text| read("until", text)).transpose()?;
    Ok((since, until))
}

fn beginning(after: Option<u64>, cursor: Option<&str>) -> Result<PageFrom, ApiError> {
    match (after, cursor) {
        (_, Some(cursor)) => read_cursor(cursor).ok_or_else(|| {
            ApiError::bad_request(format!("cursor `{cursor}` is not valid: use the `next_cursor` of a page"))
        }),
        (Some(after), None) => Ok(PageFrom::After(after)),
        (None, None) => Ok(PageFrom::Before(u64::MAX)),
    }
}

fn cursor(from: PageFrom) -> String {
    match from {
        PageFrom::Before(sequence) => format!("b{sequence:x}"),
        PageFrom::After(sequence) => format!("a{sequence:x}"),
    }
}

fn read_cursor(text: &str) -> Option<PageFrom> {
    let number = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| is_plain)
    };
    match text.split_at_checked(1)? {
        ("b", rest) => number(rest).map(PageFrom::Before),
        ("a", rest) => number(rest).map(PageFrom::After),
        _ => None,
    }
}

fn reached_shape(((user, app), sum): (ReachedKey, ReachedSum)) -> Reached {
    let ReachedSum { first, last, connections, to_app_bytes, to_client_bytes, denied, .. } = sum;
    Reached { user, app, first, last, connections, to_app_bytes, to_client_bytes, denied }
}

fn denied_shape((key, sum): (DeniedKey, DeniedSum)) -> Denied {
    let DeniedKey { user, client, app, destination, port, protocol, reason } = key;
    let DeniedSum { packets, first, last } = sum;
    let shown = |address: Option<IpAddr>| address.map(|address| address.to_string());
    let (source, destination) = (shown(client), shown(destination));
    Denied { user, source, app, destination, port, protocol, reason, packets, first, last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_went_and_nothing_else_is_one() {
        for from in [PageFrom::Before(0), PageFrom::Before(u64::MAX), PageFrom::After(7)] {
            assert_eq!(read_cursor(&cursor(from)), Some(from));
        }
        for wrong in ["", "b", "c1", "b+1", "b1g", "a10000000000000000", "\u{e9}1"] {
            assert_eq!(read_cursor(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn addresses_and_prefixes_are_read_and_nothing_else_is() {
        for (text, read) in
            [("10.0.0.1", "10.0.0.1/32"), ("10.0.0.0/8", "10.0.0.0/8"), ("::ffff:10.0.0.1", "10.0.0.1/32")]
        {
            assert_eq!(prefix("client", text).unwrap().to_string(), read);
        }
        for wrong in ["", "10.0.0", "' OR 1=1 --", "10.0.0.0/33"] {
            assert!(prefix("client", wrong).is_err(), "{wrong}");
        }
    }
}
