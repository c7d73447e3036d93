//! The law on the in-memory twin: a fixed world, and frames, steps of time and changes from the input.
//!
//! The world is written as plain lists, and [`watch`] recomputes from them, with a reading of the frames of its own
//! ([`seen`]), whether what passed may pass. It does not predict reasons: the oracle of the kernel tests does that.

mod answers;
mod build;
mod seeds;
mod seen;
mod watch;
mod world;

use crate::bytes::Bytes;
use gateway_common::packet::Tag;
use gateway_common::{Frame, Packet, law};
use watch::{Passing, Watch};
use world::{RESET_MARK, Way, World};

pub use seeds::seeds;

/// How many frames of one input are judged.
const MOST_FRAMES: usize = 64;

/// A frame with its metadata: the outermost tag may be there, and a mark.
struct Judged<'f> {
    bytes: &'f [u8],
    removed: Option<Tag>,
    mark: u32,
}

impl Frame for Judged<'_> {
    fn length(&self) -> usize {
        self.bytes.len()
    }

    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.bytes(offset)
    }

    fn removed_tag(&self) -> Option<Tag> {
        self.removed
    }

    fn mark(&self) -> u32 {
        self.mark
    }
}

/// Lives through an input.
pub fn run(input: &[u8]) {
    live(input);
}

/// The same, and tells how many frames were forwarded.
fn live(input: &[u8]) -> usize {
    let (mut bytes, mut world, mut watch) = (Bytes(input), World::new(), Watch::default());
    let mut frames = 0;
    while !bytes.is_empty() && frames < MOST_FRAMES {
        match bytes.byte() % 8 {
            0..=2 => judge(&mut bytes, &world, &mut watch, Way::In),
            3..=5 => judge(&mut bytes, &world, &mut watch, Way::Out),
            6 => world.wait(&mut bytes),
            _ => watch.changed(world.change(&mut bytes)),
        }
        frames += 1;
    }
    watch.forwarded
}

fn judge(bytes: &mut Bytes<'_>, world: &World, watch: &mut Watch, way: Way) {
    let interface = u32::from(bytes.byte() % 8);
    // As in the kernel: when the program on ingress sees a frame, its tags are where they were, and nobody has marked it.
    let (removed, mark) = match (way, bytes.byte() % 8) {
        (Way::Out, 1) => (Some(Tag { ethertype: 0x8100, control: u16::from_be_bytes(bytes.array()) }), 0),
        (Way::Out, 2) => (Some(Tag { ethertype: 0x88a8, control: u16::from_be_bytes(bytes.array()) }), 0),
        (Way::Out, 3) => (None, RESET_MARK),
        (Way::Out, 4) => (None, 7),
        _ => (None, 0),
    };
    let length = bytes.byte();
    let tail = usize::from(bytes.byte());
    let mut frame = bytes.slice(length.into()).to_vec();
    frame.resize(frame.len() + if tail < 128 { tail * 8 } else { (tail - 128) * 520 }, 0);
    let frame = Judged { bytes: &frame, removed, mark };
    let mut packet = Packet::default();
    let judgement = match way {
        Way::In => law::ingress(&frame, &mut packet, &world.plane, interface, world.now()),
        Way::Out => law::egress(&frame, &mut packet, &world.plane, interface, world.now()),
    };
    watch.passed(&Passing { way, interface, frame: frame.bytes, removed, mark, judgement }, world);
    answers::check(&frame, &packet, &judgement);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_scenes_have_traffic_that_passes() {
        let forwarded: Vec<usize> = seeds().iter().map(|seed| live(seed)).collect();
        let silent = forwarded.iter().filter(|count| **count == 0).count();
        assert!(silent <= forwarded.len() / 4 && forwarded.iter().sum::<usize>() > 60, "{forwarded:?}");
    }
}
