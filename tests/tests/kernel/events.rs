//! What the programs report: who opened which flow, and denials with what was found about them.

use crate::frames::{ACK, CLIENT_MAC, GATEWAY_MAC, Inside, RST, SYN, answer, frame, vault, web, web_v6};
use crate::scene::{INTERFACE, Scene};
use crate::usual::{ALICE, ALICE_V6, SETTINGS, VAULT, WEB, opens, port, small};
use gateway_common::abi::{AppEntry, Event};
use gateway_common::{Address, DropReason, Packet};
use gateway_userspace::dataplane::PlaneSettings;
use gateway_userspace::dataplane::attach::InterfaceSettings;
use std::net::IpAddr;

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

#[test]
fn flow_that_a_client_opens_is_reported_once_and_with_all_that_is_known() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    scene.forwards(&web());
    scene.forwards_to_client(&answer(SYN | ACK));
    let events = scene.events();
    let [event] = events[..] else { panic!("{events:?}") };
    let expected = Event {
        at: event.at,
        token: ALICE.0,
        source: address("10.77.0.2"),
        destination: address("10.20.0.10"),
        interface: INTERFACE,
        app: WEB,
        source_port: 40_000,
        destination_port: 443,
        length: 40,
        protocol: Packet::TCP,
        what: Event::OPENED,
        mac: CLIENT_MAC,
        direction: 0,
        flags: 0,
    };
    assert_eq!(event, expected);
}

#[test]
fn flow_that_an_app_opens_is_reported_in_its_direction() {
    let mut scene = Scene::usual();
    scene.apply([opens(11, Packet::TCP, 8_022, WEB)]);
    scene.forwards_to_client(&frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Tcp(50_000, 8_022, SYN), 0));
    scene.forwards(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(8_022, 50_000, SYN | ACK), 0));
    let events = scene.events();
    let [event] = events[..] else { panic!("{events:?}") };
    assert_eq!((event.what, event.direction, event.token, event.app), (Event::OPENED, 1, ALICE.0, WEB));
    assert_eq!((event.source, event.source_port), (address("10.20.0.10"), 50_000));
    assert_eq!((event.destination, event.destination_port), (address("10.77.0.2"), 8_022));
}

#[test]
fn denial_names_the_session_and_the_app_as_far_as_they_were_found() {
    let mut scene = Scene::usual();
    let stranger = frame([2, 0, 0, 0, 0, 9], "10.77.0.9", "10.20.0.10", Inside::Udp(5, 53), 10);
    scene.drops(&stranger, DropReason::NoSession);
    scene.drops(&frame(CLIENT_MAC, "fd77::2", "fd30::1", Inside::Udp(5, 53), 10), DropReason::AppUnknown);
    scene.drops(&vault(), DropReason::NoGrant);
    scene.drops_to_client(&answer(SYN | ACK), DropReason::NoFlow);
    scene.apply([port(12, Packet::TCP, 22, AppEntry::new(VAULT, true))]);
    scene.drops(&vault(), DropReason::TripWire);
    scene.drops(&web(), DropReason::SessionRevoked);
    let events = scene.events();
    let told: Vec<_> = events.iter().map(|event| (event.what, event.token, event.app, event.direction)).collect();
    let expected = [
        (DropReason::NoSession as u8, 0, 0, 0),
        (DropReason::AppUnknown as u8, ALICE_V6.0, 0, 0),
        (DropReason::NoGrant as u8, ALICE.0, VAULT, 0),
        (DropReason::NoFlow as u8, ALICE.0, 0, 1),
        (DropReason::TripWire as u8, ALICE.0, VAULT, 0),
        (DropReason::SessionRevoked as u8, ALICE.0, 0, 0),
    ];
    assert_eq!(told, expected);
    assert_eq!((events[0].mac, events[0].length, events[0].flags), ([2, 0, 0, 0, 0, 9], 38, 0));
}

#[test]
fn denial_says_whether_it_was_answered() {
    let mut scene = Scene::usual_where(InterfaceSettings { reject: true, ..InterfaceSettings::default() });
    scene.drops(&vault(), DropReason::NoGrant);
    let quiet = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, RST), 0);
    scene.drops(&quiet, DropReason::NoGrant);
    let flags: Vec<_> = scene.events().iter().map(|event| event.flags).collect();
    assert_eq!(flags, [Event::ANSWERED, 0]);
    // The answer is not what the event is about.
    scene.drops(&web_v6()[..40], DropReason::Truncated);
    assert_eq!(scene.events().len(), 1);
}

#[test]
fn events_beyond_their_budget_are_counted_as_lost() {
    let none = PlaneSettings { events_per_window: 0, ..SETTINGS };
    let mut scene = Scene::handling(small(), true, InterfaceSettings::default(), none).furnished();
    scene.forwards(&web());
    scene.drops(&vault(), DropReason::NoGrant);
    assert_eq!(scene.events(), []);
    assert_eq!(scene.monitor.events_lost().unwrap(), 2);
}
