//! Steps 22 and 26: ICMP, and errors about packets.

use crate::frames::{ACK, CLIENT_MAC, ETHERNET, GATEWAY_MAC, Inside, SYN, answer, frame, icmp_error, web, web_v6};
use crate::scene::{Scene, Way};
use crate::usual::ALICE;
use gateway_common::{DropReason, Verdict};
use gateway_userspace::policy::Step;

#[test]
fn other_icmp_than_echo_and_errors_is_dropped_as_icmp_type() {
    let mut scene = Scene::usual();
    for kind in [4, 5, 9, 10, 13, 15, 17] {
        let mut frame = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Ping(7), 0);
        frame[ETHERNET + 20] = kind;
        scene.drops(&frame, DropReason::IcmpType);
    }
    scene.drops(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Pong(7), 0), DropReason::IcmpType);
    for kind in [130, 131, 132, 143] {
        let mut frame = frame(CLIENT_MAC, "fd77::2", "fd20::10", Inside::Ping(7), 0);
        frame[ETHERNET + 40] = kind;
        scene.drops(&frame, DropReason::IcmpType);
    }
}

#[test]
fn icmp_error_about_a_live_flow_passes_in_both_directions_and_any_other_is_icmp_unrelated() {
    let mut scene = Scene::usual();
    let about_web = icmp_error(GATEWAY_MAC, "10.20.0.1", &web(), 3, 4, 1400);
    assert_eq!(scene.judge(Way::Out, &about_web), Verdict::Drop(DropReason::IcmpUnrelated), "no flow yet");
    scene.forwards(&web());
    scene.forwards(&web_v6());
    for (kind, code, rest) in [(3, 4, 1400), (3, 4, 0), (3, 1, 0), (11, 0, 0), (12, 0, 0)] {
        let error = icmp_error(GATEWAY_MAC, "10.20.0.1", &web(), kind, code, rest);
        assert_eq!(scene.judge(Way::Out, &error), Verdict::Forward, "type {kind}");
    }
    for (kind, rest) in [(1, 0), (2, 1280), (3, 0), (4, 0)] {
        let error = icmp_error(GATEWAY_MAC, "fd20::1", &web_v6(), kind, 0, rest);
        assert_eq!(scene.judge(Way::Out, &error), Verdict::Forward, "type {kind}");
    }
    scene.forwards(&icmp_error(CLIENT_MAC, "10.77.0.2", &answer(ACK), 3, 4, 1400));
    let other_port = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_001, 443, SYN), 0);
    let error = icmp_error(GATEWAY_MAC, "10.20.0.1", &other_port, 3, 4, 1400);
    assert_eq!(scene.judge(Way::Out, &error), Verdict::Drop(DropReason::IcmpUnrelated));
    let of_another = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.9", Inside::Tcp(443, 40_000, ACK), 0);
    scene.drops(&icmp_error(CLIENT_MAC, "10.77.0.2", &of_another, 3, 4, 1400), DropReason::IcmpUnrelated);
    scene.apply([Step::EndSession(ALICE)]);
    assert_eq!(scene.judge(Way::Out, &about_web), Verdict::Drop(DropReason::SessionRevoked));
}

#[test]
fn too_big_with_an_mtu_that_no_link_has_is_dropped_as_transport_malformed() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    scene.forwards(&web_v6());
    let malformed = Verdict::Drop(DropReason::TransportMalformed);
    let tiny = icmp_error(GATEWAY_MAC, "10.20.0.1", &web(), 3, 4, 67);
    assert_eq!(scene.judge(Way::Out, &tiny), malformed);
    let tiny = icmp_error(GATEWAY_MAC, "fd20::1", &web_v6(), 2, 0, 1279);
    assert_eq!(scene.judge(Way::Out, &tiny), malformed);
    let mut short = icmp_error(GATEWAY_MAC, "10.20.0.1", &web(), 11, 0, 0);
    short.truncate(ETHERNET + 20 + 8 + 27);
    short[ETHERNET + 3] = 20 + 8 + 27;
    assert_eq!(scene.judge(Way::Out, &short), malformed);
}
