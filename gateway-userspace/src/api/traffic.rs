//! What happens to packets, and how the gateway is.

use super::context::{FlowFilter, Shared};
use super::extract::{Parameters, Segment as _};
use super::problem::ApiError;
use crate::policy::{AppName, SessionToken, UserName};
use crate::wire::{Drops, Flow, Page, Status};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

const USUAL: usize = 1000;
const MOST: usize = 10_000;

/// Which flows.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FlowQuery {
    /// Of this session.
    session: Option<String>,
    /// Of this user.
    user: Option<String>,
    /// To this app.
    app: Option<String>,
    /// How many at most: 1 to 10000, usually 1000.
    limit: Option<usize>,
}

/// List open flows. They come and go too fast for pages: narrow the question instead.
#[utoipa::path(get, path = "/v1/flows", tag = "traffic", params(FlowQuery), responses((status = 200, body = Page<Flow>)))]
pub(super) async fn flows(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<FlowQuery>,
) -> Result<Json<Page<Flow>>, ApiError> {
    let FlowQuery { session, user, app, limit } = query;
    let filter = FlowFilter {
        session: session.as_deref().map(SessionToken::read).transpose()?,
        user: user.as_deref().map(UserName::read).transpose()?,
        app: app.as_deref().map(AppName::read).transpose()?,
        limit: limit.unwrap_or(USUAL).clamp(1, MOST),
    };
    let items = shared.context.views.flows(filter).await?;
    Ok(Json(Page { items, next_cursor: None }))
}

/// Count drops by interface and reason, with what each reason means.
#[utoipa::path(get, path = "/v1/drops", tag = "traffic", responses((status = 200, body = Page<Drops>)))]
pub(super) async fn drops(State(shared): State<Arc<Shared>>) -> Result<Json<Page<Drops>>, ApiError> {
    let items = shared.context.views.drops().await?;
    Ok(Json(Page { items, next_cursor: None }))
}

/// The gateway at a glance.
#[utoipa::path(get, path = "/v1/status", tag = "traffic", responses((status = 200, body = Status)))]
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Result<Json<Status>, ApiError> {
    Ok(Json(shared.context.views.status().await?))
}
