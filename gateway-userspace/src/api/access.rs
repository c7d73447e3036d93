//! Who may call what: one table, asked before every handler. What is not in it is refused.

use super::client_certificate::Presented;
use super::context::Shared;
use super::extract::{Bearer, bearer, peer_of};
use super::problem::ApiError;
use super::proof::{Proved, Unproved, by_certificate, by_token, is_signed_token};
use super::scim::ScimClient;
use crate::core::Actor;
use crate::identity::{Scope, SecretHash};
use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{Method, Request};
use axum::middleware::Next;
use axum::response::Response;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, OpenApi, PathItem, path::Operation};

/// What an operation asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Nothing: probes, and the description of the interface.
    Open,
    /// To be a client. The handler checks the password, the certificate, the token, or the secret of the session.
    Client,
    /// To be an identity provider. The handler checks what it shows, or the signature of what it says.
    Provider,
    /// To be an identity provider that pushes users and groups, with the token that it was given for that.
    Scim,
    /// To come from the management prefixes, with an API token of all these scopes, or as a service that has them.
    Token(&'static [Scope]),
    /// The same with `metrics:read`, but no token where the configuration opens the metrics.
    Metrics,
}

use Access::{Client, Metrics, Open, Provider, Scim, Token};

const READ: Access = Token(&[Scope::Read]);
const USERS: Access = Token(&[Scope::UsersWrite]);
const APPS: Access = Token(&[Scope::AppsWrite]);
const POLICY: Access = Token(&[Scope::PolicyWrite]);
/// A bundle holds apps beside policies, and whoever may change the one need not be trusted with the other.
const BUNDLE: Access = Token(&[Scope::PolicyWrite, Scope::AppsWrite]);
const SESSIONS: Access = Token(&[Scope::SessionsWrite]);
const AUDIT: Access = Token(&[Scope::AuditRead]);
const PACKETS: Access = Token(&[Scope::PacketsRead]);
const ADMIN: Access = Token(&[Scope::Admin]);

