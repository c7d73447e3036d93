//! Steps 19 to 21: transport protocols and their headers.

use crate::frames::{CLIENT_MAC, ETHERNET, GATEWAY_MAC, Inside, bent, carrying, frame, sctp, web, web_v6};
use crate::scene::Scene;
use crate::usual::{WEB, port};
use gateway_common::abi::AppEntry;
use gateway_common::{DropReason, Packet};

#[test]
fn protocols_that_cannot_be_granted_are_dropped_as_protocol_unsupported_and_others_as_app_unknown() {
    let mut scene = Scene::usual();
    for protocol in [0, 43, 44, 58, 59, 60, 255] {
        scene.drops(&bent(&[(9, protocol)]), DropReason::ProtocolUnsupported);
    }
    for protocol in [2, 4, 33, 41, 47, 50, 51, 89, 103, 112, 115, 132, 136, 253] {
        scene.drops(&bent(&[(9, protocol)]), DropReason::AppUnknown);
    }
    let with_next = |next| {
        let mut frame = web_v6();
        frame[ETHERNET + 6] = next;
        frame
    };
    for next in [1, 255] {
        scene.drops(&with_next(next), DropReason::ProtocolUnsupported);
    }
    for next in [2, 4, 33, 41, 47, 50, 89, 132, 136, 253] {
        scene.drops(&with_next(next), DropReason::AppUnknown);
    }
}

#[test]
fn contradictions_in_the_transport_header_are_dropped_as_transport_malformed() {
    let mut scene = Scene::usual();
    let (data_offset, destination_port) = (20 + 12, 20 + 2);
    scene.drops(&bent(&[(data_offset, 0x40)]), DropReason::TransportMalformed);
    scene.drops(&bent(&[(data_offset, 0x60)]), DropReason::TransportMalformed);
    scene.drops(&bent(&[(destination_port, 0), (destination_port + 1, 0)]), DropReason::TransportMalformed);
    scene.drops(&bent(&[(20, 0), (21, 0)]), DropReason::TransportMalformed);
    let mut udp = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.77", Inside::Udp(1, 2), 4);
    udp[ETHERNET + 20 + 5] -= 1;
    scene.drops(&udp, DropReason::TransportMalformed);
    scene.drops(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.77", Inside::Udp(1, 0), 4), DropReason::TransportMalformed);
    let mut ping = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Ping(7), 0);
    ping[ETHERNET + 21] = 1;
    scene.drops(&ping, DropReason::TransportMalformed);
    let mut short = web();
    short.truncate(ETHERNET + 39);
    short[ETHERNET + 3] = 39;
    scene.drops(&short, DropReason::TransportMalformed);
}

#[test]
fn nonsense_flags_are_dropped_as_tcp_flags() {
    let mut scene = Scene::usual();
    let sane = |flags: u8| match flags & 0b1_0111 {
        // SYN, SYN+ACK, RST, RST+ACK, ACK, FIN+ACK; PSH, URG, ECE and CWR as they like.
        2 | 18 | 4 | 20 | 16 | 17 => true,
        _ => false,
    };
    for flags in 0..=255 {
        let frame = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, flags), 0);
        if sane(flags) {
            scene.forwards(&frame);
        } else {
            scene.drops(&frame, DropReason::TcpFlags);
        }
    }
}

#[test]
fn protocol_without_ports_passes_where_it_is_granted_by_its_number() {
    let mut scene = Scene::usual();
    let gre = |source, destination| carrying(CLIENT_MAC, source, destination, 47, &[0, 0, 8, 0]);
    scene.drops(&gre("10.77.0.2", "10.20.0.10"), DropReason::AppUnknown);
    scene.apply([port(11, 47, 0, AppEntry::new(WEB, false)), port(14, 47, 0, AppEntry::new(WEB, false))]);
    let back = carrying(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", 47, &[0; 24]);
    scene.drops_to_client(&back, DropReason::NoFlow);
    scene.forwards(&gre("10.77.0.2", "10.20.0.10"));
    scene.forwards(&gre("fd77::2", "fd20::10"));
    scene.forwards_to_client(&back);
    scene.drops(&carrying(CLIENT_MAC, "10.77.0.2", "10.20.0.10", 50, &[0; 8]), DropReason::AppUnknown);
    scene.drops(&gre("10.77.0.2", "10.20.0.11"), DropReason::AppUnknown);
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
}

#[test]
fn sctp_passes_where_it_is_granted_and_an_aborted_association_begins_anew_with_init() {
    const DATA: u8 = 0;
    const INIT: u8 = 1;
    const ABORT: u8 = 6;
    let mut scene = Scene::usual();
    let to = |chunk| carrying(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Packet::SCTP, &sctp(40_000, 3_868, chunk));
    let from = |chunk| carrying(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Packet::SCTP, &sctp(3_868, 40_000, chunk));
    scene.drops(&to(INIT), DropReason::AppUnknown);
    scene.apply([port(11, Packet::SCTP, 3_868, AppEntry::new(WEB, false))]);
    scene.drops_to_client(&from(INIT), DropReason::NoFlow);
    scene.forwards(&to(INIT));
    scene.forwards_to_client(&from(DATA));
    scene.drops_to_client(&from(INIT), DropReason::NoFlow);
    scene.forwards_to_client(&from(ABORT));
    scene.forwards(&to(INIT));
    assert_eq!(scene.kernel_flows().len(), 1);
}

#[test]
fn short_sctp_packet_or_one_with_port_0_is_dropped_as_transport_malformed() {
    let mut scene = Scene::usual();
    let with = |inside: &[u8]| carrying(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Packet::SCTP, inside);
    scene.drops(&with(&sctp(1, 2, 1)[..15]), DropReason::TransportMalformed);
    scene.drops(&with(&sctp(0, 2, 1)), DropReason::TransportMalformed);
    scene.drops(&with(&sctp(1, 0, 1)), DropReason::TransportMalformed);
    scene.drops(&with(&sctp(1, 2, 1)), DropReason::AppUnknown);
}
