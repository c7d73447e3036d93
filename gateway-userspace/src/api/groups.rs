//! Groups and their members.

use super::context::Shared;
use super::extract::{Named, NamedPair, Parameters};
use super::page::PageQuery;
use super::problem::ApiError;
use super::users;
use crate::core::{Actor, Request, State as CoreState};
use crate::policy::{GroupName, Input, Refusal, UserName};
use crate::wire::{self, Group, Page};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use std::sync::Arc;

/// List groups.
#[utoipa::path(get, path = "/v1/groups", tag = "groups", params(PageQuery), responses(
    (status = 200, body = Page<Group>),
))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<Group>>, ApiError> {
    let read = move |state: &CoreState| {
        let groups = state.gateway.groups();
        query.page(groups.iter(), |(name, _)| name.to_string(), |(name, members)| Group::of(name, members))
    };
    Ok(axum::Json(shared.context.core.read(read).await?))
}

/// Read a group.
#[utoipa::path(get, path = "/v1/groups/{name}", tag = "groups", params(("name" = String, Path)), responses(
    (status = 200, body = Group),
    (status = 404, description = "No such group", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    Named(name): Named<GroupName>,
) -> Result<axum::Json<Group>, ApiError> {
    current(&shared, name).await.map(axum::Json)
}

/// Create a group. Nothing happens if it exists.
#[utoipa::path(put, path = "/v1/groups/{name}", tag = "groups", params(("name" = String, Path)), responses(
    (status = 200, body = Group),
))]
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<GroupName>,
) -> Result<axum::Json<Group>, ApiError> {
    let _edit = shared.edit().await;
    shared.context.core.change(actor, Request::Policy(Input::PutGroup(name.clone()))).await?;
    current(&shared, name).await.map(axum::Json)
}

/// Remove a group, and everybody's membership in it. Their sessions follow at once.
#[utoipa::path(delete, path = "/v1/groups/{name}", tag = "groups", params(("name" = String, Path)), responses(
    (status = 204),
    (status = 404, description = "No such group", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<GroupName>,
) -> Result<StatusCode, ApiError> {
    let _edit = shared.edit().await;
    shared.context.core.change(actor, Request::Policy(Input::RemoveGroup(name))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a user a member of a group.
#[utoipa::path(put, path = "/v1/groups/{name}/members/{user}", tag = "groups",
    params(("name" = String, Path), ("user" = String, Path)),
    responses(
        (status = 200, body = Group),
        (status = 404, description = "No such user or group", body = wire::Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn add_member(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    NamedPair(group, user): NamedPair<GroupName, UserName>,
) -> Result<axum::Json<Group>, ApiError> {
    let _edit = shared.edit().await;
    let before = users::existing(&shared, user).await?;
    let mut user = before.clone();
    user.groups.insert(group.clone());
    users::unless_managed(&before, &user)?;
    shared.context.core.change(actor, Request::Policy(Input::PutUser(user))).await?;
    current(&shared, group).await.map(axum::Json)
}

/// End a user's membership in a group. Their sessions follow at once.
#[utoipa::path(delete, path = "/v1/groups/{name}/members/{user}", tag = "groups",
    params(("name" = String, Path), ("user" = String, Path)),
    responses(
        (status = 200, body = Group),
        (status = 404, description = "No such user or group", body = wire::Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove_member(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    NamedPair(group, user): NamedPair<GroupName, UserName>,
) -> Result<axum::Json<Group>, ApiError> {
    let _edit = shared.edit().await;
    current(&shared, group.clone()).await?;
    let before = users::existing(&shared, user).await?;
    let mut user = before.clone();
    if user.groups.remove(&group) {
        users::unless_managed(&before, &user)?;
        shared.context.core.change(actor, Request::Policy(Input::PutUser(user))).await?;
    }
    current(&shared, group).await.map(axum::Json)
}

async fn current(shared: &Shared, name: GroupName) -> Result<Group, ApiError> {
    let read = move |state: &CoreState| {
        let members = state.gateway.members(&name).map(|members| members.map(|user| user.name.clone()).collect());
        members.map(|members| Group::of(&name, &members)).ok_or_else(|| Refusal::UnknownGroup(name.clone()))
    };
    Ok(shared.context.core.read(read).await??)
}
