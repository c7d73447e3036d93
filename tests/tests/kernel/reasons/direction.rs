//! Toward the client, steps 10 to 17: answers, and what an app may open; and flows from their first packet to their last.

use crate::fate::XDP_PASS;
use crate::frames::{
    ACK, CLIENT_MAC, ETHERNET, FIN, GATEWAY_MAC, Inside, RST, SYN, answer, carrying, frame, sctp, web,
};
use crate::scene::{INTERFACE, Scene, Way};
use crate::usual::{ALICE, OTHER_OWN, WEB, apps, grant, open, opens, session, small};
use gateway_common::abi::Grant;
use gateway_common::table::flows;
use gateway_common::{DropReason, Packet, Verdict};
use gateway_userspace::policy::{AllowListId, AppSetId, BlockId, Capacities, Step};

#[test]
fn server_that_opens_a_connection_is_dropped_as_no_flow() {
    let mut scene = Scene::usual();
    let opening = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Tcp(443, 50_000, SYN), 0);
    assert_eq!(scene.judge(Way::Out, &opening), Verdict::Drop(DropReason::NoFlow));
    scene.forwards(&web());
    let other_port = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Tcp(8_443, 40_000, ACK), 0);
    assert_eq!(scene.judge(Way::Out, &other_port), Verdict::Drop(DropReason::NoFlow));
    let udp = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Udp(443, 40_000), 0);
    assert_eq!(scene.judge(Way::Out, &udp), Verdict::Drop(DropReason::NoFlow));
}

#[test]
fn server_that_begins_something_on_the_ports_of_a_flow_is_dropped_as_no_flow() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    assert_eq!(scene.judge(Way::Out, &answer(SYN)), Verdict::Drop(DropReason::NoFlow));
    assert_eq!(scene.judge(Way::Out, &answer(RST)), Verdict::Forward);
    assert_eq!(scene.judge(Way::Out, &answer(SYN)), Verdict::Drop(DropReason::NoFlow));
    scene.forwards(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Ping(0), 8));
    let ping = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Ping(0), 8);
    assert_eq!(scene.judge(Way::Out, &ping), Verdict::Drop(DropReason::NoFlow));
    scene.drops(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Pong(0), 8), DropReason::IcmpType);
}

#[test]
fn closed_connection_is_reopened_by_a_new_request_on_the_same_ports() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    let close = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, FIN | ACK), 0);
    scene.forwards(&close);
    assert_eq!(scene.judge(Way::Out, &answer(FIN | ACK)), Verdict::Forward);
    scene.forwards(&web());
    scene.forwards(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, RST), 0));
    scene.forwards(&web());
    assert_eq!(scene.kernel_flows().len(), 1);
}

#[test]
fn full_flow_table_forgets_old_flows_and_refuses_none() {
    let mut scene = Scene::with(Capacities { sessions: 4, flows: 64, ..small() }, true);
    scene.apply(apps(AppSetId(1)));
    scene.apply([grant(1, WEB, Grant::UNLIMITED), open(ALICE, session("10.77.0.2"))]);
    for port in 1_000..1_500 {
        let opening = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(port, 443, SYN), 0);
        assert_eq!(scene.run(Way::In, &opening), XDP_PASS);
    }
    // The table has more slots than flows that it is made for, so that these find room.
    assert!((64..=flows::slots_for(64) as usize).contains(&scene.kernel_flows().len()));
    let counters = scene.monitor.interface(INTERFACE).unwrap().unwrap();
    assert_eq!((counters.forward, counters.drops[&DropReason::FlowTableFull]), (500, 0));
}

/// A segment from the app to a port of alice's that it may open.
fn backup(flags: u8) -> Vec<u8> {
    frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Tcp(50_000, 8_022, flags), 0)
}

/// Her answer.
fn backed_up(flags: u8) -> Vec<u8> {
    frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(8_022, 50_000, flags), 0)
}

#[test]
fn app_opens_the_ports_of_clients_that_it_names_and_others_are_dropped_as_no_flow() {
    let mut scene = Scene::usual();
    scene.drops_to_client(&backup(SYN), DropReason::NoFlow);
    scene.apply([opens(11, Packet::TCP, 8_022, WEB)]);
    scene.drops_to_client(&backup(ACK), DropReason::NoFlow);
    scene.drops_to_client(&backup(SYN | ACK), DropReason::NoFlow);
    scene.forwards_to_client(&backup(SYN));
    scene.forwards(&backed_up(SYN | ACK));
    scene.forwards_to_client(&backup(ACK));
    let elsewhere = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Tcp(50_000, 8_023, SYN), 0);
    scene.drops_to_client(&elsewhere, DropReason::NoFlow);
    let another = frame(GATEWAY_MAC, "10.20.0.11", "10.77.0.2", Inside::Tcp(50_000, 8_022, SYN), 0);
    scene.drops_to_client(&another, DropReason::NoFlow);
    // What the app may open is no service of it.
    let service = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 8_022, SYN), 0);
    scene.drops(&service, DropReason::AppUnknown);
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
    assert_eq!(scene.kernel_flows().len(), 1);
}

