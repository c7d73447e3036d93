//! Telling the programs which addresses are the gateway's own, and who may reach which service at them.

use super::mapped::Mapped;
use super::{DataPlaneError, ignore_missing, load, table, translate};
use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, Map, MapData};
use gateway_common::Word;
use gateway_common::abi::{ServiceKey, map};
use gateway_common::table::{Secrets, filter};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

/// The maps about the gateway itself, and what was last written to them.
pub struct Services {
    services: HashMap<MapData, ServiceKey, u32>,
    filter: Mapped<Word>,
    secrets: Secrets,
    management: LpmTrie<MapData, [u8; 16], u32>,
    /// What the programs should know; `None` until that was written as a whole.
    served: Option<BTreeMap<ServiceKey, u32>>,
    managing: Option<BTreeSet<Prefix>>,
}

/// A prefix in the 128-bit form: its length and its first address.
type Prefix = (u32, [u8; 16]);
/// What the trie says of a management prefix.
const MANAGES: u32 = 1;

/// What the gateway offers on guarded interfaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// IP protocol number.
    pub protocol: u8,
    /// The port; not 0.
    pub port: u16,
    /// Whether only management prefixes may reach it.
    pub is_management: bool,
    /// At which of the gateway's addresses; empty for all of them.
    pub addresses: Vec<IpAddr>,
}

/// The table that these offers make at these own addresses.
#[must_use]
pub fn offered(own: &BTreeSet<IpAddr>, offers: &[Offer]) -> BTreeMap<ServiceKey, u32> {
    let mut table: BTreeMap<ServiceKey, u32> =
        own.iter().map(|address| (ServiceKey::own((*address).into()), ServiceKey::OWN_ADDRESS)).collect();
    for offer in offers {
        let at = own.iter().filter(|address| offer.addresses.is_empty() || offer.addresses.contains(address));
        let flags = if offer.is_management { ServiceKey::MANAGEMENT } else { ServiceKey::OPEN };
        for address in at {
            *table.entry(ServiceKey::new((*address).into(), offer.protocol, offer.port)).or_default() |= flags;
        }
    }
    table
}

/// Every address of this host's interfaces.
///
/// # Errors
/// If the system does not tell.
pub fn own_addresses() -> nix::Result<BTreeSet<IpAddr>> {
    let interfaces = nix::ifaddrs::getifaddrs()?;
    Ok(interfaces.filter_map(|interface| address(&interface.address?)).collect())
}

fn address(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|found| IpAddr::V4(found.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|found| IpAddr::V6(found.ip())))
}

impl Services {
    /// Opens the maps pinned in this folder.
    ///
    /// # Errors
    /// If one of them is not there.
    pub fn open(pins: &Path) -> Result<Self, DataPlaneError> {
        let pinned = |name: &'static str| MapData::from_pin(pins.join(name)).map_err(table(name));
        Ok(Self {
            services: HashMap::try_from(Map::HashMap(pinned(map::SERVICES)?)).map_err(table(map::SERVICES))?,
            filter: load::mapped(pins, map::OWN_FILTER, ServiceKey::FILTER_WORDS)?,
            secrets: load::drawn(pins).ok_or(DataPlaneError::Incomplete(map::SECRETS))?,
            management: LpmTrie::try_from(Map::LpmTrie(pinned(map::MANAGEMENT)?)).map_err(table(map::MANAGEMENT))?,
            served: None,
            managing: None,
        })
    }

    /// Makes the programs know exactly these addresses and services. Returns whether they are others than before.
    ///
    /// # Errors
    /// If the table cannot be written.
    pub fn serve(&mut self, wanted: &BTreeMap<ServiceKey, u32>) -> Result<bool, DataPlaneError> {
        if self.served.as_ref() == Some(wanted) {
            return Ok(false);
        }
        // Half written, it is neither what was wanted before nor what is now.
        self.served = None;
        self.write_services(wanted)?;
        self.served = Some(wanted.clone());
        Ok(true)
    }

    /// Makes the programs let exactly these prefixes reach the management services.
    ///
    /// # Errors
    /// If the table cannot be written.
    pub fn manage_from(&mut self, prefixes: &[IpNet]) -> Result<(), DataPlaneError> {
        let keys = prefixes.iter().map(translate::management);
        let wanted = keys.map(|key| (key.prefix_len(), key.data())).collect();
        self.managing = None;
        self.write_management(&wanted)?;
        self.managing = Some(wanted);
        Ok(())
    }

