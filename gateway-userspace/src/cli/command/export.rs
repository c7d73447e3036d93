//! `portcullis export`: where records are passed on to.

use crate::cli::CliError;
use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::wire::{self, Page};
use clap::Subcommand;
use reqwest::Method;

/// What is to be done with exports.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:\n  portcullis export list\n  portcullis export list --json")]
pub(in crate::cli) enum Export {
    /// List them, and how far each has come
    List,
}

impl Export {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self::List = self;
        let call = context.administer(Method::GET, &["v1", "exports"])?;
        let Answer { shape: Page { items, next_cursor: _ }, json } = call.answer::<Page<wire::Export>>().await?;
        context.output.list(&Answer { shape: items, json })
    }
}
