//! `portcullis service`

use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::cli::{CliError, sentence};
use crate::wire::{Receipts, ServiceBinding, ServiceClient, ServiceIdentity, ServicePut};
use clap::{Args, Subcommand};
use reqwest::Method;

/// What is to be done with services.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:\n  portcullis service list\n  portcullis service put printer-3 --group printers \
                        --address 10.9.0.40 --mac 02:00:00:00:00:40")]
pub(in crate::cli) enum Service {
    /// List services, with what they prove themselves with and when they last did
    List,
    /// Show a service
    Show {
        /// Which
        service: String,
    },
    /// Add a service, or replace what is known of it: what is left out, it has not
    Put(Put),
    /// Remove a service: its sessions end
    Remove {
        /// Which
        service: String,
    },
}

/// Add or replace a service.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    portcullis service put ci --certificate-name uri:spiffe://example.org/ci --scope policy:write\n  \
    portcullis service put backup --provider corp --client 0oa7backup --group backup\n  \
    portcullis service put printer-3 --address 10.9.0.40 --mac 02:00:00:00:00:40 --group printers")]
pub(in crate::cli) struct Put {
    /// Its name: that of a user, who is no person
    service: String,
    /// What people call it
    #[arg(long, value_name = "NAME", default_value = "")]
    display_name: String,
    /// A group that it belongs to; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// What it may do in the API; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The one name of its client certificate, like `uri:spiffe://…`, `dns:…` or `cn:…`
    #[arg(long, value_name = "NAME")]
    certificate_name: Option<String>,
    /// The identity provider whose access tokens it presents
    #[arg(long, requires = "client")]
    provider: Option<String>,
    /// Its client id there
    #[arg(long, value_name = "ID", requires = "provider")]
    client: Option<String>,
    /// Where it is: a session is there for as long as this stands, without any login
    #[arg(long)]
    address: Option<String>,
    /// The hardware address that its frames carry; left out, it is the one that the gateway learns first
    #[arg(long, requires = "address")]
    mac: Option<String>,
}

impl From<Put> for ServicePut {
    fn from(put: Put) -> Self {
        let Put { service: _, display_name, groups, scopes, certificate_name, provider, client, address, mac } = put;
        Self {
            display_name,
            groups: groups.into_iter().collect(),
            scopes: scopes.into_iter().collect(),
            certificate: certificate_name,
            client: provider.zip(client).map(|(provider, id)| ServiceClient { provider, id }),
            binding: address.map(|address| ServiceBinding { address, mac }),
            ..Self::default()
        }
    }
}

impl Service {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List => {
                let call = context.administer(Method::GET, &["v1", "services"])?;
                context.output.list(&call.pages::<ServiceIdentity>().await?)
            }
            Self::Show { service } => {
                let call = context.administer(Method::GET, &["v1", "services", &service])?;
                context.output.show::<ServiceIdentity>(&call.answer().await?)
            }
            Self::Put(put) => {
                let call = context.administer(Method::PUT, &["v1", "services", &put.service])?;
                let put: Answer<ServiceIdentity> = call.body(&ServicePut::from(put)).answer().await?;
                context.output.show(&put)
            }
            Self::Remove { service } => {
                let call = context.administer(Method::DELETE, &["v1", "services", &service])?;
                let removed: Answer<Receipts> = call.answer().await?;
                context.output.either(&removed.json, || {
                    format!("service `{service}` is removed\n{}", sentence::receipts(&removed.shape.receipts))
                })
            }
        }
    }
}
