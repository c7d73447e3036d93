//! Signing in at an identity provider: in a browser, which is sent there and comes back, and by device code, for whoever
//! has no browser.

use super::context::Shared;
use super::cookie;
use super::extract::{Named, Peer};
use super::login::{self, Failure};
use super::portal::{refusal, welcome};
use super::problem::ApiError;
use super::providers::ProviderEntry;
use super::sign_ins::Begun;
use crate::core::{Actor, Who};
use crate::identity::SecretHash;
use crate::identity::oidc::{Ask, DevicePoll, Parameters, Prompt, Proven, Refusal};
use crate::policy::ProviderName;
use crate::wire::{DeviceLogin, DevicePending, LoginResponse, Page, Problem, Provider};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use secrecy::{ExposeSecret as _, SecretString};
use std::net::IpAddr;
use std::sync::Arc;

/// List the identity providers.
#[utoipa::path(get, path = "/v1/providers", tag = "session", responses((status = 200, body = Page<Provider>)))]
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> axum::Json<Page<Provider>> {
    let shape = |(name, entry): (&ProviderName, &ProviderEntry)| Provider {
        name: name.to_string(),
        title: entry.settings.title.clone(),
    };
    axum::Json(Page { items: shared.context.providers.iter().map(shape).collect(), next_cursor: None })
}

/// Go to a provider and sign in there.
#[utoipa::path(get, path = "/sign-in/{name}", tag = "pages",
    params(
        ("name" = String, Path, description = "The provider"),
        ("step_up" = Option<String>, Query, description = "`1` to sign in anew, and as strongly as possible"),
    ),
    responses(
        (status = 303, description = "To the provider"),
        (status = 403, description = "A page: not behind a guarded interface", body = String,
            content_type = "text/html"),
        (status = 404, description = "A page: no such provider", body = String, content_type = "text/html"),
        (status = 400, description = "Not a name", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "A page: not now", body = String, content_type = "text/html"),
    )
)]
pub(super) async fn start(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    Named(name): Named<ProviderName>,
    RawQuery(query): RawQuery,
) -> Response {
    let is_step_up = query.as_deref() == Some("step_up=1");
    match begin(&shared, peer, name, is_step_up).await {
        Ok((url, browser)) => {
            let mut response = Redirect::to(&url).into_response();
            cookie::SIGN_IN.set(&mut response, &browser);
            response
        }
        Err(failure) => refused(&shared, peer, failure),
    }
}

/// Come back from a provider.
#[utoipa::path(get, path = "/sign-in/{name}/callback", tag = "pages",
    params(("name" = String, Path, description = "The provider")),
    responses(
        (status = 303, description = "Signed in; to the first page"),
        (status = 400, description = "Not a name", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "A page that says why not", body = String, content_type = "text/html"),
        (status = 403, description = "A page that says why not", body = String, content_type = "text/html"),
        (status = 404, description = "A page: no such provider", body = String, content_type = "text/html"),
        (status = 409, description = "A page: the address is another user's", body = String,
            content_type = "text/html"),
        (status = 503, description = "A page: not now", body = String, content_type = "text/html"),
    )
)]
pub(super) async fn callback(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    Named(name): Named<ProviderName>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut response = match finish(&shared, peer, &name, query.as_deref().unwrap_or_default(), &headers).await {
        Ok(begun) => welcome(&begun.secret.0),
        Err(failure) => refused(&shared, peer, failure),
    };
    cookie::SIGN_IN.clear(&mut response);
    response
}

