//! Steps 6 to 11, 16 and 17: the IP header, options, extension headers and addresses.

use crate::frames::{ACK, CLIENT_MAC, ETHERNET, Inside, SYN, bent, frame, raw, vault, web, web_v6};
use crate::pieces::{with_extension, with_options};
use crate::scene::Scene;
use gateway_common::DropReason;
use gateway_userspace::dataplane::attach::InterfaceSettings;

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
fn harmless_ipv4_options_pass_where_they_are_admitted_and_others_are_dropped_as_ip_options() {
    let mut scene = Scene::usual_where(InterfaceSettings { admit_options: true, ..Default::default() });
    let harmless: [&[u8]; 6] =
        [&[1; 4], &[1; 8], &[0; 4], &[148, 4, 0, 0], &[0, 0x83, 0xff, 0xff], &[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 7, 7]];
    for options in harmless {
        scene.forwards(&with_options(&web(), options));
        scene.drops(&with_options(&vault(), options), DropReason::NoGrant);
    }
    // Record route, source routes, timestamp, security; a router alert of another length; one that is cut off; too many.
    let harmful: [&[u8]; 8] = [
        &[7, 4, 4, 0],
        &[0x83, 4, 4, 0],
        &[0x89, 4, 4, 0],
        &[68, 4, 5, 0],
        &[130, 4, 0, 0],
        &[148, 2, 0, 0],
        &[1, 1, 148, 4],
        &[1; 12],
    ];
    for options in harmful {
        scene.drops(&with_options(&web(), options), DropReason::IpOptions);
    }
    assert_eq!(scene.kernel_flows().len(), 1);
}

#[test]
fn harmless_ipv6_extension_headers_pass_where_they_are_admitted_and_others_are_dropped_as_ip_extension() {
    let mut scene = Scene::usual_where(InterfaceSettings { admit_extensions: true, ..Default::default() });
    let mut pads = vec![0, 3, 1, 28];
    pads.resize(32, 0);
    let pad: &[u8] = &[0, 0, 1, 4, 0, 0, 0, 0];
    let alert: &[u8] = &[0, 0, 5, 2, 0, 0, 0, 0];
    let several: &[u8] = &[0, 0, 1, 1, 0, 1, 0, 0];
    for (kind, header) in [(0, pad), (60, pad), (0, alert), (0, &pads), (60, &pads), (60, several)] {
        scene.forwards(&with_extension(&web_v6(), kind, header));
    }
    scene.forwards(&with_extension(&with_extension(&web_v6(), 60, pad), 0, pad));
    scene.forwards(&with_extension(&with_extension(&web_v6(), 60, pad), 60, pad));

    let mut long = vec![0, 4, 1, 36];
    long.resize(40, 0);
    // Router alert where no router looks, a home address, a jumbo payload, padding beyond the end, too many options, too
    // long; routing, no next header and mobility.
    let harmful: [(u8, &[u8]); 9] = [
        (60, alert),
        (60, &[0, 0, 201, 4, 0, 0, 0, 0]),
        (0, &[0, 0, 194, 4, 0, 1, 0, 0]),
        (60, &[0, 0, 1, 5, 0, 0, 0, 0]),
        (0, &[0, 0, 0, 0, 0, 0, 0, 0]),
        (60, &long),
        (43, pad),
        (59, pad),
        (135, pad),
    ];
    for (kind, header) in harmful {
        scene.drops(&with_extension(&web_v6(), kind, header), DropReason::IpExtension);
    }
    let twice = with_extension(&with_extension(&web_v6(), 60, pad), 60, pad);
    scene.drops(&with_extension(&twice, 60, pad), DropReason::IpExtension);
    scene.drops(&with_extension(&with_extension(&web_v6(), 0, pad), 0, pad), DropReason::IpExtension);
    scene.drops(&with_extension(&with_extension(&web_v6(), 0, pad), 60, pad), DropReason::IpExtension);
}
