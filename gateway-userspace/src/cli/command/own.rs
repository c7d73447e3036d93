//! The own session: login, logout, and what can be reached.

use super::device;
use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::cli::credential::SessionFile;
use crate::cli::table::{list, show};
use crate::cli::{CliError, password, sentence};
use crate::wire::{LoginRequest, LoginResponse, Receipt, Session, Status};
use clap::Args;
use reqwest::Method;
use serde_json::Value;
use time::OffsetDateTime;

/// Log in: with a password or, if no user is named, with the client certificate.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  portcullis login\n  portcullis login --user alice --password-stdin\n  \
                  portcullis login --provider corp\n  portcullis login --certificate host.pem --key host.key")]
pub(in crate::cli) struct Login {
    /// Who logs in; you, as this machine knows you, if left out
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Read the password from the standard input
    #[arg(long)]
    password_stdin: bool,
    /// Log in with this identity provider: confirm it in a browser, here or elsewhere (see `portcullis provider list`)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["user", "password_stdin"])]
    provider: Option<String>,
}

impl Login {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let file = SessionFile::usual()?;
        let login = match &self.provider {
            Some(provider) => device::login(context, provider).await?,
            None if self.user.is_none() && context.has_certificate() => {
                context.client.call(Method::POST, &["v1", "login", "certificate"]).answer().await?
            }
            None => self.with_password(context).await?,
        };
        begun(context, &file, &login)
    }

    async fn with_password(self, context: &Context) -> Result<Answer<LoginResponse>, CliError> {
        let here = || std::env::var("USER").ok().filter(|user| !user.is_empty());
        let username = self.user.or_else(here).ok_or(CliError::NoUser)?;
        let password = password::ask(&username, self.password_stdin, false)?;
        let request = LoginRequest { username, password };
        context.client.call(Method::POST, &["v1", "login"]).body(&request).answer().await
    }
}

fn begun(context: &Context, file: &SessionFile, login: &Answer<LoginResponse>) -> Result<(), CliError> {
    file.keep(&context.client.url, &login.shape.secret)?;
    // The secret is in its file; nobody else needs to see it.
    let json = login.json.get("session").cloned().unwrap_or_default();
    context.output.either(&json, || reach(&login.shape.session, context.output.color))
}

/// Who, until when, and the apps.
fn reach(session: &Session, color: bool) -> String {
    let now = OffsetDateTime::now_utc();
    let who = sentence::session(session, now);
    if session.apps.is_empty() {
        return format!("{who}; no policy permits you an app");
    }
    format!("{who}\n\n{}", list(&session.apps, now, color))
}

pub(super) async fn logout(context: &Context) -> Result<(), CliError> {
    let asked = context.as_client(Method::POST, &["v1", "logout"])?.answer::<Receipt>().await;
    match asked {
        Ok(receipt) => {
            SessionFile::usual()?.forget()?;
            context.output.either(&receipt.json, || sentence::receipt(&receipt.shape))
        }
        Err(error) if error.has_status(401) => {
            SessionFile::usual()?.forget()?;
            context.output.say("the session had ended already")
        }
        Err(error) => Err(error),
    }
}

/// The own session if there is one, the gateway if there is a token; at least one of them.
pub(super) async fn status(context: &Context) -> Result<(), CliError> {
    let own = match own_session(context).await {
        Err(CliError::NotLoggedIn(_) | CliError::SessionEnded(_) | CliError::NoPlace) if context.has_token() => None,
        own => Some(own?),
    };
    let gateway: Option<Answer<Status>> = match context.has_token() {
        true => Some(context.administer(Method::GET, &["v1", "status"])?.answer().await?),
        false => None,
    };
    let color = context.output.color;
    let mut json = serde_json::Map::new();
    let mut parts = Vec::new();
    if let Some(own) = own {
        json.insert("session".into(), own.json);
        parts.push(reach(&own.shape, color));
    }
    if let Some(gateway) = gateway {
        json.insert("gateway".into(), gateway.json);
        parts.push(at_a_glance(&gateway.shape, color));
    }
    context.output.either(&Value::Object(json), || parts.join("\n\n"))
}

async fn own_session(context: &Context) -> Result<Answer<Session>, CliError> {
    let asked = context.as_client(Method::GET, &["v1", "session"])?.answer().await;
    asked.map_err(|error| match error {
        error if error.has_status(401) => CliError::SessionEnded(context.client.url.to_string()),
        error => error,
    })
}

fn at_a_glance(status: &Status, color: bool) -> String {
    let now = OffsetDateTime::now_utc();
    let (interfaces, tables) = (list(&status.interfaces, now, color), list(&status.tables, now, color));
    format!("{}\n\n{interfaces}\n\n{tables}", show(status, now, color))
}
