//! What denied sessions are told on an interface that rejects, and when they are told nothing.

#[path = "answers/told.rs"]
mod told;
#[path = "answers/untold.rs"]
mod untold;

use crate::fate::{XDP_DROP, XDP_TX};
use crate::frames::{CLIENT_MAC, ETHERNET, GATEWAY_MAC, Inside, frame};
use crate::scene::{INTERFACE, Scene, Way};
use etherparse::{PacketBuilder, PacketBuilderStep};
use gateway_common::{DropReason, Verdict};
use gateway_userspace::dataplane::attach::InterfaceSettings;
use std::net::IpAddr;

const REJECTING: InterfaceSettings = InterfaceSettings {
    reject: true,
    observe: false,
    track_fragments: true,
    admit_options: true,
    admit_extensions: true,
    forward: false,
};

fn rejecting() -> Scene {
    Scene::usual_where(REJECTING)
}

fn rejected(scene: &Scene) -> u64 {
    scene.monitor.interface(INTERFACE).unwrap().unwrap().rejected
}

/// The answer to a frame that is dropped for this reason.
#[track_caller]
fn answered(scene: &mut Scene, frame: &[u8], reason: DropReason) -> Vec<u8> {
    let before = rejected(scene);
    let (verdict, output) = scene.judge_and_show(Way::In, frame);
    assert_eq!((verdict, output.code), (Verdict::Drop(reason), XDP_TX), "{frame:02x?}");
    assert_eq!(rejected(scene), before + 1);
    output.frame
}

/// A frame that is dropped for this reason, and nobody is told.
#[track_caller]
fn silent(scene: &mut Scene, frame: &[u8], reason: DropReason) {
    let before = rejected(scene);
    let (verdict, output) = scene.judge_and_show(Way::In, frame);
    assert_eq!((verdict, output.code), (Verdict::Drop(reason), XDP_DROP), "{frame:02x?}");
    assert_eq!(rejected(scene), before);
}

type Network = PacketBuilderStep<etherparse::IpHeaders>;

/// The link layer and the IP header of an answer: from where the packet was going, to where it came from.
fn back(from: &str, to: &str) -> Network {
    let link = PacketBuilder::ethernet2(GATEWAY_MAC, CLIENT_MAC);
    match (from.parse().unwrap(), to.parse().unwrap()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => link.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => link.ipv6(from.octets(), to.octets(), 64),
        mixed => panic!("{mixed:?}"),
    }
}

fn reset(network: Network, from: u16, to: u16, sequence: u32, acknowledgement: Option<u32>) -> Vec<u8> {
    let bare = network.tcp(from, to, sequence, 0).rst();
    let mut bytes = Vec::new();
    match acknowledgement {
        Some(number) => bare.ack(number).write(&mut bytes, &[]).unwrap(),
        None => bare.write(&mut bytes, &[]).unwrap(),
    }
    bytes
}

/// "Administratively prohibited" about the packet in a frame, with its header and eight bytes.
fn prohibited(network: Network, about: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if about[12] == 0x08 {
        network.icmpv4_raw(3, 13, [0; 4]).write(&mut bytes, &about[ETHERNET..ETHERNET + 28]).unwrap();
    } else {
        network.icmpv6_raw(1, 1, [0; 4]).write(&mut bytes, &about[ETHERNET..ETHERNET + 48]).unwrap();
    }
    bytes
}

/// A segment to what nobody is granted, with these numbers.
fn segment(flags: u8, sequence: u32, acknowledgement: u32, payload: usize) -> Vec<u8> {
    let mut frame = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, flags), payload);
    frame[ETHERNET + 24..ETHERNET + 28].copy_from_slice(&sequence.to_be_bytes());
    frame[ETHERNET + 28..ETHERNET + 32].copy_from_slice(&acknowledgement.to_be_bytes());
    frame
}
