//! Users.

use super::context::Shared;
use super::extract::{Json, Named, Parameters};
use super::page::PageQuery;
use super::problem::ApiError;
use crate::core::{Actor, Request, State as CoreState};
use crate::policy::{Attributes, GroupName, Input, Refusal, User, UserName};
use crate::wire::{self, Page, PasswordChange, RiskPut, UserPut};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use std::collections::BTreeSet;
use std::sync::Arc;

/// List users.
#[utoipa::path(get, path = "/v1/users", tag = "users", params(PageQuery), responses(
    (status = 200, body = Page<wire::User>),
))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<wire::User>>, ApiError> {
    let read = move |state: &CoreState| {
        query.page(state.gateway.users(), |user| user.name.to_string(), |user| shape(state, user))
    };
    Ok(axum::Json(shared.context.core.read(read).await?))
}

/// Read a user.
#[utoipa::path(get, path = "/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses(
    (status = 200, body = wire::User),
    (status = 404, description = "No such user", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    Named(name): Named<UserName>,
) -> Result<axum::Json<wire::User>, ApiError> {
    current(&shared, name).await.map(axum::Json)
}

/// Create a user, or replace what is known of them. Their sessions follow at once.
#[utoipa::path(put, path = "/v1/users/{name}", tag = "users", params(("name" = String, Path)), request_body = UserPut,
    responses(
        (status = 200, body = wire::User),
        (status = 422, description = "Not valid", body = wire::Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<UserName>,
    Json(mut request): Json<UserPut>,
) -> Result<axum::Json<wire::User>, ApiError> {
    // Hashed before the lock is taken: it is slow, and nobody's removal should wait for it.
    let password = match request.password.take() {
        Some(password) => Some(shared.verifier.hash(password.0).await?),
        None => None,
    };
    let _edit = shared.edit().await;
    let before = found(&shared, &name).await?.unwrap_or_else(|| User::new(name.clone()));
    let user = request.into_model(before.clone())?;
    unless_managed(&before, &user)?;
    let changed = shared.context.core.change(actor, Request::PutUser { user, password }).await;
    changed.map_err(ApiError::in_the_body)?;
    current(&shared, name).await.map(axum::Json)
}

/// Remove a user. Their sessions end.
#[utoipa::path(delete, path = "/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses(
    (status = 200, description = "The receipts of their sessions", body = wire::Receipts),
    (status = 404, description = "No such user", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<UserName>,
) -> Result<axum::Json<wire::Receipts>, ApiError> {
    let _edit = shared.edit().await;
    let done = shared.context.core.change(actor, Request::Policy(Input::RemoveUser(name))).await?;
    Ok(axum::Json(done.receipts.as_slice().into()))
}

/// Set a user's password.
#[utoipa::path(put, path = "/v1/users/{name}/password", tag = "users", params(("name" = String, Path)),
    request_body = PasswordChange,
    responses(
        (status = 204),
        (status = 404, description = "No such user", body = wire::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not good enough", body = wire::Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_password(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(user): Named<UserName>,
    Json(request): Json<PasswordChange>,
) -> Result<StatusCode, ApiError> {
    let password = shared.verifier.hash(request.password.0).await?;
    shared.context.core.change(actor, Request::SetPassword { user, password }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enable a user: they may log in again.
#[utoipa::path(post, path = "/v1/users/{name}/enable", tag = "users", params(("name" = String, Path)), responses(
    (status = 200, body = wire::Receipts),
    (status = 404, description = "No such user", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn enable(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<UserName>,
) -> Result<axum::Json<wire::Receipts>, ApiError> {
    switch(&shared, actor, name, true).await
}

/// Disable a user: their sessions end, and they cannot log in.
#[utoipa::path(post, path = "/v1/users/{name}/disable", tag = "users", params(("name" = String, Path)), responses(
    (status = 200, description = "The receipts of their sessions", body = wire::Receipts),
    (status = 404, description = "No such user", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn disable(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<UserName>,
) -> Result<axum::Json<wire::Receipts>, ApiError> {
    switch(&shared, actor, name, false).await
}

/// Say how likely it is that somebody else acts as a user. Their sessions follow at once.
#[utoipa::path(post, path = "/v1/users/{name}/risk", tag = "users", params(("name" = String, Path)),
    request_body = RiskPut,
    responses(
        (status = 200, body = wire::User),
        (status = 404, description = "No such user", body = wire::Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn risk(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<UserName>,
    Json(request): Json<RiskPut>,
) -> Result<axum::Json<wire::User>, ApiError> {
    let _edit = shared.edit().await;
    let user = existing(&shared, name.clone()).await?;
    let risk_at = shared.now().wall.unix_timestamp();
    let input = Input::PutUser(User { risk: request.model(), risk_at, ..user });
    shared.context.core.change(actor, Request::Policy(input)).await?;
    current(&shared, name).await.map(axum::Json)
}

async fn switch(
    shared: &Shared,
    actor: Actor,
    name: UserName,
    enabled: bool,
) -> Result<axum::Json<wire::Receipts>, ApiError> {
    let _edit = shared.edit().await;
    let user = existing(shared, name).await?;
    let input = Input::PutUser(User { enabled, ..user });
    let done = shared.context.core.change(actor, Request::Policy(input)).await?;
    Ok(axum::Json(done.receipts.as_slice().into()))
}

/// Names, groups and attributes of whoever comes from a provider change there, and only there.
pub(super) fn unless_managed(before: &User, after: &User) -> Result<(), ApiError> {
    match &before.provider {
        Some(provider) if managed(before) != managed(after) => {
            Err(Refusal::Managed(before.name.clone(), provider.clone()).into())
        }
        _ => Ok(()),
    }
}

fn managed(user: &User) -> (&BTreeSet<GroupName>, &str, &Attributes) {
    (&user.groups, &user.display_name, &user.attributes)
}

/// A user as they are, for a change.
pub(super) async fn existing(shared: &Shared, name: UserName) -> Result<User, ApiError> {
    found(shared, &name).await?.ok_or_else(|| Refusal::UnknownUser(name).into())
}

async fn found(shared: &Shared, name: &UserName) -> Result<Option<User>, ApiError> {
    let name = name.clone();
    Ok(shared.context.core.read_first(move |state| state.gateway.user(&name).cloned()).await?)
}

async fn current(shared: &Shared, name: UserName) -> Result<wire::User, ApiError> {
    let read = move |state: &CoreState| {
        let user = state.gateway.user(&name).map(|user| shape(state, user));
        user.ok_or(Refusal::UnknownUser(name))
    };
    Ok(shared.context.core.read(read).await??)
}

fn shape(state: &CoreState, user: &User) -> wire::User {
    wire::User::of(user, state.accounts.passwords.contains_key(&user.name))
}
