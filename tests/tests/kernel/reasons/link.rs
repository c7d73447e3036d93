//! Steps 1 to 5: the interface, the frame and its tags.

use crate::fate::XDP_DROP;
use crate::frames::{
    ACK, CLIENT_MAC, ETHERNET, Inside, SYN, answer, arp, arp_claim, frame, icmp_error, neighbour_message, packet, raw,
    tagged, vault, web, web_v6,
};
use crate::scene::{Scene, Way};
use crate::usual::{ALICE, WEB, apps, grant, open, session, small};
use gateway_common::abi::Grant;
use gateway_common::{DropReason, Verdict};
use gateway_userspace::policy::{AppSetId, SessionToken};

#[test]
fn unconfigured_interface_drops_everything_as_interface_unknown() {
    let mut scene = Scene::usual();
    scene.programs.configure(&[]).unwrap();
    let code = scene.run(Way::In, &web());
    assert_eq!(code, XDP_DROP);
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
        neighbour_message(135, 255),
    ];
    for frame in frames {
        for length in ETHERNET + 1..frame.len() {
            let verdict = scene.judge(Way::In, &frame[..length]);
            assert!(matches!(verdict, Verdict::Drop(_)), "{length} of {} bytes: {verdict:?}", frame.len());
        }
    }
}

#[test]
fn interface_without_a_link_layer_is_judged_from_the_ip_header_on() {
    let mut scene = Scene::with(small(), false);
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

#[test]
fn vlan_that_the_interface_carries_is_judged_in_its_own_zone() {
    let mut scene = Scene::usual();
    let [single, double] = [tagged(web(), 0x8100, 10), tagged(tagged(web(), 0x8100, 20), 0x88a8, 100)];
    scene.drops(&single, DropReason::NoSession);
    scene.drops(&double, DropReason::NoSession);
    for (token, zone) in [(10, 10), (20, 20)] {
        let mut entry = session("10.77.0.2");
        entry.zone = zone;
        scene.apply([open(SessionToken(token), entry)]);
    }
    scene.forwards(&single);
    scene.forwards(&tagged(single.clone(), 0x88a8, 0));
    scene.forwards(&double);
    assert_eq!(scene.judge(Way::Out, &tagged(answer(SYN | ACK), 0x8100, 10)), Verdict::Forward);
    scene.drops_to_client(&answer(SYN | ACK), DropReason::NoFlow);
    scene.drops(&tagged(vault(), 0x8100, 10), DropReason::NoGrant);
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
    assert_eq!(scene.kernel_flows().iter().map(|key| key.zone).collect::<Vec<_>>(), [10, 20]);
}

#[test]
fn tags_in_another_order_than_the_carried_ones_are_dropped_as_vlan_unknown() {
    let mut scene = Scene::usual();
    scene.drops(&tagged(web(), 0x88a8, 10), DropReason::VlanUnknown);
    scene.drops(&tagged(web(), 0x8100, 20), DropReason::VlanUnknown);
    scene.drops(&tagged(web(), 0x88a8, 100), DropReason::VlanUnknown);
    scene.drops(&tagged(tagged(web(), 0x8100, 100), 0x88a8, 20), DropReason::VlanUnknown);
    scene.drops(&tagged(tagged(web(), 0x88a8, 20), 0x8100, 100), DropReason::VlanUnknown);
    scene.drops(&tagged(tagged(web(), 0x8100, 10), 0x8100, 10), DropReason::VlanUnknown);
    scene.drops_to_client(&tagged(answer(ACK), 0x8100, 5), DropReason::VlanUnknown);
}

#[test]
fn address_is_claimed_in_the_zone_of_its_vlan() {
    let mut scene = Scene::usual();
    let claim = arp_claim(2, [2, 0, 0, 0, 0, 9], [10, 77, 0, 2]);
    scene.drops(&claim, DropReason::NeighbourSpoofed);
    scene.hands_to_host(&tagged(claim, 0x8100, 10));
}

/// What the TC program on ingress looks for: the tags that the packet was judged by, in front of it.
#[test]
fn tagged_frame_goes_on_with_a_note_of_its_tags() {
    let mut scene = Scene::usual();
    let frame = tagged(tagged(arp(), 0x8100, 20), 0x88a8, 100);
    let (_, output) = scene.judge_and_show(Way::In, &frame);
    let note = [0x7063_766c, 100_u32 << 16 | 20, 2].map(u32::to_ne_bytes).concat();
    assert_eq!(output.frame, [note, frame].concat());
    let (_, output) = scene.judge_and_show(Way::In, &arp());
    assert_eq!(output.frame, arp());
}
