//! Interfaces that only observe: everything passes, and what would have been dropped is counted, in a place of its own.

use crate::fate::XDP_PASS;
use crate::frames::{
    ACK, CLIENT_MAC, ETHERNET, Inside, SYN, answer, arp, bent, datagram, frame, icmp_error, neighbour_message, raw,
    tagged, vault, web,
};
use crate::pieces::with_options;
use crate::scene::{INTERFACE, Scene, Way};
use crate::usual::ALICE;
use gateway_common::abi::{DenialKey, FlowEvent};
use gateway_common::{DropReason, Verdict};
use gateway_userspace::dataplane::attach::InterfaceSettings;
use gateway_userspace::policy::Step;

/// With `reject`, which has nothing to say here.
fn observing() -> Scene {
    Scene::usual_where(InterfaceSettings { observe: true, reject: true, ..InterfaceSettings::default() })
}

#[test]
fn everything_passes_unchanged_and_is_counted_as_observed_only() {
    let mut scene = observing();
    let mut spoofed = web();
    spoofed[11] = 9;
    let stranger = frame(CLIENT_MAC, "10.77.0.9", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0);
    let own = frame(CLIENT_MAC, "10.77.0.2", "10.77.0.1", Inside::Udp(40_000, 53), 0);
    let frames = [
        (web()[..ETHERNET + 19].to_vec(), DropReason::Truncated),
        (tagged(web(), 0x8100, 5), DropReason::VlanUnknown),
        (tagged(vault(), 0x8100, 10), DropReason::NoSession),
        (raw(0x88cc, &[0; 40]), DropReason::NotIp),
        (arp()[..ETHERNET + 27].to_vec(), DropReason::ArpMalformed),
        (neighbour_message(134, 255), DropReason::NeighbourInvalid),
        (bent(&[(0, 0x65)]), DropReason::IpMalformed),
        (with_options(&web(), &[1; 4]), DropReason::IpOptions),
        (bent(&[(6, 0x20)]), DropReason::Fragment),
        (own, DropReason::OwnAddress),
        (stranger, DropReason::NoSession),
        (spoofed, DropReason::SourceSpoofed),
        (vault(), DropReason::NoGrant),
        (icmp_error(CLIENT_MAC, "10.77.0.2", &answer(ACK), 3, 4, 1400), DropReason::IcmpUnrelated),
    ];
    for (frame, reason) in &frames {
        let (verdict, output) = scene.judge_and_show(Way::In, frame);
        assert_eq!((verdict, output.code), (Verdict::Drop(*reason), XDP_PASS));
        assert!(output.frame.ends_with(frame), "{:02x?}", output.frame);
    }
    scene.drops_to_client(&answer(ACK), DropReason::NoFlow);
    let counters = scene.monitor.interface(INTERFACE).unwrap().unwrap();
    assert_eq!((counters.forward, counters.to_host, counters.dropped(), counters.rejected), (0, 0, 0, 0));
    assert_eq!(counters.observed.values().sum::<u64>(), frames.len() as u64 + 1);
}

#[test]
fn what_is_permitted_is_judged_and_counted_as_ever() {
    let mut scene = observing();
    scene.forwards(&web());
    scene.forwards_to_client(&answer(SYN | ACK));
    scene.hands_to_host(&arp());
    scene.apply([Step::EndSession(ALICE)]);
    scene.drops(&web(), DropReason::SessionRevoked);
    scene.drops_to_client(&answer(ACK), DropReason::SessionRevoked);
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
}

#[test]
fn denials_say_that_the_packet_was_only_observed() {
    let mut scene = observing();
    scene.drops(&vault(), DropReason::NoGrant);
    scene.forwards(&datagram(53, 0));
    let denials: Vec<_> = scene.denials().iter().map(|taken| (taken.key.reason, taken.key.flags)).collect();
    assert_eq!(denials, [(DropReason::NoGrant as u8, DenialKey::OBSERVED)]);
    assert_eq!(scene.events().iter().map(|event| event.what).collect::<Vec<_>>(), [FlowEvent::OPENED]);
}
