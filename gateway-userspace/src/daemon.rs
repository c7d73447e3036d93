//! Putting the parts together: the only file that knows everyone.
//!
//! Order of a start: read the configuration, open the state, take the listening sockets; then load the programs and
//! bring the tables from whatever is in them to what should be; only then let the programs judge, and answer requests.
//! Whatever fails before the programs are attached leaves an older daemon's enforcement as it was. A stop leaves
//! programs, tables and links in the kernel: enforcement goes on.

mod bindings;
mod bootstrap;
mod countries;
mod directory;
mod health;
mod names;
mod providers;
mod restore;
mod signals;
mod views;
mod watch;
mod whereabouts;
mod work;

use crate::api::certificate::{Certificate, CertificateError};
use crate::api::client_certificate::ClientAuthority;
use crate::api::server::{ListenerConfig, Server, ServerError, ServerHandle};
use crate::api::{self, Context, Providers, Readiness, Signals};
use crate::config::{Access, Config, MetricsAccess, Transport};
use crate::core::Actor;
use crate::core::{self, Core};
use crate::dataplane::attach::{Attached, GuardedInterface};
use crate::dataplane::services::{Offer, Services, offered, own_addresses};
use crate::dataplane::{
    Barrier, BarrierChoice, DataPlaneError, Explain, Guarding, KernelDataPlane, PlaneSettings, Programs, Ways, clock,
    interfaces, monitor, ways,
};
use crate::export::{self, Exports, Origin};
use crate::health::Health;
use crate::record::audit;
use crate::record::{
    AccessLog, Archive, ArchiveSettings, AuditTrail, Captures, Keepers, Metrics, Recorder, Sink, follow,
};
use crate::store::{FileStore, Store, StoreError, Stored, Write};
use crate::wire::Moment;
use countries::{Countries, CountriesError};
use gateway_common::Packet;
use rustls::server::danger::ClientCertVerifier;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch::{Receiver, channel};
use work::Work;

/// How long open requests may take when the daemon stops.
const GRACE: Duration = Duration::from_secs(3);
/// How long the last entries of the audit trail may take then.
const LAST_ENTRIES: Duration = Duration::from_secs(5);

/// Why the daemon could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state could not be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kernel refused something.
    #[error(transparent)]
    DataPlane(#[from] DataPlaneError),
    /// The tables are too small for what is stored.
    #[error("the stored apps do not fit: {0}")]
    Capacity(crate::policy::Refusal),
    /// The API could not be served.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// There is no usable certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file or folder could not be read or written.
    #[error("`{path}`: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What the configuration says of an identity provider is not valid.
    #[error("identity provider `{name}`: {problem}")]
    Provider {
        /// Which.
        name: crate::policy::ProviderName,
        /// What is wrong.
        problem: String,
    },
    /// Records cannot be passed on as the configuration says.
    #[error(transparent)]
    Export(#[from] export::Unusable),
    /// The database of countries is of no use.
    #[error(transparent)]
    Countries(#[from] CountriesError),
    /// What a new gateway begins with is not valid.
    #[error("{0}")]
    FirstStart(String),
    /// The system refused something else.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Two metrics have the same name, which is a mistake in the program.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl DaemonError {
    /// Whether the configuration, or a file that it names, is what has to be changed.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::FirstStart(_)
                | Self::Countries(_)
                | Self::Provider { .. }
                | Self::Export(_)
                | Self::Certificate(_)
                | Self::DataPlane(DataPlaneError::ZonesCollide(..))
        )
    }
}

/// Checks the files that the configuration names, without touching anything.
///
/// # Errors
/// What is wrong with them.
pub fn check(config: &Config) -> Result<(), DaemonError> {
    bootstrap::read(config)?;
    providers::providers(config)?;
    if let (Some(chain), Some(key)) = (&config.api.certificate, &config.api.key) {
        Certificate::load(chain, key)?.into_config(None)?;
    }
    client_verifier(config)?;
    Countries::open(config.countries.as_deref())?;
    export::check(&config.exports)?;
    Ok(())
}