#[test]
fn client_begins_nothing_on_the_ports_of_a_flow_that_an_app_opened() {
    let mut scene = Scene::usual();
    scene.apply([opens(11, Packet::TCP, 8_022, WEB)]);
    scene.drops(&backed_up(SYN | ACK), DropReason::AppUnknown);
    scene.forwards_to_client(&backup(SYN));
    scene.drops(&backed_up(SYN), DropReason::AppUnknown);
    scene.forwards(&backed_up(RST | ACK));
    scene.forwards_to_client(&backup(SYN));
    scene.forwards(&backed_up(SYN | ACK));
}

#[test]
fn grant_that_ends_stops_what_the_app_opened_in_both_directions() {
    let mut scene = Scene::usual();
    scene.apply([opens(11, Packet::TCP, 8_022, WEB)]);
    scene.forwards_to_client(&backup(SYN));
    let mut less = session("10.77.0.2");
    less.allow_list = AllowListId(2);
    scene.apply([Step::UpdateSession(ALICE, less)]);
    scene.drops_to_client(&backup(ACK), DropReason::NoGrant);
    scene.drops(&backed_up(SYN | ACK), DropReason::NoGrant);
    let new = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Tcp(50_001, 8_022, SYN), 0);
    scene.drops_to_client(&new, DropReason::NoFlow);
    scene.apply([Step::UpdateSession(ALICE, session("10.77.0.2"))]);
    scene.forwards_to_client(&backup(ACK));
    scene.forwards(&backed_up(ACK));
}

#[test]
fn app_opens_datagrams_echo_and_associations_by_their_first_packet() {
    let mut scene = Scene::usual();
    let icmp = opens(11, Packet::ICMP, 0, WEB);
    scene.apply([opens(11, Packet::UDP, 514, WEB), icmp, opens(11, Packet::SCTP, 3_868, WEB), opens(11, 47, 0, WEB)]);
    let from_app = |inside| frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", inside, 16);
    let to_app = |inside| frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", inside, 8);
    scene.forwards_to_client(&from_app(Inside::Udp(514, 514)));
    scene.forwards(&to_app(Inside::Udp(514, 514)));
    scene.drops(&to_app(Inside::Pong(9)), DropReason::IcmpType);
    scene.drops_to_client(&from_app(Inside::Pong(9)), DropReason::NoFlow);
    scene.forwards_to_client(&from_app(Inside::Ping(9)));
    scene.forwards(&to_app(Inside::Pong(9)));
    let association = |chunk| {
        let inside = [sctp(5_000, 3_868, chunk), vec![0; 16]].concat();
        carrying(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Packet::SCTP, &inside)
    };
    scene.drops_to_client(&association(0), DropReason::NoFlow);
    scene.forwards_to_client(&association(1));
    scene.forwards_to_client(&association(0));
    scene.forwards_to_client(&carrying(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", 47, &[0; 24]));
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
}

#[test]
fn app_at_an_address_of_the_gateway_opens_nothing() {
    let mut scene = Scene::usual();
    let prefix = Step::PutAppPrefix(AppSetId(1), format!("{OTHER_OWN}/32").parse().unwrap(), BlockId(11));
    scene.apply([opens(11, Packet::TCP, 8_022, WEB), prefix]);
    let opening = frame(GATEWAY_MAC, OTHER_OWN, "10.77.0.2", Inside::Tcp(50_000, 8_022, SYN), 0);
    scene.drops_to_client(&opening, DropReason::NoFlow);
}

/// What a reset needs, when the session is closed while its connections are open.
#[test]
fn flow_remembers_the_sequence_number_after_payload_syn_and_fin() {
    let mut scene = Scene::usual();
    let mut progress = |flags, payload, acknowledged: u32| {
        let mut segment = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, flags), payload);
        segment[ETHERNET + 28..ETHERNET + 32].copy_from_slice(&acknowledged.to_be_bytes());
        scene.forwards(&segment);
        let (_, flow) = scene.monitor.flows().next().unwrap();
        (flow.client_progress >> 32, flow.client_progress as u32, flow.app_progress)
    };
    assert_eq!(progress(SYN, 0, 0), (2, 0, 0));
    assert_eq!(progress(ACK, 100, 77), (101, 77, 0));
    assert_eq!(progress(FIN | ACK, 100, 0xffff_ffff), (102, 0xffff_ffff, 0));
}
