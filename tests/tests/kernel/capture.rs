//! Denied packets that somebody captures: byte for byte, with what was denied, and what could not be handed over counted.

use crate::frames::{ACK, CLIENT_MAC, Inside, SYN, answer, datagram, frame, vault, web, web_v6};
use crate::scene::{INTERFACE, Scene, Way};
use crate::usual::{ALICE, VAULT};
use gateway_common::DropReason;
use gateway_common::abi::{CaptureCount, CaptureHead, CaptureOrder, DenialKey};
use gateway_tests::wait_until;
use gateway_userspace::dataplane::attach::InterfaceSettings;
use gateway_userspace::dataplane::capture::{Pace, Tap, Wanted};
use gateway_userspace::dataplane::{Program, clock};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::time::Duration;

/// Everything, as fast as it comes.
fn everything() -> Wanted {
    Wanted {
        reasons: Vec::new(),
        interface: None,
        token: None,
        of_sessions: false,
        client: None,
        pace: Pace { packets: u64::MAX, window: 1 },
        length: CaptureOrder::LONGEST,
    }
}

/// A scene that captures what is wanted.
fn capturing(mut scene: Scene, wanted: &Wanted) -> (Scene, Tap) {
    let mut tap = scene.kernel.take_tap().unwrap();
    tap.begin(wanted);
    (scene, tap)
}

fn all(tap: &mut Tap) -> Vec<(CaptureHead, Vec<u8>)> {
    std::iter::from_fn(|| tap.take_next()).collect()
}

fn reasons(tap: &mut Tap) -> Vec<DropReason> {
    all(tap).iter().map(|(head, _)| DropReason::from_number(head.key.reason).unwrap()).collect()
}

fn counts(tap: &Tap) -> CaptureCount {
    tap.counts().unwrap()[&INTERFACE]
}

/// Paces are each processor's own.
fn stay_on_one_processor() {
    let mine = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let mut one = CpuSet::new();
    let first = (0..CpuSet::count()).find(|cpu| mine.is_set(*cpu).unwrap()).unwrap();
    one.set(first).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
}

/// Of Ethernet, IPv4 and TCP.
const HEADERS: usize = 54;

/// To where nobody has a grant, with so many bytes of payload.
fn long(payload: usize) -> Vec<u8> {
    let mut frame = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, SYN), payload);
    let count = frame.len();
    for (place, byte) in frame.iter_mut().enumerate().take(count).skip(HEADERS) {
        *byte = place as u8;
    }
    frame
}

#[test]
fn a_denied_packet_is_captured_byte_for_byte_with_what_was_denied() {
    let (mut scene, mut tap) = capturing(Scene::usual(), &everything());
    let before = clock::boot();
    scene.drops(&vault(), DropReason::NoGrant);
    scene.forwards(&web());
    let stranger = frame(CLIENT_MAC, "fd77::9", "fd20::10", Inside::Tcp(40_000, 443, SYN), 0);
    scene.drops(&stranger, DropReason::NoSession);
    scene.drops_to_client(&frame([9; 6], "10.20.0.10", "10.77.0.2", Inside::Tcp(443, 1, ACK), 7), DropReason::NoFlow);
    let [(first, bytes), (second, stranger_seen), (third, reply)] = &all(&mut tap)[..] else { panic!("not three") };
    assert_eq!(bytes, &vault());
    let key = &first.key;
    assert_eq!((key.reason, key.token, key.app), (DropReason::NoGrant as u8, ALICE.0, VAULT));
    assert_eq!((key.interface, key.direction, key.flags, first.flags), (INTERFACE, 0, 0, CaptureHead::XDP));
    assert_eq!((first.length as usize, first.captured as usize, first.tag), (vault().len(), vault().len(), 0));
    assert!((before.0..=clock::boot().0).contains(&first.at));
    assert_eq!((stranger_seen, second.key.token), (&stranger, 0));
    assert_eq!((third.key.reason, third.key.direction, third.flags), (DropReason::NoFlow as u8, 1, 0));
    assert_eq!(reply.len(), 14 + 20 + 20 + 7);
    assert_eq!(counts(&tap), CaptureCount { serial: 1, matched: 3, ..CaptureCount::default() });
}

#[test]
fn where_nobody_captures_nothing_is_handed_over_or_counted() {
    let mut scene = Scene::usual();
    let mut tap = scene.kernel.take_tap().unwrap();
    scene.drops(&vault(), DropReason::NoGrant);
    tap.begin(&everything());
    tap.end();
    scene.drops(&vault(), DropReason::NoGrant);
    assert!(all(&mut tap).is_empty());
    assert_eq!(counts(&tap).matched, 0);
}

#[test]
fn a_capture_that_nobody_prolongs_ends_by_itself() {
    let (mut scene, mut tap) = capturing(Scene::usual(), &everything());
    let over = || (clock::boot() > tap.until()).then_some(());
    wait_until("the capture to end", Duration::from_secs(10), over).unwrap();
    scene.drops(&vault(), DropReason::NoGrant);
    assert!(all(&mut tap).is_empty());
    tap.prolong();
    scene.drops(&vault(), DropReason::NoGrant);
    assert_eq!(all(&mut tap).len(), 1);
}

