//! One named test per drop reason, and the ways through that are next to it.

use super::frames::{
    ACK, CLIENT_MAC, ETHERNET, FIN, GATEWAY_MAC, Inside, RST, SYN, arp, frame, icmp_error, neighbour_solicitation,
    packet, raw, tagged,
};
use super::scene::{ALICE, LONG_AGO, Scene, WEB, Way, apps, grant, open, session};
use gateway_common::abi::Grant;
use gateway_common::{DropReason, Verdict};
use gateway_userspace::dataplane::clock;
use gateway_userspace::policy::{AllowListId, AppSetId, Capacities, SessionToken, Step};

/// A connection request from alice to the app that she may reach.
fn web() -> Vec<u8> {
    frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0)
}

fn web_v6() -> Vec<u8> {
    frame(CLIENT_MAC, "fd77::2", "fd20::10", Inside::Tcp(40_000, 443, SYN), 0)
}

fn answer(flags: u8) -> Vec<u8> {
    frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Tcp(443, 40_000, flags), 0)
}

/// `web` with some bytes replaced, counted from the IP header.
fn bent(bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut frame = web();
    for (offset, byte) in bytes {
        frame[ETHERNET + offset] = *byte;
    }
    frame
}

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

#[test]
fn unconfigured_interface_drops_everything_as_interface_unknown() {
    let mut scene = Scene::usual();
    scene.programs.configure(&[]).unwrap();
    let code = scene.programs.test_run(true, &web()).unwrap();
    assert_eq!(code, 1, "XDP_DROP");
    let monitor = gateway_userspace::dataplane::Monitor::open(scene.kernel.pins()).unwrap();
    let counters = monitor.unknown_interfaces().unwrap();
    assert_eq!(counters.drops[&DropReason::InterfaceUnknown], 1);
    assert_eq!(counters.dropped() + counters.forward + counters.to_host, 1);
}

#[test]
fn headers_that_end_early_are_dropped_as_truncated() {
    let mut scene = Scene::usual();
    scene.drops(&web()[..ETHERNET + 19], DropReason::Truncated);
    scene.drops(&tagged(web(), 0x8100, 0)[..15], DropReason::Truncated);
    scene.drops(&web_v6()[..ETHERNET + 30], DropReason::Truncated);
}

#[test]
fn unicast_packet_in_a_group_frame_is_dropped_as_link_multicast() {
    let mut scene = Scene::usual();
    for to in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let mut frame = web();
        frame[..6].copy_from_slice(&to);
        scene.drops(&frame, DropReason::LinkMulticast);
    }
}

#[test]
fn tag_of_a_vlan_is_dropped_as_vlan_unknown_and_a_priority_tag_is_judged_by_what_is_inside() {
    let mut scene = Scene::usual();
    scene.drops(&tagged(web(), 0x8100, 5), DropReason::VlanUnknown);
    scene.drops(&tagged(web(), 0x88a8, 5), DropReason::VlanUnknown);
    scene.drops(&tagged(tagged(web(), 0x8100, 5), 0x8100, 0), DropReason::VlanUnknown);
    scene.forwards(&tagged(web(), 0x8100, 0));
    scene.forwards(&tagged(tagged(web(), 0x8100, 0), 0x88a8, 0xe000));
    let forbidden = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, SYN), 0);
    scene.drops(&tagged(forbidden, 0x8100, 0), DropReason::NoGrant);
    scene.drops(&tagged(tagged(tagged(web(), 0x8100, 0), 0x8100, 0), 0x8100, 0), DropReason::NotIp);
}

#[test]
fn other_ethertypes_are_dropped_as_not_ip() {
    let mut scene = Scene::usual();
    for ethertype in [0x0026, 0x8847, 0x8848, 0x8863, 0x8864, 0x88cc, 0x86de, 0x0801, 0] {
        scene.drops(&raw(ethertype, &web()[ETHERNET..]), DropReason::NotIp);
    }
}

#[test]
fn arp_passes_to_the_host_and_malformed_arp_is_dropped_as_arp_malformed() {
    let mut scene = Scene::usual();
    assert_eq!(scene.judge(Way::In, &arp()), Verdict::ToHost);
    let mut operation = arp();
    operation[ETHERNET + 7] = 9;
    scene.drops(&operation, DropReason::ArpMalformed);
    scene.drops(&arp()[..ETHERNET + 27], DropReason::ArpMalformed);
}

