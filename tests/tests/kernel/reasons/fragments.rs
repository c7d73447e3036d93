//! Steps 10, 18, 24 and 25: fragments. The oracle, whose clock can be set, says when they are forgotten.

use crate::frames::{
    CLIENT_MAC, ETHERNET, GATEWAY_MAC, Inside, SYN, answer, bent, carrying, datagram, frame, icmp_error, sctp, web,
    web_v6,
};
use crate::pieces::{fragment, with_extension, with_options};
use crate::scene::{Scene, Way};
use crate::usual::ALICE;
use gateway_common::{DropReason, Packet, Verdict};
use gateway_userspace::dataplane::attach::InterfaceSettings;
use gateway_userspace::policy::Step;

fn tracking() -> Scene {
    let admit = InterfaceSettings { admit_options: true, admit_extensions: true, ..InterfaceSettings::default() };
    Scene::usual_where(InterfaceSettings { track_fragments: true, ..admit })
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
fn fragments_pass_in_order_and_out_of_order_behind_their_first_one() {
    let mut scene = tracking();
    let whole = datagram(53, 112);
    for (start, end, more) in [(0, 24, true), (24, 48, true), (48, 120, false)] {
        scene.forwards(&fragment(&whole, 1, start..end, more));
    }
    for (start, end, more) in [(0, 24, true), (48, 120, false), (24, 48, true)] {
        scene.forwards(&fragment(&whole, 2, start..end, more));
    }
    let echo = frame(CLIENT_MAC, "fd77::2", "fd20::10", Inside::Ping(7), 112);
    for (start, end, more) in [(0, 24, true), (48, 120, false), (24, 48, true)] {
        scene.forwards(&fragment(&echo, 0x0001_0000, start..end, more));
    }
    let reply = frame(GATEWAY_MAC, "fd20::10", "fd77::2", Inside::Pong(7), 112);
    scene.forwards_to_client(&fragment(&reply, 3, 0..24, true));
    scene.forwards_to_client(&fragment(&reply, 3, 24..120, false));
    assert_eq!(scene.kernel_flows().len(), 2);
}

#[test]
fn first_fragment_that_ends_inside_its_transport_header_is_dropped_as_fragment_tiny() {
    let mut scene = tracking();
    let tiny = DropReason::FragmentTiny;
    for length in [8, 16] {
        scene.drops(&fragment(&web(), 1, 0..length, true), tiny);
        scene.drops(&fragment(&web_v6(), 1, 0..length, true), tiny);
    }
    let mut options = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 40);
    options[ETHERNET + 20 + 12] = 0x70;
    scene.drops(&fragment(&options, 1, 0..24, true), tiny);
    scene.forwards(&fragment(&options, 1, 0..32, true));
    let init = carrying(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Packet::SCTP, &sctp(5_000, 5_001, 1));
    scene.drops(&fragment(&init, 2, 0..8, true), tiny);
    scene.drops_to_client(&fragment(&answer(SYN), 3, 0..8, true), tiny);
}

#[test]
fn later_fragment_without_its_first_one_is_dropped_as_fragment_stray() {
    let mut scene = tracking();
    let stray = DropReason::FragmentStray;
    let whole = datagram(53, 64);
    let later = fragment(&whole, 1, 24..48, true);
    scene.drops(&later, stray);
    scene.drops(&fragment(&frame(CLIENT_MAC, "fd77::2", "fd20::10", Inside::Ping(7), 64), 1, 24..48, true), stray);
    scene.forwards(&fragment(&whole, 1, 0..24, true));
    scene.forwards(&later);
    // Another identification, protocol, source or direction is another packet.
    scene.drops(&fragment(&whole, 2, 48..72, false), stray);
    let mut other = fragment(&whole, 1, 48..72, false);
    other[ETHERNET + 9] = Packet::TCP;
    scene.drops(&other, stray);
    let answer = frame(GATEWAY_MAC, "10.20.0.77", "10.77.0.2", Inside::Udp(53, 5_000), 64);
    scene.drops_to_client(&fragment(&answer, 1, 24..48, true), stray);
    scene.forwards(&fragment(&whole, 1, 48..72, false));
}

#[test]
fn first_fragment_that_is_dropped_or_for_the_gateway_is_not_remembered() {
    let mut scene = tracking();
    let mut denied = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, SYN), 60);
    scene.drops(&fragment(&denied, 1, 0..40, true), DropReason::NoGrant);
    scene.drops(&fragment(&denied, 1, 40..80, false), DropReason::FragmentStray);
    denied = frame(CLIENT_MAC, "10.77.0.2", "10.77.0.1", Inside::Tcp(40_000, 443, SYN), 60);
    scene.hands_to_host(&fragment(&denied, 2, 0..40, true));
    scene.drops(&fragment(&denied, 2, 40..80, false), DropReason::FragmentStray);
}

