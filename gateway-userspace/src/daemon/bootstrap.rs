//! What a gateway without state begins with: the first API token, and the apps and policies that the configuration
//! names.

use super::DaemonError;
use crate::config::apps::parse_apps;
use crate::config::{Config, FirstStart};
use crate::core::{Actor, Core, CoreError, Request};
use crate::identity::{ApiToken, Scope};
use crate::policy::{App, Gateway, Input, PolicySet, Refusal};
use gateway_common::KernelNanos;
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// Name of the file in the state folder that holds the first token.
const TOKEN_FILE: &str = "admin.token";

/// What was read from the files.
#[derive(Default)]
pub(super) struct First {
    apps: Vec<App>,
    policies: Option<Box<PolicySet>>,
}

/// Reads and checks the files, before anything is touched.
pub(super) fn read(config: &Config) -> Result<First, DaemonError> {
    let FirstStart { apps, policies } = &config.first_start;
    let apps = match apps {
        None => Vec::new(),
        Some(path) => parse_apps(&text(path)?, path).map_err(|errors| DaemonError::FirstStart(errors.to_string()))?,
    };
    let policies = policies.as_deref().map(checked_policies).transpose()?;
    let first = First { apps, policies };
    rehearse(&first, config)?;
    Ok(first)
}

/// Puts everything in force in a gateway that is thrown away: apps that contradict each other, or do not fit the tables,
/// are found before the real one is touched.
fn rehearse(first: &First, config: &Config) -> Result<(), DaemonError> {
    let mut gateway = Gateway::new(config.capacity);
    for app in &first.apps {
        let refused = |refusal: Refusal| DaemonError::FirstStart(refusal.to_string());
        gateway.handle(Input::PutApp(app.clone()), KernelNanos(0)).map_err(refused)?;
    }
    Ok(())
}

fn checked_policies(path: &Path) -> Result<Box<PolicySet>, DaemonError> {
    match PolicySet::parse(&text(path)?) {
        Ok(policy) => Ok(Box::new(policy)),
        Err(errors) => {
            let mut message = String::new();
            for error in errors {
                let hint = error.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
                let place = format!("{}:{}:{}", path.display(), error.line, error.column);
                // Writing to a string does not fail.
                let _ = writeln!(message, "{place}: {}{hint}", error.message);
            }
            Err(DaemonError::FirstStart(message.trim_end().to_owned()))
        }
    }
}

fn text(path: &Path) -> Result<String, DaemonError> {
    let failed = |error| DaemonError::FirstStart(format!("{}: cannot be read: {error}", path.display()));
    std::fs::read_to_string(path).map_err(failed)
}

/// Puts them in force, and makes the first token if there is none.
pub(super) async fn begin(core: &Core, config: &Config, first: First) -> Result<(), DaemonError> {
    let First { apps, policies } = first;
    for app in apps {
        let name = app.name.clone();
        change(core, Request::Policy(Input::PutApp(app)), &format!("app `{name}`")).await?;
    }
    if let Some(policy) = policies {
        change(core, Request::Policy(Input::PutPolicy { policy, if_match: None }), "policies").await?;
    }
    let is_first = core.read(|state| state.accounts.tokens.is_empty()).await;
    if is_first.map_err(|error| DaemonError::FirstStart(error.to_string()))? {
        let (token, path) = issue(config)?;
        change(core, Request::PutApiToken(token), "the first API token").await?;
        tracing::info!(path = %path.display(), "made the first API token; keep it safe");
    }
    Ok(())
}

/// Makes a token for everything and writes its secret to the state folder. The caller stores the token.
pub(super) fn issue(config: &Config) -> Result<(ApiToken, PathBuf), DaemonError> {
    let (token, secret) = ApiToken::issue("admin".into(), [Scope::Admin].into(), OffsetDateTime::now_utc(), None);
    let path = config.state.join(TOKEN_FILE);
    write_secret(&path, &secret).map_err(|source| DaemonError::File { path: path.clone(), source })?;
    Ok((token, path))
}

async fn change(core: &Core, request: Request, what: &str) -> Result<(), DaemonError> {
    match core.change(Actor::local(), request).await {
        Ok(_) => Ok(()),
        Err(CoreError::Refused(Refusal::Policy(errors))) => {
            let errors: Vec<String> = errors.iter().map(|error| error.message.clone()).collect();
            Err(DaemonError::FirstStart(format!("{what}: {}", errors.join("; "))))
        }
        Err(error) => Err(DaemonError::FirstStart(format!("{what}: {error}"))),
    }
}

fn write_secret(path: &Path, secret: &SecretString) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{}", secret.expose_secret())?;
    file.sync_all()
}
