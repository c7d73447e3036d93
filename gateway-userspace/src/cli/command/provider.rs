//! `portcullis provider`: whom else people can log in with.

use crate::cli::CliError;
use crate::cli::context::Context;
use crate::wire;
use clap::Subcommand;
use reqwest::Method;

/// What is to be done with identity providers.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:\n  portcullis provider list")]
pub(in crate::cli) enum Provider {
    /// List those that people can log in with
    List,
}

impl Provider {
    /// Anybody may ask: whoever logs in has to choose.
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self::List = self;
        let call = context.client.call(Method::GET, &["v1", "providers"]);
        context.output.list(&call.pages::<wire::Provider>().await?)
    }
}
