//! Identity providers: from the configuration to the ways to them, and asking them again and again whether sessions may go
//! on.

use super::DaemonError;
use crate::api::{Link, ProviderEntry, ProviderSettings, Providers};
use crate::config::{self, ClaimNames, Config, GroupSource, ProviderConfig, ScimConfig, UserSource};
use crate::core::{Actor, Core, CoreError, Renewed, Request, State};
use crate::identity::jose::{Algorithm, Algorithms};
use crate::identity::oidc::{self, Preset, RefreshError, Refreshed, Refusal, ServiceSettings, Settings};
use crate::identity::{Arrival, ProviderSession, SecretHash};
use crate::policy::{EndCause, Input, ProviderName, Selector, SessionToken};
use crate::record::Metrics;
use futures_util::stream::{self, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use url::Url;

/// How often is looked whether somebody is to be asked about, and about how many at the same time.
const LOOK: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 16;
/// How often a provider is asked again that could not be asked.
const RETRY: Duration = Duration::from_secs(30);

/// Sets all of them up. None is asked for anything yet.
///
/// # Errors
/// What is wrong with the configuration of one, or with a file that it names.
pub(super) fn providers(config: &Config) -> Result<Providers, DaemonError> {
    let url = config.login.url.as_deref().unwrap_or_default();
    let entry = |provider: &ProviderConfig| Ok((provider.name.clone(), entry(provider, url)?));
    config.providers.iter().map(entry).collect::<Result<Providers, DaemonError>>()
}

fn entry(config: &ProviderConfig, url: &str) -> Result<ProviderEntry, DaemonError> {
    let wrong = |problem: String| DaemonError::Provider { name: config.name.clone(), problem };
    let address = |path: String| Url::parse(&format!("{url}{path}")).map_err(|error| wrong(error.to_string()));
    let settings = settings(config, address(format!("/sign-in/{}/callback", config.name))?, wrong)?;
    let oidc = oidc::Provider::new(settings).map_err(|error| wrong(error.to_string()))?;
    let settings = ProviderSettings {
        title: config.title.clone(),
        mfa_acr: config.mfa_acr.clone(),
        // The tokens of these two have neither `acr` nor `amr`.
        knows_strength: !matches!(config.kind, Preset::Entra | Preset::Google),
        claims_groups: config.groups == GroupSource::Claims,
        group_names: config.group_names.clone(),
        may_be_new: config.users == UserSource::Login,
        link: config.scim.as_ref().map_or(Link::None, link),
        recheck: config.recheck,
        home: address("/".to_owned())?,
        scim_token: match &config.scim {
            Some(scim) => Some(SecretHash::of(secret(&scim.token)?.expose_secret())),
            None => None,
        },
    };
    Ok(ProviderEntry::new(settings, oidc))
}

const fn link(scim: &ScimConfig) -> Link {
    match scim.link {
        config::Link::UserName => Link::Name,
        config::Link::ExternalId(_) => Link::ExternalId,
    }
}

fn settings(
    config: &ProviderConfig,
    redirect_uri: Url,
    wrong: impl Fn(String) -> DaemonError,
) -> Result<Settings, DaemonError> {
    let ProviderConfig { name, kind, issuer, client_id, .. } = config;
    let mut settings = Settings::new(name.as_str(), *kind, issuer, client_id, redirect_uri);
    settings.client_secret = config.client_secret.as_deref().map(secret).transpose()?;
    settings.ca.clone_from(&config.ca);
    settings.hosts.extend(config.hosts.iter().cloned());
    settings.algorithms = algorithms(config, &wrong)?;
    if let Some(scopes) = &config.scopes {
        settings.scopes = std::iter::once("openid".to_owned()).chain(scopes.iter().cloned()).collect();
        settings.scopes.dedup();
    }
    // These two give refresh tokens to nobody who does not ask so.
    let must_ask = config.recheck.is_some() && matches!(kind, Preset::Entra | Preset::Okta);
    if must_ask && !settings.scopes.iter().any(|scope| scope == "offline_access") {
        settings.scopes.push("offline_access".to_owned());
    }
    let ClaimNames { username, display_name, groups, attributes } = &config.claims;
    settings.claims.attributes.clone_from(attributes);
    if let Some(username) = username {
        settings.claims.username = vec![username.clone()];
    }
    settings.claims.display_name = display_name.clone().unwrap_or(settings.claims.display_name);
    settings.claims.groups = groups.clone().unwrap_or(settings.claims.groups);
    settings.require.extend(config.require.clone());
    settings.link = config.scim.as_ref().and_then(|scim| match &scim.link {
        config::Link::ExternalId(claim) => Some(claim.clone()),
        config::Link::UserName => None,
    });
    settings.acr_values.clone_from(&config.acr_values);
    settings.mfa_acrs = config.mfa_acr.iter().cloned().collect();
    settings.max_age = config.max_age;
    settings.services = config.audience.clone().map(|audience| ServiceSettings {
        audience,
        scopes: BTreeSet::new(),
        // These do not say of an access token that it is one.
        untyped: matches!(kind, Preset::Entra | Preset::Okta | Preset::Keycloak),
    });
    Ok(settings)
}

/// The signatures that are accepted of a provider.
pub(super) fn algorithms(
    config: &ProviderConfig,
    wrong: impl Fn(String) -> DaemonError,
) -> Result<Algorithms, DaemonError> {
    let read = |name: &String| name.parse::<Algorithm>().map_err(|error| wrong(error.to_string()));
    match config.algorithms.as_slice() {
        [] => Ok(Algorithms::default()),
        names => names.iter().map(read).collect(),
    }
}

/// The first line of a file that holds a secret.
pub(super) fn secret(path: &Path) -> Result<SecretString, DaemonError> {
    let file = |source| DaemonError::File { path: path.to_owned(), source };
    let text = SecretString::from(std::fs::read_to_string(path).map_err(file)?);
    let line = text.expose_secret().lines().next().unwrap_or_default().trim();
    if line.len() < 8 {
        let problem = "holds no secret: write one of at least eight characters into its first line";
        return Err(file(std::io::Error::new(std::io::ErrorKind::InvalidData, problem)));
    }
    Ok(line.into())
}

/// Asks providers, each as often as the configuration says, whether sessions that began there may go on.
pub(super) async fn renew(providers: Providers, core: Core, metrics: Metrics) {
    // A provider that cannot be reached now can be when somebody comes; whoever reads the log knows already.
    for (name, entry) in providers.iter() {
        match entry.oidc.prepare(OffsetDateTime::now_utc()).await {
            Ok(()) => tracing::info!(provider = %name, "the identity provider answers"),
            Err(refusal) => {
                tracing::warn!(provider = %name, reason = refusal.label(), %refusal, "the identity provider does not answer");
            }
        }
    }
    if providers.iter().any(|(_, entry)| entry.settings.recheck.is_some()) {
        keep_asking(&providers, &core, &metrics).await;
    }
}

/// Looks again and again whom to ask about.
async fn keep_asking(providers: &Providers, core: &Core, metrics: &Metrics) {
    let mut due = HashMap::new();
    loop {
        // Fails while the daemon stops, or is busy: then it is looked again.
        ask_about_all(providers, core, metrics, &mut due).await.ok();
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks about all sessions about which it is time to ask.
async fn ask_about_all(
    providers: &Providers,
    core: &Core,
    metrics: &Metrics,
    due: &mut HashMap<SessionToken, Instant>,
) -> Result<(), CoreError> {
    let found = core.read(begun).await?;
    due.retain(|token, _| found.contains_key(token));
    let now = Instant::now();
    for (token, provider) in found {
        // One of which nothing is known yet has just begun, or the daemon has.
        if let Some(every) = providers.get(&provider).and_then(|entry| entry.settings.recheck) {
            due.entry(token).or_insert(now + every);
        }
    }
    let asked: Vec<_> = due.iter().filter(|(_, at)| **at <= now).map(|(token, _)| *token).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let asked = core.read(move |state| kept(state, asked)).await?;
    let ask = async |(token, kept)| (token, renewed(providers, core, metrics, token, kept).await);
    let answers: Vec<_> = stream::iter(asked).map(ask).buffer_unordered(AT_ONCE).collect().await;
    due.extend(answers.into_iter().map(|(token, next)| (token, Instant::now() + next)));
    Ok(())
}

/// The sessions that a provider can be asked about, and which provider.
fn begun(state: &State) -> BTreeMap<SessionToken, ProviderName> {
    let sessions = state.accounts.provider_sessions.iter();
    let sessions = sessions.filter(|(_, kept)| kept.refresh_token.is_some());
    sessions.map(|(token, kept)| (*token, kept.provider.clone())).collect()
}

fn kept(state: &State, tokens: Vec<SessionToken>) -> Vec<(SessionToken, ProviderSession)> {
    let kept = |token| Some((token, state.accounts.provider_sessions.get(&token)?.clone()));
    tokens.into_iter().filter_map(kept).collect()
}

/// Asks about one session. Returns after which time to ask again.
async fn renewed(
    providers: &Providers,
    core: &Core,
    metrics: &Metrics,
    token: SessionToken,
    kept: ProviderSession,
) -> Duration {
    let provider = kept.provider.clone();
    let (Some(entry), Some(refresh_token)) = (providers.get(&provider), &kept.refresh_token) else { return RETRY };
    let every = entry.settings.recheck.unwrap_or(RETRY);
    let answer = entry.oidc.refresh(refresh_token, &kept.subject, OffsetDateTime::now_utc()).await;
    metrics.renewed(answer.as_ref().map_or_else(|error| error.label(), |_| "goes_on"));
    let request = match answer {
        Ok(refreshed) => {
            let (arrival, session) = goes_on(entry, &provider, kept, refreshed);
            Request::Renewed(Renewed { token, arrival, session })
        }
        // An answer that makes no sense says nothing about the person; one that is about somebody else does.
        Err(RefreshError::Unreachable(refusal) | RefreshError::Refused(refusal))
            if refusal != Refusal::SubjectChanged =>
        {
            tracing::warn!(%provider, session = %token, reason = refusal.label(), "a provider could not be asked whether a session may go on");
            return RETRY;
        }
        Err(error) => {
            tracing::info!(%provider, session = %token, reason = error.label(), "a provider does not let a session go on");
            let which = Selector::Sessions([token].into());
            Request::Policy(Input::End { which, cause: EndCause::ProviderRefused })
        }
    };
    let actor = Actor { name: format!("provider {provider}"), address: None };
    if let Err(error) = core.change(actor, request).await {
        tracing::error!(%provider, session = %token, %error, "what a provider said of a session could not be done");
        return RETRY;
    }
    every
}

/// What is new of somebody whose session goes on, and what is kept of it from now on.
fn goes_on(
    entry: &ProviderEntry,
    provider: &ProviderName,
    kept: ProviderSession,
    refreshed: Refreshed,
) -> (Option<Arrival>, ProviderSession) {
    let Refreshed { refresh_token, proven } = refreshed;
    let arrival = proven.as_ref().and_then(|proven| entry.arrival(provider, proven).ok());
    let refresh_token = refresh_token.or(kept.refresh_token);
    let id_token = proven.map(|proven| proven.id_token).or(kept.id_token);
    (arrival, ProviderSession { refresh_token, id_token, ..kept })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::start;
    use crate::dataplane::MemoryDataPlane;
    use crate::identity::Accounts;
    use crate::policy::{Capacities, Gateway};
    use crate::record::{AccessLog, Recorder, Sink};
    use crate::store::FileStore;
    use futures_util::FutureExt as _;
    use std::sync::mpsc::{Sender, channel};
    use tempfile::TempDir;

    /// A core that answers nobody until the sender is dropped, and cannot be asked for more.
    fn busy_core(metrics: &Metrics, folder: &TempDir) -> (Core, Sender<()>) {
        let gateway = Gateway::new(Capacities::default());
        let state = State { gateway, accounts: Accounts::default(), directory: Default::default() };
        let store = Box::new(FileStore::open(&folder.path().join("state.redb")).unwrap());
        let plane = Box::new(MemoryDataPlane::new(Capacities::default()));
        let recorder = Recorder::new(metrics.clone(), AccessLog::start(Sink::Nowhere).unwrap(), None);
        let (core, _) = start(state, store, plane, recorder, "boot".into()).unwrap();
        let (sender, held) = channel::<()>();
        let hold = core.read(move |_| held.recv().ok()).now_or_never();
        assert!(hold.is_none());
        while core.read(|_| ()).now_or_never().is_none() {}
        (core, sender)
    }

    #[tokio::test]
    async fn a_core_that_is_too_busy_to_say_which_sessions_there_are_is_asked_again() {
        let (metrics, folder) = (Metrics::new().unwrap(), tempfile::tempdir().unwrap());
        let (core, _held) = busy_core(&metrics, &folder);
        let has_ended = keep_asking(&Providers::default(), &core, &metrics).now_or_never().is_some();
        assert!(!has_ended, "nobody is asked about any more");
    }
}
