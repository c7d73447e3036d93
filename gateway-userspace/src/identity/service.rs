//! Automation, and hosts without a person: a service is a user without a password, and this is how it proves itself.
//!
//! What a service may reach is for policy to say, as for everybody. What it proves itself with belongs to it alone: a
//! certificate's name, a client of a provider and an address lead to one service or to none.

mod certificate;

pub use certificate::{CertificateName, InvalidCertificateName};

use super::scope::Scope;
use super::token::LastUsed;
use crate::policy::{ProviderName, UserName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use time::OffsetDateTime;

/// How a user who is no person proves itself.
#[derive(Clone, Debug)]
pub struct Service {
    /// The user's name.
    pub name: UserName,
    /// What it may do in the API.
    pub scopes: BTreeSet<Scope>,
    /// The name of its client certificate.
    pub certificate: Option<CertificateName>,
    /// A client of a provider, by its id there, that presents access tokens.
    pub client: Option<(ProviderName, String)>,
    /// Where it is, without any login.
    pub binding: Option<Binding>,
    /// Whether its binding opens no session until an administrator puts it again: the last one was revoked.
    pub held: bool,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last proved itself.
    pub last_used: LastUsed,
}

/// A host without a person: a session is at its address for as long as the binding stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Binding {
    /// The address.
    pub address: IpAddr,
    /// The hardware address that its frames carry; `None` for the one that the kernel learns first.
    pub mac: Option<[u8; 6]>,
}

/// What a service has proved itself with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credential {
    /// A client certificate, by the name that is the service's.
    Certificate(CertificateName),
    /// An access token for a client of a provider.
    Client(ProviderName, String),
    /// Nothing: an administrator has written down where it is.
    Binding(Binding),
}

/// Why a service is not put, or does not get in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ServiceRefusal {
    /// No such service.
    #[error("service `{0}` is not defined")]
    Unknown(UserName),
    /// The name is that of a user who is no service.
    #[error("user `{0}` is a person; choose another name for the service")]
    IsPerson(UserName),
    /// Services have no password.
    #[error("user `{0}` is a service, and services have no password; give it a certificate, a client or a binding")]
    NoPassword(UserName),
    /// There is nothing that it could prove itself with.
    #[error("service `{0}` has nothing to prove itself with; give it a certificate, a client or a binding")]
    NoProof(UserName),
    /// Another service has this name in its certificate.
    #[error("certificate `{certificate}` is that of service `{service}`; one certificate is one service")]
    CertificateTaken {
        /// The certificate's name.
        certificate: CertificateName,
        /// Whose it is.
        service: UserName,
    },
    /// Another service is this client.
    #[error("client `{client}` of provider `{provider}` is service `{service}`; one client is one service")]
    ClientTaken {
        /// The client's id.
        client: String,
        /// The provider.
        provider: ProviderName,
        /// Which service it is.
        service: UserName,
    },
    /// The address is that of a service, and nobody else's.
    #[error("address `{address}` is bound to service `{service}`; remove that binding first")]
    AddressBound {
        /// The address.
        address: IpAddr,
        /// Whose it is.
        service: UserName,
    },
    /// No host can have this address.
    #[error("address `{0}` cannot be that of a host behind a guarded interface")]
    NotAHost(IpAddr),
    /// No frame can come from this hardware address.
    #[error("a hardware address that is all zeros or a group's cannot be that of a host")]
    NotAHardwareAddress,
    /// An id that no client can have.
    #[error("a client id has 1 to {} printable characters", Service::LONGEST_CLIENT)]
    InvalidClient,
    /// It proves itself with something else, or no longer.
    #[error("service `{0}` does not prove itself with this, or no longer")]
    NotProved(UserName),
}

impl ServiceRefusal {
    /// The word in records.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "service_unknown",
            Self::IsPerson(_) => "service_is_person",
            Self::NoPassword(_) => "service_no_password",
            Self::NoProof(_) => "service_no_proof",
            Self::CertificateTaken { .. } => "certificate_taken",
            Self::ClientTaken { .. } => "client_taken",
            Self::AddressBound { .. } => "address_bound",
            Self::NotAHost(_) => "not_a_host",
            Self::NotAHardwareAddress => "not_a_hardware_address",
            Self::InvalidClient => "client_invalid",
            Self::NotProved(_) => "service_not_proved",
        }
    }
}

/// Why a certificate that is good proves nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateRefusal {
    /// None of its names is that of a service.
    #[error("none of its names is that of a service")]
    Unknown,
    /// Its names are those of several services.
    #[error("its names are those of several services")]
    Ambiguous,
}

impl CertificateRefusal {
    /// The word in records.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "certificate_unknown",
            Self::Ambiguous => "certificate_ambiguous",
        }
    }
}

impl Service {
    /// Longest id of a client, in bytes.
    pub const LONGEST_CLIENT: usize = 255;

    /// A service that proves itself with nothing yet, and may do nothing.
    #[must_use]
    pub fn new(name: UserName, created_at: OffsetDateTime) -> Self {
        Self {
            name,
            scopes: BTreeSet::new(),
            certificate: None,
            client: None,
            binding: None,
            held: false,
            created_at,
            last_used: LastUsed::default(),
        }
    }

    /// Whether it may do something in the API.
    #[must_use]
    pub fn permits(&self, scope: Scope) -> bool {
        scope.is_among(&self.scopes)
    }

    /// Whether this one proves itself as that one does.
    #[must_use]
    pub fn proves_itself_as(&self, other: &Self) -> bool {
        (&self.certificate, &self.client, &self.binding) == (&other.certificate, &other.client, &other.binding)
    }

