//! Apps.

use super::context::Shared;
use super::extract::{Json, Named, Parameters};
use super::page::PageQuery;
use super::problem::ApiError;
use crate::core::{Actor, Request, State as CoreState};
use crate::policy::{self, AppName, Input, Refusal};
use crate::wire::{self, App, FieldError, Page};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
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
        query.page(state.gateway.apps(), |(_, app)| app.name.to_string(), |(_, app)| App::from(app))
    };
    Ok(axum::Json(shared.context.core.read(read).await?))
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
    let resolved = app.names.iter().filter_map(|name| (shared.context.names)(name)).collect();
    Ok(axum::Json(App { resolved, ..App::from(&app) }))
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
    Ok(axum::Json(App::from(&app)))
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
    Ok(axum::Json(App::from(&app)))
}

async fn existing(shared: &Shared, name: AppName) -> Result<policy::App, ApiError> {
    found(shared, &name).await?.ok_or_else(|| Refusal::UnknownApp(name).into())
}

async fn found(shared: &Shared, name: &AppName) -> Result<Option<policy::App>, ApiError> {
    let name = name.clone();
    Ok(shared.context.core.read(move |state| state.gateway.app(&name).map(|(_, app)| app.clone())).await?)
}
