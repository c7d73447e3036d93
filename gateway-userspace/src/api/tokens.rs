//! API tokens.

use super::context::Shared;
use super::extract::{Json, Named, Parameters};
use super::page::PageQuery;
use super::problem::ApiError;
use crate::core::{Actor, Request, State as CoreState};
use crate::identity::{self, Scope, TokenId};
use crate::wire::{self, ApiToken, ApiTokenCreated, ApiTokenRequest, FieldError, Page, Secret};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use std::collections::BTreeSet;
use std::sync::Arc;
use time::OffsetDateTime;

const LONGEST_NAME: usize = 128;

/// List API tokens, without their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(PageQuery), responses(
    (status = 200, body = Page<ApiToken>),
))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<ApiToken>>, ApiError> {
    let read = move |state: &CoreState| {
        query.page(state.accounts.tokens.values(), |token| token.id.to_string(), ApiToken::from)
    };
    Ok(axum::Json(shared.context.core.read(read).await?))
}

/// Create an API token. The answer holds its secret, for this once.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = ApiTokenRequest, responses(
    (status = 201, body = ApiTokenCreated),
    (status = 422, description = "Not valid", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Json(request): Json<ApiTokenRequest>,
) -> Result<(StatusCode, axum::Json<ApiTokenCreated>), ApiError> {
    let now = shared.now().wall;
    let scopes = check(&request, now)?;
    let (token, secret) = identity::ApiToken::issue(request.name, scopes, now, request.expires_at);
    let shape = ApiToken::from(&token);
    shared.context.core.change(actor, Request::PutApiToken(token)).await?;
    Ok((StatusCode::CREATED, axum::Json(ApiTokenCreated { token: shape, secret: Secret(secret) })))
}

/// Remove an API token. It is worth nothing from the answer on.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)), responses(
    (status = 204),
    (status = 404, description = "No such token", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(id): Named<TokenId>,
) -> Result<StatusCode, ApiError> {
    shared.context.core.change(actor, Request::RemoveApiToken(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check(request: &ApiTokenRequest, now: OffsetDateTime) -> Result<BTreeSet<Scope>, ApiError> {
    let mut errors = Vec::new();
    let length = request.name.chars().count();
    if length == 0 || length > LONGEST_NAME || request.name.chars().any(char::is_control) {
        errors.push(FieldError::at("name", format!("use 1 to {LONGEST_NAME} printable characters")));
    }
    let scopes: Result<BTreeSet<Scope>, _> = request.scopes.iter().map(|scope| scope.parse()).collect();
    match &scopes {
        Ok(scopes) if scopes.is_empty() => errors.push(FieldError::at("scopes", "name at least one")),
        Ok(_) => {}
        Err(error) => errors.push(FieldError::at("scopes", error)),
    }
    if request.expires_at.is_some_and(|end| end <= now) {
        errors.push(FieldError::at("expires_at", "this time has passed"));
    }
    scopes.ok().filter(|_| errors.is_empty()).ok_or_else(|| ApiError::invalid(errors))
}
