//! Shared signals: from the configuration to streams of events that the core follows.

use super::DaemonError;
use super::providers::{algorithms, secret};
use crate::api::{Later, SignalReceiver, Signals};
use crate::config::{Config, Delivery, ProviderConfig, SignalsConfig};
use crate::core::{Actor, Core, Request};
use crate::identity::SecretHash;
use crate::identity::jose::{Pace, Store};
use crate::identity::oidc::authorities;
use crate::identity::ssf::{
    Answer, Apply, Backoff, Credential, Failure, Intake, Liveness, Manager, Naming, NotApplied, Order, Poll, PollPace,
    Poller, Profile, Push, Pushed, Rhythm, StreamDocument, TransmitterKeys, Wanted, Window, client,
};
use crate::policy::ProviderName;
use crate::record::Metrics;
use futures_util::future::join_all;
use secrecy::{ExposeSecret as _, SecretString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use url::Url;

/// How often a transmitter is asked again that could not be asked, and how often a stream is looked at.
const RETRY: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(60);

/// The events of one provider.
struct Stream {
    provider: ProviderName,
    config: SignalsConfig,
    issuer: String,
    /// Where the transmitter pushes to.
    endpoint: Url,
    /// What it shows then.
    authorization: Option<SecretString>,
    client: reqwest::Client,
    push: Push<TransmitterKeys, Enforcer>,
}

/// Has orders followed by the core.
struct Enforcer {
    provider: ProviderName,
    core: Core,
    metrics: Metrics,
}

impl Apply for Enforcer {
    async fn apply(&self, order: Order) -> Result<(), NotApplied> {
        let actor = Actor::provider(&self.provider, None);
        let effect = order.effect.label();
        let request = Request::Signal(self.provider.clone(), Box::new(order));
        match self.core.change(actor, request).await {
            Ok(_) => {
                self.metrics.signalled(effect);
                Ok(())
            }
            Err(error) => {
                tracing::error!(provider = %self.provider, effect, %error, "a security event is not in force yet");
                Err(NotApplied)
            }
        }
    }
}

impl SignalReceiver for Stream {
    fn push<'a>(&'a self, pushed: Pushed<'a>, now: OffsetDateTime) -> Later<'a, Answer> {
        Box::pin(self.push.answer(pushed, now))
    }
}

/// The streams of all providers that have one: what takes pushed events, and what keeps the streams alive.
///
/// # Errors
/// What is wrong with the configuration of one.
pub(super) fn signals(
    config: &Config,
    core: &Core,
    metrics: &Metrics,
) -> Result<(Signals, impl Future<Output = ()> + Send + use<>), DaemonError> {
    let url = config.login.url.as_deref().unwrap_or_default();
    let with_signals = config.providers.iter().filter_map(|provider| Some((provider, provider.signals.as_ref()?)));
    let streams = with_signals.map(|(provider, signals)| stream(provider, signals, url, core, metrics).map(Arc::new));
    let streams = streams.collect::<Result<Vec<_>, DaemonError>>()?;
    let receiver = |stream: &Arc<Stream>| (stream.provider.clone(), Arc::clone(stream) as Arc<dyn SignalReceiver>);
    let receivers = streams.iter().map(receiver).collect();
    let metrics = metrics.clone();
    let attended = async move {
        join_all(streams.iter().map(|stream| attend(stream, &metrics))).await;
    };
    Ok((receivers, attended))
}

fn stream(
    provider: &ProviderConfig,
    config: &SignalsConfig,
    url: &str,
    core: &Core,
    metrics: &Metrics,
) -> Result<Stream, DaemonError> {
    let name = provider.name.clone();
    let wrong = |problem: String| DaemonError::Provider { name: name.clone(), problem };
    let tls = authorities(provider.ca.as_deref()).map_err(|error| wrong(error.to_string()))?;
    let client = client(tls).map_err(|error| wrong(error.to_string()))?;
    let issuer = config.issuer.clone().unwrap_or_else(|| provider.issuer.clone());
    let keys = TransmitterKeys { client: client.clone(), issuer: issuer.clone() };
    let enforcer = Enforcer { provider: name.clone(), core: core.clone(), metrics: metrics.clone() };
    let profile = Profile {
        issuer: issuer.clone(),
        audience: config.audience.clone(),
        algorithms: algorithms(provider, wrong)?,
        window: if config.delivery == Delivery::Push { Window::PUSH } else { Window::POLL },
        naming: Naming {
            issuers: [provider.issuer.clone(), issuer.clone()].into(),
            email_is_username: config.email_is_username,
        },
    };
    let liveness = Liveness::new(Rhythm::default(), OffsetDateTime::now_utc());
    let intake = Intake::new(profile, Store::new(keys, Pace::default()), enforcer, liveness);
    let authorization = config.authorization.as_deref().map(secret).transpose()?;
    let hash = authorization.as_ref().map(|shown| SecretHash::of(shown.expose_secret()));
    Ok(Stream {
        endpoint: Url::parse(&format!("{url}/ssf/{name}")).map_err(|error| wrong(error.to_string()))?,
        provider: name,
        config: config.clone(),
        issuer,
        authorization,
        client,
        push: Push { intake: Arc::new(intake), authorization: hash },
    })
}

/// How often streams were lost in a row. It outlasts each of them, so that a transmitter that loses every one is not
/// asked for the next all the time.
#[derive(Default)]
struct Losses {
    poller: Poller,
    verifications: Backoff,
}

/// Finds a stream at its transmitter, or has it made, and receives its events; again, if the transmitter has lost it.
async fn attend(stream: &Stream, metrics: &Metrics) {
    let Some(token) = stream.config.token.clone() else {
        // Set up by hand, and pushed: there is nobody to be asked.
        return;
    };
    let (provider, mut losses) = (&stream.provider, Losses::default());
    loop {
        let wait = match set_up(stream, &token).await {
            Ok((manager, document)) => {
                let wait = receive(stream, &manager, &document, &token, &mut losses, metrics).await;
                tracing::warn!(%provider, "the transmitter has lost the stream of security events; it is set up again");
                stream.push.intake.lost();
                metrics.stream(provider.as_str(), false);
                wait
            }
            Err(failure) => {
                let reason = failure.label();
                tracing::warn!(%provider, reason, %failure, "the stream of security events could not be set up; it is tried again");
                RETRY
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Receives events until the transmitter knows nothing of the stream any more. Returns how long to wait then.
async fn receive(
    stream: &Stream,
    manager: &Manager,
    document: &StreamDocument,
    token: &Path,
    losses: &mut Losses,
    metrics: &Metrics,
) -> Duration {
    tracing::info!(provider = %stream.provider, stream = document.stream_id, "security events are received");
    stream.push.intake.pace(Rhythm::default().within(document.min_verification_interval()));
    let Losses { poller, verifications } = losses;
    let polled = async {
        if let (Delivery::Poll, Some(endpoint)) = (stream.config.delivery, document.delivery.endpoint_url.clone()) {
            let (client, intake) = (stream.client.clone(), Arc::clone(&stream.push.intake));
            let credential = Credential(token.to_owned());
            return Poll { client, endpoint, credential, pace: PollPace::default(), intake }.run(poller).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        wait = polled => wait,
        wait = keep_alive(stream, manager, &document.stream_id, verifications, metrics) => wait,
    }
}

async fn set_up(stream: &Stream, token: &Path) -> Result<(Manager, StreamDocument), Failure> {
    let credential = Credential(token.to_owned());
    let audience = stream.config.audience.clone();
    let manager = Manager::discover(stream.client.clone(), credential, &stream.issuer, audience).await?;
    let wanted = match stream.config.delivery {
        Delivery::Poll => Wanted::Poll,
        Delivery::Push => {
            Wanted::Push { endpoint: stream.endpoint.clone(), authorization: stream.authorization.clone() }
        }
    };
    let document = if stream.config.manage {
        manager.ensure(&wanted).await?
    } else {
        let missing = "a stream to this gateway, which `manage = true` would make";
        manager.find(&wanted).await?.ok_or(Failure::NotOffered(missing))?
    };
    Ok((manager, document))
}

/// Has the stream verified, and says how it is, until it is lost. Returns how long to wait then.
async fn keep_alive(
    stream: &Stream,
    manager: &Manager,
    id: &str,
    verifications: &mut Backoff,
    metrics: &Metrics,
) -> Duration {
    let (provider, mut said) = (&stream.provider, None);
    let mut interval = tokio::time::interval(LOOK);
    loop {
        interval.tick().await;
        let now = OffsetDateTime::now_utc();
        if let Some(state) = stream.push.intake.verification_due(now) {
            match manager.verify(id, &state).await {
                Ok(()) => verifications.succeeded(),
                Err(failure) => {
                    let reason = failure.label();
                    tracing::warn!(%provider, reason, %failure, "the stream of security events could not be verified");
                    if failure.is_gone() {
                        return verifications.failed(rand::random(), None);
                    }
                }
            }
        }
        let condition = stream.push.intake.condition(now);
        if said.replace(condition) != Some(condition) {
            tracing::info!(%provider, condition = condition.label(), "how the stream of security events is");
        }
        metrics.stream(provider.as_str(), condition.is_good());
    }
}
