//! Where a peer of the API is, with the names that go with it.

use super::countries::Countries;
use crate::api::{Later, SourceError, SourceResolver};
use crate::dataplane::Guarding;
use crate::dataplane::attach::GuardedInterface;
use crate::dataplane::neighbours::{NeighbourError, Whereabouts, locate};
use crate::policy::Source;
use gateway_common::abi::Vlan;
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

    fn tags(&self, source: &Source) -> Vlan {
        tags(&self.guarding.interfaces(), source)
    }
}

/// The tags of the VLAN in whose zone that is; none, if that is the interface's own. VLANs of one zone are judged alike.
fn tags(guarded: &[GuardedInterface], source: &Source) -> Vlan {
    let interface = guarded.iter().find(|guarded| guarded.index == source.interface);
    let tagged = interface.filter(|guarded| guarded.zone != source.zone);
    let vlan = tagged.and_then(|guarded| guarded.vlans.iter().find(|vlan| vlan.zone == source.zone));
    vlan.map_or_else(Vlan::default, |vlan| vlan.vlan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::attach::{GuardedVlan, InterfaceSettings, XdpChoice};
    use crate::policy::Country;

    #[test]
    fn packets_carry_the_tags_of_the_vlan_in_whose_zone_a_session_is() {
        let vlan = |inner, zone| GuardedVlan { vlan: Vlan { outer: 0, inner }, zone, zone_name: String::new() };
        let guarded = GuardedInterface {
            name: "lan0".into(),
            index: 3,
            zone: 1,
            zone_name: "office".into(),
            has_link_layer: true,
            mode: XdpChoice::Auto,
            settings: InterfaceSettings::default(),
            vlans: vec![vlan(20, 1), vlan(10, 2)],
        };
        let found = |interface, zone| {
            let (zone_name, interface_name) = Default::default();
            let address = "10.0.0.2".parse().unwrap();
            let country = Country::UNKNOWN;
            let source = Source { address, zone, zone_name, interface, interface_name, mac: None, country };
            tags(std::slice::from_ref(&guarded), &source).inner
        };
        assert_eq!((found(3, 1), found(3, 2), found(3, 9), found(4, 2)), (0, 10, 0, 0));
    }
}
