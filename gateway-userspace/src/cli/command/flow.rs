//! `portcullis flow`: connections that are open.

use crate::cli::CliError;
use crate::cli::context::Context;
use crate::wire;
use clap::Subcommand;
use reqwest::Method;

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
        context.output.list(&call.items::<wire::Flow>().await?)
    }
}
