//! `portcullis group`

use crate::cli::CliError;
use crate::cli::context::Context;
use crate::wire;
use clap::Subcommand;
use reqwest::Method;

/// What is to be done with groups.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:\n  portcullis group add finance\n  portcullis group join finance alice bob")]
pub(in crate::cli) enum Group {
    /// List groups with their members
    List,
    /// Add a group
    Add {
        /// Its name
        group: String,
    },
    /// Remove a group, and everybody's membership in it
    Remove {
        /// Which
        group: String,
    },
    /// Make users members of a group; their sessions follow at once
    Join {
        /// Which group
        group: String,
        /// The users
        #[arg(required = true)]
        users: Vec<String>,
    },
    /// Take users out of a group; their sessions follow at once
    Leave {
        /// Which group
        group: String,
        /// The users
        #[arg(required = true)]
        users: Vec<String>,
    },
}

impl Group {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List => {
                let groups = context.administer(Method::GET, &["v1", "groups"])?.pages::<wire::Group>().await?;
                context.output.list(&groups)
            }
            Self::Add { group } => {
                context.administer(Method::PUT, &["v1", "groups", &group])?.done().await?;
                context.output.say(&format!("group `{group}` is there"))
            }
            Self::Remove { group } => {
                context.administer(Method::DELETE, &["v1", "groups", &group])?.done().await?;
                context.output.say(&format!("group `{group}` is removed"))
            }
            Self::Join { group, users } => change(context, Method::PUT, &group, &users, "is in").await,
            Self::Leave { group, users } => change(context, Method::DELETE, &group, &users, "is no longer in").await,
        }
    }
}

async fn change(
    context: &Context,
    method: Method,
    group: &str,
    users: &[String],
    outcome: &str,
) -> Result<(), CliError> {
    for user in users {
        context.administer(method.clone(), &["v1", "groups", group, "members", user])?.done().await?;
        context.output.say(&format!("user `{user}` {outcome} group `{group}`"))?;
    }
    Ok(())
}