/// Begin to log in by device code: for whoever has no browser here.
#[utoipa::path(post, path = "/v1/login/device/{name}", tag = "session",
    params(("name" = String, Path, description = "The provider")),
    responses(
        (status = 200, body = DeviceLogin),
        (status = 403, description = "Not behind a guarded interface", body = Problem,
            content_type = "application/problem+json"),
        (status = 404, description = "No such provider, or it knows no device codes", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn device(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    Named(name): Named<ProviderName>,
) -> Result<axum::Json<DeviceLogin>, ApiError> {
    let begun = begin_device(&shared, peer, name).await;
    begun.map(axum::Json).map_err(|Failure(why, error)| record(&shared, peer, why, error))
}

/// Ask whether a login by device code has been confirmed. Its id is taken from the body.
#[utoipa::path(post, path = "/v1/login/device", tag = "session", request_body = DevicePending, responses(
    (status = 200, description = "Somebody has confirmed it", body = LoginResponse),
    (status = 202, description = "Nobody has yet: ask again in so many seconds", body = DevicePending),
    (status = 401, description = "It was refused, or is over", body = Problem,
        content_type = "application/problem+json"),
    (status = 403, description = "Not permitted", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The address belongs to another user's session", body = Problem,
        content_type = "application/problem+json"),
))]
pub(super) async fn poll(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    super::extract::Json(request): super::extract::Json<DevicePending>,
) -> Result<Response, ApiError> {
    let polled = poll_device(&shared, peer, request.id).await;
    polled.map_err(|Failure(why, error)| record(&shared, peer, why, error))
}

/// A failure, recorded. People are told apart by their provider, so nobody is named who has not been let in.
fn record(shared: &Shared, peer: IpAddr, why: &'static str, error: ApiError) -> ApiError {
    shared.context.recorder.login_failed("", peer, why);
    error
}

fn refused(shared: &Shared, peer: IpAddr, Failure(why, error): Failure) -> Response {
    refusal(record(shared, peer, why, error), Some(why))
}

/// What a provider's refusal is to a person.
fn failure(refusal: Refusal) -> Failure {
    let error = if refusal.is_outage() {
        ApiError::unavailable(format!("your identity provider cannot be asked now: {refusal}"))
    } else {
        ApiError::unauthorized(&format!("your identity provider's answer was not accepted: {refusal}"))
    };
    Failure(refusal.label(), error)
}

fn entry<'s>(shared: &'s Shared, name: &ProviderName) -> Result<&'s ProviderEntry, Failure> {
    let missing = || Failure("no_provider", ApiError::missing(format!("identity provider `{name}` is not configured")));
    shared.context.providers.get(name).ok_or_else(missing)
}

/// Where a browser goes, and what it has to bring back.
async fn begin(
    shared: &Shared,
    peer: IpAddr,
    name: ProviderName,
    is_step_up: bool,
) -> Result<(String, SecretString), Failure> {
    let entry = entry(shared, &name)?;
    // Whoever cannot have a session here hears so before they sign in.
    shared.context.resolver.resolve(peer).await.map_err(Failure::because("no_source"))?;
    let now = shared.now().wall;
    let ask = if is_step_up {
        let acr = entry.settings.mfa_acr.clone();
        Ask { prompt: Some(Prompt::Login), max_age: Some(std::time::Duration::ZERO), acr }
    } else {
        Ask::default()
    };
    let begun = entry.oidc.begin(&ask, now).await.map_err(failure)?;
    let browser = SecretString::from(crate::identity::random_text());
    let binding = Some(SecretHash::of(browser.expose_secret()));
    let (state, expires_at) = (begun.pending.state().to_owned(), begun.pending.expires_at());
    let login = Begun { provider: name, peer, binding, expires_at, pending: begun.pending };
    shared.browsers().keep(state, login, now).map_err(|_| busy())?;
    Ok((begun.url.into(), browser))
}

fn busy() -> Failure {
    Failure("busy", ApiError::unavailable("too many people are signing in; try again in a minute"))
}

