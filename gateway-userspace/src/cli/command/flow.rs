//! `portcullis flow`: connections that are open.

use crate::cli::CliError;
use crate::cli::client::{Answer, Call};
use crate::cli::context::Context;
use crate::wire::{self, Page};
use clap::Subcommand;
use reqwest::Method;
use serde::de::DeserializeOwned;

/// What is to be done with flows.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:\n  portcullis flow list --user alice --limit 50")]
pub(in crate::cli) enum Flow {
    /// List open connections
    List {
        /// Of the session with this token
        #[arg(long, value_name = "TOKEN")]
        session: Option<String>,
        /// Of this user
        #[arg(long)]
        user: Option<String>,
        /// To this app
        #[arg(long)]
        app: Option<String>,
        /// At most so many
        #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
}

impl Flow {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self::List { session, user, app, limit } = self;
        let call = context.administer(Method::GET, &["v1", "flows"])?;
        let call = call.query("session", session.as_deref()).query("user", user.as_deref());
        let call = call.query("app", app.as_deref()).query("limit", Some(&limit.to_string()));
        context.output.list(&page::<wire::Flow>(call).await?)
    }
}

/// A list that comes in one piece.
pub(super) async fn page<T: DeserializeOwned>(call: Call<'_>) -> Result<Answer<Vec<T>>, CliError> {
    let Answer { shape: Page { items, next_cursor: _ }, json } = call.answer().await?;
    Ok(Answer { shape: items, json })
}
