//! Toward the client, step 5: the resets by which the daemon ends connections that were cut, known by their mark.

use crate::frames::{ACK, ETHERNET, GATEWAY_MAC, Inside, RST, answer, frame, web};
use crate::scene::{INTERFACE, Scene};
use crate::usual::ALICE;
use aya::maps::{Array, Map, MapData};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use gateway_common::abi::{Settings, map};
use gateway_common::packet::Tag;
use gateway_common::{DropReason, Frame, Packet, Verdict, law};
use gateway_userspace::dataplane::clock;
use gateway_userspace::policy::Step;

/// A frame that a sender on this host has put a mark on.
struct Marked<'a>(&'a [u8], u32);

impl Frame for Marked<'_> {
    fn length(&self) -> usize {
        self.0.length()
    }

    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.bytes(offset)
    }

    fn removed_tag(&self) -> Option<Tag> {
        None
    }

    fn mark(&self) -> u32 {
        self.1
    }
}

/// The verdict about a marked frame toward the client, in kernel and twin.
#[track_caller]
fn judge(scene: &mut Scene, frame: &[u8], mark: u32) -> Verdict {
    let before = scene.monitor.interface(INTERFACE).unwrap().unwrap();
    // In `__sk_buff` the mark is behind the length and the type of the packet.
    let context = [[0; 8].as_slice(), &mark.to_ne_bytes()].concat();
    let options = TestRunOptions { data_in: Some(frame), ctx_in: Some(&context), ..TestRunOptions::new() };
    let program: &mut SchedClassifier = scene.programs.ebpf().program_mut("pc_egress").unwrap().try_into().unwrap();
    program.test_run(options).unwrap();
    let after = scene.monitor.interface(INTERFACE).unwrap().unwrap();
    let judgement = law::egress(&Marked(frame, mark), &mut Packet::default(), &scene.twin, INTERFACE, clock::boot());
    let counted = match judgement.verdict {
        Verdict::Drop(reason) => after.drops[&reason] - before.drops[&reason],
        _ => after.forward - before.forward,
    };
    assert_eq!(counted, 1, "{:?}", judgement.verdict);
    judgement.verdict
}

fn reset_mark(scene: &Scene) -> u32 {
    let map = MapData::from_pin(scene.kernel.pins().join(map::SETTINGS)).unwrap();
    let settings = Array::<_, Settings>::try_from(Map::Array(map)).unwrap();
    settings.get(&0, 0).unwrap().reset_mark
}

#[test]
fn reset_with_the_mark_of_the_daemon_reaches_the_client_of_a_cut_connection_and_nothing_else_does() {
    let mut scene = Scene::usual();
    let mark = reset_mark(&scene);
    scene.twin.settings.reset_mark = mark;
    scene.forwards(&web());
    scene.apply([Step::EndSession(ALICE)]);
    let revoked = Verdict::Drop(DropReason::SessionRevoked);
    assert_ne!(mark, 0);
    assert_eq!(judge(&mut scene, &answer(RST), mark), Verdict::Forward);
    assert_eq!(judge(&mut scene, &answer(RST | ACK), mark), Verdict::Forward);
    assert_eq!(judge(&mut scene, &answer(RST), 0), revoked);
    assert_eq!(judge(&mut scene, &answer(RST), mark ^ 1), revoked);
    assert_eq!(judge(&mut scene, &answer(ACK), mark), revoked);
    let datagram = frame(GATEWAY_MAC, "10.20.0.77", "10.77.0.2", Inside::Udp(53, 5_000), 24);
    assert_eq!(judge(&mut scene, &datagram, mark), revoked);
    let mut malformed = answer(RST);
    malformed[ETHERNET + 32] = 0x40;
    assert_eq!(judge(&mut scene, &malformed, mark), Verdict::Drop(DropReason::TransportMalformed));
}