/// The rule of every operation.
pub const RULES: &[(&str, &str, Access)] = &[
    ("GET", "/", Client),
    ("GET", "/style.css", Open),
    ("POST", "/sign-in", Client),
    ("GET", "/sign-in/{name}", Client),
    ("GET", "/sign-in/{name}/callback", Client),
    ("POST", "/sign-out", Client),
    ("GET", "/v1/providers", Client),
    ("POST", "/v1/login/device/{name}", Client),
    ("POST", "/v1/login/device", Client),
    ("POST", "/oidc/{name}/logout", Provider),
    ("POST", "/ssf/{name}", Provider),
    ("POST", "/v1/login", Client),
    ("POST", "/v1/login/certificate", Client),
    ("POST", "/v1/login/token", Client),
    ("POST", "/v1/logout", Client),
    ("GET", "/v1/session", Client),
    ("GET", "/v1/users", READ),
    ("GET", "/v1/users/{name}", READ),
    ("PUT", "/v1/users/{name}", USERS),
    ("DELETE", "/v1/users/{name}", USERS),
    ("PUT", "/v1/users/{name}/password", USERS),
    ("POST", "/v1/users/{name}/enable", USERS),
    ("POST", "/v1/users/{name}/risk", USERS),
    ("POST", "/v1/users/{name}/disable", USERS),
    ("GET", "/v1/groups", READ),
    ("GET", "/v1/groups/{name}", READ),
    ("PUT", "/v1/groups/{name}", USERS),
    ("DELETE", "/v1/groups/{name}", USERS),
    ("PUT", "/v1/groups/{name}/members/{user}", USERS),
    ("DELETE", "/v1/groups/{name}/members/{user}", USERS),
    ("GET", "/v1/apps", READ),
    ("GET", "/v1/apps/{name}", READ),
    ("PUT", "/v1/apps/{name}", APPS),
    ("DELETE", "/v1/apps/{name}", APPS),
    ("POST", "/v1/apps/{name}/enable", APPS),
    ("POST", "/v1/apps/{name}/disable", APPS),
    ("GET", "/v1/policy", READ),
    ("PUT", "/v1/policy", POLICY),
    ("POST", "/v1/policy/check", READ),
    ("GET", "/v1/bundle", READ),
    ("PUT", "/v1/bundle", BUNDLE),
    ("POST", "/v1/bundle/plan", READ),
    ("POST", "/v1/bundle/confirm", POLICY),
    ("GET", "/v1/generations", READ),
    ("GET", "/v1/generations/{number}/bundle", READ),
    ("POST", "/v1/generations/{number}/rollback", BUNDLE),
    ("POST", "/v1/explain", READ),
    ("GET", "/v1/explain/apps/{app}", READ),
    ("GET", "/v1/explain/users/{user}", READ),
    ("GET", "/v1/reach", READ),
    ("GET", "/v1/sessions", READ),
    ("GET", "/v1/sessions/{token}", READ),
    ("DELETE", "/v1/sessions/{token}", SESSIONS),
    ("POST", "/v1/revocations", SESSIONS),
    ("GET", "/v1/flows", READ),
    ("GET", "/v1/drops", READ),
    ("GET", "/v1/drops/capture", PACKETS),
    ("GET", "/v1/records", READ),
    ("GET", "/v1/reached", READ),
    ("GET", "/v1/denied", READ),
    ("GET", "/v1/exports", READ),
    ("GET", "/v1/digest", READ),
    ("GET", "/v1/status", READ),
    ("GET", "/v1/audit", AUDIT),
    ("GET", "/v1/audit/head", AUDIT),
    ("GET", "/v1/services", READ),
    ("GET", "/v1/services/{name}", READ),
    ("PUT", "/v1/services/{name}", USERS),
    ("DELETE", "/v1/services/{name}", USERS),
    ("GET", "/v1/tokens", ADMIN),
    ("POST", "/v1/tokens", ADMIN),
    ("DELETE", "/v1/tokens/{id}", ADMIN),
    ("GET", "/scim/v2/Users", Scim),
    ("POST", "/scim/v2/Users", Scim),
    ("GET", "/scim/v2/Users/{id}", Scim),
    ("PUT", "/scim/v2/Users/{id}", Scim),
    ("PATCH", "/scim/v2/Users/{id}", Scim),
    ("DELETE", "/scim/v2/Users/{id}", Scim),
    ("POST", "/scim/v2/Users/.search", Scim),
    ("GET", "/scim/v2/Groups", Scim),
    ("POST", "/scim/v2/Groups", Scim),
    ("GET", "/scim/v2/Groups/{id}", Scim),
    ("PUT", "/scim/v2/Groups/{id}", Scim),
    ("PATCH", "/scim/v2/Groups/{id}", Scim),
    ("DELETE", "/scim/v2/Groups/{id}", Scim),
    ("POST", "/scim/v2/Groups/.search", Scim),
    ("POST", "/scim/v2/.search", Scim),
    ("POST", "/scim/v2/Bulk", Scim),
    ("GET", "/scim/v2/ServiceProviderConfig", Scim),
    ("GET", "/scim/v2/ResourceTypes", Scim),
    ("GET", "/scim/v2/ResourceTypes/{id}", Scim),
    ("GET", "/scim/v2/Schemas", Scim),
    ("GET", "/scim/v2/Schemas/{id}", Scim),
    ("GET", "/v1/openapi.json", Open),
    ("GET", "/healthz", Open),
    ("GET", "/readyz", Open),
    ("GET", "/metrics", Metrics),
];

/// The rule of an operation, if it has one. HEAD is GET without the body.
fn rule(method: &Method, path: &str) -> Option<Access> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    RULES.iter().find(|(m, p, _)| *m == method && *p == path).map(|(_, _, access)| *access)
}

/// A mark of requests that arrived where people log in.
#[derive(Clone, Copy)]
pub(super) struct WherePeopleLogIn;

