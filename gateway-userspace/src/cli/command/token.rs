//! `portcullis token`

use crate::cli::CliError;
use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::config;
use crate::wire::{ApiToken, ApiTokenCreated, ApiTokenRequest};
use clap::Subcommand;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use std::time::Duration;
use time::OffsetDateTime;

/// What is to be done with API tokens.
#[derive(Subcommand, Debug)]
#[command(
    after_help = "Examples:\n  portcullis token create ci --scope policy:write --scope read --expires 90d\n  portcullis token revoke 4fzzzxjylrx2d"
)]
pub(in crate::cli) enum Token {
    /// List API tokens, without their secrets
    List,
    /// Create an API token and print its secret, for this once
    Create {
        /// What it is for
        name: String,
        /// What it may do; may be repeated
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// For how long it is worth something, like `90d`; for ever if left out
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires: Option<Duration>,
    },
    /// Revoke an API token: from the answer on it is worth nothing
    Revoke {
        /// Its public name
        id: String,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write a number and a unit, like `30s`, `15m`, `8h` or `90d`");
    config::parse_duration(text).filter(|duration| !duration.is_zero()).ok_or_else(wrong)
}

impl Token {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List => {
                let tokens = context.administer(Method::GET, &["v1", "tokens"])?.pages::<ApiToken>().await?;
                context.output.list(&tokens)
            }
            Self::Create { name, scopes, expires } => {
                let now = OffsetDateTime::now_utc();
                let expires_at = expires.and_then(|after| now.checked_add(after.try_into().ok()?));
                let request = ApiTokenRequest { name, scopes: scopes.into_iter().collect(), expires_at };
                let call = context.administer(Method::POST, &["v1", "tokens"])?.body(&request);
                let created: Answer<ApiTokenCreated> = call.answer().await?;
                // Alone on its line, so that it can be redirected to a file.
                context.output.either(&created.json, || created.shape.secret.0.expose_secret().to_owned())
            }
            Self::Revoke { id } => {
                context.administer(Method::DELETE, &["v1", "tokens", &id])?.done().await?;
                context.output.say(&format!("API token `{id}` is revoked"))
            }
        }
    }
}
