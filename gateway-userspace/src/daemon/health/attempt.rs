//! One attempt: a connection, or a question by HTTP. It is over within the check's timeout, and with it its connection.

use crate::health::{Attempt, Failure, FailureKind};
use crate::outward;
use crate::policy::Probe;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use url::Url;

/// How long the authorities of the system are remembered: its administrator may add one.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Whom certificates of apps may come from: the authorities of the system.
#[derive(Default)]
pub(super) struct Trust(Option<(Instant, Option<Arc<ClientConfig>>)>);

impl Trust {
    /// What a probe needs of it.
    pub(super) async fn of(&mut self, probe: &Probe) -> Option<Arc<ClientConfig>> {
        if matches!(probe, Probe::Connection(_)) {
            return None;
        }
        if let Some((read_at, config)) = &self.0
            && read_at.elapsed() < REMEMBERED
        {
            return config.clone();
        }
        let config = tokio::task::spawn_blocking(config).await.ok().flatten().map(Arc::new);
        self.0 = Some((Instant::now(), config.clone()));
        config
    }
}

/// Without authorities no certificate is good.
fn config() -> Option<ClientConfig> {
    outward::trusting(outward::system_authorities().unwrap_or_else(RootCertStore::empty)).ok()
}

/// Tries it: how long the answer took.
pub(super) async fn run(attempt: &Attempt, tls: Option<Arc<ClientConfig>>) -> Result<Duration, Failure> {
    let Attempt { address, check, .. } = attempt;
    let (at, began) = (SocketAddr::new(*address, check.probe.port()), Instant::now());
    let answer = async {
        match &check.probe {
            Probe::Connection(_) => TcpStream::connect(at).await.map(drop).map_err(|error| Failure::of(&error)),
            Probe::Get(url) => get(url, at, tls).await,
        }
    };
    match tokio::time::timeout(check.timeout, answer).await {
        Ok(answered) => answered.map(|()| began.elapsed()),
        Err(_) => {
            Err(Failure::new(FailureKind::Timeout, &format!("no answer within {} ms", check.timeout.as_millis())))
        }
    }
}

/// A client for each question: it has one connection, to the app's address, and takes it along.
async fn get(url: &Url, at: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Result<(), Failure> {
    let tls = tls.ok_or_else(|| Failure::new(FailureKind::Tls, "TLS cannot be set up"))?;
    let client = outward::builder((*tls).clone()).https_only(url.scheme() == "https").http1_only();
    let client = client.dns_resolver(Arc::new(Only(at))).pool_max_idle_per_host(0).build();
    let client = client.map_err(|error| Failure::new(FailureKind::Other, &outward::innermost(&error)))?;
    // Of the answer its status is enough: the body is not read.
    let response = client.get(url.clone()).send().await.map_err(|error| Failure::of(&error))?;
    let status = response.status();
    match status.is_success() || status.is_redirection() {
        true => Ok(()),
        false => Err(Failure::new(FailureKind::Status, &status.to_string())),
    }
}

/// Every name is at this address: DNS is not asked.
struct Only(SocketAddr);

impl Resolve for Only {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}