/// Lets a request through to its handler, or not.
pub(super) async fn guard(
    State(shared): State<Arc<Shared>>,
    mut request: Request<Body>,
    next: Next,
) -> Result<Response, ApiError> {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let peer = peer_of(request.extensions())?;
    let shown = Shown::of(&request);
    let rule = rule(request.method(), &path);
    let is_for_people = matches!(rule, Some(Access::Open | Access::Client) | None);
    if !is_for_people && request.extensions().get::<WherePeopleLogIn>().is_some() {
        return Err(ApiError::not_found());
    }
    match rule {
        Some(Access::Open | Access::Client | Access::Provider) => {}
        Some(Access::Scim) => {
            let client = scim_client(&shared, shown, peer)?;
            request.extensions_mut().insert(client);
        }
        Some(Access::Metrics) if shared.context.open_metrics && shared.is_management(peer) => {}
        Some(Access::Metrics) => drop(caller(&shared, shown, peer, &[Scope::MetricsRead], "GET /metrics").await?),
        Some(Access::Token(needed)) => {
            let operation = format!("{} {path}", request.method());
            let Caller { name, scopes } = caller(&shared, shown, peer, needed, &operation).await?;
            request.extensions_mut().insert(Actor { name, address: Some(peer) });
            request.extensions_mut().insert(scopes);
        }
        None => return Err(no_rule(&path)),
    }
    Ok(next.run(request).await)
}

fn no_rule(path: &str) -> ApiError {
    let methods: Vec<_> = RULES.iter().filter(|(_, p, _)| *p == path).map(|(method, _, _)| *method).collect();
    if methods.is_empty() { ApiError::not_found() } else { ApiError::method_not_allowed(&methods.join(", ")) }
}

/// What a request shows of who asks. A header that cannot be read is not the same as none.
enum Shown {
    Bearer(Bearer),
    Certificate(Presented),
    Unreadable,
}

impl Shown {
    fn of(request: &Request<Body>) -> Self {
        match bearer(request.headers()) {
            Some(bearer) => Self::Bearer(bearer),
            None if request.headers().contains_key(AUTHORIZATION) => Self::Unreadable,
            None => Self::Certificate(request.extensions().get().cloned().unwrap_or_default()),
        }
    }
}

/// Who calls, and what they may do.
struct Caller {
    name: String,
    scopes: Scopes,
}

/// What the caller of an operation may do.
#[derive(Clone)]
pub(super) struct Scopes(pub BTreeSet<Scope>);

/// Who calls, if they may. Where they come from is asked first: elsewhere, administration does not exist.
async fn caller(
    shared: &Shared,
    shown: Shown,
    peer: IpAddr,
    needed: &[Scope],
    operation: &str,
) -> Result<Caller, ApiError> {
    if !shared.is_management(peer) {
        return Err(ApiError::not_found());
    }
    let refused = |by: &str, why| shared.context.recorder.admin_refused(by, peer, operation.to_owned(), why);
    let caller = proved(shared, shown, peer).await.inspect_err(|error| {
        if error.is_unauthorized() {
            refused("", "unknown");
        }
    })?;
    match needed.iter().find(|scope| !scope.is_among(&caller.scopes.0)) {
        Some(scope) => {
            refused(&caller.name, "scope");
            Err(ApiError::forbidden("scope", format!("`{}` lacks the scope `{scope}`", caller.name)))
        }
        None => Ok(caller),
    }
}

/// Who calls, by what they show.
async fn proved(shared: &Shared, shown: Shown, peer: IpAddr) -> Result<Caller, ApiError> {
    match shown {
        Shown::Bearer(token) if is_signed_token(&token) => service(shared, by_token(shared, &token).await, peer),
        Shown::Bearer(token) => with_api_token(shared, token, peer).await,
        Shown::Certificate(presented) => service(shared, by_certificate(shared, &presented).await, peer),
        Shown::Unreadable => Err(unknown()),
    }
}

fn unknown() -> ApiError {
    ApiError::unauthorized("an API token is needed: `Authorization: Bearer pct_…`")
}

async fn with_api_token(shared: &Shared, presented: Bearer, peer: IpAddr) -> Result<Caller, ApiError> {
    let now = shared.now().wall;
    let found =
        shared.context.core.read_first(move |state| state.accounts.authenticate_token(&presented, now).cloned());
    let token = found.await?.map_err(|refusal| {
        tracing::info!(%peer, reason = %refusal, "an API token was refused");
        unknown()
    })?;
    Ok(Caller { name: token.name, scopes: Scopes(token.scopes) })
}

