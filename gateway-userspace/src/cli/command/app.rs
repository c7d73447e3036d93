//! `portcullis app`

use super::read_input;
use crate::cli::CliError;
use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::config::apps::parse_shapes;
use crate::wire;
use clap::Subcommand;
use reqwest::Method;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What is to be done with apps.
#[derive(Subcommand, Debug)]
#[command(
    after_help = "Examples:\n  portcullis app list\n  portcullis app apply apps.toml\n  portcullis app disable crm"
)]
pub(in crate::cli) enum App {
    /// List apps
    List,
    /// Show an app
    Show {
        /// Which
        app: String,
    },
    /// Create or replace the apps that a file defines; others stay as they are
    Apply {
        /// The file; `-` for the standard input
        file: PathBuf,
    },
    /// Remove an app: nobody reaches it any more
    Remove {
        /// Which
        app: String,
    },
    /// Enable an app: policy grants it again
    Enable {
        /// Which
        app: String,
    },
    /// Disable an app: nobody reaches it, whatever policy says
    Disable {
        /// Which
        app: String,
    },
}

impl App {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List => {
                let apps = context.administer(Method::GET, &["v1", "apps"])?.pages::<wire::App>().await?;
                context.output.list(&apps)
            }
            Self::Show { app } => {
                let app = context.administer(Method::GET, &["v1", "apps", &app])?.answer::<wire::App>().await?;
                context.output.show(&app)
            }
            Self::Apply { file } => apply(context, &file).await,
            Self::Remove { app } => {
                context.administer(Method::DELETE, &["v1", "apps", &app])?.done().await?;
                context.output.say(&format!("app `{app}` is removed"))
            }
            Self::Enable { app } => switch(context, &app, "enable").await,
            Self::Disable { app } => switch(context, &app, "disable").await,
        }
    }
}

/// One after the other: a file that is not valid changes nothing, an app that is refused leaves those before it.
async fn apply(context: &Context, file: &Path) -> Result<(), CliError> {
    let apps = parse_shapes(&read_input(file)?, file).map_err(CliError::Apps)?;
    let (mut shape, mut json) = (Vec::new(), Vec::new());
    for app in apps {
        let put = context.administer(Method::PUT, &["v1", "apps", &app.name])?.body(&app);
        let refused = |source| CliError::App { app: app.name.clone(), source: Box::new(source) };
        let applied: Answer<wire::App> = put.answer().await.map_err(refused)?;
        shape.push(applied.shape);
        json.push(applied.json);
    }
    context.output.list(&Answer { shape, json: json!({ "items": json }) })
}

async fn switch(context: &Context, app: &str, verb: &str) -> Result<(), CliError> {
    let switched = context.administer(Method::POST, &["v1", "apps", app, verb])?.answer::<wire::App>().await?;
    context.output.either(&switched.json, || format!("app `{app}` is {verb}d"))
}