/// Makes another API token for everything, while the daemon is stopped: the way back for whoever lost the first one.
/// Returns the file that it was written to.
///
/// # Errors
/// If the state is in use or cannot be written.
pub fn admin_token(config: &Config) -> Result<PathBuf, DaemonError> {
    let mut store = FileStore::open(&config.state.join("state.redb"))?;
    let (token, path) = bootstrap::issue(config)?;
    store.commit(&[Write::PutApiToken(token.clone())])?;
    audited(config, |recorder| recorder.token_changed(&Actor::local(), "api_token_created", &token))?;
    Ok(path)
}

/// Takes every program off and removes every table. From then on nothing is guarded; the state is untouched.
///
/// # Errors
/// If a daemon is running, or a pin cannot be removed.
pub fn unload(config: &Config) -> Result<(), DaemonError> {
    let state = config.state.join("state.redb");
    // Opening it shows whether a daemon has it: one that went on would report a guard that is not there.
    let held = if state.exists() { Some(FileStore::open(&state)?) } else { None };
    crate::dataplane::attach::unload(&config.bpffs)?;
    crate::dataplane::barrier::lower()?;
    if held.is_some() {
        audited(config, |recorder| recorder.admin(&Actor::local(), "unloaded", "programs"))?;
    }
    drop(held);
    Ok(())
}

/// Tells the audit trail what is done while no daemon runs. A disk that takes no entry keeps nobody from it.
fn audited(config: &Config, tell: impl FnOnce(&Recorder)) -> Result<(), DaemonError> {
    let metrics = Metrics::new()?;
    let trail = audit_trail(config, &metrics)?;
    let log = AccessLog::start(Sink::Nowhere).map_err(system("no log"))?;
    let keepers = Keepers { log, archive: Archive::none(), audit: trail.clone() };
    tell(&Recorder::keeping(metrics, keepers, None));
    if !trail.flush(LAST_ENTRIES) {
        tracing::warn!("the audit trail could not be told of it");
    }
    Ok(())
}

/// Who guards after a [`lock`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lock {
    /// A daemon does already; nothing was touched.
    ByDaemon,
    /// These interfaces are guarded, and those of these names will be kept from forwarding when they come.
    Of {
        /// Guarded.
        guarded: Vec<String>,
        /// Not there yet.
        missing: Vec<String>,
        /// Whether there is a barrier behind the programs.
        has_barrier: bool,
    },
}

/// Guards the interfaces that are there, without a daemon: whatever an earlier one has left in the tables is in force, which
/// after a boot is nothing; management services are reached. To be called before the network comes up.
///
/// # Errors
/// If the kernel or nftables refuses.
pub fn lock(config: &Config) -> Result<Lock, DaemonError> {
    let state = config.state.join("state.redb");
    let held = match state.exists().then(|| FileStore::open(&state)) {
        Some(Err(StoreError::InUse(_))) => return Ok(Lock::ByDaemon),
        // A state that cannot be read is a reason to lock, not to leave open.
        Some(Err(error)) => {
            tracing::warn!(%error, "the state cannot be read");
            None
        }
        Some(Ok(store)) => Some(store),
        None => None,
    };
    let name = |wanted: &interfaces::Wanted| wanted.name.clone();
    let (there, missing): (Vec<_>, Vec<_>) =
        config.interfaces.iter().cloned().partition(|wanted| interfaces::number(&wanted.name).is_some());
    let (missing, guarded) = (missing.iter().map(name).collect(), there.iter().map(name).collect());
    let interfaces = interfaces::find(&there)?;
    let mut barrier = barrier(config)?;
    let has_barrier = barrier.is_some();
    // First, and for all names: what takes longer is done behind it. Where programs are left of an earlier daemon, they
    // guard, and open connections go on.
    if let Some(barrier) = barrier.as_mut().filter(|_| !config.bpffs.exists()) {
        barrier.raise(&[])?;
    }
    let settings = PlaneSettings { lease: 0, ..told(config) };
    let (plane, mut programs) = KernelDataPlane::open(&config.bpffs, config.capacity, settings)?;
    surround(config, &plane, &mut programs, barrier)?;
    programs.guard(&interfaces)?;
    drop(held);
    Ok(Lock::Of { guarded, missing, has_barrier })
}

