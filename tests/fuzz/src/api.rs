//! Requests to the whole interface, one after the other, on a gateway without kernel and sockets: never an internal
//! error, every refusal a problem document, and nothing for those who present no token.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use gateway_common::abi::Vlan;
use gateway_common::{DropReason, KernelNanos};
use gateway_userspace::api::{
    Context, FlowFilter, Later, Readiness, SourceError, SourceResolver, ViewError, Views, router,
};
use gateway_userspace::core::{self, State};
use gateway_userspace::dataplane::MemoryDataPlane;
use gateway_userspace::identity::{
    Accounts, ApiToken, LastUsed, PasswordHash, Scope, SecretHash, ThrottleLimits, TokenId,
};
use gateway_userspace::policy::{
    App, AppName, Capacities, Gateway, GroupName, Input, SessionToken, Source, User, UserName,
};
use gateway_userspace::record::{AccessLog, Captures, Metrics, Recorder, Sink};
use gateway_userspace::store::{Store, StoreError, Stored, Write};
use gateway_userspace::wire::{Drops, Flow, Moment, Problem, Status};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower::Service as _;

const ADMIN: &str = "192.0.2.10";
const CLIENT: &str = "198.51.100.7";
const TOKEN: &str = "pct_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SECRET: &str = "pcs_00000000000000ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const PASSWORD: &str = "correct horse battery";
/// What may be reached without an API token.
const OPEN: [&str; 6] = ["/v1/login", "/v1/logout", "/v1/session", "/v1/openapi.json", "/healthz", "/readyz"];
/// Between two requests: a character that JSON, Cedar and paths have no use for.
const NEXT: char = '\u{1e}';
const MOST_REQUESTS: usize = 8;

/// Requests, each a line of who, method and path, and behind it a body. Who is `a` for the administrator with JSON, `t`
/// for the administrator with plain text, `c` for the client with the secret of its session, `n` for the client without
/// one, and `x` for somebody in the management network, whose `Authorization` is the first line of the body.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let requests: Vec<_> = text.split(NEXT).filter_map(Asked::read).take(MOST_REQUESTS).collect();
    if requests.is_empty() {
        return;
    }
    let changes = requests.iter().any(|asked| !matches!(asked.method, "GET" | "HEAD"));
    let mut world = UNCHANGED.take().unwrap_or_else(World::new);
    for asked in requests {
        world.ask(asked);
    }
    if changes {
        world.end();
    } else {
        UNCHANGED.set(Some(world));
    }
}

thread_local! {
    /// A gateway that was only asked for what it knows, for the next input: a new one takes a while.
    static UNCHANGED: Cell<Option<World>> = const { Cell::new(None) };
}

struct Asked<'t> {
    who: &'t str,
    method: &'t str,
    path: &'t str,
    body: &'t str,
}

impl<'t> Asked<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let (line, body) = text.split_once('\n').unwrap_or((text, ""));
        let mut words = line.splitn(3, ' ');
        Some(Self { who: words.next()?, method: words.next()?, path: words.next()?, body })
    }

    /// The request, if there can be one, and whether it proves an administrator.
    fn request(&self) -> Option<(Request<Body>, bool)> {
        let client = SocketAddr::new(CLIENT.parse().unwrap(), 40_000);
        let admin = SocketAddr::new(ADMIN.parse().unwrap(), 40_000);
        let bearer = |secret: &str| Some(format!("Bearer {secret}"));
        let (header, rest) = self.body.split_once('\n').unwrap_or((self.body, ""));
        let (peer, authorization, media, body) = match self.who {
            "a" => (admin, bearer(TOKEN), "application/json", self.body),
            "t" => (admin, bearer(TOKEN), "text/plain", self.body),
            "c" => (client, bearer(SECRET), "application/json", self.body),
            "n" => (client, None, "application/json", self.body),
            "x" => (admin, Some(header.to_owned()), "application/json; charset=utf-8", rest),
            _ => return None,
        };
        let mut request = Request::builder().method(self.method).uri(self.path).header("content-type", media);
        if let Some(value) = &authorization {
            request = request.header("authorization", value);
        }
        let proof = authorization.filter(|_| peer == admin).unwrap_or_default();
        let proves = proof
            .split_once(' ')
            .is_some_and(|(scheme, secret)| scheme.eq_ignore_ascii_case("bearer") && secret == TOKEN);
        let mut request = request.body(Body::from(body.to_owned())).ok()?;
        request.extensions_mut().insert(ConnectInfo(peer));
        Some((request, proves))
    }
}

struct World {
    router: Router,
    runtime: Runtime,
    core: JoinHandle<()>,
    _readiness: watch::Sender<Readiness>,
}

