//! Denials that nobody is told of.

use super::{REJECTING, answered, rejected, rejecting, segment, silent};
use crate::fate::{XDP_DROP, XDP_TX};
use crate::frames::{
    ACK, CLIENT_MAC, ETHERNET, Inside, RST, SYN, answer, carrying, datagram, frame, icmp_error, vault, web,
};
use crate::pieces::{fragment, with_extension, with_options};
use crate::scene::{INTERFACE, Scene, Way};
use crate::usual::{ALICE, SETTINGS, VAULT, WEB, grant, port, session, small};
use gateway_common::abi::{AppEntry, Grant};
use gateway_common::{DropReason, Packet};
use gateway_userspace::dataplane::{PlaneSettings, clock};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{SessionLimits, Step};

#[test]
fn nobody_else_is_told_anything() {
    let mut scene = rejecting();
    let stranger = frame(CLIENT_MAC, "10.77.0.9", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0);
    silent(&mut scene, &stranger, DropReason::NoSession);
    let thief = |frame: Vec<u8>| [&frame[..6], &[2, 0, 0, 0, 0, 9], &frame[12..]].concat();
    silent(&mut scene, &thief(vault()), DropReason::SourceSpoofed);
    let own = frame(CLIENT_MAC, "10.77.0.2", "10.77.0.1", Inside::Tcp(40_000, 8_443, SYN), 0);
    silent(&mut scene, &own, DropReason::OwnAddress);
    let (_, output) = scene.judge_and_show(Way::Out, &answer(SYN));
    assert_eq!((output.code, rejected(&scene)), (2, 0));
    scene.apply([Step::EndSession(ALICE)]);
    silent(&mut scene, &thief(web()), DropReason::SessionRevoked);
    answered(&mut scene, &web(), DropReason::SessionRevoked);
}

#[test]
fn nobody_is_told_of_a_trip_wire_a_scan_or_a_used_up_limit() {
    let mut scene = rejecting();
    scene.apply([grant(1, WEB, Grant { budget: 0, ..Grant::UNLIMITED })]);
    silent(&mut scene, &web(), DropReason::BudgetExceeded);
    scene.apply([grant(1, WEB, Grant::UNLIMITED)]);
    let limits = SessionLimits { bytes_per_second: 1, ..SessionLimits::default() };
    scene.apply([Step::UpdateSession(ALICE, SessionEntry { limits, ..session("10.77.0.2") })]);
    scene.forwards(&web());
    silent(&mut scene, &web(), DropReason::BandwidthExceeded);
    scene.apply([Step::UpdateSession(ALICE, session("10.77.0.2"))]);
    scene.apply([port(12, Packet::TCP, 22, AppEntry::new(VAULT, true))]);
    silent(&mut scene, &vault(), DropReason::TripWire);
    answered(&mut scene, &vault(), DropReason::SessionRevoked);
}

#[test]
fn nothing_answers_resets_errors_replies_fragments_and_packets_with_options() {
    let mut scene = rejecting();
    silent(&mut scene, &segment(RST, 1, 0, 0), DropReason::NoGrant);
    silent(&mut scene, &segment(RST | ACK, 1, 1, 0), DropReason::NoGrant);
    silent(&mut scene, &with_options(&vault(), &[1; 4]), DropReason::NoGrant);
    silent(&mut scene, &fragment(&segment(ACK, 1, 1, 40), 1, 0..40, true), DropReason::NoGrant);
    let v6 = frame(CLIENT_MAC, "fd77::2", "fd30::1", Inside::Udp(1, 53), 100);
    silent(&mut scene, &with_extension(&v6, 60, &[0, 0, 1, 4, 0, 0, 0, 0]), DropReason::AppUnknown);
    silent(&mut scene, &with_extension(&v6, 44, &[0, 0, 0, 0, 0, 0, 0, 9]), DropReason::AppUnknown);
    silent(&mut scene, &fragment(&v6, 1, 0..40, true), DropReason::AppUnknown);
    let whole = datagram(53, 100);
    scene.forwards(&fragment(&whole, 1, 0..40, true));
    scene.apply([Step::EndSession(ALICE)]);
    silent(&mut scene, &fragment(&whole, 1, 40..80, true), DropReason::SessionRevoked);
    let reply = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Pong(7), 8);
    silent(&mut scene, &reply, DropReason::SessionRevoked);
    let error = icmp_error(CLIENT_MAC, "10.77.0.2", &answer(ACK), 3, 4, 1400);
    silent(&mut scene, &error, DropReason::SessionRevoked);
    answered(&mut scene, &web(), DropReason::SessionRevoked);
}

#[test]
fn interface_that_does_not_reject_tells_nobody() {
    let mut scene = Scene::usual();
    silent(&mut scene, &vault(), DropReason::NoGrant);
}

#[test]
fn no_more_is_answered_than_the_budget_of_answers_allows() {
    let none = PlaneSettings { answers_per_window: 0, ..SETTINGS };
    let mut scene = Scene::handling(small(), true, REJECTING, none).furnished();
    for _ in 0..20 {
        silent(&mut scene, &vault(), DropReason::NoGrant);
    }
    let few = PlaneSettings { answers_per_window: 3, ..SETTINGS };
    let mut scene = Scene::handling(small(), true, REJECTING, few).furnished();
    let begun = clock::boot();
    let codes: Vec<_> = (0..200).map(|_| scene.run(Way::In, &vault())).collect();
    let answered = codes.iter().filter(|code| **code == XDP_TX).count() as u64;
    // A budget for each CPU and each tenth of a second.
    let windows = 2 + clock::boot().since(begun) / 100_000_000;
    let most = 3 * windows * std::thread::available_parallelism().unwrap().get() as u64;
    assert!((3..=most).contains(&answered), "{answered} answers");
    assert!(codes.iter().all(|code| [XDP_TX, XDP_DROP].contains(code)));
    let counters = scene.monitor.interface(INTERFACE).unwrap().unwrap();
    assert_eq!((counters.rejected, counters.drops[&DropReason::NoGrant]), (answered, 200));
}

#[test]
fn what_is_too_short_to_be_quoted_is_not_answered() {
    let mut scene = rejecting();
    for length in [0, 7] {
        let mut short = carrying(CLIENT_MAC, "10.77.0.2", "10.30.0.1", 47, &vec![0x20; length]);
        silent(&mut scene, &short, DropReason::AppUnknown);
        short.resize(ETHERNET + 46, 0xee);
        silent(&mut scene, &short, DropReason::AppUnknown);
    }
    let short = carrying(CLIENT_MAC, "fd77::2", "fd30::1", 47, &[0x20; 7]);
    silent(&mut scene, &short, DropReason::AppUnknown);
    answered(&mut scene, &carrying(CLIENT_MAC, "fd77::2", "fd30::1", 47, &[0x20; 8]), DropReason::AppUnknown);
}
