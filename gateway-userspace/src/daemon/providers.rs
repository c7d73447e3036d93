//! Identity providers: from the configuration to the ways to them.

mod recheck;

pub(super) use recheck::renew;

use super::DaemonError;
use crate::api::{Link, ProviderEntry, ProviderSettings, Providers};
use crate::config::{self, ClaimNames, Config, GroupSource, ProviderConfig, ScimConfig, UserSource};
use crate::identity::SecretHash;
use crate::identity::jose::{Algorithm, Algorithms};
use crate::identity::oidc::{self, Settings};
use secrecy::{ExposeSecret as _, SecretString};
use std::path::Path;
use url::Url;

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
        settings.scopes = vec!["openid".to_owned()];
        settings.ask_for(scopes.iter().cloned());
    }
    settings.ask_for(config.recheck.and(kind.refresh_scope()).map(str::to_owned));
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
    settings.service_audience.clone_from(&config.audience);
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
