//! Apps.

use super::context::Shared;
use super::extract::{Json, Named, Parameters};
use super::page::PageQuery;
use super::problem::ApiError;
use crate::core::{Actor, Request, State as CoreState};
use crate::policy::{self, AppName, Input, Refusal};
use crate::wire::{self, App, AppHealth, FieldError, Page, RefusedAddress, ResolvedName};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::Arc;

/// List apps.
#[utoipa::path(get, path = "/v1/apps", tag = "apps", params(PageQuery), responses(
    (status = 200, body = Page<App>),
))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<App>>, ApiError> {
    let read = move |state: &CoreState| {
        query.page(state.gateway.apps(), |(_, app)| app.name.to_string(), |(_, app)| app.clone())
    };
    let Page { items, next_cursor } = shared.context.core.read(read).await?;
    Ok(axum::Json(Page { items: items.iter().map(|app| shown(&shared, app)).collect(), next_cursor }))
}

/// Read an app.
#[utoipa::path(get, path = "/v1/apps/{name}", tag = "apps", params(("name" = String, Path)), responses(
    (status = 200, body = App),
    (status = 404, description = "No such app", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    Named(name): Named<AppName>,
) -> Result<axum::Json<App>, ApiError> {
    let app = existing(&shared, name).await?;
    let mut resolved: Vec<ResolvedName> = app.names.iter().filter_map(|name| (shared.context.names)(name)).collect();
    let mut refused = refused(&shared, &app).await?;
    for name in &mut resolved {
        name.refused = refused.remove(&name.name).unwrap_or_default();
    }
    Ok(axum::Json(App { resolved, ..shown(&shared, &app) }))
}

/// Create an app, or replace its definition. Sessions follow at once.
#[utoipa::path(put, path = "/v1/apps/{name}", tag = "apps", params(("name" = String, Path)), request_body = App,
    responses(
        (status = 200, body = App),
        (status = 422, description = "Not valid", body = wire::Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<AppName>,
    Json(mut request): Json<App>,
) -> Result<axum::Json<App>, ApiError> {
    if request.name.is_empty() {
        request.name = name.to_string();
    }
    let _edit = shared.edit().await;
    let enabled = found(&shared, &name).await?.is_none_or(|app| app.enabled);
    let app = request.into_model(enabled)?;
    if app.name != name {
        let message = format!("the app is named `{}` and its path says `{name}`; make them equal", app.name);
        return Err(ApiError::invalid(vec![FieldError::at("name", message)]));
    }
    shared.context.core.change(actor, Request::Policy(Input::PutApp(app))).await?;
    let app = existing(&shared, name).await?;
    Ok(axum::Json(shown(&shared, &app)))
}

/// Remove an app. Nobody reaches it any more.
#[utoipa::path(delete, path = "/v1/apps/{name}", tag = "apps", params(("name" = String, Path)), responses(
    (status = 204),
    (status = 404, description = "No such app", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<AppName>,
) -> Result<StatusCode, ApiError> {
    let _edit = shared.edit().await;
    shared.context.core.change(actor, Request::Policy(Input::RemoveApp(name))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enable an app: policy grants it again.
#[utoipa::path(post, path = "/v1/apps/{name}/enable", tag = "apps", params(("name" = String, Path)), responses(
    (status = 200, body = App),
    (status = 404, description = "No such app", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn enable(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<AppName>,
) -> Result<axum::Json<App>, ApiError> {
    switch(&shared, actor, name, true).await
}

/// Disable an app: nobody reaches it, whatever policy says.
#[utoipa::path(post, path = "/v1/apps/{name}/disable", tag = "apps", params(("name" = String, Path)), responses(
    (status = 200, body = App),
    (status = 404, description = "No such app", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn disable(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<AppName>,
) -> Result<axum::Json<App>, ApiError> {
    switch(&shared, actor, name, false).await
}

async fn switch(shared: &Shared, actor: Actor, name: AppName, enabled: bool) -> Result<axum::Json<App>, ApiError> {
    let _edit = shared.edit().await;
    let app = policy::App { enabled, ..existing(shared, name).await? };
    shared.context.core.change(actor, Request::Policy(Input::PutApp(app.clone()))).await?;
    Ok(axum::Json(shown(shared, &app)))
}

/// An app, and what its health check has found.
fn shown(shared: &Shared, app: &policy::App) -> App {
    let found = app.health.as_ref().map(|check| shared.context.health.of(&app.name, check));
    App { health_state: found.map(|found| AppHealth::of(&found, shared.now())), ..App::from(app) }
}

/// The addresses that names of an app lead to and that are not its, by name.
async fn refused(shared: &Shared, app: &policy::App) -> Result<BTreeMap<String, Vec<RefusedAddress>>, ApiError> {
    let of = app.name.clone();
    if app.names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let read = move |state: &CoreState| {
        let mut refused: BTreeMap<String, Vec<RefusedAddress>> = BTreeMap::new();
        for ((_, name, address), why) in state.gateway.located().refused.into_iter().filter(|((app, ..), _)| *app == of)
        {
            let (address, reason, detail) = (address.to_string(), why.label().to_owned(), why.to_string());
            refused.entry(name.to_string()).or_default().push(RefusedAddress { address, reason, detail });
        }
        refused
    };
    Ok(shared.context.core.read(read).await?)
}

async fn existing(shared: &Shared, name: AppName) -> Result<policy::App, ApiError> {
    found(shared, &name).await?.ok_or_else(|| Refusal::UnknownApp(name).into())
}

async fn found(shared: &Shared, name: &AppName) -> Result<Option<policy::App>, ApiError> {
    let name = name.clone();
    Ok(shared.context.core.read(move |state| state.gateway.app(&name).map(|(_, app)| app.clone())).await?)
}
