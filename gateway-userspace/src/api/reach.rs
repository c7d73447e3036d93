//! Who reaches what, all of it at once, on a copy of the state: whoever is revoked meanwhile does not wait for it.

use super::context::Shared;
use super::extract::{Parameters, Segment as _};
use super::policy::parsed;
use super::problem::ApiError;
use crate::policy::{AppName, Assumed, GroupName, ReachOf, Refusal, UserName};
use crate::wire::{Problem, ReachMap};
use axum::extract::State;
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::IntoParams;

/// How long finding out may take: less than the API gives an answer.
const LONGEST: Duration = Duration::from_secs(7);

/// About whom and what, and where people without a session are assumed to be.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReachQuery {
    /// About this user.
    user: Option<String>,
    /// About the members of this group.
    group: Option<String>,
    /// About this app.
    app: Option<String>,
    /// Their address.
    #[param(value_type = Option<String>)]
    from: Option<IpAddr>,
    /// Name of their zone.
    zone: Option<String>,
}

/// Tell who reaches what: now, and after a login with two factors. People of equal reach are told together.
#[utoipa::path(get, path = "/v1/reach", tag = "policy", params(ReachQuery), responses(
    (status = 200, body = ReachMap),
    (status = 404, description = "No such user, group or app", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "Too much to tell", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn reach(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<ReachQuery>,
) -> Result<axum::Json<ReachMap>, ApiError> {
    let ReachQuery { user, group, app, from, zone } = query;
    let of = ReachOf {
        user: user.as_deref().map(UserName::read).transpose()?,
        group: group.as_deref().map(GroupName::read).transpose()?,
        app: app.as_deref().map(AppName::read).transpose()?,
    };
    let gateway = shared.context.core.read(|state| state.gateway.clone()).await?;
    if let Some(user) = of.user.as_ref().filter(|user| gateway.user(user).is_none()) {
        return Err(Refusal::UnknownUser(user.clone()).into());
    }
    if let Some(group) = of.group.as_ref().filter(|group| !gateway.groups().contains_key(*group)) {
        return Err(Refusal::UnknownGroup(group.clone()).into());
    }
    if let Some(app) = of.app.as_ref().filter(|app| gateway.app(app).is_none()) {
        return Err(Refusal::UnknownApp(app.clone()).into());
    }
    let (now, assumed) = (shared.now().boot, Assumed::at(from, zone));
    let found = parsed(move || {
        let until = Instant::now() + LONGEST;
        let map = gateway.reach(&of, &assumed, now, &|| Instant::now() >= until)?;
        Ok::<_, crate::policy::ReachError>(ReachMap::of(map, gateway.generation()))
    });
    Ok(axum::Json(found.await??))
}