/// Tells the programs everything but whom they judge: the gateway's own services, the other side, the barrier.
fn surround(
    config: &Config,
    plane: &KernelDataPlane,
    programs: &mut Programs,
    barrier: Option<Barrier>,
) -> Result<(Services, Vec<Offer>), DaemonError> {
    let mut services = Services::open(plane.pins())?;
    services.manage_from(&config.api.management)?;
    let offers = offers(config);
    serve(&mut services, &offers)?;
    programs.face_apps(config.app_side.clone());
    programs.stand_behind(barrier);
    Ok((services, offers))
}

fn barrier(config: &Config) -> Result<Option<Barrier>, DataPlaneError> {
    let names = config.interfaces.iter().map(|wanted| wanted.name.clone());
    Barrier::choose(config.barrier, names.collect())
}

fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> DaemonError {
    move |source| DaemonError::System { what, source }
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// Why it could not start.
pub async fn run(config: Config) -> Result<(), DaemonError> {
    let started_at = OffsetDateTime::now_utc();
    let Prepared { guarded, store, stored, first, server, log, providers, countries } = prepare(&config)?;
    let Enforcing { gate, mut programs, services, offers } = enforce(&config, store, stored, guarded, &log)?;
    let kernel_log = watch::kernel_log(&mut programs);
    bootstrap::begin(&gate.core, &config, first).await?;

    let (ready, readiness) = channel(Readiness::Ready);
    let (signals, attended) = signals::signals(&config, &gate.core, &gate.metrics)?;
    let (exports, passing_on) = passing_on(&config, &gate)?;
    let context = gate.context(&config, readiness, started_at, (providers.clone(), signals), Arc::clone(&countries));
    let router = api::router(Context { exports: exports.clone(), ..context });
    let handle = server.handle();
    let serving = tokio::spawn({
        let handle = handle.clone();
        let login = config.login.listen.clone();
        let router = move |address| {
            let router = router.clone();
            if login.contains(&address) { api::where_people_log_in(router) } else { router }
        };
        async move { server.run(router, &handle).await }
    });
    let tasks = [
        kernel_log,
        tokio::spawn(watch::core(gate.metrics.clone())),
        tokio::spawn(attended),
        tokio::spawn(health::keep(gate.core.clone(), gate.health.clone(), gate.recorder.clone())),
        tokio::spawn(bindings::keep(gate.core.clone(), gate.guarding.clone(), Arc::clone(&countries))),
        tokio::spawn(providers::renew(providers, gate.core.clone(), gate.metrics.clone())),
        follow_directory(&config, &gate),
        tokio::spawn(names::resolve(config.dns.clone(), gate.core.clone(), gate.metrics.clone(), gate.names.clone())),
        tokio::spawn(watch::addresses(services, offers, gate.metrics.clone())),
        tokio::spawn(watch::interfaces(
            programs,
            config.interfaces.clone(),
            gate.guarding.clone(),
            gate.core.clone(),
            gate.metrics.clone(),
        )),
    ];
    notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");

    let outcome = until_stopped(&config, &handle, (&log, &countries, &gate.metrics, &gate.captures), serving).await;
    notify(&[sd_notify::NotifyState::Stopping]);
    ready.send_replace(Readiness::NotReady("the gateway is shutting down".into()));
    tasks.iter().chain(&passing_on).for_each(tokio::task::JoinHandle::abort);
    let audit = gate.recorder.audit().clone();
    gate.stop().await;
    let stopped = move || {
        exports.keep();
        audit.stop(LAST_ENTRIES);
    };
    drop(tokio::task::spawn_blocking(stopped).await);
    outcome
}

/// Begins to pass records on.
fn passing_on(config: &Config, gate: &Gate) -> Result<(Exports, Vec<tokio::task::JoinHandle<()>>), DaemonError> {
    let (archive, registry) = (gate.recorder.archive(), gate.metrics.registry());
    let origin = Origin { gateway: own_name() };
    Ok(export::start(&config.exports, archive, &config.state.join("export"), &registry, origin)?)
}

/// What this machine is called.
fn own_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// Keeps the bundle in a directory in force, if there is one.
fn follow_directory(config: &Config, gate: &Gate) -> tokio::task::JoinHandle<()> {
    let (followed, core, metrics) = (config.followed.clone(), gate.core.clone(), gate.metrics.clone());
    tokio::spawn(async move {
        if let Some(followed) = followed {
            directory::follow(followed, core, metrics).await;
        }
    })
}

/// What a start needs, found and checked before anything in the kernel is touched.
struct Prepared {
    guarded: Vec<GuardedInterface>,
    store: Box<dyn Store>,
    stored: Stored,
    first: bootstrap::First,
    server: Server,
    log: AccessLog,
    providers: Providers,
    countries: Arc<Countries>,
}

fn prepare(config: &Config) -> Result<Prepared, DaemonError> {
    let guarded = interfaces::find(&config.interfaces)?;
    config.app_side.find()?;
    let store: Box<dyn Store> = Box::new(FileStore::open(&config.state.join("state.redb"))?);
    let mut work = Work::begin(0);
    let stored = store.load()?;
    work.done("the state has been read");
    let is_new = stored.apps.is_empty() && stored.users.is_empty() && stored.policy.is_none();
    let first = if is_new { bootstrap::read(config)? } else { bootstrap::First::default() };
    let (providers, server, log) = (providers::providers(config)?, listen(config)?, access_log(config)?);
    let countries = Arc::new(Countries::open(config.countries.as_deref())?);
    export::check(&config.exports)?;
    Ok(Prepared { guarded, store, stored, first, server, log, providers, countries })
}

/// A gate that enforces, and what keeps it up to date.
struct Enforcing {
    gate: Gate,
    programs: Programs,
    services: Services,
    offers: Vec<Offer>,
}

/// Brings the tables to what should be in them, lets the programs judge, and starts the threads.
fn enforce(
    config: &Config,
    mut store: Box<dyn Store>,
    stored: Stored,
    guarded: Vec<GuardedInterface>,
    log: &AccessLog,
) -> Result<Enforcing, DaemonError> {
    let (mut plane, mut programs) = KernelDataPlane::open(&config.bpffs, config.capacity, told(config))?;
    let boot_id = clock::boot_id().map_err(system("the boot id cannot be read"))?;
    let metrics = Metrics::new()?;
    let audit = audit_trail(config, &metrics)?;
    audit.started();
    let keepers = Keepers { log: log.clone(), archive: archive(config, &metrics)?, audit };
    let recorder = Recorder::keeping(metrics.clone(), keepers, Some(plane.monitor()?));
    let mut work = Work::begin(stored.sessions.len());
    let (state, changes) = restore::restore(stored, &plane, &guarded, &boot_id, config.limits.session, &mut work)?;
    store.commit(&changes)?;
    metrics.drifted(restore::reconcile(&mut plane, &state, &mut work)?);
    recorder.knows(&state.gateway);
    work.done("the names of the sessions have been learned");
    let guarding = Guarding::default();
    metrics.watch(&recorder, guarding.clone())?;
    let health = Health::default();
    metrics.watch_health(&health)?;

    let barrier = barrier(config)?;
    // Whoever wants none has rules of their own.
    metrics.barrier(barrier.is_some() || config.barrier == BarrierChoice::None);
    tell_expiry(config, &metrics);
    let (services, offers) = surround(config, &plane, &mut programs, barrier)?;
    guarding.set(&mut programs, guarded)?;
    announce(&guarding);

    let stop = Arc::new(AtomicBool::new(false));
    let events = monitor::events(plane.pins())?;
    let times = (config.records.denial_window, config.records.flow_update);
    let follower = follow(recorder.clone(), events, times, Arc::clone(&stop))
        .map_err(system("the events thread cannot be started"))?;
    let watcher = ways::watch(Ways::open(plane.pins())?, Arc::clone(&stop))
        .map_err(system("the thread that watches routes cannot be started"))?;
    let explainer: Arc<dyn Explain> = Arc::new(plane.explainer()?);
    let captures = Captures::new(recorder.clone(), guarding.clone(), plane.take_tap());
    let (core, keeper) = core::start(state, store, Box::new(plane), recorder.clone(), boot_id.into())
        .map_err(system("the core's thread cannot be started"))?;
    let names = names::NameStates::default();
    let threads = [keeper, follower, watcher];
    let gate = Gate { core, explainer, captures, recorder, metrics, health, guarding, names, stop, threads };
    Ok(Enforcing { gate, programs, services, offers })
}

/// The running parts that others ask.
struct Gate {
    core: Core,
    explainer: Arc<dyn Explain>,
    captures: Captures,
    recorder: Recorder,
    metrics: Metrics,
    health: Health,
    guarding: Guarding,
    names: names::NameStates,
    stop: Arc<AtomicBool>,
    threads: [std::thread::JoinHandle<()>; 3],
}

impl Gate {
    /// What the API is built from.
    fn context(
        &self,
        config: &Config,
        readiness: Receiver<Readiness>,
        started_at: OffsetDateTime,
        (providers, signals): (Providers, Signals),
        countries: Arc<Countries>,
    ) -> Context {
        let Self { core, explainer, captures, recorder, metrics, health, guarding, names, .. } = self;
        let views = views::KernelViews::new(
            core.clone(),
            (recorder.clone(), health.clone()),
            guarding.clone(),
            config.interfaces.clone(),
            started_at,
        );
        Context {
            core: core.clone(),
            views: Arc::new(views),
            resolver: Arc::new(whereabouts::KernelResolver { guarding: guarding.clone(), countries }),
            gate: Arc::clone(explainer),
            tokens: Arc::new(providers.clone()),
            readiness,
            metrics: metrics.registry(),
            open_metrics: config.api.metrics == MetricsAccess::Management,
            management: config.api.management.clone(),
            session_lifetime: config.login.session,
            throttle: Default::default(),
            names: names.look(),
            providers,
            signals,
            clock: Arc::new(|| Moment { boot: clock::boot(), wall: OffsetDateTime::now_utc() }),
            recorder: recorder.clone(),
            captures: captures.clone(),
            health: health.clone(),
            exports: Exports::default(),
        }
    }

    /// Ends the threads: the core's ends when nobody is left to ask it.
    async fn stop(self) {
        let Self { core, stop, threads, .. } = self;
        drop(core);
        stop.store(true, Ordering::Relaxed);
        let join = move || threads.map(std::thread::JoinHandle::join).iter().all(Result::is_ok);
        if !matches!(tokio::task::spawn_blocking(join).await, Ok(true)) {
            tracing::error!("a thread of the daemon has panicked");
        }
    }
}

/// Waits for signals: stop on TERM and INT; on HUP open the access log, the certificate and the database of countries anew.
async fn until_stopped(
    config: &Config,
    handle: &ServerHandle,
    (log, countries, metrics, captures): (&AccessLog, &Arc<Countries>, &Metrics, &Captures),
    mut serving: tokio::task::JoinHandle<Result<(), ServerError>>,
) -> Result<(), DaemonError> {
    let on = |kind| signal(kind).map_err(system("signals cannot be received"));
    let (mut terminate, mut interrupt, mut hangup) =
        (on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::hangup())?);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                log.reopen();
                let countries = Arc::clone(countries);
                drop(tokio::task::spawn_blocking(move || countries.renew()));
                match tls(config) {
                    Ok(tls) => {
                        handle.renew(tls);
                        tell_expiry(config, metrics);
                    }
                    Err(error) => tracing::error!(%error, "the certificate could not be renewed; the old one stays"),
                }
                tracing::info!("access log, certificate and database of countries opened anew");
            }
            served = &mut serving => {
                return match served {
                    Ok(outcome) => outcome.map_err(DaemonError::from),
                    Err(error) => Err(system("the API has ended")(std::io::Error::other(error))),
                };
            }
        }
    }
    tracing::info!("stopping; programs and tables stay in the kernel");
    captures.stop();
    handle.shut_down(GRACE);
    match serving.await {
        Ok(outcome) => outcome.map_err(DaemonError::from),
        Err(error) => Err(system("the API has ended")(std::io::Error::other(error))),
    }
}

