//! `portcullis session`

use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::cli::{CliError, sentence};
use crate::wire::{self, Receipts, Revocation};
use clap::{Args, Subcommand};
use reqwest::Method;

/// What is to be done with sessions.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:\n  portcullis session list --app crm\n  portcullis session revoke --user alice")]
pub(in crate::cli) enum Session {
    /// List sessions
    List {
        /// Of this user
        #[arg(long)]
        user: Option<String>,
        /// That may reach this app
        #[arg(long)]
        app: Option<String>,
    },
    /// Show a session
    Show {
        /// Its token
        token: String,
    },
    /// Revoke sessions: from the answer on they forward nothing, also on connections that are open
    #[command(
        after_help = "Examples:\n  portcullis session revoke 00c0ffee00c0ffee\n  portcullis session revoke --app crm\n  portcullis session revoke --all"
    )]
    Revoke(Which),
}

/// Which sessions: exactly one of these.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct Which {
    /// The one with this token
    token: Option<String>,
    /// All of this user
    #[arg(long)]
    user: Option<String>,
    /// All that may reach this app
    #[arg(long)]
    app: Option<String>,
    /// All
    #[arg(long)]
    all: bool,
}

impl From<Which> for Revocation {
    fn from(which: Which) -> Self {
        let Which { token, user, app, all } = which;
        Self { session: token, user, app, all: all.then_some(true) }
    }
}

impl Session {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List { user, app } => {
                let call = context.administer(Method::GET, &["v1", "sessions"])?;
                let call = call.query("user", user.as_deref()).query("app", app.as_deref());
                context.output.list(&call.pages::<wire::Session>().await?)
            }
            Self::Show { token } => {
                let call = context.administer(Method::GET, &["v1", "sessions", &token])?;
                context.output.show(&call.answer::<wire::Session>().await?)
            }
            Self::Revoke(which) => {
                let call = context.administer(Method::POST, &["v1", "revocations"])?;
                let revoked: Answer<Receipts> = call.body(&Revocation::from(which)).answer().await?;
                context.output.either(&revoked.json, || sentence::receipts(&revoked.shape.receipts))
            }
        }
    }
}
