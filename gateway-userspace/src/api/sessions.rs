//! Sessions, and their end.

use super::context::Shared;
use super::extract::{Json, Named, Parameters, Segment as _};
use super::page::PageQuery;
use super::problem::ApiError;
use crate::core::{Actor, Request, State as CoreState};
use crate::policy::{AppName, EndCause, Gateway, Input, Refusal, Selector, SessionToken, UserName};
use crate::wire::{self, FieldError, Page, Receipt, Receipts, Revocation, Session};
use axum::extract::{Extension, State};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which sessions, and which page of them.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SessionQuery {
    /// Of this user.
    user: Option<String>,
    /// That may reach this app.
    app: Option<String>,
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<String>,
    /// How many entries at most: 1 to 1000, usually 100.
    limit: Option<usize>,
}

/// List sessions.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", params(SessionQuery), responses(
    (status = 200, body = Page<Session>),
))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Parameters(query): Parameters<SessionQuery>,
) -> Result<axum::Json<Page<Session>>, ApiError> {
    let SessionQuery { user, app, cursor, limit } = query;
    let user = user.as_deref().map(UserName::read).transpose()?;
    let app = app.as_deref().map(AppName::read).transpose()?;
    let (page, now) = (PageQuery { cursor, limit }, shared.now());
    let read = move |state: &CoreState| {
        let of_app =
            |session: &&crate::policy::Session| app.as_ref().is_none_or(|app| session.permitted.contains_key(app));
        let sessions = sessions(&state.gateway, user.as_ref(), page.cursor.as_deref()).filter(of_app);
        page.page(sessions, |session| session.token.to_string(), |session| Session::of(session, now))
    };
    Ok(axum::Json(shared.context.core.read(read).await?))
}

/// Those of a user, or all that come after the cursor, in the order of tokens: nobody looks through a million for a
/// page of a hundred.
fn sessions<'g>(
    gateway: &'g Gateway,
    user: Option<&UserName>,
    cursor: Option<&str>,
) -> Box<dyn Iterator<Item = &'g crate::policy::Session> + 'g> {
    match user {
        Some(user) => {
            let mut own: Vec<_> = gateway.sessions_of(user).collect();
            own.sort_unstable_by_key(|session| session.token);
            Box::new(own.into_iter())
        }
        // What is no token stands where it would among the texts of tokens, which is found by looking.
        None => Box::new(gateway.sessions_after(cursor.and_then(|cursor| SessionToken::read(cursor).ok()))),
    }
}

/// Read a session.
#[utoipa::path(get, path = "/v1/sessions/{token}", tag = "sessions", params(("token" = String, Path)), responses(
    (status = 200, body = Session),
    (status = 404, description = "No such session", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    Named(token): Named<SessionToken>,
) -> Result<axum::Json<Session>, ApiError> {
    let now = shared.now();
    let read = move |state: &CoreState| {
        let session = state.gateway.session(token).map(|session| Session::of(session, now));
        session.ok_or(Refusal::UnknownSession(token))
    };
    Ok(axum::Json(shared.context.core.read(read).await??))
}

/// Revoke a session: from the answer on it forwards nothing.
#[utoipa::path(delete, path = "/v1/sessions/{token}", tag = "sessions", params(("token" = String, Path)), responses(
    (status = 200, body = Receipt),
    (status = 404, description = "No such session", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Named(token): Named<SessionToken>,
) -> Result<axum::Json<Receipt>, ApiError> {
    let input = Input::End { which: Selector::Session(token), cause: EndCause::Revoked };
    let done = shared.context.core.change(actor, Request::Policy(input)).await?;
    // Others may have come to their deadline in the same step.
    let receipt = done.receipts.iter().find(|receipt| receipt.session.token == token);
    receipt.map(|receipt| axum::Json(receipt.into())).ok_or_else(|| Refusal::UnknownSession(token).into())
}

/// Revoke one session, all of a user, all that may reach an app, or all.
#[utoipa::path(post, path = "/v1/revocations", tag = "sessions", request_body = Revocation, responses(
    (status = 200, body = Receipts),
    (status = 404, description = "No such session, user or app", body = wire::Problem,
        content_type = "application/problem+json"),
    (status = 422, description = "Not exactly one of the four", body = wire::Problem,
        content_type = "application/problem+json"),
))]
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    Json(request): Json<Revocation>,
) -> Result<axum::Json<Receipts>, ApiError> {
    let input = Input::End { which: selector(request)?, cause: EndCause::Revoked };
    let done = shared.context.core.change(actor, Request::Policy(input)).await?;
    Ok(axum::Json(done.receipts.as_slice().into()))
}

fn selector(request: Revocation) -> Result<Selector, ApiError> {
    match request {
        Revocation { session: Some(token), user: None, app: None, all: None } => {
            SessionToken::read(&token).map(Selector::Session)
        }
        Revocation { session: None, user: Some(user), app: None, all: None } => {
            UserName::read(&user).map(Selector::User)
        }
        Revocation { session: None, user: None, app: Some(app), all: None } => AppName::read(&app).map(Selector::App),
        Revocation { session: None, user: None, app: None, all: Some(true) } => Ok(Selector::All),
        _ => {
            let message = "name exactly one of `session`, `user`, `app` and `\"all\": true`".to_owned();
            Err(ApiError::invalid(vec![FieldError { message, ..FieldError::default() }]))
        }
    }
}
