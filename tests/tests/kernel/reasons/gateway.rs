//! Steps 27 to 29: the gateway itself.

use crate::frames::{ACK, CLIENT_MAC, GATEWAY_MAC, Inside, SYN, frame, packet, tagged, web};
use crate::scene::{Scene, Way};
use crate::usual::{OTHER_OWN, SETTINGS, small};
use gateway_common::{DropReason, Verdict};
use gateway_userspace::dataplane::PlaneSettings;
use gateway_userspace::dataplane::attach::InterfaceSettings;

/// For every source one packet in an hour.
const SLOW: PlaneSettings = PlaneSettings { service_interval: 3_600_000_000_000, ..SETTINGS };

fn portal(source: &str) -> Vec<u8> {
    let own = if source.contains(':') { "fd77::1" } else { "10.77.0.1" };
    frame(CLIENT_MAC, source, own, Inside::Tcp(40_000, 443, SYN), 0)
}

#[test]
fn gateways_own_address_is_dropped_as_own_address_but_for_its_services() {
    let mut scene = Scene::usual();
    let to = |source: &str, port| frame(CLIENT_MAC, source, "10.77.0.1", Inside::Tcp(40_000, port, SYN), 0);
    assert_eq!(scene.judge(Way::In, &to("10.77.0.2", 443)), Verdict::ToHost);
    assert_eq!(scene.judge(Way::In, &to("10.99.0.2", 443)), Verdict::ToHost);
    scene.drops(&to("10.77.0.2", 22), DropReason::OwnAddress);
    scene.drops(&to("10.77.0.2", 8_443), DropReason::OwnAddress);
    assert_eq!(scene.judge(Way::In, &to("10.77.9.1", 22)), Verdict::ToHost);
    scene.drops(&frame(CLIENT_MAC, "fd77::2", "fd77::1", Inside::Ping(1), 0), DropReason::OwnAddress);
    let answer = frame(GATEWAY_MAC, "10.77.0.1", "10.99.0.2", Inside::Tcp(443, 40_000, SYN | ACK), 0);
    assert_eq!(scene.judge(Way::Out, &answer), Verdict::Forward);
}

#[test]
fn address_of_the_gateway_as_a_source_is_dropped_as_source_invalid_at_its_services_and_other_addresses() {
    let mut scene = Scene::usual();
    scene.drops(&portal(OTHER_OWN), DropReason::SourceInvalid);
    let other_port = frame(CLIENT_MAC, OTHER_OWN, "10.77.0.1", Inside::Tcp(40_000, 8_443, SYN), 0);
    scene.drops(&other_port, DropReason::SourceInvalid);
    let other_own = frame(CLIENT_MAC, "10.77.0.1", OTHER_OWN, Inside::Udp(40_000, 53), 0);
    scene.drops(&other_own, DropReason::SourceInvalid);
    // Elsewhere it is a source like any other: nobody is logged in there.
    let app = frame(CLIENT_MAC, OTHER_OWN, "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0);
    scene.drops(&app, DropReason::NoSession);
}

#[test]
fn packets_for_services_beyond_the_rate_of_their_source_are_dropped_as_rate_limited() {
    let mut scene = Scene::usual_with(SLOW);
    for source in ["10.77.0.2", "10.99.0.2", "fd77::2", "fd78:0:0:1::2"] {
        scene.hands_to_host(&portal(source));
        scene.drops(&portal(source), DropReason::RateLimited);
    }
    // All of a 64-bit prefix are one source; a VLAN is another zone.
    scene.drops(&portal("fd77::3"), DropReason::RateLimited);
    scene.hands_to_host(&tagged(portal("10.77.0.2"), 0x8100, 10));
    scene.drops(&tagged(portal("10.77.0.2"), 0x8100, 10), DropReason::RateLimited);
    // What is dropped anyway, what goes to an app and what the gateway answers are not counted.
    scene.drops(&frame(CLIENT_MAC, "10.77.0.2", "10.77.0.1", Inside::Udp(1, 53), 0), DropReason::OwnAddress);
    let answer = frame(GATEWAY_MAC, "10.77.0.1", "10.99.0.2", Inside::Tcp(443, 40_000, ACK), 0);
    for _ in 0..3 {
        scene.forwards(&web());
        scene.forwards_to_client(&answer);
    }
}

#[test]
fn management_services_are_not_limited() {
    let mut scene = Scene::usual_with(SLOW);
    for _ in 0..5 {
        scene.hands_to_host(&frame(CLIENT_MAC, "10.77.9.1", "10.77.0.1", Inside::Tcp(40_000, 22, SYN), 0));
    }
    scene.hands_to_host(&portal("10.77.9.1"));
    scene.drops(&portal("10.77.9.1"), DropReason::RateLimited);
}

#[test]
fn source_is_its_ip_address_where_there_is_no_link_layer() {
    let mut scene = Scene::handling(small(), false, InterfaceSettings::default(), SLOW);
    let portal = |source| packet(source, "10.77.0.1", Inside::Tcp(40_000, 443, SYN));
    scene.hands_to_host(&portal("10.77.0.2"));
    scene.drops(&portal("10.77.0.2"), DropReason::RateLimited);
    scene.hands_to_host(&portal("10.77.0.3"));
}