#[test]
fn contradictions_in_the_ip_header_are_dropped_as_ip_malformed() {
    let mut scene = Scene::usual();
    scene.drops(&bent(&[(0, 0x65)]), DropReason::IpMalformed);
    scene.drops(&bent(&[(0, 0x44)]), DropReason::IpMalformed);
    scene.drops(&bent(&[(3, 19)]), DropReason::IpMalformed);
    scene.drops(&bent(&[(3, 41)]), DropReason::IpMalformed);
    scene.drops(&bent(&[(6, 0x80)]), DropReason::IpMalformed);
    let mut longer = web_v6();
    longer[ETHERNET + 5] += 1;
    scene.drops(&longer, DropReason::IpMalformed);
    scene.drops(&raw(0x86dd, &web()[ETHERNET..]), DropReason::IpMalformed);
    scene.drops(&raw(0x0800, &web_v6()[ETHERNET..]), DropReason::IpMalformed);
}

#[test]
fn bytes_beyond_the_packet_are_dropped_as_trailing_bytes_unless_they_are_padding() {
    let mut scene = Scene::usual();
    let mut padded = web();
    padded.resize(64, 0);
    scene.forwards(&padded);
    padded.push(0);
    scene.drops(&padded, DropReason::TrailingBytes);
    let mut longer = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, ACK), 100);
    longer.push(0);
    scene.drops(&longer, DropReason::TrailingBytes);
    let mut longer = web_v6();
    longer.push(0);
    scene.drops(&longer, DropReason::TrailingBytes);
}

#[test]
fn ipv4_options_are_dropped_as_ip_options_whatever_they_look_like() {
    let mut scene = Scene::usual();
    let mut frame = web();
    // Four bytes of options that read as the ports of the permitted connection.
    frame.splice(ETHERNET + 20..ETHERNET + 20, [0x9c, 0x40, 0x01, 0xbb]);
    frame[ETHERNET] = 0x46;
    frame[ETHERNET + 3] += 4;
    scene.drops(&frame, DropReason::IpOptions);
}

#[test]
fn ipv6_extension_headers_are_dropped_as_ip_extension() {
    let mut scene = Scene::usual();
    for next in [0, 43, 51, 59, 60, 135, 139, 140] {
        let mut frame = web_v6();
        frame[ETHERNET + 6] = next;
        scene.drops(&frame, DropReason::IpExtension);
    }
}

#[test]
fn fragments_of_both_families_are_dropped_as_fragment() {
    let mut scene = Scene::usual();
    for (flags, offset) in [(0x20, 0), (0, 1), (0x20, 1), (0x1f, 0xff), (0x3f, 0xff)] {
        scene.drops(&bent(&[(6, flags), (7, offset)]), DropReason::Fragment);
    }
    scene.forwards(&bent(&[(6, 0x40)]));
    let mut frame = web_v6();
    frame[ETHERNET + 6] = 44;
    scene.drops(&frame, DropReason::Fragment);
}

#[test]
fn martian_sources_are_dropped_as_source_invalid() {
    let mut scene = Scene::usual();
    let inside = Inside::Tcp(40_000, 443, SYN);
    for source in ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.5", "255.255.255.255", "240.0.0.1", "10.20.0.10"] {
        scene.drops(&frame(CLIENT_MAC, source, "10.20.0.10", inside, 0), DropReason::SourceInvalid);
    }
    for source in ["::", "::1", "fe80::2", "ff02::1", "::ffff:10.77.0.2", "::10.77.0.2", "fd20::10"] {
        scene.drops(&frame(CLIENT_MAC, source, "fd20::10", inside, 0), DropReason::SourceInvalid);
    }
}

#[test]
fn destinations_that_are_not_one_host_are_dropped_as_destination_invalid() {
    let mut scene = Scene::usual();
    let inside = Inside::Udp(5_353, 5_353);
    for destination in ["0.0.0.0", "127.0.0.1", "169.254.169.254", "224.0.0.251", "255.255.255.255"] {
        scene.drops(&frame(CLIENT_MAC, "10.77.0.2", destination, inside, 0), DropReason::DestinationInvalid);
    }
    for destination in ["::", "::1", "fe80::1", "ff02::fb", "::ffff:10.20.0.10"] {
        scene.drops(&frame(CLIENT_MAC, "fd77::2", destination, inside, 0), DropReason::DestinationInvalid);
    }
}