#[test]
fn fragment_that_writes_over_what_was_forwarded_is_dropped_as_fragment_overlap() {
    let mut scene = tracking();
    let overlap = DropReason::FragmentOverlap;
    let whole = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 100);
    scene.forwards(&fragment(&whole, 1, 0..40, true));
    // The header, and one byte of the first fragment.
    for start in [8, 16, 32] {
        scene.drops(&fragment(&whole, 1, start..80, true), overlap);
    }
    scene.forwards(&fragment(&whole, 1, 56..80, true));
    for (start, end) in [(56, 80), (40, 64), (48, 88), (64, 72), (72, 96)] {
        scene.drops(&fragment(&whole, 1, start..end, true), overlap);
    }
    scene.forwards(&fragment(&whole, 1, 80..120, false));
    scene.forwards(&fragment(&whole, 1, 40..56, true));
    scene.drops(&fragment(&whole, 1, 40..56, true), overlap);
}

#[test]
fn fifth_stretch_out_of_order_is_dropped_as_fragment_overlap_until_two_have_met() {
    let mut scene = tracking();
    let whole = datagram(53, 160);
    scene.forwards(&fragment(&whole, 1, 0..16, true));
    for start in [24, 40, 56, 72] {
        scene.forwards(&fragment(&whole, 1, start..start + 8, true));
    }
    scene.drops(&fragment(&whole, 1, 88..96, true), DropReason::FragmentOverlap);
    // One that touches needs no place of its own, and joins two.
    scene.forwards(&fragment(&whole, 1, 80..88, true));
    scene.forwards(&fragment(&whole, 1, 32..40, true));
    scene.forwards(&fragment(&whole, 1, 104..112, true));
    scene.drops(&fragment(&whole, 1, 120..128, true), DropReason::FragmentOverlap);
}

#[test]
fn first_fragment_with_the_same_identification_replaces_what_was_remembered() {
    let mut scene = tracking();
    let whole = datagram(53, 64);
    for _ in 0..2 {
        scene.forwards(&fragment(&whole, 1, 0..24, true));
        scene.forwards(&fragment(&whole, 1, 24..48, true));
    }
    scene.forwards(&fragment(&whole, 1, 0..48, true));
    scene.drops(&fragment(&whole, 1, 24..48, true), DropReason::FragmentOverlap);
}

#[test]
fn later_fragment_is_judged_like_its_first_one_when_it_comes() {
    let mut scene = tracking();
    let whole = datagram(53, 64);
    scene.forwards(&fragment(&whole, 1, 0..24, true));
    scene.apply([Step::EndSession(ALICE)]);
    scene.drops(&fragment(&whole, 1, 24..48, true), DropReason::SessionRevoked);
}

#[test]
fn fragments_of_impossible_lengths_are_dropped_as_ip_malformed() {
    let mut scene = tracking();
    let whole = datagram(53, 64);
    scene.forwards(&fragment(&whole, 1, 0..24, true));
    scene.drops(&fragment(&whole, 1, 24..24, true), DropReason::IpMalformed);
    scene.drops(&fragment(&whole, 1, 24..44, true), DropReason::IpMalformed);
    let mut far = fragment(&whole, 1, 24..48, false);
    far[ETHERNET + 6..ETHERNET + 8].copy_from_slice(&[0x1f, 0xff]);
    scene.drops(&far, DropReason::IpMalformed);
    scene.forwards(&fragment(&whole, 1, 24..44, false));
}

#[test]
fn fragment_header_on_a_whole_packet_changes_nothing() {
    let mut scene = tracking();
    scene.forwards(&with_extension(&web_v6(), 44, &[0, 0, 0, 0, 0, 0, 0, 9]));
    let pad: &[u8] = &[0, 0, 1, 4, 0, 0, 0, 0];
    let behind = with_extension(&with_extension(&web_v6(), 60, pad), 44, &[0, 0, 0, 0, 0, 0, 0, 9]);
    scene.drops(&behind, DropReason::IpExtension);
    let before = with_extension(&with_extension(&web_v6(), 44, &[0, 0, 0, 0, 0, 0, 0, 9]), 60, pad);
    scene.forwards(&before);
    let mut header = web_v6()[..ETHERNET + 40].to_vec();
    header[ETHERNET + 5] = 0;
    scene.drops(&with_extension(&header, 44, &[0, 0, 0, 0]), DropReason::IpExtension);
}

#[test]
fn fragments_with_options_or_extension_headers_are_followed_too() {
    let mut scene = tracking();
    let whole = datagram(53, 64);
    scene.forwards(&with_options(&fragment(&whole, 1, 0..24, true), &[1; 4]));
    scene.forwards(&with_options(&fragment(&whole, 1, 24..48, true), &[148, 4, 0, 0]));
    scene.drops(&with_options(&fragment(&whole, 1, 48..72, false), &[7, 4, 4, 0]), DropReason::IpOptions);
    let echo = frame(CLIENT_MAC, "fd77::2", "fd20::10", Inside::Ping(7), 64);
    let pad: &[u8] = &[0, 0, 1, 4, 0, 0, 0, 0];
    scene.forwards(&with_extension(&fragment(&echo, 1, 0..24, true), 0, pad));
    scene.forwards(&with_extension(&fragment(&echo, 1, 24..48, true), 60, pad));
}

#[test]
fn icmp_error_in_a_fragment_is_dropped_as_transport_malformed() {
    let mut scene = tracking();
    scene.forwards(&web());
    let error = icmp_error(CLIENT_MAC, "10.77.0.2", &answer(SYN), 3, 4, 1400);
    scene.drops(&fragment(&error, 1, 0..40, true), DropReason::TransportMalformed);
    assert_eq!(scene.judge(Way::In, &error), Verdict::Forward);
}
