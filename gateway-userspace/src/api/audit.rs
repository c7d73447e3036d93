//! The audit trail, for those who may read it. Files are read where nobody waits for it.

use super::context::{Shared, ViewError};
use super::extract::Parameters;
use super::policy::parsed;
use super::problem::ApiError;
use crate::record::audit::{Look, Looked, Place};
use crate::wire::{self, AuditEntry, AuditHead, FieldError, Page};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::IntoParams;

const USUAL: usize = 100;
const MOST: usize = 1000;

/// Which entries, and which page of them.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Of this type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// About this user.
    user: Option<String>,
    /// Done by this user, service, provider or API token, or by `local`: the daemon.
    by: Option<String>,
    /// Not before this time (RFC 3339).
    since: Option<String>,
    /// Before this time (RFC 3339).
    until: Option<String>,
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<String>,
    /// How many entries at most: 1 to 1000, usually 100.
    limit: Option<usize>,
}

/// Read the audit trail, the newest entry first. A page may be short, or empty, and not be the last: only so much of the trail
/// is looked through at once.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery), responses(
    (status = 200, body = Page<AuditEntry>),
    (status = 422, description = "A time or a cursor that is none", body = wire::Problem,
        content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<AuditQuery>,
) -> Result<Json<Page<Box<RawValue>>>, ApiError> {
    let (look, trail) = (query.read()?, shared.context.recorder.audit().clone());
    let looked = parsed(move || trail.look(&look)).await?.map_err(|error| {
        tracing::error!(%error, "the audit trail cannot be read");
        ViewError("the audit trail")
    })?;
    let Looked { lines, next } = looked;
    Ok(Json(Page { items: lines, next_cursor: next.map(|place| place.to_string()) }))
}

/// Read how far the audit trail is on the disk, and whether it is what was written.
#[utoipa::path(get, path = "/v1/audit/head", tag = "audit", responses((status = 200, body = AuditHead)))]
pub(super) async fn head(State(shared): State<Arc<Shared>>) -> Json<AuditHead> {
    Json(AuditHead::from(&shared.context.recorder.audit().condition()))
}

impl AuditQuery {
    fn read(self) -> Result<Look, ApiError> {
        let Self { kind, user, by, since, until, cursor, limit } = self;
        let mut errors = Vec::new();
        let mut time = |field, text: Option<String>| {
            let text = text?;
            let read = OffsetDateTime::parse(&text, &Rfc3339);
            let wrong =
                |_| errors.push(FieldError::at(field, format!("`{text}` is no time like 2026-03-02T08:00:00Z")));
            read.map_err(wrong).ok()
        };
        let (since, until) = (time("since", since), time("until", until));
        let before = cursor.map(|cursor| cursor.parse::<Place>()).transpose();
        let before = before.map_err(|error| errors.push(FieldError::at("cursor", error))).unwrap_or_default();
        let limit = limit.unwrap_or(USUAL).clamp(1, MOST);
        match errors.is_empty() {
            true => Ok(Look { kind, user, by, since, until, limit, before }),
            false => Err(ApiError::invalid(errors)),
        }
    }
}