/// A service that has proved itself, and is neither disabled nor suspended.
fn service(shared: &Shared, outcome: Result<Proved, Unproved>, peer: IpAddr) -> Result<Caller, ApiError> {
    match outcome {
        Ok(Proved { service, is_active: true, .. }) => {
            service.last_used.note(shared.now().wall);
            Ok(Caller { name: service.name.to_string(), scopes: Scopes(service.scopes) })
        }
        Ok(Proved { service, .. }) => {
            tracing::info!(%peer, service = %service.name, "a disabled service was refused");
            Err(unknown())
        }
        Err(Unproved::Core(error)) => Err(error.into()),
        Err(Unproved::NoCertificate) => Err(unknown()),
        Err(refusal) => {
            tracing::info!(%peer, reason = %refusal, "a service was refused");
            Err(unknown())
        }
    }
}

/// The provider that a SCIM token was made for. Hashes are compared, so time tells nothing.
fn scim_client(shared: &Shared, shown: Shown, peer: IpAddr) -> Result<ScimClient, ApiError> {
    let unknown = || ApiError::unauthorized("the provider's token is needed: `Authorization: Bearer …`");
    let Shown::Bearer(presented) = shown else { return Err(unknown()) };
    let presented = SecretHash::of(&presented);
    let mut providers = shared.context.providers.iter();
    let found = providers.find(|(_, entry)| entry.settings.scim_token.as_ref() == Some(&presented));
    let (provider, _) = found.ok_or_else(|| {
        tracing::info!(%peer, "a SCIM token was refused");
        unknown()
    })?;
    Ok(ScimClient { provider: provider.clone(), address: peer })
}

/// Writes the rules into the OpenAPI document.
pub(super) fn describe(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    let bearers = [
        ("api_token", "An API token, `pct_…`."),
        ("access_token", "A service's access token, a JWT of its identity provider."),
        ("session", "The secret of a session, `pcs_…`."),
        ("provider", "The token of an identity provider that pushes users and groups."),
    ];
    for (name, help) in bearers {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(help.to_owned());
        components.add_security_scheme(name, SecurityScheme::Http(scheme));
    }
    let description = Some("A service's client certificate.".to_owned());
    let mutual = SecurityScheme::MutualTls { description, deprecated: None, extensions: None };
    components.add_security_scheme("certificate", mutual);
    for (method, path, access) in RULES {
        let operation = document.paths.paths.get_mut(*path).and_then(|item| operation(item, method));
        if let Some(operation) = operation {
            operation.security = Some(requirements(path, *access)).filter(|requirements| !requirements.is_empty());
        }
    }
}

/// Each of these is enough.
fn requirements(path: &str, access: Access) -> Vec<SecurityRequirement> {
    let named = |name: &str| SecurityRequirement::new(name, [] as [&str; 0]);
    let scoped = |scopes: &[Scope]| {
        let labels = || scopes.iter().map(|scope| scope.label());
        ["api_token", "certificate", "access_token"].map(|name| SecurityRequirement::new(name, labels())).into()
    };
    match (access, path) {
        (Open | Provider, _) => Vec::new(),
        (Client, "/v1/login/certificate") => vec![named("certificate")],
        (Client, "/v1/login/token") => vec![named("access_token")],
        // Pages know the session by its cookie.
        (Client, _) if path.starts_with("/v1/login") || path == "/v1/providers" || !path.starts_with("/v1/") => {
            Vec::new()
        }
        (Client, _) => vec![named("session")],
        (Metrics, _) => scoped(&[Scope::MetricsRead]),
        (Scim, _) => vec![named("provider")],
        (Token(scopes), _) => scoped(scopes),
    }
}

fn operation<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Operation> {
    match method {
        "GET" => item.get.as_mut(),
        "PUT" => item.put.as_mut(),
        "POST" => item.post.as_mut(),
        "PATCH" => item.patch.as_mut(),
        "DELETE" => item.delete.as_mut(),
        _ => None,
    }
}
