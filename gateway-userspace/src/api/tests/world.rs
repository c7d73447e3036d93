//! A gateway without kernel and sockets.

use super::twin::Twin;
use crate::api::client_certificate::Presented;
use crate::api::{
    AccessTokenRefusal, AccessTokens, Context, FlowFilter, Later, Readiness, SourceError, SourceResolver, ViewError,
    Views, router,
};
use crate::core::{self, Core};
use crate::identity::{Accounts, ApiToken, PasswordHash, Scope, ThrottleLimits};
use crate::policy::{Capacities, Gateway, GroupName, Input, ProviderName, Source, User, UserName};
use crate::record::{AccessLog, Captures, Metrics, Recorder, Sink};
use crate::store::FileStore;
use crate::wire::{Drops, Flow, Moment, Status};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use gateway_common::abi::Vlan;
use gateway_common::{DropReason, KernelNanos};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::watch;
use tower::ServiceExt as _;

pub const PASSWORD: &str = "correct horse battery";
const ADMIN: &str = "192.0.2.10";
pub const CLIENT: &str = "198.51.100.7";

pub struct World {
    router: Router,
    pub readiness: watch::Sender<Readiness>,
    pub twin: Twin,
    tokens: Vec<(Scope, String)>,
    _folder: tempfile::TempDir,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// That it is a problem document of this status. Returns its kind.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(
            (self.status.as_u16(), self.headers["content-type"].to_str().unwrap()),
            (status, "application/problem+json"),
            "{}",
            self.text
        );
        assert_eq!(self.json()["status"], status);
        self.json()["type"].as_str().unwrap().strip_prefix("urn:portcullis:problem:").unwrap().to_owned()
    }
}

/// A request that is being put together.
pub struct Asked<'w> {
    world: &'w World,
    request: Request<Body>,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (accounts, tokens) = accounts();
        let state =
            core::State { gateway: gateway(), accounts, directory: Default::default(), history: Default::default() };
        let store = FileStore::open(&folder.path().join("state")).unwrap();
        let twin = Twin::new();
        let recorder = Recorder::new(Metrics::new().unwrap(), AccessLog::start(Sink::Nowhere).unwrap(), None);
        let (core, _) =
            core::start(state, Box::new(store), Box::new(twin.clone()), recorder.clone(), "boot".into()).unwrap();
        let (readiness, ready) = watch::channel(Readiness::Ready);
        Self { router: router(context(core, recorder, ready, &twin)), readiness, twin, tokens, _folder: folder }
    }

    /// As it answers at the addresses where people log in.
    pub fn where_people_log_in(mut self) -> Self {
        self.router = crate::api::where_people_log_in(self.router);
        self
    }

    pub fn token(&self, scope: Scope) -> &str {
        &self.tokens.iter().find(|(s, _)| *s == scope).unwrap().1
    }

    /// A request from the management network.
    pub fn ask(&self, method: &str, path: &str) -> Asked<'_> {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        Asked { world: self, request }.from(ADMIN)
    }

    /// The same, as an administrator.
    pub fn admin(&self, method: &str, path: &str) -> Asked<'_> {
        self.ask(method, path).bearer(self.token(Scope::Admin))
    }

    pub async fn log_in(&self, user: &str, password: &str, address: &str) -> Answer {
        let body = serde_json::json!({ "username": user, "password": password });
        self.ask("POST", "/v1/login").from(address).json(&body.to_string()).send().await
    }
}

