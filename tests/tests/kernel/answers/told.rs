//! Answers, byte by byte, beside what another library makes of the same facts.

use super::{REJECTING, answered, back, prohibited, rejecting, reset, segment, silent};
use crate::fate::XDP_PASS;
use crate::frames::{
    ACK, CLIENT_MAC, ETHERNET, FIN, Inside, SYN, answer, carrying, datagram, frame, packet, tagged, vault, web,
};
use crate::scene::{Scene, Way};
use crate::usual::{ALICE, ALICE_V6, LONG_AGO, SETTINGS, VAULT, WEB, grant, open, session, small};
use gateway_common::abi::Grant;
use gateway_common::{DropReason, Verdict};
use gateway_userspace::dataplane::PlaneSettings;
use gateway_userspace::dataplane::attach::InterfaceSettings;
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{AllowListId, SessionLimits, SessionToken, Step};

#[test]
fn connection_request_is_answered_by_a_reset_that_acknowledges_it() {
    let mut scene = rejecting();
    let to_alice = || back("10.20.0.11", "10.77.0.2");
    for (payload, sequence, expected) in [(0, 7, 8), (100, 7, 108), (0, u32::MAX, 0), (3, u32::MAX - 1, 2)] {
        let told = answered(&mut scene, &segment(SYN, sequence, 0, payload), DropReason::NoGrant);
        assert_eq!(told, reset(to_alice(), 22, 40_000, 0, Some(expected)), "{told:02x?}");
    }
    let nowhere = frame(CLIENT_MAC, "fd77::2", "fd20::11", Inside::Tcp(40_000, 22, SYN), 0);
    let told = answered(&mut scene, &nowhere, DropReason::AppUnknown);
    assert_eq!(told, reset(back("fd20::11", "fd77::2"), 22, 40_000, 0, Some(2)));
}

#[test]
fn segment_of_a_connection_is_answered_by_a_reset_at_the_number_that_its_sender_expects() {
    let mut scene = rejecting();
    for (flags, payload) in [(ACK, 0), (ACK, 1_000), (FIN | ACK, 0), (SYN | ACK, 0)] {
        let told = answered(&mut scene, &segment(flags, 7, 0x0102_0304, payload), DropReason::NoGrant);
        let expected = reset(back("10.20.0.11", "10.77.0.2"), 22, 40_000, 0x0102_0304, None);
        assert_eq!(told, expected, "{told:02x?}");
    }
}

#[test]
fn anything_else_is_answered_by_icmp_administratively_prohibited() {
    let mut scene = rejecting();
    let v4 = |inside, payload| frame(CLIENT_MAC, "10.77.0.2", "10.30.0.1", inside, payload);
    let gre = carrying(CLIENT_MAC, "10.77.0.2", "10.30.0.1", 47, &[0x20; 8]);
    for denied in [v4(Inside::Udp(1, 53), 0), v4(Inside::Udp(1, 53), 1_000), v4(Inside::Ping(3), 56), gre] {
        let told = answered(&mut scene, &denied, DropReason::AppUnknown);
        assert_eq!(told, prohibited(back("10.30.0.1", "10.77.0.2"), &denied), "{told:02x?}");
    }
    let v6 = |inside, payload| frame(CLIENT_MAC, "fd77::2", "fd30::1", inside, payload);
    for denied in [v6(Inside::Udp(1, 53), 0), v6(Inside::Udp(1, 53), 1_000), v6(Inside::Ping(3), 56)] {
        let told = answered(&mut scene, &denied, DropReason::AppUnknown);
        assert_eq!(told, prohibited(back("fd30::1", "fd77::2"), &denied), "{told:02x?}");
    }
}

#[test]
fn answer_keeps_the_tags_of_its_frame() {
    let mut scene = rejecting();
    for (token, zone) in [(10, 10), (20, 20)] {
        scene.apply([open(SessionToken(token), SessionEntry { zone, ..session("10.77.0.2") })]);
    }
    let [long, short] =
        [100, 0].map(|payload| frame(CLIENT_MAC, "10.77.0.2", "10.30.0.1", Inside::Udp(1, 53), payload));
    let answers = [
        (vault(), DropReason::NoGrant, reset(back("10.20.0.11", "10.77.0.2"), 22, 40_000, 0, Some(2))),
        (long.clone(), DropReason::AppUnknown, prohibited(back("10.30.0.1", "10.77.0.2"), &long)),
        (short.clone(), DropReason::AppUnknown, prohibited(back("10.30.0.1", "10.77.0.2"), &short)),
    ];
    for (denied, reason, expected) in answers {
        let single = |frame: &[u8]| tagged(frame.to_vec(), 0x8100, 0xe00a);
        assert_eq!(answered(&mut scene, &single(&denied), reason), single(&expected));
        let double = |frame: &[u8]| tagged(tagged(frame.to_vec(), 0x8100, 20), 0x88a8, 100);
        assert_eq!(answered(&mut scene, &double(&denied), reason), double(&expected));
        let priority = |frame: &[u8]| tagged(frame.to_vec(), 0x8100, 0);
        assert_eq!(answered(&mut scene, &priority(&denied), reason), priority(&expected));
    }
}

