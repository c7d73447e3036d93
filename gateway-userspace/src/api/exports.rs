//! Where records are passed on to, and how far that has come.

use super::context::Shared;
use super::problem::ApiError;
use crate::export::ExportStatus;
use crate::wire::{Export, Page};
use axum::Json;
use axum::extract::State;
use std::sync::Arc;

/// List the exports of records, and how far each has come.
#[utoipa::path(get, path = "/v1/exports", tag = "traffic", responses((status = 200, body = Page<Export>)))]
pub(super) async fn exports(State(shared): State<Arc<Shared>>) -> Result<Json<Page<Export>>, ApiError> {
    let items = shared.context.exports.status().into_iter().map(shape).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

fn shape(status: ExportStatus) -> Export {
    let ExportStatus { name, to, address, after, behind, lag, sent, missed, failing } = status;
    let (problem, since) = failing.map(|(failure, since)| (failure.to_string(), since)).unzip();
    Export { name, to: to.to_owned(), address, after, behind, lag_seconds: lag, sent, missed, problem, since }
}