/// What the programs are told as a whole.
fn told(config: &Config) -> PlaneSettings {
    PlaneSettings {
        events_per_window: config.records.events_per_window(),
        answers_per_window: config.limits.answers_per_window(),
        service_interval: config.limits.service_interval(),
        quarantine: config.limits.quarantine_nanos(),
        lease: config.limits.lease_nanos(),
        records: true,
    }
}

fn announce(guarding: &Guarding) {
    for Attached { interface, mode, adopted } in guarding.attached() {
        tracing::info!(interface, xdp = mode, adopted, "guarding");
    }
}

fn tls(config: &Config) -> Result<Arc<rustls::ServerConfig>, CertificateError> {
    certificate(config)?.into_config(client_verifier(config)?)
}

/// The certificate of API and login, as it is in its file now.
fn certificate(config: &Config) -> Result<Certificate, CertificateError> {
    match (&config.api.certificate, &config.api.key) {
        (Some(chain), Some(key)) => Certificate::load(chain, key),
        _ => {
            let listen = config.api.listen.iter().chain(&config.login.listen);
            let mut names: Vec<String> =
                listen.map(|address| address.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()).collect();
            names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
            names.push("localhost".into());
            names.sort();
            names.dedup();
            Certificate::load_or_make(&config.state.join("api.crt"), &config.state.join("api.key"), &names)
        }
    }
}