#[test]
fn answer_without_a_link_layer_is_the_packet_alone() {
    let mut scene = Scene::handling(small(), false, REJECTING, SETTINGS).furnished();
    let denied = packet("10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, SYN));
    let expected = reset(back("10.20.0.11", "10.77.0.2"), 22, 40_000, 0, Some(2));
    assert_eq!(answered(&mut scene, &denied, DropReason::NoGrant), expected[ETHERNET..]);
    let denied = frame(CLIENT_MAC, "fd77::2", "fd30::1", Inside::Udp(1, 53), 0);
    let expected = prohibited(back("fd30::1", "fd77::2"), &denied);
    assert_eq!(answered(&mut scene, &denied[ETHERNET..], DropReason::AppUnknown), expected[ETHERNET..]);
}

#[test]
fn frame_that_spans_several_buffers_is_judged_and_answered_like_any_other() {
    let mut scene = rejecting();
    let jumbo = |app: &str, port| frame(CLIENT_MAC, "10.77.0.2", app, Inside::Tcp(40_000, port, ACK), 8_000);
    scene.forwards(&jumbo("10.20.0.10", 443));
    let told = answered(&mut scene, &jumbo("10.20.0.11", 22), DropReason::NoGrant);
    assert_eq!(told, reset(back("10.20.0.11", "10.77.0.2"), 22, 40_000, 0, None));
    let mut longer = jumbo("10.20.0.10", 443);
    longer.push(0);
    silent(&mut scene, &longer, DropReason::TrailingBytes);
}

#[test]
fn a_refusal_is_told_on_an_interface_that_drops_and_to_a_connection_that_it_ends() {
    for track_fragments in [false, true] {
        let dropping = InterfaceSettings { reject: false, track_fragments, ..REJECTING };
        let mut scene = Scene::usual_where(dropping);
        silent(&mut scene, &vault(), DropReason::NoGrant);
        scene.forwards(&web());
        let listed = SessionEntry { allow_list: AllowListId(3), ..session("10.77.0.2") };
        scene.apply([
            grant(3, WEB, Grant::REFUSAL),
            grant(3, VAULT, Grant::REFUSAL),
            Step::UpdateSession(ALICE, listed),
        ]);
        let told = answered(&mut scene, &vault(), DropReason::NoGrant);
        assert_eq!(told, reset(back("10.20.0.11", "10.77.0.2"), 22, 40_000, 0, Some(2)));
        answered(&mut scene, &web(), DropReason::NoGrant);
        // The app is told nothing, and what is no refusal is dropped as before.
        assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Drop(DropReason::NoGrant));
        let nowhere = frame(CLIENT_MAC, "10.77.0.2", "10.30.0.1", Inside::Udp(1, 53), 0);
        silent(&mut scene, &nowhere, DropReason::AppUnknown);
        silent(&mut scene, &datagram(1, 4), DropReason::NoGrant);
    }
}

#[test]
fn a_refusal_is_told_within_the_budget_of_answers_and_not_where_nothing_is_dropped() {
    let none = PlaneSettings { answers_per_window: 0, ..SETTINGS };
    let mut scene = Scene::usual_with(none);
    scene.apply([grant(1, VAULT, Grant::REFUSAL)]);
    silent(&mut scene, &vault(), DropReason::NoGrant);
    let observing = InterfaceSettings { observe: true, reject: false, ..REJECTING };
    let mut scene = Scene::usual_where(observing);
    scene.apply([grant(1, VAULT, Grant::REFUSAL)]);
    let (verdict, output) = scene.judge_and_show(Way::In, &vault());
    assert_eq!((verdict, output.code), (Verdict::Drop(DropReason::NoGrant), XDP_PASS));
}

#[test]
fn sessions_are_told_of_every_reason_that_lies_in_their_rights() {
    let mut scene = rejecting();
    answered(&mut scene, &vault(), DropReason::NoGrant);
    let nowhere = frame(CLIENT_MAC, "10.77.0.2", "10.30.0.1", Inside::Udp(1, 53), 0);
    answered(&mut scene, &nowhere, DropReason::AppUnknown);
    let listed = SessionEntry { allow_list: AllowListId(3), authenticated_at: LONG_AGO, ..session("10.77.0.2") };
    scene.apply([Step::UpdateSession(ALICE, listed)]);
    scene.apply([grant(3, WEB, Grant { deadline: LONG_AGO.0, ..Grant::UNLIMITED })]);
    answered(&mut scene, &web(), DropReason::GrantExpired);
    scene.apply([grant(3, WEB, Grant { max_authentication_age: 1_000, ..Grant::UNLIMITED })]);
    answered(&mut scene, &web(), DropReason::ReauthRequired);

    let limits = SessionLimits { new_flows_per_second: 1, ..SessionLimits::default() };
    scene.apply([Step::UpdateSession(ALICE, SessionEntry { limits, ..session("10.77.0.2") })]);
    let refused = (1_000..).find_map(|port| {
        let (verdict, output) = scene.judge_and_show(Way::In, &datagram(port, 4));
        (verdict == Verdict::Drop(DropReason::FlowRate)).then_some((datagram(port, 4), output.frame))
    });
    let (denied, answer) = refused.unwrap();
    assert_eq!(answer, prohibited(back("10.20.0.77", "10.77.0.2"), &denied));

    let limits = SessionLimits { destinations_per_second: 1, ..SessionLimits::default() };
    scene.apply([Step::UpdateSession(ALICE, SessionEntry { limits, ..session("10.77.0.2") })]);
    let scan = Verdict::Drop(DropReason::ScanDetected);
    (2_000..).find(|port| scene.judge(Way::In, &datagram(*port, 4)) == scan).unwrap();
    answered(&mut scene, &web(), DropReason::SessionQuarantined);
    scene.apply([Step::UpdateSession(ALICE, SessionEntry { deadline: LONG_AGO, ..session("10.77.0.2") })]);
    answered(&mut scene, &web(), DropReason::SessionExpired);
    scene.apply([Step::EndSession(ALICE_V6)]);
    let revoked = frame(CLIENT_MAC, "fd77::2", "fd20::10", Inside::Udp(1, 53), 0);
    let answer = answered(&mut scene, &revoked, DropReason::SessionRevoked);
    assert_eq!(answer, prohibited(back("fd20::10", "fd77::2"), &revoked));
}