impl World {
    fn new() -> Self {
        let state = State {
            gateway: gateway(),
            accounts: accounts(),
            directory: Default::default(),
            history: Default::default(),
        };
        let recorder = Recorder::new(Metrics::new().unwrap(), AccessLog::start(Sink::Nowhere).unwrap(), None);
        let mut plane = MemoryDataPlane::new(Capacities::default());
        plane.clock = KernelNanos(1);
        let (core, thread) =
            core::start(state, Box::new(Nowhere), Box::new(plane), recorder.clone(), "boot".into()).unwrap();
        let (readiness, ready) = watch::channel(Readiness::Ready);
        let context = Context {
            core,
            views: Arc::new(FixedViews),
            resolver: Arc::new(FixedResolver),
            gate: Arc::new(Mutex::new(MemoryDataPlane::new(Capacities::default()))),
            tokens: Arc::new(gateway_userspace::api::Providers::default()),
            readiness: ready,
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
            session_lifetime: Duration::from_secs(3_600),
            throttle: ThrottleLimits::default(),
            clock: Arc::new(|| Moment { boot: KernelNanos(1), wall: OffsetDateTime::UNIX_EPOCH }),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { router: router(context), runtime, core: thread, _readiness: readiness }
    }

    fn ask(&mut self, asked: Asked<'_>) {
        let Some((request, proves)) = asked.request() else { return };
        let path = request.uri().path().to_owned();
        let answer = async {
            let response = self.router.call(request).await.unwrap();
            let (parts, body) = response.into_parts();
            (parts.status, parts.headers, to_bytes(body, usize::MAX).await.unwrap())
        };
        let (status, headers, body) = self.runtime.block_on(answer);
        let body = String::from_utf8(body.to_vec()).expect("an answer is text");
        let said = format!("{} {path}: {status} {body}", asked.method);
        assert!(!status.is_server_error(), "{said}");
        assert!(proves || !status.is_success() || OPEN.contains(&path.as_str()), "without a token: {said}");
        if !status.is_success() && media(&headers) == "application/scim+json" {
            assert!(path.starts_with("/scim/v2"), "{said}");
        } else if !status.is_success() {
            problem(asked.method, status, &headers, &body, &said);
        } else if media(&headers) == "application/json" && asked.method != "HEAD" {
            serde_json::from_str::<serde_json::Value>(&body).unwrap_or_else(|error| panic!("{error}: {said}"));
        }
        assert_eq!(headers["cache-control"], "no-store", "{said}");
    }

    /// The core ends with the last that could ask it, and has not panicked.
    fn end(self) {
        drop(self.router);
        drop(self.runtime);
        self.core.join().expect("the core goes on");
    }
}

fn media(headers: &HeaderMap) -> &str {
    headers.get("content-type").map_or("", |value| value.to_str().unwrap())
}

fn problem(method: &str, status: StatusCode, headers: &HeaderMap, body: &str, said: &str) {
    assert_eq!(media(headers), "application/problem+json", "{said}");
    if method == "HEAD" {
        return;
    }
    let problem: Problem = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(problem.status == status.as_u16() && problem.kind.starts_with("urn:portcullis:problem:"), "{said}");
    assert!(problem.errors.iter().all(|error| !error.message.is_empty()), "{said}");
}

fn accounts() -> Accounts {
    static HASH: LazyLock<PasswordHash> = LazyLock::new(|| PasswordHash::hash(&PASSWORD.into()).unwrap());
    let id = TokenId::new("0123456789ab").unwrap();
    let token = ApiToken {
        id: id.clone(),
        name: "admin".into(),
        scopes: [Scope::Admin].into(),
        secret_hash: SecretHash::of(TOKEN),
        created_at: OffsetDateTime::UNIX_EPOCH,
        expires_at: None,
        last_used: LastUsed::default(),
    };
    Accounts {
        passwords: [(UserName::new("ada").unwrap(), HASH.clone())].into(),
        tokens: [(id, token)].into(),
        session_secrets: [(SessionToken(0xab), SecretHash::of(SECRET))].into(),
        ..Accounts::default()
    }
}

/// Ada and Bob, of the staff, an app, and a session of Ada.
fn gateway() -> Gateway {
    let mut gateway = Gateway::new(Capacities::default());
    let mut put = |input| drop(gateway.handle(input, KernelNanos(1)).unwrap());
    let staff = GroupName::new("staff").unwrap();
    put(Input::PutGroup(staff.clone()));
    for name in ["ada", "bob"] {
        let name = UserName::new(name).unwrap();
        put(Input::PutUser(User { groups: [staff.clone()].into(), ..User::new(name) }));
    }
    put(Input::PutApp(App {
        name: AppName::new("crm").unwrap(),
        description: String::new(),
        prefixes: ["203.0.113.0/24".parse().unwrap()].into(),
        names: Default::default(),
        within: Default::default(),
        services: [gateway_userspace::wire::parse_service("443/tcp").unwrap()].into(),
        opens: BTreeSet::new(),
        trip_wire: false,
        outlasts_daemon: false,
        owner: String::new(),
        sensitivity: String::new(),
        budget: None,
        labels: BTreeSet::new(),
        health: None,
        enabled: true,
    }));
    let text = "permit (principal in Group::\"staff\", action, resource == App::\"crm\");".to_owned();
    put(Input::put_policy(&text, None).unwrap());
    put(Input::Login {
        token: SessionToken(0xab),
        user: UserName::new("ada").unwrap(),
        source: source(CLIENT.parse().unwrap()),
        proof: gateway_userspace::policy::Factors::default().into(),
        deadline: KernelNanos::NEVER,
    });
    gateway
}

fn source(address: IpAddr) -> Source {
    Source {
        address,
        zone: 1,
        zone_name: "office".into(),
        interface: 3,
        interface_name: "eth1".into(),
        country: Default::default(),
        mac: Some([2, 0, 0, 0, 0, 7]),
    }
}

/// A store that keeps nothing.
struct Nowhere;

impl Store for Nowhere {
    fn commit(&mut self, _: &[Write]) -> Result<(), StoreError> {
        Ok(())
    }