/// Tells until when the certificate is valid. Where that cannot be read it is as good as over, and an alert says so.
fn tell_expiry(config: &Config, metrics: &Metrics) {
    let expires = certificate(config).and_then(|certificate| certificate.expires()).unwrap_or_else(|error| {
        tracing::warn!(%error, "it cannot be read until when the certificate is valid");
        OffsetDateTime::UNIX_EPOCH
    });
    metrics.certificate_expires(expires);
}

/// What checks the certificates of clients, if they may have any.
fn client_verifier(config: &Config) -> Result<Option<Arc<dyn ClientCertVerifier>>, CertificateError> {
    let authority =
        |path: &PathBuf| ClientAuthority { certificates: path.clone(), revoked: config.api.client_crl.clone() };
    config.api.client_ca.as_ref().map(authority).map(|authority| authority.verifier()).transpose()
}

fn listen(config: &Config) -> Result<Server, DaemonError> {
    let addresses: Vec<SocketAddr> = config.api.listen.iter().chain(&config.login.listen).copied().collect();
    Ok(Server::bind(ListenerConfig { addresses, tls: tls(config)?, limits: Default::default() })?)
}

fn access_log(config: &Config) -> Result<AccessLog, DaemonError> {
    let sink = match &config.records.access_log {
        None => Sink::Nowhere,
        Some(path) if path.as_os_str() == "-" => Sink::Stdout,
        Some(path) => Sink::File(path.clone()),
    };
    AccessLog::start(sink).map_err(system("the access log cannot be opened"))
}

