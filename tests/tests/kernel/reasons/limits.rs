//! Steps 33, 37 and 44 to 46: what a session may do in a second, and in all.

use crate::frames::{ACK, CLIENT_MAC, GATEWAY_MAC, Inside, SYN, answer, arp_claim, datagram, frame, web, web_v6};
use crate::scene::{Scene, Way};
use crate::usual::{ALICE, SETTINGS, WEB, grant, opens, session, small};
use gateway_common::abi::Grant;
use gateway_common::{DropReason, Packet, Verdict};
use gateway_userspace::dataplane::attach::InterfaceSettings;
use gateway_userspace::dataplane::{PlaneSettings, clock};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{AllowListId, Capacities, SessionLimits, Step};
use std::collections::BTreeSet;

fn limited(limits: SessionLimits) -> Step {
    Step::UpdateSession(ALICE, SessionEntry { limits, ..session("10.77.0.2") })
}

fn four_destinations() -> Step {
    limited(SessionLimits { destinations_per_second: 4, ..SessionLimits::default() })
}

/// Tries one destination after the other until one is dropped for this reason. How many were forwarded, and how many
/// can be at most: on a machine that pauses, the limit of a second is not reached in the first one.
fn until(scene: &mut Scene, reason: DropReason, rate: u64) -> (u64, u64) {
    let begun = clock::boot();
    let tried = (1..).find(|number| {
        let verdict = scene.judge(Way::In, &datagram(1_000 + *number as u16, 4));
        assert!(verdict == Verdict::Forward || verdict == Verdict::Drop(reason), "{verdict:?}");
        verdict != Verdict::Forward
    });
    (tried.unwrap() - 1, rate * (2 + clock::boot().since(begun) / 1_000_000_000))
}

#[test]
fn one_destination_too_many_is_dropped_as_scan_detected_and_the_session_then_as_session_quarantined() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    scene.apply([four_destinations()]);
    let (tried, most) = until(&mut scene, DropReason::ScanDetected, 4);
    // Two destinations may share a place.
    assert!((4..most + 4).contains(&tried), "{tried} destinations");
    scene.drops(&datagram(1_001, 4), DropReason::SessionQuarantined);
    scene.drops(&web(), DropReason::SessionQuarantined);
    scene.drops_to_client(&answer(SYN | ACK), DropReason::SessionQuarantined);
    scene.forwards(&web_v6());
    // Its address remains its own.
    scene.drops(&arp_claim(2, [2, 0, 0, 0, 0, 9], [10, 77, 0, 2]), DropReason::NeighbourSpoofed);
}

#[test]
fn quarantine_ends_by_itself() {
    let mut scene = Scene::usual_with(PlaneSettings { quarantine: 0, ..SETTINGS });
    scene.apply([four_destinations()]);
    until(&mut scene, DropReason::ScanDetected, 4);
    scene.forwards(&datagram(1_001, 4));
}

#[test]
fn scan_on_an_interface_that_observes_puts_nobody_into_quarantine() {
    let mut scene = Scene::usual_where(InterfaceSettings { observe: true, ..InterfaceSettings::default() });
    scene.apply([four_destinations()]);
    until(&mut scene, DropReason::ScanDetected, 4);
    scene.forwards(&datagram(1_001, 4));
}

#[test]
fn denied_destinations_count_as_tried_and_packets_of_open_flows_do_not() {
    let mut scene = Scene::usual();
    for number in 0..8 {
        scene.forwards(&datagram(2_000 + number, 4));
    }
    scene.apply([limited(SessionLimits { destinations_per_second: 2, ..SessionLimits::default() })]);
    for number in 0..8 {
        scene.forwards(&datagram(2_000 + number, 4));
    }
    let nowhere = |port| frame(CLIENT_MAC, "10.77.0.2", "10.30.0.1", Inside::Tcp(1, port, SYN), 0);
    let verdicts: BTreeSet<_> = (1..64).map(|port| format!("{:?}", scene.judge(Way::In, &nowhere(port)))).collect();
    let expected = [DropReason::AppUnknown, DropReason::ScanDetected, DropReason::SessionQuarantined];
    assert_eq!(verdicts, expected.map(|reason| format!("{:?}", Verdict::Drop(reason))).into());
}

