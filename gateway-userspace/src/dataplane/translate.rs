//! Prefixes as the trie holds them, and back.

use crate::policy::AppSetId;
use aya::maps::lpm_trie::Key;
use gateway_common::Address;
use gateway_common::abi::AppPrefix;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::IpAddr;

/// Bits of the mapped form in front of an IPv4 address.
const MAPPED: u8 = 96;
/// Bits of the app set in front of the address.
const APP_SET: u32 = 32;

/// Length of a prefix in the 128-bit form.
#[must_use]
pub fn length(prefix: &IpNet) -> u8 {
    match prefix {
        IpNet::V4(v4) => v4.prefix_len().saturating_add(MAPPED),
        IpNet::V6(v6) => v6.prefix_len(),
    }
}

/// The trie's key for a prefix of an app set.
#[must_use]
pub fn app_prefix(app_set: AppSetId, prefix: &IpNet) -> Key<AppPrefix> {
    let data = AppPrefix { app_set: app_set.0.to_be_bytes(), address: Address::from(prefix.addr()).0 };
    Key::new(APP_SET.saturating_add(length(prefix).into()), data)
}

/// The prefix and app set of a key found in the trie; `None` for a key that this program cannot have written.
#[must_use]
pub fn from_app_prefix(key: &Key<AppPrefix>) -> Option<(AppSetId, IpNet)> {
    let data = key.data();
    let length = u8::try_from(key.prefix_len().checked_sub(APP_SET)?).ok()?;
    let prefix = match IpAddr::from(Address(data.address)) {
        IpAddr::V4(v4) => IpNet::V4(Ipv4Net::new(v4, length.checked_sub(MAPPED)?).ok()?),
        IpAddr::V6(v6) => IpNet::V6(Ipv6Net::new(v6, length).ok()?),
    };
    Some((AppSetId(u32::from_be_bytes(data.app_set)), prefix))
}

/// The trie's key for a management prefix.
#[must_use]
pub fn management(prefix: &IpNet) -> Key<[u8; 16]> {
    Key::new(length(prefix).into(), Address::from(prefix.addr()).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_survive_the_way_into_the_trie_and_back() {
        for prefix in ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "2001:db8::/32", "2000::/3", "fd00::1/128"] {
            let prefix: IpNet = prefix.parse().unwrap();
            let key = app_prefix(AppSetId(7), &prefix);
            assert_eq!(from_app_prefix(&key), Some((AppSetId(7), prefix)));
        }
    }

    #[test]
    fn keys_of_another_hand_are_not_prefixes() {
        let data = AppPrefix { app_set: [0, 0, 0, 7], address: Address::from(IpAddr::from([10, 0, 0, 0])).0 };
        assert_eq!(from_app_prefix(&Key::new(16, data)), None);
        assert_eq!(from_app_prefix(&Key::new(32 + 90, data)), None);
    }
}
