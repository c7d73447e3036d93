//! Tags that are not in the frame but in the packet's metadata, where drivers and VLAN interfaces put them. No frame can
//! say so; a small program on the way puts them there.

use super::bench::moved;
use super::hosts::{self, Hosts, SOON, masked, without_link_layer};
use super::read::{Sent, Turn, Way, World, corpus};
use super::wire::{guard, sentinels};
use anyhow::{Context as _, Result, ensure};
use gateway_tests::bpf::{Attachment, Hook, Instruction, Kind, Program};
use gateway_tests::link::{self, End};
use gateway_tests::{Namespace, wait_until};
use gateway_userspace::dataplane::attach::XdpChoice;
use nix::net::if_::if_nametoindex;

/// Code of a call of a helper, and helpers.
const CALL: u8 = 0x85;
const SKB_VLAN_PUSH: i32 = 18;
const REDIRECT: i32 = 23;

/// Puts a tag with this control information into the metadata of every packet that leaves through a link.
fn tag_what_leaves(host: &Namespace, link: &str, tag: u16) -> Result<Attachment> {
    // Go on, tagged.
    host.enter(|| tagging(tag, &[(0xb7, 0, 0)])?.attach(link, Hook::Egress))?
}

/// Puts a tag with this control information into the metadata of every packet that arrives on a link, and sends it
/// through another one.
fn tag_and_pass_on(host: &Namespace, link: &str, through: &str, tag: u16) -> Result<Attachment> {
    host.enter(|| {
        let through = i32::try_from(if_nametoindex(through)?)?;
        tagging(tag, &[(0xb7, 1, through), (0xb7, 2, 0), (CALL, 0, REDIRECT)])?.attach(link, Hook::Ingress)
    })?
}

/// A program that tags a packet, and what it does then.
fn tagging(tag: u16, then: &[Instruction]) -> Result<Program> {
    let ethertype = i32::from(u16::from_ne_bytes([0x81, 0x00]));
    let push = [(0xb7, 2, ethertype), (0xb7, 3, tag.into()), (CALL, 0, SKB_VLAN_PUSH)];
    Program::load(Kind::Tc, &[&push[..], then, &[(0x95, 0, 0)]].concat())
}

/// The first frame of a case that goes this way, as it is.
fn frame_of(case: &str, way: Way) -> Result<Vec<u8>> {
    let corpus = corpus();
    let case = corpus.iter().find(|found| found.name == case).with_context(|| format!("no case `{case}`"))?;
    let frame = case.turns.iter().find_map(|turn| match turn {
        Turn::Packet(Sent { way: found, frame, .. }) if *found == way => Some(frame.clone()),
        _ => None,
    });
    frame.context("no packet")
}

/// The same without tags.
fn untagged(case: &str, way: Way) -> Result<Vec<u8>> {
    let frame = frame_of(case, way)?;
    let body = without_link_layer(&frame).len() + 2;
    Ok([&frame[..12], &frame[frame.len() - body..]].concat())
}

#[test]
fn a_packet_whose_tag_was_stripped_before_native_xdp_goes_no_further() -> Result<()> {
    goes_no_further(XdpChoice::Native)
}

#[test]
fn a_packet_whose_tag_was_stripped_before_generic_xdp_goes_no_further() -> Result<()> {
    goes_no_further(XdpChoice::Generic)
}

fn goes_no_further(mode: XdpChoice) -> Result<()> {
    let hosts = hosts::connect()?;
    let [client, gateway, app] = &hosts;
    let taps = Hosts::new([client, gateway, app])?;
    let mut plane = guard(gateway, mode)?;
    let frame = untagged("a connection request to a granted port, over IPv4", Way::In)?;
    let forwarded = masked(without_link_layer(&frame));
    let [last, _] = sentinels(0);
    let last_forwarded = masked(without_link_layer(&last.frame));
    for world in [World::Default, World::Vlans] {
        for tag in [0_u16, 0xe000, 1, 5, 0xe005, 7, 0x0fff] {
            plane.begin(world);
            let before = plane.counted();
            let tagging = tag_what_leaves(client, "eth0", tag)?;
            taps.client.send(&frame)?;
            let is_priority = tag & 0x0fff == 0;
            // The program on ingress sees no tag; the one behind it sees that there was one.
            let expected = if is_priority { vec!["forward +1"] } else { vec!["forward +1", "vlan_unknown +1"] };
            let what = format!("the tag {tag:#06x} to be judged in world {world:?}");
            let judged = wait_until(&what, SOON, || (moved(&before, &plane.counted()) == expected).then_some(()));
            judged.with_context(|| format!("counted {:?}", moved(&before, &plane.counted())))?;
            tagging.detach()?;
            taps.client.send(&last.frame)?;
            let arrived = taps.app.until("the last packet", |packet| masked(packet) == last_forwarded)?;
            let arrived: Vec<_> = arrived.iter().map(|packet| masked(packet)).collect();
            let expected = if is_priority { vec![forwarded.clone()] } else { Vec::new() };
            ensure!(arrived == expected, "with the tag {tag:#06x}, {} packets arrived", arrived.len());
        }
    }
    Ok(())
}

