//! The row of how a service proves itself.

use super::words;
use crate::identity::{Binding, CertificateName, LastUsed, Scope, Service};
use crate::policy::{ProviderName, UserName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use time::OffsetDateTime;

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct ServiceIdentityShape {
    name: String,
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<ClientShape>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binding: Option<BindingShape>,
    #[serde(default)]
    held: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(default, with = "time::serde::rfc3339::option")]
    last_used: Option<OffsetDateTime>,
}

#[derive(Serialize, Deserialize)]
struct ClientShape {
    provider: String,
    id: String,
}

#[derive(Serialize, Deserialize)]
struct BindingShape {
    address: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<[u8; 6]>,
}

impl From<&Service> for ServiceIdentityShape {
    fn from(service: &Service) -> Self {
        let Service { name, scopes, certificate, client, binding, held, created_at, last_used } = service;
        let client =
            client.as_ref().map(|(provider, id)| ClientShape { provider: provider.to_string(), id: id.clone() });
        Self {
            name: name.to_string(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            certificate: certificate.as_ref().map(ToString::to_string),
            client,
            binding: binding.map(|Binding { address, mac }| BindingShape { address, mac }),
            held: *held,
            created_at: *created_at,
            last_used: last_used.at(),
        }
    }
}

impl TryFrom<ServiceIdentityShape> for Service {
    type Error = String;

    fn try_from(shape: ServiceIdentityShape) -> Result<Self, String> {
        let ServiceIdentityShape { name, scopes, certificate, client, binding, held, created_at, last_used } = shape;
        let client = client.map(|ClientShape { provider, id }| {
            let provider = ProviderName::new(&provider).map_err(words)?;
            Ok::<_, String>((provider, id))
        });
        Ok(Self {
            name: UserName::new(&name).map_err(words)?,
            scopes: scopes.iter().map(|scope| scope.parse()).collect::<Result<BTreeSet<Scope>, _>>().map_err(words)?,
            certificate: certificate.map(|name| name.parse::<CertificateName>()).transpose().map_err(words)?,
            client: client.transpose()?,
            binding: binding.map(|BindingShape { address, mac }| Binding { address, mac }),
            held,
            created_at,
            last_used: LastUsed::restored(last_used),
        })
    }
}
