//! Bundles, and the generations that they begin: planned, put in force, confirmed, rolled back.

use super::context::Shared;
use super::extract::{Json, Named, Parameters};
use super::policy::{if_match, parsed};
use super::problem::ApiError;
use crate::config::parse_duration;
use crate::core::{Actor, Apply, Done, Request, State as CoreState};
use crate::policy::{self, AppName, Assumed, Refusal};
use crate::wire::{self, Applied, Bundle, FieldError, Plan};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::http::header::ETAG;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use utoipa::IntoParams;

/// How long somebody may take to confirm.
const CONFIRM: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(24 * 60 * 60);
/// The longest message.
const LONGEST_MESSAGE: usize = 1_000;

/// What goes with a change.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangeQuery {
    /// Why, for the history: at most 1000 characters.
    message: Option<String>,
    /// Undo it after so long, `10s` to `24h`, unless it is confirmed.
    confirm_within: Option<String>,
}

/// Where people without a session are assumed to be.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PlanQuery {
    /// Their address.
    #[param(value_type = Option<String>)]
    from: Option<IpAddr>,
    /// Name of their zone.
    zone: Option<String>,
}

/// Read what is in force, as a bundle.
#[utoipa::path(get, path = "/v1/bundle", tag = "policy", responses(
    (status = 200, body = Bundle, headers(("ETag" = String, description = "The generation, quoted"))),
))]
pub(super) async fn read(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    let read = |state: &CoreState| (state.gateway.generation(), state.gateway.bundle());
    let (generation, bundle) = shared.context.core.read(read).await?;
    let tag = format!("\"{}\"", generation.0);
    Ok(([(ETAG, tag)], axum::Json(Bundle::of(&bundle.declared()))).into_response())
}