#[test]
fn one_flow_too_many_is_dropped_as_flow_rate_and_open_ones_go_on() {
    let mut scene = Scene::usual();
    scene.apply([limited(SessionLimits { new_flows_per_second: 4, ..SessionLimits::default() })]);
    let (opened, most) = until(&mut scene, DropReason::FlowRate, 4);
    assert!((4..=most).contains(&opened), "{opened} flows");
    scene.forwards(&datagram(1_001, 4));
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
    assert_eq!(scene.kernel_flows().len() as u64, opened);
}

#[test]
fn what_apps_open_counts_as_new_flows_of_the_session_too() {
    let mut scene = Scene::usual();
    scene.apply([opens(11, Packet::UDP, 514, WEB)]);
    scene.apply([limited(SessionLimits { new_flows_per_second: 4, ..SessionLimits::default() })]);
    until(&mut scene, DropReason::FlowRate, 4);
    let log = |port| frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Udp(port, 514), 24);
    let is_refused = |port: &u16| scene.judge(Way::Out, &log(*port)) == Verdict::Drop(DropReason::FlowRate);
    assert!((1_000..).find(is_refused).is_some());
    scene.forwards(&datagram(1_001, 4));
}

#[test]
fn bytes_beyond_the_bandwidth_of_their_direction_are_dropped_as_bandwidth_exceeded() {
    let mut scene = Scene::usual();
    // A byte a second: a segment is paid for after 40 seconds.
    scene.apply([limited(SessionLimits { bytes_per_second: 1, ..SessionLimits::default() })]);
    scene.forwards(&web());
    scene.drops(&web(), DropReason::BandwidthExceeded);
    let another = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_001, 443, SYN), 0);
    scene.drops(&another, DropReason::BandwidthExceeded);
    scene.forwards_to_client(&answer(SYN | ACK));
    scene.drops_to_client(&answer(ACK), DropReason::BandwidthExceeded);
    scene.forwards(&web_v6());
    scene.apply([limited(SessionLimits::default())]);
    scene.forwards(&web());
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
}

#[test]
fn bytes_beyond_the_budget_of_an_app_are_dropped_as_budget_exceeded_whatever_their_direction() {
    let mut scene = Scene::usual();
    scene.forwards(&web_v6());
    let entry = SessionEntry { allow_list: AllowListId(3), ..session("10.77.0.2") };
    scene.apply([grant(3, WEB, Grant { budget: 100, ..Grant::UNLIMITED }), Step::UpdateSession(ALICE, entry)]);
    scene.forwards(&web());
    scene.forwards_to_client(&answer(SYN | ACK));
    // 80 of 100 bytes are used: one more packet begins below the budget.
    scene.forwards(&web());
    scene.drops(&web(), DropReason::BudgetExceeded);
    scene.drops_to_client(&answer(ACK), DropReason::BudgetExceeded);
    let echo = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Ping(1), 0);
    scene.drops(&echo, DropReason::BudgetExceeded);
    scene.forwards(&web_v6());
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
}

#[test]
fn budget_of_0_permits_nothing() {
    let mut scene = Scene::usual();
    let entry = SessionEntry { allow_list: AllowListId(3), ..session("10.77.0.2") };
    scene.apply([grant(3, WEB, Grant { budget: 0, ..Grant::UNLIMITED }), Step::UpdateSession(ALICE, entry)]);
    scene.drops(&web(), DropReason::BudgetExceeded);
    assert_eq!(scene.kernel_flows(), []);
}

#[test]
fn session_for_whose_bytes_the_table_has_no_room_is_dropped_as_budget_table_full() {
    let mut scene = Scene::with(Capacities { budgets: 1, ..small() }, true).furnished();
    scene.apply([grant(1, WEB, Grant { budget: 1_000, ..Grant::UNLIMITED })]);
    scene.forwards(&web());
    scene.drops(&web_v6(), DropReason::BudgetTableFull);
    scene.forwards(&web());
    scene.forwards(&datagram(53, 4));
    scene.forwards_to_client(&frame(GATEWAY_MAC, "10.20.0.77", "10.77.0.2", Inside::Udp(53, 5_000), 24));
}
