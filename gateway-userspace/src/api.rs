//! The HTTP interface: login for people behind guarded interfaces, everything else for programs with a token.
//!
//! Nothing is decided here: handlers read the core's state or send it requests. Every operation has a rule in
//! [`access`]; what has none is refused. Every answer that is not a success is a problem document, or below `/scim/v2`
//! what SCIM has in its place. No BPF map, no policy text and no file is touched from here.

mod access;
mod apps;
mod audit;
mod bundle;
mod capture;
mod context;
mod cookie;
mod explain;
mod exports;
mod extract;
mod groups;
mod handshake;
mod login;
mod page;
mod pages;
mod policy;
mod portal;
mod probes;
mod problem;
mod proof;
mod providers;
mod reach;
mod records;
mod refusals;
mod services;
mod sessions;
mod sign_in;
mod sign_ins;
mod sign_out;
mod ssf;
mod tokens;
mod traffic;
mod unread;
mod users;

pub mod certificate;
pub mod client_certificate;
pub mod limits;
pub mod scim;
pub mod server;

pub use access::{Access, RULES};
pub use context::{
    AccessTokenRefusal, AccessTokens, Context, FlowFilter, Later, NameLook, Readiness, SourceError, SourceResolver,
    ViewError, Views,
};
pub use providers::{Link, ProviderEntry, ProviderSettings, Providers};
pub use ssf::{SignalReceiver, Signals};

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::extract::Extension;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use context::Shared;
use problem::ApiError;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const MOST_BODY: usize = 1024 * 1024;
const MOST_POLICY: usize = 16 * 1024 * 1024;
const LONGEST: Duration = Duration::from_secs(10);

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Portcullis",
    description = "Zero Trust Network Access: sessions, users, groups, apps, policy, and what happens to packets.",
    license(name = "Apache-2.0 OR MIT")
))]
struct Document;

/// The whole interface.
pub fn router(context: Context) -> Router {
    let (routes, document) = routes().split_for_parts();
    let shared = Shared::new(context, described(document));
    routes
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), access::guard))
        .fallback(|| async { ApiError::not_found() })
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(middleware::from_fn(bounded))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(scim::errors))
        .layer(middleware::from_fn(with_security_headers))
        .layer(middleware::from_fn(unread::told))
        .with_state(shared)
}

/// The same for addresses where people log in: nothing else answers there, whoever asks.
pub fn where_people_log_in(router: Router) -> Router {
    router.layer(Extension(access::WherePeopleLogIn))
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    described(routes().into_openapi())
}

/// With what the layers around all operations do.
fn described(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    access::describe(&mut document);
    refusals::describe(&mut document);
    scim::describe(&mut document);
    document
}

fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(identity_routes())
        .merge(gateway_routes())
        .merge(scim::routes())
        .routes(routes!(traffic::flows))
        .routes(routes!(traffic::drops))
        .routes(routes!(capture::capture))
        .routes(routes!(records::records))
        .routes(routes!(records::reached))
        .routes(routes!(records::denied))
        .routes(routes!(exports::exports))
        .routes(routes!(records::digest))
        .routes(routes!(traffic::status))
        .routes(routes!(audit::list))
        .routes(routes!(audit::head))
        .routes(routes!(probes::openapi))
        .routes(routes!(probes::healthz))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::metrics))
}

fn identity_routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(login::login_certificate))
        .routes(routes!(login::login_token))
        .routes(routes!(login::logout))
        .routes(routes!(login::session))
        .merge(page_routes())
        .routes(routes!(users::list))
        .routes(routes!(users::read, users::put, users::remove))
        .routes(routes!(users::set_password))
        .routes(routes!(users::enable))
        .routes(routes!(users::risk))
        .routes(routes!(users::disable))
        .routes(routes!(groups::list))
        .routes(routes!(groups::read, groups::put, groups::remove))
        .routes(routes!(groups::add_member, groups::remove_member))
        .routes(routes!(services::list))
        .routes(routes!(services::read, services::put, services::remove))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::remove))
}

fn page_routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(portal::home))
        .routes(routes!(portal::sign_in))
        .routes(routes!(portal::sign_out))
        .routes(routes!(portal::style))
        .routes(routes!(sign_in::start))
        .routes(routes!(sign_in::callback))
        .routes(routes!(sign_in::list))
        .routes(routes!(sign_in::device))
        .routes(routes!(sign_in::poll))
        .routes(routes!(sign_out::back_channel))
        .routes(routes!(ssf::push))
}

fn gateway_routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(apps::list))
        .routes(routes!(apps::read, apps::put, apps::remove))
        .routes(routes!(apps::enable))
        .routes(routes!(apps::disable))
        .merge(policy_routes())
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::read, sessions::remove))
        .routes(routes!(sessions::revoke))
}

fn policy_routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(policy::read, policy::put))
        .routes(routes!(policy::check))
        .routes(routes!(bundle::read, bundle::apply))
        .routes(routes!(bundle::plan))
        .routes(routes!(bundle::confirm))
        .routes(routes!(bundle::history))
        .routes(routes!(bundle::show))
        .routes(routes!(bundle::rollback))
        .routes(routes!(explain::explain))
        .routes(routes!(explain::app))
        .routes(routes!(explain::user))
        .routes(routes!(reach::reach))
        .layer(DefaultBodyLimit::max(MOST_POLICY))
}

async fn bounded(request: Request<Body>, next: Next) -> Response {
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timed_out().into_response(),
    }
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request handler panicked");
    ApiError::internal().into_response()
}

async fn with_security_headers(request: Request<Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(nothing);
    response
}

#[cfg(test)]
mod tests;
