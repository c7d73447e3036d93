//! Finding the interfaces that are to be guarded.

use super::DataPlaneError;
use super::attach::{GuardedInterface, GuardedVlan, InterfaceSettings, XdpChoice};
use gateway_common::abi::Vlan;
use std::collections::BTreeMap;

/// `/sys/class/net/<name>/type` of interfaces whose frames begin with an Ethernet header.
const ARPHRD_ETHER: &str = "1";

/// An interface that is to be guarded, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its zone's name. Interfaces of one zone see the same sessions.
    pub zone: String,
    /// Which XDP mode to use.
    pub mode: XdpChoice,
    /// What is done with what it carries, also in its VLANs.
    pub settings: InterfaceSettings,
    /// The VLANs that it carries.
    pub vlans: Vec<WantedVlan>,
}

/// A VLAN on an interface that is to be guarded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedVlan {
    /// Its tags.
    pub vlan: Vlan,
    /// Its zone's name.
    pub zone: String,
}

/// Looks the interfaces up.
///
/// # Errors
/// If one does not exist, there are too many, or the names of two zones have the same number.
pub fn find(wanted: &[Wanted]) -> Result<Vec<GuardedInterface>, DataPlaneError> {
    let most = gateway_common::abi::Interface::LIMIT as usize - 1;
    if wanted.len() > most {
        return Err(DataPlaneError::TooManyInterfaces(wanted.len()));
    }
    let mut zones: BTreeMap<u32, &str> = BTreeMap::new();
    let names = wanted
        .iter()
        .flat_map(|interface| std::iter::once(&interface.zone).chain(interface.vlans.iter().map(|vlan| &vlan.zone)));
    for zone in names {
        let other = zones.insert(zone_number(zone), zone);
        if let Some(other) = other.filter(|other| *other != zone) {
            return Err(DataPlaneError::ZonesCollide(zone.clone(), other.to_owned()));
        }
    }
    wanted.iter().map(find_one).collect()
}

/// The number of the interface with this name, if there is one.
#[must_use]
pub fn number(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

/// The name of the interface with this number, if there is one and its name is text.
#[must_use]
pub fn name(number: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(number).ok()?.into_string().ok()?;
    // One that is gone is told to have an empty one.
    Some(name).filter(|name| !name.is_empty())
}

fn find_one(wanted: &Wanted) -> Result<GuardedInterface, DataPlaneError> {
    let Wanted { name, zone, mode, settings, vlans } = wanted;
    let index = number(name).ok_or_else(|| DataPlaneError::UnknownInterface(name.clone()))?;
    let kind = std::fs::read_to_string(format!("/sys/class/net/{name}/type"));
    // Where /sys shows another namespace's interfaces, Ethernet is what there is.
    let has_link_layer = kind.map_or(true, |kind| kind.trim() == ARPHRD_ETHER);
    Ok(GuardedInterface {
        name: name.clone(),
        index,
        zone: zone_number(zone),
        zone_name: zone.clone(),
        has_link_layer,
        mode: *mode,
        settings: *settings,
        vlans: vlans.iter().map(guarded_vlan).collect(),
    })
}

fn guarded_vlan(wanted: &WantedVlan) -> GuardedVlan {
    let WantedVlan { vlan, zone } = wanted;
    GuardedVlan { vlan: *vlan, zone: zone_number(zone), zone_name: zone.clone() }
}

/// The number of a zone: the same at every start, because tables outlive the daemon. FNV-1a.
#[must_use]
pub fn zone_number(name: &str) -> u32 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_interface_is_refused_by_name() {
        let wanted = Wanted { name: "none0".into(), zone: "lan".into(), ..Wanted::default() };
        let error = find(&[wanted]).unwrap_err().to_string();
        assert_eq!(error, "interface `none0` does not exist; see `ip link` for those that do");
    }

    #[test]
    fn zones_keep_their_numbers() {
        assert_eq!(zone_number("lan"), zone_number("lan"));
        assert_ne!(zone_number("lan"), zone_number("wan"));
    }
}