impl Asked<'_> {
    pub fn from(mut self, address: &str) -> Self {
        let peer = SocketAddr::new(address.parse().unwrap(), 40_000);
        self.request.extensions_mut().insert(ConnectInfo(peer));
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    /// Over a connection whose handshake has brought a certificate, or something else.
    pub fn certificate(mut self, der: &[u8]) -> Self {
        self.request.extensions_mut().insert(Presented::of(Some(der)));
        self
    }

    pub fn bearer(self, secret: &str) -> Self {
        self.header("authorization", &format!("Bearer {secret}"))
    }

    pub fn body(mut self, kind: &str, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self.header("content-type", kind)
    }

    pub fn json(self, body: &str) -> Self {
        self.body("application/json", body.to_owned())
    }

    pub async fn send(self) -> Answer {
        let response = self.world.router.clone().oneshot(self.request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }
}

fn accounts() -> (Accounts, Vec<(Scope, String)>) {
    let mut accounts = Accounts::default();
    let hash = PasswordHash::hash(&PASSWORD.into()).unwrap();
    for user in ["ada", "bob"] {
        accounts.passwords.insert(UserName::new(user).unwrap(), hash.clone());
    }
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        let (token, secret) = ApiToken::issue(scope.to_string(), [scope].into(), OffsetDateTime::now_utc(), None);
        accounts.tokens.insert(token.id.clone(), token);
        tokens.push((scope, secret.expose_secret().to_owned()));
    }
    (accounts, tokens)
}

fn gateway() -> Gateway {
    let mut gateway = Gateway::new(Capacities::default());
    let mut put = |input| drop(gateway.handle(input, KernelNanos(0)).unwrap());
    let staff = GroupName::new("staff").unwrap();
    put(Input::PutGroup(staff.clone()));
    for name in ["ada", "bob", "eve"] {
        let name = UserName::new(name).unwrap();
        put(Input::PutUser(User { groups: [staff.clone()].into(), ..User::new(name) }));
    }
    gateway
}

fn context(core: Core, recorder: Recorder, readiness: watch::Receiver<Readiness>, twin: &Twin) -> Context {
    let clock = twin.clone();
    Context {
        core,
        views: Arc::new(FixedViews),
        resolver: Arc::new(FixedResolver),
        gate: Arc::new(twin.clone()),
        tokens: Arc::new(FixedTokens),
        readiness,
        metrics: recorder.metrics().registry(),
        captures: Captures::nowhere(recorder.clone()),
        recorder,
        health: Default::default(),
        exports: Default::default(),
        providers: Default::default(),
        signals: Default::default(),
        names: Arc::new(|_| None),
        open_metrics: false,
        management: vec!["192.0.2.0/24".parse().unwrap()],
        session_lifetime: Duration::from_secs(3600),
        throttle: ThrottleLimits { address_burst: 5, ..ThrottleLimits::default() },
        clock: Arc::new(move || Moment { boot: clock.plane().clock, wall: OffsetDateTime::now_utc() }),
    }
}

/// Clients are in 198.51.100.0/24.
struct FixedResolver;

impl SourceResolver for FixedResolver {
    fn resolve(&self, peer: IpAddr) -> Later<'_, Result<Source, SourceError>> {
        let is_client = peer.to_string().starts_with("198.51.100.");
        let source = Source {
            address: peer,
            zone: 1,
            zone_name: "office".into(),
            interface: 3,
            interface_name: "eth1".into(),
            country: Default::default(),
            mac: Some([2, 0, 0, 0, 0, 7]),
        };
        Box::pin(async move { if is_client { Ok(source) } else { Err(SourceError::NotGuarded(peer)) } })
    }

    fn tags(&self, _: &Source) -> Vlan {
        Vlan::default()
    }
}

/// The only token there is, `aa.bb.cc`, is that of client `ci` of provider `corp`.
struct FixedTokens;

impl AccessTokens for FixedTokens {
    fn verify<'a>(
        &'a self,
        token: &'a str,
        _: OffsetDateTime,
    ) -> Later<'a, Result<(ProviderName, String), AccessTokenRefusal>> {
        let known = (ProviderName::new("corp").unwrap(), "ci".to_owned());
        Box::pin(
            async move { if token == "aa.bb.cc" { Ok(known) } else { Err(AccessTokenRefusal::Refused("signature")) } },
        )
    }
}

struct FixedViews;

impl Views for FixedViews {
    fn flows(&self, _: FlowFilter) -> Later<'_, Result<Vec<Flow>, ViewError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn drops(&self) -> Later<'_, Result<Vec<Drops>, ViewError>> {
        Box::pin(async { Ok(vec![Drops::of("eth1", DropReason::NoSession, 3, 0)]) })
    }

    fn status(&self) -> Later<'_, Result<Status, ViewError>> {
        Box::pin(async { Err(ViewError("the tables")) })
    }
}
