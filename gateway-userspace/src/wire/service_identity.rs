//! Services: users who are no persons, and what they prove themselves with.

use super::people::expect_name;
use super::problem::{FieldError, Invalid, each, noted};
use super::session::format_mac;
use crate::identity::{self, Binding, CertificateName, Scope};
use crate::policy::{self, GroupName, ProviderName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::str::FromStr as _;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Automation, or a host without a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceIdentity {
    /// Unique among users: a service is one.
    pub name: String,
    /// What people call it.
    pub display_name: String,
    /// The groups it belongs to.
    pub groups: BTreeSet<String>,
    /// A disabled service has no access. Its switch is that of its user.
    pub enabled: bool,
    /// What it may do in the API.
    pub scopes: BTreeSet<String>,
    /// The name of its client certificate: `uri:…`, `dns:…` or `cn:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The client of a provider that presents access tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ServiceClient>,
    /// Where it is, without any login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<ServiceBinding>,
    /// Whether its binding opens no session, because the last one was revoked; until it is put again.
    #[serde(default)]
    pub held: bool,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last proved itself.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
}

/// A client of an identity provider.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceClient {
    /// The provider, as the configuration calls it.
    pub provider: String,
    /// The client's id there.
    pub id: String,
}

/// A place that is a service's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceBinding {
    /// Its address.
    pub address: String,
    /// The hardware address that its frames carry; left out, it is the one that the gateway learns first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// What a service is to be. What is left out, it has not.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicePut {
    /// As in the path, or left out: what a GET has answered can be sent back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What people call it.
    #[serde(default)]
    pub display_name: String,
    /// The groups it belongs to, all of them. Each must exist.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// What it may do in the API: `read`, `users:write`, `apps:write`, `policy:write`, `sessions:write`, `metrics:read`,
    /// `packets:read`, `admin`.
    #[serde(default)]
    pub scopes: BTreeSet<String>,
    /// The name of its client certificate: `uri:spiffe://…`, `dns:…` or `cn:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The client of a provider that presents access tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ServiceClient>,
    /// Where it is, without any login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<ServiceBinding>,
    /// Not looked at: the switch is that of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Not looked at: putting it again is what ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// Not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
}

impl ServiceIdentity {
    /// The shape of a service, with its user.
    #[must_use]
    pub fn of(service: &identity::Service, user: &policy::User) -> Self {
        let identity::Service { name, scopes, certificate, client, binding, held, created_at, last_used } = service;
        let policy::User { display_name, groups, enabled, .. } = user;
        let of_client =
            |(provider, id): &(ProviderName, String)| ServiceClient { provider: provider.to_string(), id: id.clone() };
        Self {
            name: name.to_string(),
            display_name: display_name.clone(),
            groups: groups.iter().map(ToString::to_string).collect(),
            enabled: *enabled,
            scopes: scopes.iter().map(Scope::to_string).collect(),
            certificate: certificate.as_ref().map(ToString::to_string),
            client: client.as_ref().map(of_client),
            binding: binding.map(|Binding { address, mac }| ServiceBinding {
                address: address.to_string(),
                mac: mac.map(format_mac),
            }),
            held: *held,
            created_at: *created_at,
            last_used_at: last_used.at(),
        }
    }
}

impl ServicePut {
    /// The service that is meant, and its user, made of what they were.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field.
    pub fn into_model(
        self,
        user: policy::User,
        before: identity::Service,
    ) -> Result<(policy::User, identity::Service), Invalid> {
        let Self { name: given, display_name, groups, scopes, certificate, client, binding, .. } = self;
        let mut errors = Vec::new();
        expect_name(&mut errors, "service", given, &user.name);
        let groups = each(&mut errors, "groups", &groups, GroupName::new);
        let scopes = each(&mut errors, "scopes", &scopes, Scope::from_str);
        let certificate =
            certificate.and_then(|name| noted(&mut errors, "certificate", name.parse::<CertificateName>()));
        let client = client.and_then(|ServiceClient { provider, id }| {
            Some((noted(&mut errors, "client.provider", ProviderName::new(&provider))?, id))
        });
        let binding = binding.and_then(|binding| binding.read(&mut errors));
        if !errors.is_empty() {
            return Err(Invalid(errors));
        }
        let user = policy::User { display_name, groups, ..user };
        Ok((user, identity::Service { scopes, certificate, client, binding, held: false, ..before }))
    }
}

impl ServiceBinding {
    fn read(&self, errors: &mut Vec<FieldError>) -> Option<Binding> {
        let Self { address, mac } = self;
        let wrong = |_| format!("`{address}` is not an address; write one like `192.0.2.9` or `2001:db8::9`");
        let address = noted(errors, "binding.address", address.parse::<std::net::IpAddr>().map_err(wrong));
        let mac = mac.as_deref().map(|mac| noted(errors, "binding.mac", parse_mac(mac)));
        let mac = match mac {
            None => None,
            Some(read) => Some(read?),
        };
        Some(Binding { address: address?.to_canonical(), mac })
    }
}

/// Reads `02:00:00:00:00:09`.
fn parse_mac(text: &str) -> Result<[u8; 6], String> {
    let byte = |text: &str| {
        let is_hex = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        u8::from_str_radix(text, 16).ok().filter(|_| is_hex)
    };
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    let mac = bytes.and_then(|bytes| bytes.try_into().ok());
    mac.ok_or_else(|| format!("`{text}` is not a hardware address; write one like `02:00:00:00:00:09`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::UserName;

    fn read(json: &str) -> Result<identity::Service, Vec<Option<String>>> {
        let put: ServicePut = serde_json::from_str(json).unwrap();
        let name = UserName::new("printer").unwrap();
        let before = identity::Service::new(name.clone(), OffsetDateTime::UNIX_EPOCH);
        let read = put.into_model(policy::User::new(name), before);
        read.map(|(_, service)| service)
            .map_err(|Invalid(errors)| errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_field() {
        let wrong = r#"{"name":"x","scopes":["root"],"certificate":"printer","client":{"provider":"a b","id":"i"},
            "binding":{"address":"here","mac":"2:0:0:0:0:9"}}"#;
        let fields = ["name", "scopes[0]", "certificate", "client.provider", "binding.address", "binding.mac"];
        assert_eq!(read(wrong).unwrap_err(), fields.map(|field| Some(field.to_owned())));
    }

    #[test]
    fn what_was_shown_can_be_put() {
        let service = read(r#"{"binding":{"address":"::ffff:192.0.2.9","mac":"02:00:00:00:00:0A"}}"#).unwrap();
        let binding = Binding { address: "192.0.2.9".parse().unwrap(), mac: Some([2, 0, 0, 0, 0, 10]) };
        assert_eq!(service.binding, Some(binding));
        let user = policy::User::new(service.name.clone());
        let shown = serde_json::to_string(&ServiceIdentity::of(&service, &user)).unwrap();
        assert_eq!(read(&shown).unwrap().binding, Some(binding), "{shown}");
    }
}
