//! Login, logout, and the session of whoever asks: for people and services behind guarded interfaces.

use super::client_certificate::Presented;
use super::context::Shared;
use super::extract::{Json, Peer, bearer};
use super::problem::ApiError;
use super::proof::{Proved, Unproved, by_certificate, by_token, is_signed_token};
use crate::core::{Actor, CoreError, Login, Request, Who};
use crate::identity::{Credential, PasswordHash, SessionSecret};
use crate::policy::{
    Assurance, EndCause, Factor, Input, Proof, Refusal, Selector, Session, SessionToken, Source, User, UserName,
};
use crate::wire::{self, LoginRequest, LoginResponse, Problem, Receipt, Secret};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use std::net::IpAddr;
use std::sync::Arc;

/// Log in: begin a session at the address that the request comes from.
#[utoipa::path(post, path = "/v1/login", tag = "session", request_body = LoginRequest, responses(
    (status = 200, body = LoginResponse),
    (status = 401, description = "The user name or the password is wrong", body = Problem,
        content_type = "application/problem+json"),
    (status = 403, description = "Disabled, or not behind a guarded interface", body = Problem,
        content_type = "application/problem+json"),
    (status = 409, description = "The address belongs to another user's session", body = Problem,
        content_type = "application/problem+json"),
    (status = 429, description = "Too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn login(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    Json(request): Json<LoginRequest>,
) -> Result<axum::Json<LoginResponse>, ApiError> {
    with_password(&shared, peer, request).await.map(axum::Json).map_err(|Failure(_, error)| error)
}

/// Begins a session for whoever knows a password, and records it if that fails.
pub(super) async fn with_password(
    shared: &Shared,
    peer: IpAddr,
    request: LoginRequest,
) -> Result<LoginResponse, Failure> {
    let name = UserName::new(&request.username).ok();
    let outcome = attempt(shared, peer, name.clone(), request.password).await;
    // Only what can be a name is recorded: people type their password there.
    outcome.inspect_err(|Failure(why, _)| {
        shared.context.recorder.login_failed(name.as_ref().map_or("", UserName::as_str), peer, why);
    })
}

/// Why a login failed: for the records, and for the answer.
pub(super) struct Failure(pub &'static str, pub ApiError);

impl Failure {
    pub fn because<E: Into<ApiError>>(why: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self(why, error.into())
    }
}

async fn attempt(
    shared: &Shared,
    peer: IpAddr,
    name: Option<UserName>,
    password: Secret,
) -> Result<LoginResponse, Failure> {
    shared.attempt(peer, name.as_ref()).map_err(Failure::because("throttled"))?;
    let source = shared.context.resolver.resolve(peer).await.map_err(Failure::because("no_source"))?;
    let user = authenticate(shared, name, password).await?;
    shared.succeeded(peer, &user.name);
    if !user.enabled {
        let error = ApiError::forbidden("user-disabled", format!("user `{}` is disabled", user.name));
        return Err(Failure("disabled", error));
    }
    let by = Actor { name: user.name.to_string(), address: Some(source.address) };
    let proof = [Factor::Password].into();
    begin(shared, by, Who::Known(user.name), source, proof).await
}

/// Unknown users, users without a password and wrong passwords take the same time and give the same answer.
async fn authenticate(shared: &Shared, name: Option<UserName>, password: Secret) -> Result<User, Failure> {
    let find = move |state: &crate::core::State| -> Option<(User, PasswordHash)> {
        let name = name?;
        Some((state.gateway.user(&name)?.clone(), state.accounts.passwords.get(&name)?.clone()))
    };
    let (user, hash) = shared.context.core.read(find).await.map_err(Failure::because("busy"))?.unzip();
    let right = shared.verifier.verify(password.0, hash).await.map_err(Failure::because("busy"))?;
    let wrong = || Failure("refused", ApiError::unauthorized("the user name or the password is wrong"));
    user.filter(|_| right).ok_or_else(wrong)
}

/// Begins a session for somebody who has proved who they are.
pub(super) async fn begin(
    shared: &Shared,
    by: Actor,
    who: Who,
    source: Source,
    proof: Proof,
) -> Result<LoginResponse, Failure> {
    let now = shared.now();
    let lifetime = u64::try_from(shared.context.session_lifetime.as_nanos()).unwrap_or(u64::MAX);
    let token = SessionToken(rand::random_range(1..=u64::MAX));
    let SessionSecret { secret, hash } = SessionSecret::draw(token);
    let login = Login { token, secret: hash, who, source, proof, deadline: now.boot.after(lifetime) };
    let done = shared.context.core.change(by, Request::Login(Box::new(login))).await;
    let done = done.map_err(|error| Failure(why(&error), error.into()))?;
    let session = done.opened.ok_or_else(|| Failure("failed", ApiError::internal()))?;
    Ok(LoginResponse { session: wire::Session::of(&session, now), secret: Secret(secret) })
}

/// Why no session began, for records.
const fn why(error: &CoreError) -> &'static str {
    match error {
        CoreError::Arrival(refusal) => refusal.label(),
        CoreError::Refused(Refusal::UserDisabled(_)) => "disabled",
        CoreError::Refused(Refusal::UserSuspended(_)) => "suspended",
        CoreError::Refused(Refusal::SourceTaken { .. }) => "source_taken",
        CoreError::Busy => "busy",
        _ => "failed",
    }
}

