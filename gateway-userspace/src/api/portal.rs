//! The pages on which people sign in and out, and see what they can reach.

use super::context::Shared;
use super::cookie::{self, is_from_here};
use super::extract::{Form, Peer};
use super::login::{self, Failure};
use super::pages::{AppLine, ProviderLink, RefusedPage, STYLE, SignInPage, SignedInPage, SignedOutPage, page};
use super::problem::ApiError;
use super::providers::ProviderEntry;
use crate::core::{Actor, Request, State as CoreState};
use crate::policy::{Assurance, EndCause, Input, ProviderName, Selector, Session};
use crate::wire::{LoginRequest, Moment};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use secrecy::SecretString;
use std::net::IpAddr;
use std::sync::Arc;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Sign in, or see what can be reached.
#[utoipa::path(get, path = "/", tag = "pages", responses(
    (status = 200, description = "A page", body = String, content_type = "text/html"),
    (status = 503, description = "A page that says why not", body = String, content_type = "text/html"),
))]
pub(super) async fn home(State(shared): State<Arc<Shared>>, Peer(peer): Peer, headers: HeaderMap) -> Response {
    match signed_in(&shared, peer, &headers).await {
        Ok(Some(session)) => match reach(&shared, session).await {
            Ok(found) => page(StatusCode::OK, &found),
            Err(error) => refusal(error, None),
        },
        Ok(None) => page(StatusCode::OK, &sign_in_page(&shared, None)),
        Err(error) => refusal(error, None),
    }
}

/// Sign in with a password of the gateway.
#[utoipa::path(post, path = "/sign-in", tag = "pages",
    request_body(content = LoginRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Signed in; back to the first page"),
        (status = 400, description = "Not a form", body = crate::wire::Problem,
            content_type = "application/problem+json"),
        (status = 401, description = "A page: the name or the password is wrong", body = String,
            content_type = "text/html"),
        (status = 403, description = "A page that says why not", body = String, content_type = "text/html"),
        (status = 409, description = "A page: the address is another user's", body = String,
            content_type = "text/html"),
        (status = 429, description = "A page: too many attempts", body = String, content_type = "text/html"),
        (status = 503, description = "A page: not now", body = String, content_type = "text/html"),
    )
)]
pub(super) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    Form(request): Form<LoginRequest>,
) -> Response {
    if !is_from_here(&headers) {
        return refusal(elsewhere(), Some("cross_site"));
    }
    match login::with_password(&shared, peer, request).await {
        Ok(begun) => welcome(&begun.secret.0),
        Err(Failure(_, error)) if error.status() == StatusCode::UNAUTHORIZED => page(
            StatusCode::UNAUTHORIZED,
            &sign_in_page(&shared, Some("The user name or the password is wrong.".into())),
        ),
        Err(Failure(why, error)) => refusal(error, Some(why)),
    }
}

/// Sign out: the session of this browser ends, and open connections with it.
#[utoipa::path(post, path = "/sign-out", tag = "pages", responses(
    (status = 200, description = "A page", body = String, content_type = "text/html"),
    (status = 403, description = "A page: the form came from elsewhere", body = String, content_type = "text/html"),
    (status = 503, description = "A page: not now", body = String, content_type = "text/html"),
))]
pub(super) async fn sign_out(State(shared): State<Arc<Shared>>, Peer(peer): Peer, headers: HeaderMap) -> Response {
    if !is_from_here(&headers) {
        return refusal(elsewhere(), Some("cross_site"));
    }
    let next = match end(&shared, peer, &headers).await {
        Ok(next) => next,
        Err(error) => return refusal(error, None),
    };
    let mut response = page(StatusCode::OK, &SignedOutPage { next });
    cookie::SESSION.clear(&mut response);
    response
}

/// How the pages look.
#[utoipa::path(get, path = "/style.css", tag = "pages", responses(
    (status = 200, body = String, content_type = "text/css"),
))]
pub(super) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// Ends the session of a browser. Returns where it can sign out of its provider too.
async fn end(shared: &Shared, peer: IpAddr, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(session) = signed_in(shared, peer, headers).await? else { return Ok(None) };
    let token = session.token;
    let kept = move |state: &CoreState| state.accounts.provider_sessions.get(&token).cloned();
    let kept = shared.context.core.read_first(kept).await?;
    let actor = Actor { name: session.user.to_string(), address: Some(peer) };
    let input = Input::End { which: Selector::Session(token), cause: EndCause::Logout };
    shared.context.core.change(actor, Request::Policy(input)).await?;
    match kept {
        Some(kept) => Ok(shared.context.providers.sign_out_at(&kept, shared.now().wall).await.map(Into::into)),
        None => Ok(None),
    }
}

/// The session of a browser, if it has one at its address.
async fn signed_in(shared: &Shared, peer: IpAddr, headers: &HeaderMap) -> Result<Option<Session>, ApiError> {
    let Some(secret) = cookie::SESSION.read(headers) else { return Ok(None) };
    login::session_of(shared, peer, secret).await
}

/// A browser that has a session now.
pub(super) fn welcome(secret: &SecretString) -> Response {
    let mut response = Redirect::to("/").into_response();
    cookie::SESSION.set(&mut response, secret);
    response
}

/// The page for what went wrong.
pub(super) fn refusal(error: ApiError, reason: Option<&'static str>) -> Response {
    let (status, detail) = error.into_words();
    page(status, &RefusedPage { detail, reason })
}

fn elsewhere() -> ApiError {
    ApiError::forbidden(
        "cross-site",
        "the form was not sent from a page of this gateway; go to its first page and try again",
    )
}

fn sign_in_page(shared: &Shared, problem: Option<String>) -> SignInPage {
    let link = |(name, entry): (&ProviderName, &ProviderEntry)| ProviderLink {
        name: name.to_string(),
        title: entry.settings.title.clone(),
    };
    SignInPage { providers: shared.context.providers.iter().map(link).collect(), problem }
}

async fn reach(shared: &Shared, session: Session) -> Result<SignedInPage, ApiError> {
    let now = shared.now();
    let stronger = shared.context.providers.stronger(&session);
    let read = move |state: &CoreState| signed_in_page(state, &session, now, &stronger);
    Ok(shared.context.core.read(read).await?)
}

fn signed_in_page(state: &CoreState, session: &Session, now: Moment, stronger: &Assurance) -> SignedInPage {
    let until = now.wall_of(session.deadline);
    let line = |name| {
        let (_, app) = state.gateway.app(name)?;
        let names = app.names.iter().map(ToString::to_string);
        let places = names.chain(app.prefixes.iter().map(ToString::to_string));
        let ways = app.services.iter().map(ToString::to_string);
        let places = format!("{}: {}", places.collect::<Vec<_>>().join(", "), ways.collect::<Vec<_>>().join(", "));
        Some(AppLine { name: name.to_string(), description: app.description.clone(), places })
    };
    let provider = session.assurance.provider.as_ref().map(ToString::to_string);
    let short = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    SignedInPage {
        user: session.user.to_string(),
        address: session.source.address.to_string(),
        until: until.format(short).unwrap_or_default(),
        until_machine: until.format(&Rfc3339).unwrap_or_default(),
        apps: session.permitted.keys().filter_map(line).collect(),
        step_up: match provider {
            Some(_) => {
                state.gateway.within_reach(session, stronger, now.boot).iter().map(ToString::to_string).collect()
            }
            None => Vec::new(),
        },
        provider,
    }
}