fn audit_trail(config: &Config, metrics: &Metrics) -> Result<AuditTrail, DaemonError> {
    let trail =
        AuditTrail::start(&config.state.join("audit"), &own_name(), &metrics.registry(), audit::Settings::default());
    trail.map_err(system("the audit trail's thread cannot be started"))
}

fn archive(config: &Config, metrics: &Metrics) -> Result<Archive, DaemonError> {
    if !config.records.archive {
        return Ok(Archive::none());
    }
    let settings = ArchiveSettings {
        folder: config.state.join("records"),
        keep: config.records.keep,
        keep_bytes: config.records.keep_bytes,
        segment: ArchiveSettings::SEGMENT,
    };
    Archive::start(settings, metrics.clone()).map_err(system("the thread of the archive cannot be started"))
}

/// The gateway's services, as the programs must know them.
fn offers(config: &Config) -> Vec<Offer> {
    let tcp = |address: &SocketAddr, is_management| Offer {
        protocol: Packet::TCP,
        port: address.port(),
        is_management,
        addresses: if address.ip().is_unspecified() { Vec::new() } else { vec![address.ip()] },
    };
    let api = config.api.listen.iter().map(|address| tcp(address, true));
    let login = config.login.listen.iter().map(|address| tcp(address, false));
    let others = config.services.iter().map(|service| Offer {
        protocol: match service.protocol {
            Transport::Tcp => Packet::TCP,
            Transport::Udp => Packet::UDP,
        },
        port: service.port,
        is_management: service.access == Access::Management,
        addresses: service.addresses.clone(),
    });
    api.chain(login).chain(others).collect()
}

fn serve(services: &mut Services, offers: &[Offer]) -> Result<bool, DaemonError> {
    let own = own_addresses().map_err(|errno| system("own addresses cannot be read")(errno.into()))?;
    Ok(services.serve(&offered(&own, offers))?)
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(states);
}