/// Log in as a service, by the client certificate of the connection.
#[utoipa::path(post, path = "/v1/login/certificate", tag = "session", responses(
    (status = 200, body = LoginResponse),
    (status = 401, description = "No client certificate, or not one of a service", body = Problem,
        content_type = "application/problem+json"),
    (status = 403, description = "Disabled, or not behind a guarded interface", body = Problem,
        content_type = "application/problem+json"),
    (status = 409, description = "The address belongs to another user's session", body = Problem,
        content_type = "application/problem+json"),
    (status = 429, description = "Too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn login_certificate(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    presented: Option<Extension<Presented>>,
) -> Result<axum::Json<LoginResponse>, ApiError> {
    let presented = presented.map(|Extension(presented)| presented).unwrap_or_default();
    let outcome = as_service(&shared, peer, by_certificate(&shared, &presented)).await;
    outcome.map(axum::Json)
}

/// Log in as a service, by an access token of its identity provider.
#[utoipa::path(post, path = "/v1/login/token", tag = "session", responses(
    (status = 200, body = LoginResponse),
    (status = 401, description = "No access token, or not one of a service", body = Problem,
        content_type = "application/problem+json"),
    (status = 403, description = "Disabled, or not behind a guarded interface", body = Problem,
        content_type = "application/problem+json"),
    (status = 409, description = "The address belongs to another user's session", body = Problem,
        content_type = "application/problem+json"),
    (status = 429, description = "Too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn login_token(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    headers: HeaderMap,
) -> Result<axum::Json<LoginResponse>, ApiError> {
    let token = bearer(&headers).filter(|token| is_signed_token(token));
    let token = token.ok_or_else(|| ApiError::unauthorized("send an access token of your identity provider"))?;
    as_service(&shared, peer, by_token(&shared, &token)).await.map(axum::Json)
}

/// A session of a service, which is asked for its proof after the throttle.
async fn as_service(
    shared: &Shared,
    peer: IpAddr,
    proof: impl Future<Output = Result<Proved, Unproved>>,
) -> Result<LoginResponse, ApiError> {
    let mut name = None;
    let outcome = attempt_service(shared, peer, proof, &mut name).await;
    outcome.map_err(|Failure(why, error)| {
        shared.context.recorder.login_failed(name.as_ref().map_or("", UserName::as_str), peer, why);
        error
    })
}

