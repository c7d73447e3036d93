//! `portcullis export`: where records are passed on to.

use crate::cli::CliError;
use crate::cli::context::Context;
use crate::wire;
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
        context.output.list(&call.items::<wire::Export>().await?)
    }
}
