//! The usual world: what the tables hold for alice and the apps around her.

use crate::frames::CLIENT_MAC;
use crate::scene::{INTERFACE, ZONE};
use gateway_common::abi::{AppEntry, AppKey, Grant, GrantKey, ServiceKey, Vlan};
use gateway_common::{Address, KernelNanos, Packet};
use gateway_userspace::dataplane::attach::GuardedVlan;
use gateway_userspace::dataplane::{PlaneSettings, clock};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{AllowListId, AppSetId, BlockId, Capacities, SessionLimits, SessionToken, Step};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Nothing is limited, and every event is emitted.
pub const SETTINGS: PlaneSettings = PlaneSettings {
    events_per_window: 1_000_000,
    answers_per_window: 1_000_000,
    service_interval: 0,
    quarantine: 3_600_000_000_000,
    lease: u64::MAX,
    records: true,
};

/// The VLANs that the interface carries: 10, and 100.20.
pub fn vlans() -> Vec<GuardedVlan> {
    let carried = |outer, inner, zone| GuardedVlan { vlan: Vlan { outer, inner }, zone, zone_name: format!("z{zone}") };
    vec![carried(0, 10, 10), carried(100, 20, 20)]
}

/// An address of the gateway on another network.
pub const OTHER_OWN: &str = "10.78.0.1";

/// Tables with room for a test.
pub fn small() -> Capacities {
    Capacities {
        sessions: 64,
        flows: 256,
        app_prefixes: 256,
        app_ports: 1024,
        grants: 256,
        apps: 64,
        budgets: 16,
        fragments: 64,
        sources: 64,
    }
}

/// The portal and SSH at the gateway's address on the interface; the gateway has another address, without services.
pub fn services() -> BTreeMap<ServiceKey, u32> {
    let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
    let mut services = BTreeMap::from([(ServiceKey::own(address(OTHER_OWN)), ServiceKey::OWN_ADDRESS)]);
    for own in ["10.77.0.1", "fd77::1"].map(address) {
        services.insert(ServiceKey::own(own), ServiceKey::OWN_ADDRESS);
        services.insert(ServiceKey::new(own, Packet::TCP, 443), ServiceKey::OPEN);
        services.insert(ServiceKey::new(own, Packet::TCP, 22), ServiceKey::MANAGEMENT);
    }
    services
}

/// Alice's session over IPv4.
pub const ALICE: SessionToken = SessionToken(0xa11ce);
/// Alice's session over IPv6.
pub const ALICE_V6: SessionToken = SessionToken(0xa11ce6);
/// App: 10.20.0.10 and fd20::10, TCP port 443, and echo.
pub const WEB: u32 = 1;
/// App: UDP to 10.20.0.0/24.
pub const FILES: u32 = 2;
/// App: 10.20.0.11, TCP port 22.
pub const VAULT: u32 = 3;

/// The tables of the usual apps under this app set.
pub fn apps(app_set: AppSetId) -> Vec<Step> {
    let base = app_set.0 * 10;
    let port = |block, protocol, number, app| port(base + block, protocol, number, AppEntry::new(app, false));
    let prefix = |prefix: &str, block: u32| Step::PutAppPrefix(app_set, prefix.parse().unwrap(), BlockId(base + block));
    vec![
        port(1, Packet::TCP, 443, WEB),
        port(1, Packet::ICMP, 0, WEB),
        port(1, Packet::UDP, 0, FILES),
        port(2, Packet::TCP, 22, VAULT),
        port(2, Packet::UDP, 0, FILES),
        port(3, Packet::UDP, 0, FILES),
        port(4, Packet::TCP, 443, WEB),
        port(4, Packet::ICMPV6, 0, WEB),
        prefix("10.20.0.10/32", 1),
        prefix("10.20.0.11/32", 2),
        prefix("10.20.0.0/24", 3),
        prefix("fd20::10/128", 4),
    ]
}

/// An app behind a port of a block. Under app set 1, `web` has block 11, or 14 in IPv6, and `vault` block 12.
pub fn port(block: u32, protocol: u8, port: u16, app: AppEntry) -> Step {
    Step::PutApp(AppKey { block, port: port.to_be_bytes(), protocol, side: AppKey::SERVICE }, app)
}

/// A port of clients that an app behind a block may open.
pub fn opens(block: u32, protocol: u8, port: u16, app: u32) -> Step {
    let key = AppKey { block, port: port.to_be_bytes(), protocol, side: AppKey::OPENS };
    Step::PutApp(key, AppEntry::new(app, false))
}

/// A grant in an allow-list.
pub fn grant(allow_list: u32, app: u32, grant: Grant) -> Step {
    Step::PutGrant(GrantKey { allow_list, app }, grant)
}

/// The beginning of a session.
pub fn open(token: SessionToken, entry: SessionEntry) -> Step {
    Step::OpenSession(token, entry)
}

/// A session of a client at this address, by list 1 of app set 1, for an hour.
pub fn session(address: &str) -> SessionEntry {
    let now = clock::boot();
    SessionEntry {
        address: address.parse().unwrap(),
        zone: ZONE,
        interface: INTERFACE,
        mac: Some(CLIENT_MAC),
        deadline: now.after(3_600_000_000_000),
        authenticated_at: now,
        app_set: AppSetId(1),
        allow_list: AllowListId(1),
        limits: SessionLimits::default(),
    }
}

/// An instant that has passed.
pub const LONG_AGO: KernelNanos = KernelNanos(1);
