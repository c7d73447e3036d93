//! Signing out at an identity provider: it tells the gateway, and sessions that began there end (OpenID Connect
//! Back-Channel Logout 1.0).

use super::context::Shared;
use super::extract::{Form, Named, Peer};
use super::problem::ApiError;
use crate::core::{Actor, Request, State as CoreState};
use crate::identity::oidc::{LogoutToken, Refusal};
use crate::policy::{EndCause, Input, ProviderName, Selector};
use crate::wire::{LogoutRequest, Problem, Receipts};
use axum::extract::State;
use std::sync::{Arc, PoisonError};

/// End the sessions of somebody who has signed out at a provider. Answered when the kernel forwards nothing any more.
#[utoipa::path(post, path = "/oidc/{name}/logout", tag = "providers",
    params(("name" = String, Path, description = "The provider")),
    request_body(content = LogoutRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The receipts of the sessions", body = Receipts),
        (status = 400, description = "Not a logout token of this provider", body = Problem,
            content_type = "application/problem+json"),
        (status = 404, description = "No such provider", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn back_channel(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    Named(name): Named<ProviderName>,
    Form(request): Form<LogoutRequest>,
) -> Result<axum::Json<Receipts>, ApiError> {
    let entry = shared.context.providers.get(&name).ok_or_else(ApiError::not_found)?;
    let now = shared.now().wall;
    let refused = |refusal: Refusal| {
        tracing::warn!(provider = %name, %peer, reason = refusal.label(), "a logout token was refused");
        if refusal.is_outage() { ApiError::unavailable(refusal) } else { ApiError::bad_request(refusal) }
    };
    let token = entry.oidc.logout_token(&request.logout_token, now).await.map_err(refused)?;
    let admitted = {
        let mut replays = entry.replays.lock().unwrap_or_else(PoisonError::into_inner);
        replays.admit(&entry.oidc.settings().issuer, &token.jti, token.forget_at, now)
    };
    admitted.map_err(|refusal| refused(refusal.into()))?;
    let meant = sessions(&shared, &name, token).await?;
    let actor = Actor::provider(&name, Some(peer));
    let input = Input::End { which: meant, cause: EndCause::ProviderLogout };
    let done = shared.context.core.change(actor, Request::Policy(input)).await?;
    Ok(axum::Json(done.receipts.as_slice().into()))
}

async fn sessions(shared: &Shared, name: &ProviderName, token: LogoutToken) -> Result<Selector, ApiError> {
    let name = name.clone();
    let find = move |state: &CoreState| {
        let LogoutToken { subject, sid, .. } = &token;
        Selector::Sessions(state.begun_at(&name, subject.as_deref(), sid.as_deref()))
    };
    Ok(shared.context.core.read_first(find).await?)
}
