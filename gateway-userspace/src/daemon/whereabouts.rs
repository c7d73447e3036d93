//! Where a peer of the API is, with the names that go with it.

use super::countries::Countries;
use crate::api::{Later, SourceError, SourceResolver};
use crate::dataplane::Guarding;
use crate::dataplane::attach::GuardedInterface;
use crate::dataplane::neighbours::{NeighbourError, Whereabouts, locate};
use crate::policy::Source;
use std::net::IpAddr;
use std::sync::Arc;

/// Asks the kernel.
pub(super) struct KernelResolver {
    pub(super) guarding: Guarding,
    pub(super) countries: Arc<Countries>,
}

impl KernelResolver {
    async fn source(&self, peer: IpAddr) -> Result<Source, SourceError> {
        let found = locate(peer, None, &self.guarding.interfaces()).await.map_err(Self::failed)?;
        Ok(source(peer, found, &self.countries))
    }

    pub(super) fn failed(error: NeighbourError) -> SourceError {
        match error {
            NeighbourError::NotGuarded(address) => SourceError::NotGuarded(address),
            NeighbourError::Unresolved(address) => SourceError::NoNeighbour(address),
            error @ (NeighbourError::Netlink(_) | NeighbourError::Socket(_)) => SourceError::System(error.to_string()),
        }
    }
}

/// Where that is, with its names.
pub(super) fn source(address: IpAddr, found: Whereabouts, countries: &Countries) -> Source {
    let GuardedInterface { name, index, zone, zone_name, .. } = found.interface;
    let (zone, zone_name) = found.vlan.map_or((zone, zone_name), |vlan| (vlan.zone, vlan.zone_name));
    let (zone_name, interface_name) = (zone_name.into(), name.into());
    let country = countries.of(address);
    Source { address, zone, zone_name, interface: index, interface_name, mac: found.mac, country }
}

impl SourceResolver for KernelResolver {
    fn resolve(&self, peer: IpAddr) -> Later<'_, Result<Source, SourceError>> {
        Box::pin(self.source(peer))
    }
}
