//! Services: automation, and hosts without a person.

use super::access::Scopes;
use super::context::Shared;
use super::extract::{Json, Named, Parameters};
use super::page::PageQuery;
use super::problem::ApiError;
use crate::core::{Actor, Request, State as CoreState};
use crate::identity::{Scope, Service, ServiceRefusal};
use crate::policy::{User, UserName};
use crate::wire::{self, Page, ServiceIdentity, ServicePut};
use axum::extract::{Extension, State};
use std::sync::Arc;

/// List services.
#[utoipa::path(get, path = "/v1/services", tag = "services", params(PageQuery), responses(
    (status = 200, body = Page<ServiceIdentity>),
))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<ServiceIdentity>>, ApiError> {
    let read = move |state: &CoreState| {
        let services = state.accounts.services.iter();
        let services = services.filter_map(|service| Some((service, state.gateway.user(&service.name)?)));
        query.page(
            services,
            |(service, _)| service.name.to_string(),
            |(service, user)| ServiceIdentity::of(service, user),
        )
    };
    Ok(axum::Json(shared.context.core.read(read).await?))
}

/// Read a service.
#[utoipa::path(get, path = "/v1/services/{name}", tag = "services", params(("name" = String, Path)), responses(
    (status = 200, body = ServiceIdentity),
    (status = 404, description = "No such service", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    Named(name): Named<UserName>,
) -> Result<axum::Json<ServiceIdentity>, ApiError> {
    current(&shared, name).await.map(axum::Json)
}

/// Create a service, or replace what is known of it. Its sessions end if it proves itself with something else then.
#[utoipa::path(put, path = "/v1/services/{name}", tag = "services", params(("name" = String, Path)),
    request_body = ServicePut,
    responses(
        (status = 200, body = ServiceIdentity),
        (status = 403, description = "Scopes are for `admin` to give", body = wire::Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "A person's name, or what it would prove itself with is another service's",
            body = wire::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not valid", body = wire::Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Extension(scopes): Extension<Scopes>,
    Named(name): Named<UserName>,
    Json(request): Json<ServicePut>,
) -> Result<axum::Json<ServiceIdentity>, ApiError> {
    let _edit = shared.edit().await;
    let (known, before) = found(&shared, &name).await?;
    let created_at = shared.now().wall;
    let fresh = || Service::new(name.clone(), created_at);
    let was = before.clone().unwrap_or_else(fresh);
    let (user, service) = request.into_model(known.unwrap_or_else(|| User::new(name.clone())), was)?;
    may_put(&scopes, before.as_ref(), &service)?;
    let changed = shared.context.core.change(actor, Request::PutService { user, service }).await;
    changed.map_err(ApiError::in_the_body)?;
    current(&shared, name).await.map(axum::Json)
}

/// Remove a service. Its sessions end.
#[utoipa::path(delete, path = "/v1/services/{name}", tag = "services", params(("name" = String, Path)), responses(
    (status = 200, description = "The receipts of its sessions", body = wire::Receipts),
    (status = 404, description = "No such service", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(name): Named<UserName>,
) -> Result<axum::Json<wire::Receipts>, ApiError> {
    let _edit = shared.edit().await;
    let done = shared.context.core.change(actor, Request::RemoveService(name)).await?;
    Ok(axum::Json(done.receipts.as_slice().into()))
}

/// Nobody gives scopes but who has them all. A service that has some is not to prove itself with what somebody else chooses
/// either: that would be to have them.
fn may_put(caller: &Scopes, before: Option<&Service>, after: &Service) -> Result<(), ApiError> {
    let had = |scope: &Scope| before.is_some_and(|before| before.scopes.contains(scope));
    let gives = !after.scopes.iter().all(had);
    let hands_over = !after.scopes.is_empty() && !before.is_some_and(|before| before.proves_itself_as(after));
    if (gives || hands_over) && !Scope::Admin.is_among(&caller.0) {
        let detail = "only who has the scope `admin` may give a service scopes, or change what one that has some proves \
                      itself with";
        return Err(ApiError::forbidden("scope", detail));
    }
    Ok(())
}

async fn found(shared: &Shared, name: &UserName) -> Result<(Option<User>, Option<Service>), ApiError> {
    let name = name.clone();
    let read =
        move |state: &CoreState| (state.gateway.user(&name).cloned(), state.accounts.services.get(&name).cloned());
    Ok(shared.context.core.read_first(read).await?)
}

async fn current(shared: &Shared, name: UserName) -> Result<ServiceIdentity, ApiError> {
    let read = move |state: &CoreState| {
        let both = (state.accounts.services.get(&name), state.gateway.user(&name));
        let (Some(service), Some(user)) = both else { return Err(ServiceRefusal::Unknown(name)) };
        Ok(ServiceIdentity::of(service, user))
    };
    Ok(shared.context.core.read(read).await??)
}
