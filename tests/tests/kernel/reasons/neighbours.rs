//! Steps 4 and 12 to 15: ARP and neighbour discovery.

use crate::frames::{CLIENT_MAC, ETHERNET, arp, arp_claim, discovery, link_address, neighbour_message};
use crate::pieces::{fragment, with_extension};
use crate::scene::{Scene, Way};
use crate::usual::{ALICE, OTHER_OWN, SETTINGS, open, session};
use gateway_common::{DropReason, Verdict};
use gateway_userspace::dataplane::PlaneSettings;
use gateway_userspace::dataplane::attach::InterfaceSettings;
use gateway_userspace::policy::{SessionToken, Step};

/// Somebody else on alice's link.
const THIEF_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

#[test]
fn arp_passes_to_the_host_and_malformed_arp_is_dropped_as_arp_malformed() {
    let mut scene = Scene::usual();
    assert_eq!(scene.judge(Way::In, &arp()), Verdict::ToHost);
    let mut operation = arp();
    operation[ETHERNET + 7] = 9;
    scene.drops(&operation, DropReason::ArpMalformed);
    scene.drops(&arp()[..ETHERNET + 27], DropReason::ArpMalformed);
}

#[test]
fn neighbour_discovery_passes_to_the_host_and_from_afar_or_from_a_router_is_dropped_as_neighbour_invalid() {
    let mut scene = Scene::usual();
    for kind in [133, 135, 136] {
        assert_eq!(scene.judge(Way::In, &neighbour_message(kind, 255)), Verdict::ToHost);
        scene.drops(&neighbour_message(kind, 254), DropReason::NeighbourInvalid);
    }
    for kind in [134, 137] {
        scene.drops(&neighbour_message(kind, 255), DropReason::NeighbourInvalid);
    }
}

