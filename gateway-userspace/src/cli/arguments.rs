//! What can be said to every command.

use super::command::Command;
use clap::{Args, Parser};
use std::path::PathBuf;

/// Ask and direct a Portcullis gateway through its API.
#[derive(Parser, Debug)]
#[command(
    name = "portcullis",
    version,
    propagate_version = true,
    after_help = "Examples:\n  \
        portcullis login --user alice\n  \
        portcullis status\n  \
        portcullis session revoke --user alice\n\n\
        Exit status: 0 done, 1 refused or failed, 2 usage, 78 bad configuration."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Where the gateway is, who asks, and how to answer.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Where the gateway's API answers
    #[arg(long, env = "PORTCULLIS_URL", value_name = "URL", default_value = "https://127.0.0.1:8443", global = true)]
    pub(super) url: String,
    /// A file that holds an API token; without it, the variable PORTCULLIS_TOKEN is the token
    #[arg(long, env = "PORTCULLIS_TOKEN_FILE", value_name = "FILE", global = true)]
    pub(super) token_file: Option<PathBuf>,
    /// Trust the certificates in this PEM file, instead of those that the system trusts
    #[arg(long, env = "PORTCULLIS_CA", value_name = "FILE", global = true)]
    pub(super) ca: Option<PathBuf>,
    /// Trust exactly the certificate with this SHA-256 fingerprint, instead of any authority
    #[arg(long, env = "PORTCULLIS_PIN", value_name = "SHA256", global = true)]
    pub(super) pin: Option<String>,
    /// Show the gateway this client certificate, a PEM file: of a service
    #[arg(long, env = "PORTCULLIS_CERTIFICATE", value_name = "FILE", requires = "key", global = true)]
    pub(super) certificate: Option<PathBuf>,
    /// The key of the client certificate, a PEM file
    #[arg(long, env = "PORTCULLIS_KEY", value_name = "FILE", requires = "certificate", global = true)]
    pub(super) key: Option<PathBuf>,
    /// Print the API's own JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print without colour
    #[arg(long, global = true)]
    pub(super) no_color: bool,
}
