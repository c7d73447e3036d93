//! What the programs report: who opened which flow and which gave way, and denials with what was found about them.

use crate::frames::{ACK, CLIENT_MAC, GATEWAY_MAC, Inside, RST, SYN, answer, frame, icmp_error, vault, web, web_v6};
use crate::scene::{INTERFACE, Scene, Way, ZONE};
use crate::usual::{ALICE, ALICE_V6, SETTINGS, VAULT, WEB, open, opens, port, session, small};
use gateway_common::abi::{AppEntry, DenialKey, Flow, FlowEvent, FlowKey};
use gateway_common::table::denials::Taken;
use gateway_common::{Address, DropReason, Packet};
use gateway_userspace::dataplane::PlaneSettings;
use gateway_userspace::dataplane::attach::InterfaceSettings;
use gateway_userspace::policy::{Capacities, SessionToken, Step};
use std::net::IpAddr;

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

/// That of `web`.
fn key() -> FlowKey {
    let ports = [40_000, 443].map(u16::to_be);
    FlowKey::new(address("10.77.0.2"), address("10.20.0.10"), ports, ZONE, Packet::TCP)
}

#[test]
fn flow_that_a_client_opens_is_reported_once_and_with_all_that_is_known() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    scene.forwards(&web());
    scene.forwards_to_client(&answer(SYN | ACK));
    let events = scene.events();
    let [event] = events[..] else { panic!("{events:?}") };
    let expected = FlowEvent {
        key: *key().words(),
        what: FlowEvent::OPENED,
        token: ALICE.0,
        app: u64::from(WEB) | u64::from(INTERFACE) << Flow::INTERFACE,
        life: event.life,
        last_seen: event.last_seen,
        to_app_packets: 1,
        to_app_bytes: 40,
        to_client_packets: 0,
        to_client_bytes: 0,
    };
    assert_eq!(event, expected);
    let flow = scene.monitor.flow(&key()).unwrap();
    assert_eq!((event.copy().opened_at, event.copy().ends, event.last_seen), (flow.opened_at, 0, flow.opened_at));
}

#[test]
fn flow_that_an_app_opens_is_reported_in_its_direction() {
    let mut scene = Scene::usual();
    scene.apply([opens(11, Packet::TCP, 8_022, WEB)]);
    scene.forwards_to_client(&frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Tcp(50_000, 8_022, SYN), 0));
    scene.forwards(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(8_022, 50_000, SYN | ACK), 0));
    let events = scene.events();
    let [event] = events[..] else { panic!("{events:?}") };
    let copy = event.copy();
    assert_eq!((event.what, copy.ends, copy.token, copy.app), (FlowEvent::OPENED, Flow::BY_APP, ALICE.0, WEB.into()));
    assert_eq!((copy.to_app_packets, copy.to_client_packets, copy.to_client_bytes), (0, 1, 40));
    let ports = [8_022, 50_000].map(u16::to_be);
    let key = FlowKey::new(address("10.77.0.2"), address("10.20.0.10"), ports, ZONE, Packet::TCP);
    assert_eq!((event.key(), event.interface()), (key, INTERFACE));
}

#[test]
fn flow_that_gives_way_is_reported_with_all_that_it_has_carried() {
    // Room for two: a table of as many slots as one flow may reach, and some more.
    let mut scene = Scene::with(Capacities { flows: 2, ..small() }, true).furnished();
    scene.forwards(&web());
    scene.forwards_to_client(&answer(SYN | ACK));
    let error = icmp_error(CLIENT_MAC, "10.77.0.2", &answer(ACK), 3, 4, 1400);
    scene.forwards(&error);
    let (flow, mut gone) = (scene.monitor.flow(&key()).unwrap(), Vec::new());
    assert_eq!((flow.to_app_packets, flow.to_client_packets), (2, 1), "the error is counted");
    for port in 0..40 {
        let other = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(41_000 + port, 443, SYN), 0);
        scene.run(Way::In, &other);
        gone.extend(scene.events().into_iter().filter(|event| event.what == FlowEvent::GAVE_WAY));
    }
    let first = gone.iter().find(|event| event.key() == key()).unwrap();
    assert_eq!((first.copy().token, first.copy().opened_at), (flow.token, flow.opened_at));
    assert_eq!((first.to_app_packets, first.to_app_bytes), (flow.to_app_packets, flow.to_app_bytes));
    assert_eq!((first.to_client_packets, first.to_client_bytes), (flow.to_client_packets, flow.to_client_bytes));
    // All that was forwarded is in the events and in the table.
    let of = |events: u64, table: u64| events + table;
    let packets = of(
        gone.iter().map(|event| event.to_app_packets + event.to_client_packets).sum(),
        scene.monitor.flows().map(|(_, flow)| flow.to_app_packets + flow.to_client_packets).sum(),
    );
    let traffic = scene.monitor.app(WEB).unwrap();
    assert_eq!(packets, traffic.to_app_packets + traffic.to_client_packets);
    assert_eq!(scene.monitor.events_lost().unwrap(), 0);
}

#[test]
fn flow_that_begins_anew_between_the_same_ends_is_said_to_be_replaced() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    scene.forwards_to_client(&answer(RST | ACK));
    // After a reset, ten seconds are left to it; another session needs not wait.
    scene.apply([Step::EndSession(ALICE)]);
    let bob = SessionToken(0xb0b);
    scene.apply([open(bob, session("10.77.0.2"))]);
    scene.forwards(&web());
    let told: Vec<_> = scene.events().iter().map(|event| (event.what, event.token)).collect();
    assert_eq!(told, [(FlowEvent::OPENED, ALICE.0), (FlowEvent::REPLACED, ALICE.0), (FlowEvent::OPENED, bob.0)]);
}