/// Put a bundle in force, all of it in one step. Sessions follow at once. What is in force already changes nothing.
#[utoipa::path(put, path = "/v1/bundle", tag = "policy",
    params(ChangeQuery, ("If-Match" = Option<String>, Header, description = "Refuse unless this generation is in force")),
    request_body = Bundle,
    responses(
        (status = 200, body = Applied),
        (status = 409, description = "A generation is not confirmed yet, or a table has no room", body = wire::Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "Another generation is in force", body = wire::Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Not valid", body = wire::Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn apply(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Parameters(query): Parameters<ChangeQuery>,
    headers: HeaderMap,
    Json(bundle): Json<Bundle>,
) -> Result<axum::Json<Applied>, ApiError> {
    let (if_match, (message, confirm_within)) = (if_match(&headers)?, query.read()?);
    let _edit = shared.edit().await;
    let bundle = Box::new(meant(&shared, bundle).await?);
    let apply = Apply { bundle, if_match, message, confirm_within, back_to: None };
    put_in_force(&shared, actor, apply).await
}

/// Find out what a bundle would lead to: who gains and who loses which apps, and what would be cut. Nothing is changed.
#[utoipa::path(post, path = "/v1/bundle/plan", tag = "policy", params(PlanQuery), request_body = Bundle, responses(
    (status = 200, body = Plan),
    (status = 422, description = "Not valid", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn plan(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<PlanQuery>,
    Json(bundle): Json<Bundle>,
) -> Result<axum::Json<Plan>, ApiError> {
    let bundle = meant(&shared, bundle).await?;
    let assumed = Assumed::at(query.from, query.zone);
    let gateway = shared.context.core.read(|state| state.gateway.clone()).await?;
    let (generation, now, recorder) = (gateway.generation(), shared.now().boot, shared.context.recorder.clone());
    // On a copy: whoever is revoked meanwhile does not wait for it.
    let plan = parsed(move || {
        let rehearsal = gateway.rehearse(bundle, &assumed, now)?;
        Ok::<_, Refusal>(Plan::of(generation, &rehearsal, |it| recorder.count_open(it.token, &it.lost)))
    });
    Ok(axum::Json(plan.await??))
}

/// Keep the generation that would be undone otherwise.
#[utoipa::path(post, path = "/v1/bundle/confirm", tag = "policy",
    params(("If-Match" = Option<String>, Header, description = "Refuse unless it is this one")),
    responses(
        (status = 200, body = wire::Generation),
        (status = 409, description = "None waits for it", body = wire::Problem, content_type = "application/problem+json"),
        (status = 412, description = "Another one waits for it", body = wire::Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn confirm(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
) -> Result<axum::Json<wire::Generation>, ApiError> {
    let expected = if_match(&headers)?;
    let done = shared.context.core.change(actor, Request::Confirm(expected)).await?;
    entry(&shared, done.generation.unwrap_or_default()).await.map(axum::Json)
}

/// List the generations that are remembered, the newest first.
#[utoipa::path(get, path = "/v1/generations", tag = "policy", responses((status = 200, body = Vec<wire::Generation>)))]
pub(super) async fn history(State(shared): State<Arc<Shared>>) -> Result<axum::Json<Vec<wire::Generation>>, ApiError> {
    let read = |state: &CoreState| state.history.entries().map(wire::Generation::from).collect();
    Ok(axum::Json(shared.context.core.read(read).await?))
}

/// Read what was in force in a generation, as a bundle.
#[utoipa::path(get, path = "/v1/generations/{number}/bundle", tag = "policy", params(("number" = u64, Path)), responses(
    (status = 200, body = Bundle),
    (status = 404, description = "Nobody remembers it", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Named(generation): Named<policy::Generation>,
) -> Result<axum::Json<Bundle>, ApiError> {
    Ok(axum::Json(Bundle::of(&former(&shared, generation).await?)))
}

/// Put in force again what was in force in a generation. Apps that have been switched off since stay so.
#[utoipa::path(post, path = "/v1/generations/{number}/rollback", tag = "policy",
    params(("number" = u64, Path), ChangeQuery),
    responses(
        (status = 200, body = Applied),
        (status = 404, description = "Nobody remembers it", body = wire::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not valid any more", body = wire::Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn rollback(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(generation): Named<policy::Generation>,
    Parameters(query): Parameters<ChangeQuery>,
) -> Result<axum::Json<Applied>, ApiError> {
    let (message, confirm_within) = query.read()?;
    let _edit = shared.edit().await;
    let now = shared.context.core.read(|state| state.gateway.generation()).await?;
    let former = former(&shared, generation).await?;
    let bundle = parsed(move || former.parsed()).await?.map_err(Refusal::Policy)?;
    // Whatever has changed meanwhile was not thought of.
    let (bundle, if_match, back_to) = (Box::new(bundle), Some(now), Some(generation));
    put_in_force(&shared, actor, Apply { bundle, if_match, message, confirm_within, back_to }).await
}

impl ChangeQuery {
    fn read(self) -> Result<(String, Option<Duration>), ApiError> {
        let message = self.message.unwrap_or_default();
        if message.chars().count() > LONGEST_MESSAGE {
            let error = format!("is longer than {LONGEST_MESSAGE} characters");
            return Err(ApiError::invalid(vec![FieldError::at("message", error)]));
        }
        let within = |text: String| {
            let wrong = || format!("`{text}` is not a time from 10s to 24h; write one like `5m`");
            let within = parse_duration(&text).filter(|within| CONFIRM.contains(within));
            within.ok_or_else(|| ApiError::invalid(vec![FieldError::at("confirm_within", wrong())]))
        };
        Ok((message, self.confirm_within.map(within).transpose()?))
    }
}

/// The bundle that a document means. What it does not say of an app's switch stays as it is.
async fn meant(shared: &Shared, bundle: Bundle) -> Result<policy::Bundle, ApiError> {
    let off = shared.context.core.read(|state| state.gateway.disabled_apps()).await?;
    let is_on = move |name: &str| !AppName::new(name).is_ok_and(|name| off.contains(&name));
    Ok(parsed(move || bundle.into_model(is_on)).await??)
}

async fn put_in_force(shared: &Shared, actor: Actor, apply: Apply) -> Result<axum::Json<Applied>, ApiError> {
    let Done { generation, regranted, .. } = shared.context.core.change(actor, Request::Apply(Box::new(apply))).await?;
    let read = |state: &CoreState| {
        let waiting = state.history.unconfirmed().and_then(|entry| entry.confirm_until);
        (state.gateway.generation(), waiting)
    };
    let (now, confirm_until) = shared.context.core.read(read).await?;
    Ok(axum::Json(Applied {
        generation: generation.unwrap_or(now).0,
        changed: generation.is_some(),
        sessions_gaining: regranted.iter().filter(|session| !session.gained.is_empty()).count(),
        sessions_losing: regranted.iter().filter(|session| !session.lost.is_empty()).count(),
        confirm_until,
    }))
}

async fn entry(shared: &Shared, generation: policy::Generation) -> Result<wire::Generation, ApiError> {
    let read = move |state: &CoreState| state.history.entry(generation).map(wire::Generation::from);
    shared.context.core.read(read).await?.ok_or_else(|| unknown(generation))
}

async fn former(shared: &Shared, generation: policy::Generation) -> Result<policy::Declared, ApiError> {
    let read = move |state: &CoreState| {
        let gateway = &state.gateway;
        if generation > gateway.generation() {
            return None;
        }
        if generation == gateway.generation() {
            return Some(gateway.bundle().declared());
        }
        state.history.back_to(generation, &gateway.bundle())
    };
    shared.context.core.read(read).await?.ok_or_else(|| unknown(generation))
}

fn unknown(generation: policy::Generation) -> ApiError {
    let detail = format!("generation {} is not remembered; `GET /v1/generations` lists those that are", generation.0);
    ApiError::missing(detail)
}
