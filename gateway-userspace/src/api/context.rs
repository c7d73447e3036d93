//! What the interface needs from the rest of the gateway.

use super::problem::ApiError;
use super::providers::Providers;
use super::sign_ins::{BrowserSignIns, DeviceSignIns};
use super::ssf::Signals;
use crate::core::Core;
use crate::dataplane::Explain;
use crate::export::Exports;
use crate::health::Health;
use crate::identity::{RetryAfter, Throttle, ThrottleLimits, Verifier};
use crate::policy::{AppName, DnsName, ProviderName, SessionToken, Source, UserName};
use crate::record::{Captures, Recorder};
use crate::wire::{Drops, Flow, Moment, ResolvedName, Status};
use gateway_common::abi::Vlan;
use ipnet::IpNet;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::sync::{MutexGuard, watch};

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Finds out where a peer is.
pub trait SourceResolver: Send + Sync {
    /// Which guarded interface a peer is behind, and what its frames carry.
    ///
    /// # Errors
    /// If it is behind none, or nobody knows.
    fn resolve(&self, peer: IpAddr) -> Later<'_, Result<Source, SourceError>>;

    /// The tags that packets from there carry.
    fn tags(&self, source: &Source) -> Vlan;
}

/// Why no session can begin at an address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourceError {
    /// The peer is not a client.
    #[error("address `{0}` is not behind a guarded interface")]
    NotGuarded(IpAddr),
    /// The kernel knows no hardware address for a peer that should have one.
    #[error("no hardware address is known for `{0}`; try again")]
    NoNeighbour(IpAddr),
    /// The system could not be asked.
    #[error("routes and neighbours could not be read: {0}")]
    System(String),
}

/// Checks access tokens of identity providers, which services present.
pub trait AccessTokens: Send + Sync {
    /// The provider that has issued a token for this gateway, and the client that it has issued it to.
    ///
    /// # Errors
    /// If it is not good now.
    fn verify<'a>(
        &'a self,
        token: &'a str,
        now: OffsetDateTime,
    ) -> Later<'a, Result<(ProviderName, String), AccessTokenRefusal>>;
}

/// Why an access token proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccessTokenRefusal {
    /// No provider of this gateway issues such tokens.
    #[error("no provider of this gateway has issued it")]
    UnknownIssuer,
    /// It is not good, for this reason of the provider's closed list.
    #[error("it is refused: {0}")]
    Refused(&'static str),
    /// The provider's keys are not known now.
    #[error("the keys of its provider are not known now")]
    Unavailable,
}

impl AccessTokenRefusal {
    /// The word in records.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "token_issuer",
            Self::Refused(_) => "token_refused",
            Self::Unavailable => "token_keys",
        }
    }
}

/// What is read past the core: counters and tables.
pub trait Views: Send + Sync {
    /// The flows that match, at most as many as the filter says.
    ///
    /// # Errors
    /// If the tables cannot be read.
    fn flows(&self, filter: FlowFilter) -> Later<'_, Result<Vec<Flow>, ViewError>>;

    /// The drop counters that are not 0.
    ///
    /// # Errors
    /// If they cannot be read.
    fn drops(&self) -> Later<'_, Result<Vec<Drops>, ViewError>>;

    /// The gateway at a glance.
    ///
    /// # Errors
    /// If it cannot be read.
    fn status(&self) -> Later<'_, Result<Status, ViewError>>;
}

/// What could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} could not be read")]
pub struct ViewError(pub &'static str);

/// Which flows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FlowFilter {
    /// Of this session.
    pub session: Option<SessionToken>,
    /// Of this user.
    pub user: Option<UserName>,
    /// To this app.
    pub app: Option<AppName>,
    /// At most so many.
    pub limit: usize,
}

/// Whether the gateway does its work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not, for this reason.
    NotReady(String),
}

/// Where a name of an app leads now; `None` if nobody has looked yet.
pub type NameLook = Arc<dyn Fn(&DnsName) -> Option<ResolvedName> + Send + Sync>;

/// What the interface is built from.
pub struct Context {
    /// The state.
    pub core: Core,
    /// Counters and tables.
    pub views: Arc<dyn Views>,
    /// Where peers are.
    pub resolver: Arc<dyn SourceResolver>,
    /// Who can be asked what becomes of a packet.
    pub gate: Arc<dyn Explain>,
    /// Who checks access tokens of identity providers.
    pub tokens: Arc<dyn AccessTokens>,
    /// Whether the gateway does its work.
    pub readiness: watch::Receiver<Readiness>,
    /// The metrics.
    pub metrics: prometheus::Registry,
    /// Whether the metrics are for everybody within the management prefixes, without a token.
    pub open_metrics: bool,
    /// Where administration may come from.
    pub management: Vec<IpNet>,
    /// How long a session lasts.
    pub session_lifetime: Duration,
    /// How often passwords may be guessed.
    pub throttle: ThrottleLimits,
    /// Both clocks.
    pub clock: Arc<dyn Fn() -> Moment + Send + Sync>,
    /// Where names of apps lead.
    pub names: NameLook,
    /// Identity providers.
    pub providers: Providers,
    /// What takes security events.
    pub signals: Signals,
    /// Where failed logins are recorded.
    pub recorder: Recorder,
    /// Where denied packets are captured.
    pub captures: Captures,
    /// Whether apps answer.
    pub health: Health,
    /// Where records are passed on to.
    pub exports: Exports,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("management", &self.management).finish_non_exhaustive()
    }
}

/// What all handlers share.
pub(super) struct Shared {
    pub context: Context,
    pub verifier: Verifier,
    pub document: String,
    throttle: Mutex<Throttle>,
    edits: tokio::sync::Mutex<()>,
    browsers: Mutex<BrowserSignIns>,
    devices: Mutex<DeviceSignIns>,
}

impl Shared {
    pub fn new(context: Context, document: utoipa::openapi::OpenApi) -> Arc<Self> {
        let throttle = Mutex::new(Throttle::new(context.throttle));
        let document = document.to_json().unwrap_or_default();
        Arc::new(Self {
            context,
            verifier: Verifier::default(),
            document,
            throttle,
            edits: Default::default(),
            browsers: Default::default(),
            devices: Default::default(),
        })
    }

    /// Held while something is read, changed and written back: without it two changes of one user's groups could undo
    /// each other.
    pub async fn edit(&self) -> MutexGuard<'_, ()> {
        self.edits.lock().await
    }

    /// Logins in a browser that have begun.
    pub fn browsers(&self) -> std::sync::MutexGuard<'_, BrowserSignIns> {
        self.browsers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logins by device code that have begun.
    pub fn devices(&self) -> std::sync::MutexGuard<'_, DeviceSignIns> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Moment {
        (self.context.clock)()
    }

    pub fn is_management(&self, peer: IpAddr) -> bool {
        self.context.management.iter().any(|prefix| prefix.contains(&peer))
    }

    pub fn attempt(&self, peer: IpAddr, user: Option<&UserName>) -> Result<(), ApiError> {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.attempt(peer, user, Instant::now()).map_err(|retry: RetryAfter| ApiError::too_many(retry.0))
    }

    pub fn succeeded(&self, peer: IpAddr, user: &UserName) {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.succeeded(peer, user, Instant::now());
    }
}