async fn finish(
    shared: &Shared,
    peer: IpAddr,
    name: &ProviderName,
    query: &str,
    headers: &HeaderMap,
) -> Result<LoginResponse, Failure> {
    let entry = entry(shared, name)?;
    let parameters = Parameters::parse(query).map_err(failure)?;
    let now = shared.now().wall;
    let state = parameters.state().ok_or_else(|| failure(Refusal::StateMissing))?;
    let begun = shared.browsers().take(state, now).ok_or_else(|| failure(Refusal::StateWrong))?;
    let browser = cookie::SIGN_IN.read(headers).map(|value| SecretHash::of(value.expose_secret()));
    // A login that somebody else began, or that was begun for another provider, is not this browser's.
    if begun.provider != *name || begun.peer != peer || browser.is_none() || begun.binding != browser {
        return Err(failure(Refusal::StateWrong));
    }
    let proven = entry.oidc.finish(begun.pending, &parameters, now).await.map_err(failure)?;
    let_in(shared, peer, name, entry, proven).await
}

/// Begins the session of somebody whom a provider vouches for.
async fn let_in(
    shared: &Shared,
    peer: IpAddr,
    name: &ProviderName,
    entry: &ProviderEntry,
    proven: Proven,
) -> Result<LoginResponse, Failure> {
    let source = shared.context.resolver.resolve(peer).await.map_err(Failure::because("no_source"))?;
    let invalid = |error| Failure("name_invalid", ApiError::forbidden("identity", error));
    let arrival = entry.arrival(name, &proven).map_err(invalid)?;
    let proof = entry.proof(name, &proven, shared.now());
    let who = Who::Arrived(Box::new((arrival, entry.kept(name, proven))));
    login::begin(shared, Actor::provider(name, Some(source.address)), who, source, proof).await
}

async fn begin_device(shared: &Shared, peer: IpAddr, name: ProviderName) -> Result<DeviceLogin, Failure> {
    let entry = entry(shared, &name)?;
    // The provider is asked for each.
    shared.attempt(peer, None).map_err(Failure::because("throttled"))?;
    shared.context.resolver.resolve(peer).await.map_err(Failure::because("no_source"))?;
    let now = shared.now().wall;
    let started = entry.oidc.begin_device(now).await.map_err(|refusal| match refusal {
        Refusal::DeviceUnsupported => Failure(refusal.label(), ApiError::missing(refusal)),
        other => failure(other),
    })?;
    let id = crate::identity::random_text();
    let login = DeviceLogin {
        id: id.clone(),
        user_code: started.user_code,
        verification_uri: started.verification_uri.into(),
        verification_uri_complete: started.verification_uri_complete.map(Into::into),
        interval_s: started.interval.as_secs(),
        expires_at: started.expires_at,
    };
    let begun = Begun { provider: name, peer, binding: None, expires_at: started.expires_at, pending: started.pending };
    shared.devices().keep(id, begun, now).map_err(|_| busy())?;
    Ok(login)
}

async fn poll_device(shared: &Shared, peer: IpAddr, id: String) -> Result<Response, Failure> {
    let over = || Failure("device_over", ApiError::unauthorized("this login is over; begin again"));
    let now = shared.now().wall;
    let mut begun = shared.devices().take(&id, now).ok_or_else(over)?;
    if begun.peer != peer {
        return Err(over());
    }
    let name = begun.provider.clone();
    let entry = entry(shared, &name)?;
    let polled = match entry.oidc.poll_device(&mut begun.pending, now).await {
        // The provider is away: the login goes on when it is back.
        Err(refusal) if refusal.is_outage() => {
            shared.devices().put_back(id, begun);
            return Err(failure(refusal));
        }
        outcome => outcome.map_err(failure)?,
    };
    match polled {
        DevicePoll::Pending { next } | DevicePoll::SlowDown { next } => {
            shared.devices().put_back(id.clone(), begun);
            let wait = u64::try_from((next - now).whole_seconds()).unwrap_or(0).saturating_add(1);
            Ok((StatusCode::ACCEPTED, axum::Json(DevicePending { id, retry_in_s: Some(wait) })).into_response())
        }
        DevicePoll::Proven(proven) => {
            let begun = let_in(shared, peer, &name, entry, *proven).await?;
            Ok(axum::Json(begun).into_response())
        }
        DevicePoll::Denied => Err(failure(Refusal::AccessDenied)),
        DevicePoll::Expired => Err(over()),
    }
}