fn denied(taken: &[Taken]) -> Vec<(u8, u64, u32, u8)> {
    taken.iter().map(|Taken { key, .. }| (key.reason, key.token, key.app, key.direction)).collect()
}

#[test]
fn denial_names_the_session_and_the_app_as_far_as_they_were_found() {
    let mut scene = Scene::usual();
    let stranger = frame([2, 0, 0, 0, 0, 9], "10.77.0.9", "10.20.0.10", Inside::Udp(5, 53), 10);
    scene.drops(&stranger, DropReason::NoSession);
    let found = scene.denials();
    let [Taken { key, packets: 1, answered: 0, first, last }] = found[..] else { panic!("{found:?}") };
    let expected = DenialKey {
        source: address("10.77.0.9"),
        destination: address("10.20.0.10"),
        token: 0,
        interface: INTERFACE,
        port: 53,
        protocol: Packet::UDP,
        reason: DropReason::NoSession as u8,
        mac: [2, 0, 0, 0, 0, 9],
        direction: 0,
        flags: 0,
        app: 0,
        zone: ZONE,
    };
    assert_eq!((key, first), (expected, last));
    scene.drops(&frame(CLIENT_MAC, "fd77::2", "fd30::1", Inside::Udp(5, 53), 10), DropReason::AppUnknown);
    assert_eq!(denied(&scene.denials()), [(DropReason::AppUnknown as u8, ALICE_V6.0, 0, 0)]);
    scene.drops(&vault(), DropReason::NoGrant);
    assert_eq!(denied(&scene.denials()), [(DropReason::NoGrant as u8, ALICE.0, VAULT, 0)]);
    scene.drops_to_client(&answer(SYN | ACK), DropReason::NoFlow);
    assert_eq!(denied(&scene.denials()), [(DropReason::NoFlow as u8, ALICE.0, 0, 1)]);
    scene.apply([port(12, Packet::TCP, 22, AppEntry::new(VAULT, true))]);
    scene.drops(&vault(), DropReason::TripWire);
    assert_eq!(denied(&scene.denials()), [(DropReason::TripWire as u8, ALICE.0, VAULT, 0)]);
    scene.drops(&web(), DropReason::SessionRevoked);
    assert_eq!(denied(&scene.denials()), [(DropReason::SessionRevoked as u8, ALICE.0, 0, 0)]);
}

#[test]
fn denials_of_a_kind_are_one_entry_whatever_port_they_come_from() {
    let mut scene = Scene::usual();
    for port in 0..100 {
        let other = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000 + port, 22, SYN), 0);
        scene.drops(&other, DropReason::NoGrant);
    }
    let found = scene.denials();
    // One for each processor that the test ran on.
    assert!(found.iter().all(|taken| taken.key == found[0].key), "{found:?}");
    assert_eq!(found.iter().map(|taken| taken.packets).sum::<u64>(), 100);
    assert!(found.iter().all(|taken| taken.first <= taken.last));
}

#[test]
fn denial_says_whether_it_was_answered() {
    let mut scene = Scene::usual_where(InterfaceSettings { reject: true, ..InterfaceSettings::default() });
    scene.drops(&vault(), DropReason::NoGrant);
    let quiet = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, RST), 0);
    scene.drops(&quiet, DropReason::NoGrant);
    let sum = |count: fn(&Taken) -> u64, found: &[Taken]| found.iter().map(count).sum::<u64>();
    let found = scene.denials();
    assert_eq!((sum(|taken| taken.packets, &found), sum(|taken| taken.answered, &found)), (2, 1));
    // The answer is not what the denial is about.
    scene.drops(&web_v6()[..40], DropReason::Truncated);
    assert_eq!(scene.denials().len(), 1);
}

#[test]
fn denials_for_whose_kind_there_is_no_room_are_counted() {
    let mut scene = Scene::usual();
    // Each from another address: as many as there are slots, and a half more.
    let (mut denied, most) = (0_u64, gateway_common::abi::Denial::SLOTS * 3 / 2);
    for number in 0..most {
        let [_, a, b, c] = number.to_be_bytes();
        let stranger = frame(CLIENT_MAC, &format!("10.{}.{b}.{c}", 100 + a), "10.20.0.10", Inside::Udp(5, 53), 0);
        scene.run(Way::In, &stranger);
        denied += 1;
    }
    let (found, lost) = (scene.denials(), scene.monitor.unrecorded().unwrap());
    assert!(lost.denied_packets > 0 && found.len() as u32 > most / 2, "{} kinds, {lost:?}", found.len());
    assert_eq!(found.iter().map(|taken| taken.packets).sum::<u64>() + lost.denied_packets, denied);
}

#[test]
fn openings_beyond_their_budget_are_counted_as_lost() {
    let none = PlaneSettings { events_per_window: 0, ..SETTINGS };
    let mut scene = Scene::handling(small(), true, InterfaceSettings::default(), none).furnished();
    scene.forwards(&web());
    scene.drops(&vault(), DropReason::NoGrant);
    assert_eq!(scene.events(), []);
    assert_eq!(scene.monitor.events_lost().unwrap(), 1);
    assert_eq!(scene.denials().len(), 1);
}
