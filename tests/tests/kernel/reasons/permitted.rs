//! The ways through.

use crate::frames::{ACK, CLIENT_MAC, GATEWAY_MAC, Inside, SYN, answer, frame, web, web_v6};
use crate::scene::{Scene, Way};
use gateway_common::{DropReason, Verdict};

#[test]
fn permitted_connection_is_forwarded_in_both_directions_and_both_families() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    assert_eq!(scene.judge(Way::Out, &answer(SYN | ACK)), Verdict::Forward);
    scene.forwards(&web_v6());
    let answer = frame(GATEWAY_MAC, "fd20::10", "fd77::2", Inside::Tcp(443, 40_000, SYN | ACK), 0);
    assert_eq!(scene.judge(Way::Out, &answer), Verdict::Forward);
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
    assert_eq!(scene.kernel_flows().len(), 2);
}

#[test]
fn echo_is_forwarded_where_it_is_granted_and_its_reply_comes_back() {
    let mut scene = Scene::usual();
    scene.forwards(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Ping(7), 8));
    let reply = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Pong(7), 8);
    assert_eq!(scene.judge(Way::Out, &reply), Verdict::Forward);
    let other = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Pong(8), 8);
    assert_eq!(scene.judge(Way::Out, &other), Verdict::Drop(DropReason::NoFlow));
    scene.forwards(&frame(CLIENT_MAC, "fd77::2", "fd20::10", Inside::Ping(7), 8));
}

#[test]
fn any_port_of_a_protocol_is_forwarded_where_the_app_has_any_port() {
    let mut scene = Scene::usual();
    for port in [1, 53, 40_000, 65_535] {
        scene.forwards(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.77", Inside::Udp(5_000, port), 4));
    }
}