#[test]
fn other_protocols_are_dropped_as_protocol_unsupported() {
    let mut scene = Scene::usual();
    for protocol in [0, 2, 4, 33, 41, 47, 50, 51, 58, 89, 103, 112, 115, 132, 136, 255] {
        scene.drops(&bent(&[(9, protocol)]), DropReason::ProtocolUnsupported);
    }
    for next in [1, 2, 4, 33, 41, 47, 50, 89, 132, 136, 253, 255] {
        let mut frame = web_v6();
        frame[ETHERNET + 6] = next;
        scene.drops(&frame, DropReason::ProtocolUnsupported);
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

#[test]
fn every_truncation_of_every_kind_of_frame_gets_the_same_verdict_in_kernel_and_twin() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    let frames = [
        web(),
        web_v6(),
        frame(CLIENT_MAC, "10.77.0.2", "10.20.0.77", Inside::Udp(5, 53), 9),
        frame(CLIENT_MAC, "fd77::2", "fd20::10", Inside::Ping(1), 9),
        icmp_error(CLIENT_MAC, "10.77.0.2", &answer(ACK), 3, 4, 1400),
        tagged(web(), 0x8100, 0),
        arp(),
        neighbour_solicitation(135, 255),
    ];
    for frame in frames {
        for length in ETHERNET + 1..frame.len() {
            let verdict = scene.judge(Way::In, &frame[..length]);
            assert!(matches!(verdict, Verdict::Drop(_)), "{length} of {} bytes: {verdict:?}", frame.len());
        }
    }
}

#[test]
fn neighbour_discovery_passes_to_the_host_and_from_afar_or_from_a_router_is_dropped_as_neighbour_invalid() {
    let mut scene = Scene::usual();
    for kind in [133, 135, 136] {
        assert_eq!(scene.judge(Way::In, &neighbour_solicitation(kind, 255)), Verdict::ToHost);
        scene.drops(&neighbour_solicitation(kind, 254), DropReason::NeighbourInvalid);
    }
    for kind in [134, 137] {
        scene.drops(&neighbour_solicitation(kind, 255), DropReason::NeighbourInvalid);
    }
}

#[test]
fn gateways_own_address_is_dropped_as_own_address_but_for_its_services() {
    let mut scene = Scene::usual();
    let to = |source: &str, port| frame(CLIENT_MAC, source, "10.77.0.1", Inside::Tcp(40_000, port, SYN), 0);
    assert_eq!(scene.judge(Way::In, &to("10.77.0.2", 443)), Verdict::ToHost);
    assert_eq!(scene.judge(Way::In, &to("10.99.0.2", 443)), Verdict::ToHost);
    scene.drops(&to("10.77.0.2", 22), DropReason::OwnAddress);
    scene.drops(&to("10.77.0.2", 8_443), DropReason::OwnAddress);
    assert_eq!(scene.judge(Way::In, &to("10.77.9.1", 22)), Verdict::ToHost);
    scene.drops(&frame(CLIENT_MAC, "fd77::2", "fd77::1", Inside::Ping(1), 0), DropReason::OwnAddress);
    let answer = frame(GATEWAY_MAC, "10.77.0.1", "10.99.0.2", Inside::Tcp(443, 40_000, SYN | ACK), 0);
    assert_eq!(scene.judge(Way::Out, &answer), Verdict::Forward);
}

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
    let capacities = Capacities { sessions: 1, ..capacities() };
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

#[test]
fn destination_that_is_no_app_is_dropped_as_app_unknown() {
    let mut scene = Scene::usual();
    let inside = Inside::Tcp(40_000, 443, SYN);
    scene.drops(&frame(CLIENT_MAC, "10.77.0.2", "10.30.0.1", inside, 0), DropReason::AppUnknown);
    let port = Inside::Tcp(40_000, 444, SYN);
    scene.drops(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", port, 0), DropReason::AppUnknown);
    scene.drops(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.77", Inside::Ping(1), 0), DropReason::AppUnknown);
}

#[test]
fn app_that_is_not_granted_is_dropped_as_no_grant() {
    let mut scene = Scene::usual();
    let vault = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, SYN), 0);
    scene.drops(&vault, DropReason::NoGrant);
}

#[test]
fn policy_change_cuts_open_flows_in_both_directions_and_restoring_it_lets_them_through() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    let (mut less, more) = (session("10.77.0.2"), session("10.77.0.2"));
    less.allow_list = AllowListId(2);
    scene.apply([Step::UpdateSession(ALICE, less)]);
    assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Drop(DropReason::NoGrant));
    scene.drops(&web(), DropReason::NoGrant);
    scene.apply([Step::UpdateSession(ALICE, more)]);
    scene.forwards(&web());
    assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Forward);
}