async fn attempt_service(
    shared: &Shared,
    peer: IpAddr,
    proof: impl Future<Output = Result<Proved, Unproved>>,
    name: &mut Option<UserName>,
) -> Result<LoginResponse, Failure> {
    shared.attempt(peer, None).map_err(Failure::because("throttled"))?;
    let Proved { service, credential, is_active } = proof.await.map_err(|unproved| {
        tracing::info!(%peer, reason = %unproved, "a service could not log in");
        let why = unproved.label();
        match unproved {
            Unproved::Core(error) => Failure(why, error.into()),
            _ => Failure(why, ApiError::unauthorized("this proves no service; the gateway's log says why")),
        }
    })?;
    *name = Some(service.name.clone());
    let source = shared.context.resolver.resolve(peer).await.map_err(Failure::because("no_source"))?;
    if !is_active {
        let error = ApiError::forbidden("user-disabled", format!("user `{}` is disabled", service.name));
        return Err(Failure("disabled", error));
    }
    let proof = proof_of(&credential);
    let who = Who::Service(service.name.clone(), credential);
    let by = Actor { name: service.name.to_string(), address: Some(source.address) };
    begin(shared, by, who, source, proof).await
}

fn proof_of(credential: &Credential) -> Proof {
    match credential {
        Credential::Certificate(_) => [Factor::Certificate].into(),
        Credential::Binding(_) => [Factor::Binding].into(),
        Credential::Client(provider, _) => {
            let assurance = Assurance { provider: Some(provider.clone()), ..Assurance::default() };
            Proof { assurance: Arc::new(assurance), ..[Factor::Provider].into() }
        }
    }
}

/// Log out: end the session whose secret the request presents.
#[utoipa::path(post, path = "/v1/logout", tag = "session", responses(
    (status = 200, body = Receipt),
    (status = 401, description = "No such session at this address", body = Problem,
        content_type = "application/problem+json"),
))]
pub(super) async fn logout(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    headers: HeaderMap,
) -> Result<axum::Json<Receipt>, ApiError> {
    let session = own(&shared, peer, &headers).await?;
    let actor = Actor { name: session.user.to_string(), address: Some(peer) };
    let input = Input::End { which: Selector::Session(session.token), cause: EndCause::Logout };
    let done = shared.context.core.change(actor, Request::Policy(input)).await?;
    let receipt = done.receipts.iter().find(|receipt| receipt.session.token == session.token);
    receipt.map(|receipt| axum::Json(receipt.into())).ok_or_else(ApiError::internal)
}

/// The session whose secret the request presents.
#[utoipa::path(get, path = "/v1/session", tag = "session", responses(
    (status = 200, body = wire::Session),
    (status = 401, description = "No such session at this address", body = Problem,
        content_type = "application/problem+json"),
))]
pub(super) async fn session(
    State(shared): State<Arc<Shared>>,
    Peer(peer): Peer,
    headers: HeaderMap,
) -> Result<axum::Json<wire::Session>, ApiError> {
    let session = own(&shared, peer, &headers).await?;
    Ok(axum::Json(wire::Session::of(&session, shared.now())))
}

async fn own(shared: &Shared, peer: IpAddr, headers: &HeaderMap) -> Result<Session, ApiError> {
    let unknown = || ApiError::unauthorized("no session with this secret is at your address; log in");
    let presented = bearer(headers).ok_or_else(unknown)?;
    session_of(shared, peer, presented.into()).await?.ok_or_else(unknown)
}

/// The session that a secret proves, if it is one at this address.
pub(super) async fn session_of(
    shared: &Shared,
    peer: IpAddr,
    presented: SecretString,
) -> Result<Option<Session>, ApiError> {
    let now = shared.now().boot;
    let find = move |state: &crate::core::State| -> Option<Session> {
        let token = state.accounts.authenticate_session(presented.expose_secret())?;
        state.gateway.session(token).cloned()
    };
    let found = shared.context.core.read_first(find).await?;
    let is_theirs =
        |session: &Session| session.source.address.to_canonical() == peer && !session.deadline.has_passed(now);
    Ok(found.filter(is_theirs))
}