#[test]
fn arp_that_no_host_sends_is_dropped_as_arp_malformed() {
    let mut scene = Scene::usual();
    // Hardware type, protocol type, and their lengths; the operation.
    for (place, byte) in [(1, 6), (0, 1), (2, 0x86), (3, 6), (4, 8), (5, 16), (7, 0), (7, 3), (6, 1)] {
        let mut frame = arp();
        frame[ETHERNET + place] = byte;
        scene.drops(&frame, DropReason::ArpMalformed);
    }
    for mac in [[0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        scene.drops(&arp_claim(1, mac, [10, 77, 0, 2]), DropReason::ArpMalformed);
    }
    for sender in [[127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [169, 254, 0, 1], [0, 0, 0, 1]] {
        scene.drops(&arp_claim(1, CLIENT_MAC, sender), DropReason::ArpMalformed);
    }
    scene.drops(&arp_claim(2, CLIENT_MAC, [0; 4]), DropReason::ArpMalformed);
    let mut padded = arp();
    padded.resize(64, 0);
    scene.hands_to_host(&padded);
    scene.hands_to_host(&arp_claim(1, CLIENT_MAC, [0; 4]));
    assert_eq!(scene.judge(Way::Out, &arp()), Verdict::Forward);
}

#[test]
fn arp_that_claims_an_address_of_the_gateway_is_dropped_as_neighbour_spoofed() {
    let mut scene = Scene::usual();
    let other: std::net::Ipv4Addr = OTHER_OWN.parse().unwrap();
    for own in [[10, 77, 0, 1], other.octets()] {
        for operation in [1, 2] {
            scene.drops(&arp_claim(operation, CLIENT_MAC, own), DropReason::NeighbourSpoofed);
        }
    }
}

#[test]
fn arp_that_claims_the_address_of_a_session_elsewhere_is_dropped_as_neighbour_spoofed() {
    let mut scene = Scene::usual();
    for operation in [1, 2] {
        scene.hands_to_host(&arp_claim(operation, CLIENT_MAC, [10, 77, 0, 2]));
        scene.hands_to_host(&arp_claim(operation, THIEF_MAC, [10, 77, 0, 3]));
        scene.drops(&arp_claim(operation, THIEF_MAC, [10, 77, 0, 2]), DropReason::NeighbourSpoofed);
    }
    // The claim counts, not the frame that carries it.
    let mut relayed = arp_claim(2, CLIENT_MAC, [10, 77, 0, 2]);
    relayed[6..12].copy_from_slice(&THIEF_MAC);
    scene.hands_to_host(&relayed);
    let mut elsewhere = session("10.77.0.4");
    elsewhere.interface = 99;
    scene.apply([open(SessionToken(4), elsewhere)]);
    scene.drops(&arp_claim(1, CLIENT_MAC, [10, 77, 0, 4]), DropReason::NeighbourSpoofed);
    scene.apply([Step::EndSession(ALICE)]);
    scene.hands_to_host(&arp_claim(1, THIEF_MAC, [10, 77, 0, 2]));
}

#[test]
fn neighbour_discovery_that_claims_an_address_of_another_is_dropped_as_neighbour_spoofed() {
    let mut scene = Scene::usual();
    let spoofed = DropReason::NeighbourSpoofed;
    for (mac, own) in [(CLIENT_MAC, "fd77::2"), (THIEF_MAC, "fd77::3")] {
        scene.hands_to_host(&discovery(133, own, "", &link_address(1, mac)));
        scene.hands_to_host(&discovery(135, own, "fd77::1", &link_address(1, mac)));
        scene.hands_to_host(&discovery(136, "fe80::2", own, &link_address(2, mac)));
    }
    for (mac, other) in [(CLIENT_MAC, "fd77::1"), (THIEF_MAC, "fd77::2")] {
        scene.drops(&discovery(133, other, "", &link_address(1, mac)), spoofed);
        scene.drops(&discovery(135, other, "fd77::5", &link_address(1, mac)), spoofed);
        scene.drops(&discovery(136, "fe80::2", other, &link_address(2, mac)), spoofed);
        // Without the option, or with the other one, nothing is claimed.
        scene.hands_to_host(&discovery(136, "fe80::2", other, &[]));
        scene.hands_to_host(&discovery(136, "fe80::2", other, &link_address(1, mac)));
        scene.hands_to_host(&discovery(135, other, "fd77::5", &link_address(2, mac)));
    }
    // Whether an address is free may be asked of every one.
    scene.hands_to_host(&discovery(135, "::", "fd77::2", &[]));
}

#[test]
fn neighbour_discovery_with_broken_options_is_dropped_as_neighbour_invalid() {
    let mut scene = Scene::usual();
    let invalid = DropReason::NeighbourInvalid;
    let own = link_address(1, CLIENT_MAC);
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    scene.hands_to_host(&discovery(135, "fd77::2", "fd77::1", &[&nonce[..], &own, &own, &nonce].concat()));
    let broken: [&[u8]; 9] = [
        &[14, 0, 0, 0, 0, 0, 0, 0],
        &[14, 2, 0, 0, 0, 0, 0, 0],
        &[14],
        &[14, 1, 0, 0, 0, 0, 0],
        &link_address(1, [0; 6]),
        &link_address(1, [0xff; 6]),
        &[1, 2, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0],
        &[own.clone(), link_address(1, THIEF_MAC)].concat(),
        &nonce.repeat(5),
    ];
    for rest in broken {
        scene.drops(&discovery(135, "fd77::2", "fd77::1", rest), invalid);
    }
    scene.drops(&discovery(135, "::", "fd77::1", &own), invalid);
    scene.drops(&discovery(133, "::", "", &own), invalid);
}

#[test]
fn neighbour_discovery_that_cannot_be_is_dropped_as_neighbour_invalid() {
    let handling = InterfaceSettings { track_fragments: true, admit_extensions: true, ..Default::default() };
    let mut scene = Scene::usual_where(handling);
    let invalid = DropReason::NeighbourInvalid;
    for source in ["::1", "ff02::1", "::10.77.0.2"] {
        scene.drops(&discovery(135, source, "fd77::1", &[]), invalid);
    }
    for target in ["::", "::1", "ff02::1"] {
        scene.drops(&discovery(135, "fe80::2", target, &[]), invalid);
        scene.drops(&discovery(136, "fe80::2", target, &[]), invalid);
    }
    let good = discovery(135, "fd77::2", "fd77::1", &link_address(1, CLIENT_MAC));
    let mut code = good.clone();
    code[ETHERNET + 41] = 1;
    scene.drops(&code, invalid);
    let mut short = discovery(135, "fd77::2", "fd77::1", &[]);
    short.pop();
    short[ETHERNET + 5] -= 1;
    scene.drops(&short, invalid);
    scene.drops(&with_extension(&good, 60, &[0, 0, 1, 4, 0, 0, 0, 0]), invalid);
    scene.drops(&with_extension(&good, 44, &[0, 0, 0, 0, 0, 0, 0, 9]), invalid);
    scene.drops(&fragment(&good, 9, 0..24, true), invalid);
    scene.hands_to_host(&good);
}

#[test]
fn icmpv6_of_fewer_than_8_bytes_is_no_neighbour_discovery() {
    let mut scene = Scene::usual();
    for (source, reason) in [("fe80::2", DropReason::SourceInvalid), ("fd77::2", DropReason::DestinationInvalid)] {
        let mut short = discovery(135, source, "", &[]);
        short.truncate(ETHERNET + 40 + 7);
        short[ETHERNET + 5] = 7;
        scene.drops(&short, reason);
    }
}

#[test]
fn routers_speak_toward_clients_only() {
    let mut scene = Scene::usual();
    for kind in [133, 134, 135, 136, 137] {
        assert_eq!(scene.judge(Way::Out, &neighbour_message(kind, 255)), Verdict::Forward);
        scene.drops_to_client(&neighbour_message(kind, 254), DropReason::NeighbourInvalid);
    }
}

#[test]
fn address_resolution_beyond_the_rate_of_its_hardware_address_is_dropped_as_rate_limited() {
    let mut scene = Scene::usual_with(PlaneSettings { service_interval: 3_600_000_000_000, ..SETTINGS });
    scene.hands_to_host(&arp());
    scene.drops(&arp(), DropReason::RateLimited);
    scene.drops(&neighbour_message(135, 255), DropReason::RateLimited);
    scene.drops(&arp_claim(1, CLIENT_MAC, [10, 77, 0, 1]), DropReason::NeighbourSpoofed);
    let mut other = arp_claim(1, THIEF_MAC, [10, 77, 0, 9]);
    other[6..12].copy_from_slice(&THIEF_MAC);
    scene.hands_to_host(&other);
    scene.drops(&other, DropReason::RateLimited);
}