#[test]
fn change_of_apps_takes_effect_when_the_session_moves_and_keeps_the_flows_that_remain_granted() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    let without_web =
        apps(AppSetId(2)).into_iter().filter(|step| !matches!(step, Step::PutApp(_, app) if app.0 == WEB));
    scene.apply(without_web.collect::<Vec<_>>());
    scene.forwards(&web());
    let mut moved = session("10.77.0.2");
    moved.app_set = AppSetId(2);
    scene.apply([Step::UpdateSession(ALICE, moved)]);
    scene.drops(&web(), DropReason::AppUnknown);
    assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Drop(DropReason::AppUnknown));
}

#[test]
fn grant_past_its_deadline_is_dropped_as_grant_expired_also_in_an_open_connection() {
    let mut scene = Scene::usual();
    let mut entry = session("10.77.0.2");
    entry.allow_list = AllowListId(3);
    scene.apply([grant(3, WEB, Grant { deadline: LONG_AGO.0, ..Grant::UNLIMITED })]);
    scene.forwards(&web());
    scene.apply([Step::UpdateSession(ALICE, entry)]);
    scene.drops(&web(), DropReason::GrantExpired);
}

#[test]
fn login_too_long_ago_is_dropped_as_reauth_required() {
    let mut scene = Scene::usual();
    let mut entry = session("10.77.0.2");
    entry.allow_list = AllowListId(3);
    entry.authenticated_at = LONG_AGO;
    scene.apply([grant(3, WEB, Grant { max_authentication_age: 1_000, ..Grant::UNLIMITED })]);
    scene.apply([Step::UpdateSession(ALICE, entry)]);
    scene.drops(&web(), DropReason::ReauthRequired);
}

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
    let mut scene = Scene::with(Capacities { sessions: 4, flows: 64, ..capacities() }, true);
    scene.apply(apps(AppSetId(1)));
    scene.apply([grant(1, WEB, Grant::UNLIMITED), open(ALICE, session("10.77.0.2"))]);
    for port in 1_000..1_500 {
        let opening = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(port, 443, SYN), 0);
        assert_eq!(scene.programs.test_run(true, &opening).unwrap(), 2, "XDP_PASS");
    }
    assert!(scene.kernel_flows().len() <= 64);
}

fn capacities() -> Capacities {
    Capacities { sessions: 4, flows: 64, app_prefixes: 256, app_ports: 1024, grants: 256, apps: 64 }
}

#[test]
fn interface_without_a_link_layer_is_judged_from_the_ip_header_on() {
    let mut scene = Scene::with(capacities(), false);
    scene.apply(apps(AppSetId(1)));
    scene.apply([grant(1, WEB, Grant::UNLIMITED), open(ALICE, session("10.77.0.2"))]);
    scene.forwards(&packet("10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, SYN)));
    let mut longer = packet("10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, SYN));
    longer.push(0);
    scene.drops(&longer, DropReason::TrailingBytes);
    let mut odd = packet("10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, SYN));
    odd[0] = 0x55;
    scene.drops(&odd, DropReason::NotIp);
}

/// Every reason but the two that a frame alone cannot cause here has a test above that names it.
#[test]
fn every_reason_is_named_by_a_test() {
    let source = include_str!("reasons.rs");
    for reason in DropReason::ALL.iter().filter(|reason| **reason != DropReason::FlowTableFull) {
        assert!(source.contains(&format!("DropReason::{reason:?}")), "{reason:?} has no test");
    }
}