    /// Whether this proves that it is the service.
    #[must_use]
    pub fn is_proved_by(&self, credential: &Credential) -> bool {
        match credential {
            Credential::Certificate(name) => self.certificate.as_ref() == Some(name),
            Credential::Client(provider, client) => {
                self.client.as_ref().is_some_and(|(p, c)| (p, c) == (provider, client))
            }
            Credential::Binding(binding) => !self.held && self.binding.as_ref() == Some(binding),
        }
    }

    /// What is wrong with it by itself.
    fn check(&self) -> Result<(), ServiceRefusal> {
        if self.certificate.is_none() && self.client.is_none() && self.binding.is_none() {
            return Err(ServiceRefusal::NoProof(self.name.clone()));
        }
        if let Some((_, client)) = &self.client {
            let is_printable = client.chars().all(|c| !c.is_control());
            if client.is_empty() || client.len() > Self::LONGEST_CLIENT || !is_printable {
                return Err(ServiceRefusal::InvalidClient);
            }
        }
        self.binding.as_ref().map_or(Ok(()), Binding::check)
    }
}

impl Binding {
    fn check(&self) -> Result<(), ServiceRefusal> {
        let address = self.address.to_canonical();
        let is_host = match address {
            IpAddr::V4(v4) => {
                !(v4.is_broadcast() || v4.is_multicast() || v4.is_loopback() || v4.octets().starts_with(&[0]))
            }
            IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_loopback() || v6.is_unspecified()),
        };
        if !is_host {
            return Err(ServiceRefusal::NotAHost(address));
        }
        match self.mac {
            Some([0, 0, 0, 0, 0, 0]) => Err(ServiceRefusal::NotAHardwareAddress),
            Some([first, ..]) if first & 1 != 0 => Err(ServiceRefusal::NotAHardwareAddress),
            _ => Ok(()),
        }
    }
}

/// All services, and who proves itself with what.
#[derive(Clone, Debug, Default)]
pub struct Services {
    all: BTreeMap<UserName, Service>,
    certificates: BTreeMap<CertificateName, UserName>,
    clients: BTreeMap<(ProviderName, String), UserName>,
    addresses: BTreeMap<IpAddr, UserName>,
}

impl Services {
    /// One of them.
    #[must_use]
    pub fn get(&self, name: &UserName) -> Option<&Service> {
        self.all.get(name)
    }

    /// Whether this user is a service.
    #[must_use]
    pub fn contains(&self, name: &UserName) -> bool {
        self.all.contains_key(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Service> {
        self.all.values()
    }

    /// Whether this can be one of them.
    ///
    /// # Errors
    /// What is wrong with it, or whose it is what it would prove itself with.
    pub fn check(&self, service: &Service) -> Result<(), ServiceRefusal> {
        service.check()?;
        let Service { name, certificate, client, binding, .. } = service;
        let other = |found: Option<&UserName>| found.filter(|found| *found != name).cloned();
        if let Some(certificate) = certificate
            && let Some(service) = other(self.certificates.get(certificate))
        {
            return Err(ServiceRefusal::CertificateTaken { certificate: certificate.clone(), service });
        }
        if let Some(key) = client
            && let Some(service) = other(self.clients.get(key))
        {
            let (provider, client) = key.clone();
            return Err(ServiceRefusal::ClientTaken { client, provider, service });
        }
        binding.map_or(Ok(()), |binding| self.may_be_at(name, binding.address))
    }

    /// Whether somebody may have an address.
    ///
    /// # Errors
    /// If it is bound to a service that is somebody else.
    pub fn may_be_at(&self, name: &UserName, address: IpAddr) -> Result<(), ServiceRefusal> {
        let address = address.to_canonical();
        match self.addresses.get(&address) {
            Some(service) if service != name => Err(ServiceRefusal::AddressBound { address, service: service.clone() }),
            _ => Ok(()),
        }
    }

    /// Puts one, in place of what it was. Whether it can be is for [`Self::check`] to say.
    pub fn put(&mut self, service: Service) {
        self.remove(&service.name);
        let name = &service.name;
        self.certificates.extend(service.certificate.clone().map(|certificate| (certificate, name.clone())));
        self.clients.extend(service.client.clone().map(|client| (client, name.clone())));
        self.addresses.extend(service.binding.map(|binding| (binding.address.to_canonical(), name.clone())));
        self.all.insert(name.clone(), service);
    }

    /// Removes one.
    pub fn remove(&mut self, name: &UserName) -> Option<Service> {
        let removed = self.all.remove(name)?;
        self.certificates.retain(|_, service| service != name);
        self.clients.retain(|_, service| service != name);
        self.addresses.retain(|_, service| service != name);
        Some(removed)
    }

    /// The service that a certificate with these names is, and the name that says so.
    ///
    /// # Errors
    /// If it is none, or several.
    pub fn with_certificate<'n>(
        &self,
        names: &'n [CertificateName],
    ) -> Result<(&Service, &'n CertificateName), CertificateRefusal> {
        let mut found = names.iter().filter_map(|name| Some((self.all.get(self.certificates.get(name)?)?, name)));
        let first = found.next().ok_or(CertificateRefusal::Unknown)?;
        match found.any(|(service, _)| service.name != first.0.name) {
            true => Err(CertificateRefusal::Ambiguous),
            false => Ok(first),
        }
    }

    /// The service that a client of a provider is.
    #[must_use]
    pub fn with_client(&self, provider: &ProviderName, client: &str) -> Option<&Service> {
        self.all.get(self.clients.get(&(provider.clone(), client.to_owned()))?)
    }
}

impl FromIterator<Service> for Services {
    fn from_iter<I: IntoIterator<Item = Service>>(services: I) -> Self {
        let mut all = Self::default();
        services.into_iter().for_each(|service| all.put(service));
        all
    }
}

#[cfg(test)]
mod tests;