    fn load(&self) -> Result<Stored, StoreError> {
        Ok(Stored::default())
    }
}

/// Clients are in 198.51.100.0/24.
struct FixedResolver;

impl SourceResolver for FixedResolver {
    fn resolve(&self, peer: IpAddr) -> Later<'_, Result<Source, SourceError>> {
        let is_client = peer.to_string().starts_with("198.51.100.");
        Box::pin(async move { if is_client { Ok(source(peer)) } else { Err(SourceError::NotGuarded(peer)) } })
    }

    fn tags(&self, _: &Source) -> Vlan {
        Vlan::default()
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
        let status = Status {
            version: String::new(),
            started_at: OffsetDateTime::UNIX_EPOCH,
            policy_generation: 1,
            users: 2,
            apps: 1,
            apps_down: 0,
            sessions: 1,
            interfaces: Vec::new(),
            tables: Vec::new(),
            drift_entries: 0,
            events_lost: 0,
        };
        Box::pin(async move { Ok(status) })
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let scenes: [&[&str]; 9] = [
        &[
            "a GET /v1/users?limit=1",
            "a GET /v1/users?limit=1&cursor=ada",
            "a GET /v1/users/ada",
            "a GET /v1/users?limt=x",
        ],
        &[
            "a PUT /v1/users/cleo\n{\"display_name\":\"Cleo\",\"groups\":[\"staff\"],\"enabled\":true}",
            "a POST /v1/users/cleo/disable",
            "a DELETE /v1/users/cleo",
            "a PUT /v1/users/cleo/password\n{\"password\":\"short\"}",
        ],
        &["a GET /v1/groups", "a PUT /v1/groups/ops", "a PUT /v1/groups/ops/members/ada", "a DELETE /v1/groups/ops"],
        &[
            "a PUT /v1/apps/crm\n{\"prefixes\":[\"203.0.113.0/24\"],\"services\":[\"443/tcp\"],\"budget\":\"2 GiB\"}",
            "a GET /v1/apps?cursor=a",
            "a POST /v1/apps/crm/disable",
            "a DELETE /v1/apps/crm",
        ],
        &[
            "a GET /v1/policy",
            "t PUT /v1/policy\npermit (principal, action, resource);",
            "a POST /v1/policy/check\n{\"text\":\"permit (x);\"}",
        ],
        &[
            "a GET /v1/sessions?user=ada&app=crm&limit=1",
            "a GET /v1/sessions/00000000000000ab",
            "c GET /v1/session",
            "a POST /v1/revocations\n{\"user\":\"ada\"}",
            "c POST /v1/logout",
            "a DELETE /v1/sessions/00000000000000ab",
        ],
        &[
            "a GET /v1/tokens",
            "a POST /v1/tokens\n{\"name\":\"ci\",\"scopes\":[\"read\"],\"expires_at\":\"2030-01-01T00:00:00Z\"}",
            "a DELETE /v1/tokens/0123456789ab",
        ],
        &["n POST /v1/login\n{\"username\":\"bob\",\"password\":\"wrong\"}", "n GET /v1/session", "n GET /healthz"],
        &[
            "x GET /v1/status\nBearer pct_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "x GET /metrics\nBearer pct_0123456789ab_",
            "x HEAD /v1/flows?session=00000000000000ab&user=ada&app=crm&limit=5\nBasic x",
            "a GET /v1/drops",
            "a PATCH /v1/policy",
            "a GET /v1/x/%2e%2e/users",
        ],
    ];
    scenes.map(|scene| scene.join("\u{1e}").into_bytes()).into()
}