    /// Writes once more what somebody else has changed; how many entries that were.
    ///
    /// # Errors
    /// If a table cannot be written.
    pub fn put_right(&mut self) -> Result<usize, DataPlaneError> {
        let (served, managing) = (self.served.take(), self.managing.take());
        let services = served.as_ref().map_or(Ok(0), |wanted| self.write_services(wanted));
        let management = managing.as_ref().map_or(Ok(0), |wanted| self.write_management(wanted));
        (self.served, self.managing) = (served, managing);
        Ok(services? + management?)
    }

    /// What differs between the tables and these services; how many entries that were.
    fn write_services(&mut self, wanted: &BTreeMap<ServiceKey, u32>) -> Result<usize, DataPlaneError> {
        let known: BTreeMap<ServiceKey, u32> = self.services.iter().flatten().collect();
        let mut bits = vec![0_u64; ServiceKey::FILTER_WORDS as usize];
        for key in wanted.keys() {
            let bit = filter::bit(key.address_hash(&self.secrets), ServiceKey::FILTER_WORDS);
            if let Some(word) = bits.get_mut(bit as usize / 64) {
                *word |= 1 << (bit % 64);
            }
        }
        let mut count = self.filter.iter().zip(&bits).filter(|((_, word), bits)| word.load() != **bits).count();
        // Set before there is something to find, cleared after there is nothing any more.
        for ((_, word), bits) in self.filter.iter().zip(&bits) {
            word.store(word.load() | bits);
        }
        for key in known.keys().filter(|key| !wanted.contains_key(key)) {
            ignore_missing(self.services.remove(key)).map_err(table(map::SERVICES))?;
            count += 1;
        }
        for (key, flags) in wanted.iter().filter(|(key, flags)| known.get(key) != Some(flags)) {
            self.services.insert(key, flags, 0).map_err(table(map::SERVICES))?;
            count += 1;
        }
        for ((_, word), bits) in self.filter.iter().zip(bits) {
            word.store(bits);
        }
        Ok(count)
    }

    /// What differs between the table and these prefixes; how many entries that were.
    fn write_management(&mut self, wanted: &BTreeSet<Prefix>) -> Result<usize, DataPlaneError> {
        let found = self.management.iter().flatten();
        let known: BTreeMap<Prefix, u32> = found.map(|(key, value)| ((key.prefix_len(), key.data()), value)).collect();
        let mut count = 0;
        for (length, data) in known.keys().filter(|prefix| !wanted.contains(prefix)) {
            ignore_missing(self.management.remove(&Key::new(*length, *data))).map_err(table(map::MANAGEMENT))?;
            count += 1;
        }
        for (length, data) in wanted.iter().filter(|prefix| known.get(prefix) != Some(&MANAGES)) {
            self.management.insert(&Key::new(*length, *data), MANAGES, 0).map_err(table(map::MANAGEMENT))?;
            count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_common::Packet;

    #[test]
    fn offers_are_made_at_own_addresses_only() {
        let own: BTreeSet<IpAddr> = ["10.0.0.1", "fd00::1"].map(|text| text.parse().unwrap()).into();
        let offer = |port, is_management, addresses: &[&str]| Offer {
            protocol: Packet::TCP,
            port,
            is_management,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let offers = [offer(443, false, &[]), offer(22, true, &["10.0.0.1"]), offer(80, false, &["192.0.2.9"])];
        let table = offered(&own, &offers);
        let at = |address: &str, port| {
            let address = address.parse::<IpAddr>().unwrap().into();
            table.get(&ServiceKey::new(address, if port == 0 { 0 } else { Packet::TCP }, port)).copied()
        };
        assert_eq!(at("10.0.0.1", 0), Some(ServiceKey::OWN_ADDRESS));
        assert_eq!(at("fd00::1", 443), Some(ServiceKey::OPEN));
        assert_eq!(at("10.0.0.1", 22), Some(ServiceKey::MANAGEMENT));
        assert_eq!(at("fd00::1", 22), None);
        assert_eq!(at("192.0.2.9", 80), None);
    }
}