#[test]
fn a_tag_in_the_metadata_of_a_packet_to_the_client_is_its_vlan() -> Result<()> {
    let hosts = hosts::connect()?;
    let [client, gateway, app] = &hosts;
    // Packets come to the guarded interface by way of another one, which tags them.
    let end = |name, mac| End { host: gateway, name, mac, addresses: &[] };
    link::connect(end("in0", "02:99:00:00:00:01"), end("in1", "02:99:00:00:00:02"))?;
    gateway.ip(&["link set in0 multicast off", "link set in1 multicast off"])?;
    let taps = Hosts::new([client, gateway, app])?;
    let entrance = hosts::Tap::open(gateway, "in0")?;
    let mut plane = guard(gateway, XdpChoice::Generic)?;
    let erin_asks = frame_of("a VLAN that the interface carries", Way::In)?;
    let to_erin = untagged("a VLAN that the interface carries", Way::Out)?;
    let frank_asks = frame_of("Q-in-Q that the interface carries", Way::In)?;
    let to_frank = untagged("Q-in-Q that the interface carries", Way::Out)?;
    let alice_asks = untagged("a connection request to a granted port, over IPv4", Way::In)?;
    let to_alice = untagged("a connection request to a granted port, over IPv4", Way::Out)?;
    let tagged_9 = [&to_frank[..12], &[0x81, 0x00, 0, 9], &to_frank[12..]].concat();
    for (world, asks, answer, tag, expected) in [
        (World::Vlans, &erin_asks, &to_erin, 5, "forward +1"),
        (World::Vlans, &erin_asks, &to_erin, 0xe005, "forward +1"),
        (World::Vlans, &erin_asks, &to_erin, 6, "vlan_unknown +1"),
        (World::Vlans, &erin_asks, &to_erin, 0, "no_session +1"),
        (World::Vlans, &alice_asks, &to_alice, 5, "no_session +1"),
        // The outer tag of this one would have to be 802.1ad.
        (World::Vlans, &frank_asks, &tagged_9, 7, "vlan_unknown +1"),
        (World::Vlans, &alice_asks, &to_alice, 0, "forward +1"),
        (World::Default, &alice_asks, &to_alice, 0, "forward +1"),
        (World::Default, &alice_asks, &to_alice, 5, "vlan_unknown +1"),
        (World::Default, &alice_asks, &to_alice, 0x0fff, "vlan_unknown +1"),
    ] {
        plane.begin(world);
        let before = plane.counted();
        taps.client.send(asks)?;
        wait_until("the request", SOON, || (moved(&before, &plane.counted()) == ["forward +1"]).then_some(()))?;
        let before = plane.counted();
        let tagging = tag_and_pass_on(gateway, "in1", "guard0", tag)?;
        entrance.send(answer)?;
        wait_until("the answer", SOON, || (moved(&before, &plane.counted()) == [expected]).then_some(()))
            .with_context(|| format!("tag {tag:#06x} in {world:?} counted {:?}", moved(&before, &plane.counted())))?;
        tagging.detach()?;
        let [_, last] = sentinels(u32::from(tag));
        taps.guard.send(&last.frame)?;
        let last = without_link_layer(&last.frame);
        let arrived = taps.client.until("the last packet", |packet| packet == last)?;
        let passed = usize::from(expected == "forward +1");
        ensure!(arrived.len() == passed, "tag {tag:#06x} in {world:?}: {} packets arrived", arrived.len());
    }
    Ok(())
}
