//! One interface, one client, and packets of theirs.

use etherparse::{PacketBuilder, PacketBuilderStep};
use gateway_common::abi::{Interface, SessionKey};
use gateway_common::{Address, Judgement, KernelNanos, Packet, Tables, law};
use gateway_userspace::dataplane::{DataPlane as _, MemoryDataPlane};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{AllowListId, AppSetId, Capacities, Plan, SessionLimits, SessionToken, Step};
use std::net::IpAddr;

pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const INTERFACE: u32 = 1;
const ZONE: u32 = 1;
pub const NOW: KernelNanos = KernelNanos(1_000_000_000_000);
pub const DEADLINE: KernelNanos = KernelNanos(NOW.0 + 1_000_000_000);
/// Where the client is, and where nobody is.
pub const CLIENT: &str = "10.77.0.2";
pub const NOBODY: &str = "10.77.0.3";
pub const APP: &str = "10.20.0.10";

/// Tables with an interface that admits everything, and a session at [`CLIENT`].
pub fn plane() -> MemoryDataPlane {
    let mut plane = MemoryDataPlane::new(Capacities::default());
    let flags = [
        Interface::LINK_LAYER,
        Interface::REJECT,
        Interface::TRACK_FRAGMENTS,
        Interface::ADMIT_OPTIONS,
        Interface::ADMIT_EXTENSIONS,
    ];
    let row = Interface { zone: ZONE, slot: 0, flags: flags.iter().sum(), reserved: 0 };
    plane.interfaces.insert(INTERFACE, row);
    let entry = SessionEntry {
        address: CLIENT.parse().unwrap(),
        zone: ZONE,
        interface: INTERFACE,
        mac: Some(CLIENT_MAC),
        deadline: DEADLINE,
        authenticated_at: NOW,
        app_set: AppSetId(1),
        allow_list: AllowListId(1),
        limits: SessionLimits::default(),
    };
    plane.apply(&Plan { steps: vec![Step::OpenSession(SessionToken(1), entry)] }).unwrap();
    plane
}

/// The key of the session at this address.
pub fn key(address: &str) -> SessionKey {
    SessionKey::new(ZONE, Address::from(address.parse::<IpAddr>().unwrap()))
}

/// Judges a frame from the client's side.
pub fn judge<T: Tables>(tables: &T, frame: &[u8], now: KernelNanos) -> (Judgement, Packet) {
    let mut packet = Packet::default();
    let judgement = law::ingress(frame, &mut packet, tables, INTERFACE, now);
    (judgement, packet)
}

/// The beginning of a frame from the client.
pub fn from_to(from: IpAddr, to: IpAddr) -> PacketBuilderStep<etherparse::IpHeaders> {
    let link = PacketBuilder::ethernet2(CLIENT_MAC, GATEWAY_MAC);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => link.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => link.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("{from} and {to} are of two families"),
    }
}

/// A UDP datagram between addresses of one family.
pub fn udp(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    from_to(from.parse().unwrap(), to.parse().unwrap()).udp(40_000, 443).write(&mut frame, payload).unwrap();
    frame
}

/// An ARP request for the client's own address, from elsewhere.
pub fn arp(mac: [u8; 6], sender: [u8; 4]) -> Vec<u8> {
    let head = [&[0xff; 6][..], &mac, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &mac, &sender].concat();
    [head, vec![0; 6], sender.to_vec()].concat()
}