#[test]
fn only_what_is_wanted_is_captured_and_counted() {
    let other = frame(CLIENT_MAC, "10.77.0.9", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0);
    let (mut scene, mut tap) = capturing(Scene::usual(), &everything());
    let mut denied = |wanted: &Wanted| {
        tap.begin(wanted);
        scene.drops(&vault(), DropReason::NoGrant);
        scene.drops(&other, DropReason::NoSession);
        scene.drops(&web_v6()[..40], DropReason::Truncated);
        scene.drops_to_client(&answer(ACK), DropReason::NoFlow);
        let found = reasons(&mut tap);
        assert_eq!(counts(&tap).matched, found.len() as u64);
        found
    };
    let (grant, session, flow) = (DropReason::NoGrant, DropReason::NoSession, DropReason::NoFlow);
    assert_eq!(denied(&everything()), [grant, session, DropReason::Truncated, flow]);
    assert_eq!(denied(&Wanted { reasons: vec![session, flow], ..everything() }), [session, flow]);
    assert_eq!(denied(&Wanted { token: Some(ALICE.0), ..everything() }), [grant, flow]);
    assert_eq!(denied(&Wanted { of_sessions: true, ..everything() }), [grant, flow]);
    assert_eq!(denied(&Wanted { client: Some("10.77.0.2/32".parse().unwrap()), ..everything() }), [grant, flow]);
    assert_eq!(denied(&Wanted { client: Some("10.77.0.8/30".parse().unwrap()), ..everything() }), [session]);
    assert_eq!(denied(&Wanted { interface: Some(INTERFACE + 1), ..everything() }), []);
}

#[test]
fn beyond_its_pace_a_processor_hands_nothing_over_and_counts() {
    stay_on_one_processor();
    let pace = Pace { packets: 3, window: 3_600_000_000_000 };
    let (mut scene, mut tap) = capturing(Scene::usual(), &Wanted { pace, ..everything() });
    (0..50).for_each(|_| scene.drops(&vault(), DropReason::NoGrant));
    assert_eq!(all(&mut tap).len(), 3);
    assert_eq!(counts(&tap), CaptureCount { serial: 1, matched: 50, over: 47, ..CaptureCount::default() });
    // Another capture begins with all of its pace, and with counts of its own.
    tap.begin(&Wanted { pace, ..everything() });
    scene.drops(&vault(), DropReason::NoGrant);
    assert_eq!(all(&mut tap).len(), 1);
    assert_eq!(counts(&tap), CaptureCount { serial: 2, matched: 1, ..CaptureCount::default() });
}

#[test]
fn what_an_earlier_capture_has_left_is_not_in_the_next() {
    let (mut scene, mut tap) = capturing(Scene::usual(), &everything());
    scene.drops(&vault(), DropReason::NoGrant);
    tap.begin(&everything());
    scene.drops_to_client(&answer(ACK), DropReason::NoFlow);
    assert_eq!(reasons(&mut tap), [DropReason::NoFlow]);
}

#[test]
fn a_long_packet_is_cut_and_its_length_told_and_one_in_pieces_is_whole() {
    let (mut scene, mut tap) = capturing(Scene::usual(), &Wanted { length: 100, ..everything() });
    let frame = long(1_400);
    scene.run(Way::In, &frame);
    let [(head, bytes)] = &all(&mut tap)[..] else { panic!("not one") };
    assert_eq!((head.length as usize, head.captured, &bytes[..]), (frame.len(), 100, &frame[..100]));
    // More than a page: what is behind the first one lies in fragments.
    for payload in [9_000, 16_383 - HEADERS, 30_000] {
        let frame = long(payload);
        tap.begin(&everything());
        scene.programs.time_run(Program::Ingress, &frame, 1).unwrap();
        let [(head, bytes)] = &all(&mut tap)[..] else { panic!("not one of {payload}") };
        assert_eq!(head.length as usize, frame.len());
        assert_eq!(bytes[..], frame[..frame.len().min(CaptureOrder::LONGEST as usize)]);
    }
}

#[test]
fn packets_for_which_the_ring_has_no_room_are_counted() {
    let (mut scene, mut tap) = capturing(Scene::usual(), &everything());
    let frame = long(3_000);
    for _ in 0..600 {
        scene.run(Way::In, &frame);
    }
    let (counted, found) = (counts(&tap), all(&mut tap).len() as u64);
    assert!(counted.no_room > 100 && found > 200, "{counted:?}, {found} captured");
    assert_eq!((counted.matched, found + counted.no_room), (600, 600));
    scene.run(Way::In, &frame);
    assert_eq!(all(&mut tap).len(), 1, "there is room again");
}

#[test]
fn what_was_only_observed_or_answered_says_so() {
    let observing = InterfaceSettings { observe: true, ..InterfaceSettings::default() };
    let (mut scene, mut tap) = capturing(Scene::usual_where(observing), &everything());
    scene.drops(&vault(), DropReason::NoGrant);
    scene.forwards(&datagram(53, 0));
    let [(head, bytes)] = &all(&mut tap)[..] else { panic!("not one") };
    assert_eq!((head.key.flags, head.flags, bytes), (DenialKey::OBSERVED, CaptureHead::XDP, &vault()));
    let rejecting = InterfaceSettings { reject: true, ..InterfaceSettings::default() };
    let (mut scene, mut tap) = capturing(Scene::usual_where(rejecting), &everything());
    scene.drops(&vault(), DropReason::NoGrant);
    let [(head, bytes)] = &all(&mut tap)[..] else { panic!("not one") };
    // What was denied, and not the answer that has taken its place.
    assert_eq!((head.key.flags, head.flags, bytes), (0, CaptureHead::XDP | CaptureHead::ANSWERED, &vault()));
}
