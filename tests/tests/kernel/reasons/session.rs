//! Steps 30 to 34: sessions.

use crate::frames::{ACK, CLIENT_MAC, GATEWAY_MAC, Inside, SYN, answer, frame, web, web_v6};
use crate::scene::{Scene, Way};
use crate::usual::{ALICE, LONG_AGO, open, session, small};
use gateway_common::{DropReason, Verdict};
use gateway_userspace::dataplane::clock;
use gateway_userspace::policy::{AllowListId, Capacities, SessionToken, Step};

#[test]
fn source_without_a_session_is_dropped_as_no_session() {
    let mut scene = Scene::usual();
    let stranger = frame(CLIENT_MAC, "10.77.0.3", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0);
    scene.drops(&stranger, DropReason::NoSession);
    let answer = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.3", Inside::Tcp(443, 40_000, SYN | ACK), 0);
    assert_eq!(scene.judge(Way::Out, &answer), Verdict::Drop(DropReason::NoSession));
}

#[test]
fn expired_session_is_dropped_as_session_expired_in_both_directions_of_an_open_connection() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    let mut expired = session("10.77.0.2");
    expired.deadline = LONG_AGO;
    scene.apply([Step::UpdateSession(ALICE, expired)]);
    scene.drops(&web(), DropReason::SessionExpired);
    assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Drop(DropReason::SessionExpired));
    scene.apply([Step::EndSession(ALICE)]);
    scene.drops(&web(), DropReason::SessionExpired);
}

#[test]
fn another_hardware_address_or_interface_is_dropped_as_source_spoofed() {
    let mut scene = Scene::usual();
    let thief = frame([2, 0, 0, 0, 0, 3], "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0);
    scene.drops(&thief, DropReason::SourceSpoofed);
    let mut elsewhere = session("10.77.0.4");
    elsewhere.interface = 99;
    scene.apply([open(SessionToken(4), elsewhere)]);
    let moved = frame(CLIENT_MAC, "10.77.0.4", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0);
    scene.drops(&moved, DropReason::SourceSpoofed);
}

#[test]
fn revoked_session_is_dropped_as_session_revoked_in_both_directions_of_an_open_connection() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    assert_eq!(scene.judge(Way::Out, &answer(SYN | ACK)), Verdict::Forward);
    scene.apply([Step::EndSession(ALICE)]);
    scene.drops(&web(), DropReason::SessionRevoked);
    assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Drop(DropReason::SessionRevoked));
    scene.forwards(&web_v6());
}

#[test]
fn slot_that_is_used_again_leaves_no_index_entry_of_its_former_session() {
    let capacities = Capacities { sessions: 1, ..small() };
    let mut scene = Scene::with(capacities, true);
    let slots = u64::from(gateway_userspace::dataplane::slots::slots_for(1));
    let address = |number: u64| format!("10.88.{}.{}", number / 200, number % 200 + 1);
    // One more than there are slots: the first ended session has to give way once it has rested.
    for number in 1..=slots + 1 {
        let token = SessionToken(number);
        let opened = Step::OpenSession(token, session(&address(number)));
        if number > slots {
            wait_until_slots_have_rested();
        }
        scene.apply([opened, Step::EndSession(token)]);
    }
    assert_eq!(scene.index_entries(), slots as usize);
}

/// Slots rest for a second before they are used again; the boot clock says when it is over.
fn wait_until_slots_have_rested() {
    let rested = clock::boot().after(1_050_000_000);
    while clock::boot() < rested {
        std::thread::yield_now();
    }
}

#[test]
fn new_session_at_the_same_address_inherits_no_flow() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    let mut other = session("10.77.0.2");
    other.allow_list = AllowListId(2);
    scene.apply([Step::EndSession(ALICE), open(SessionToken(0xb0b), other)]);
    scene.drops(&web(), DropReason::NoGrant);
    assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Drop(DropReason::NoFlow));
}
