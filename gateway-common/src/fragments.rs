//! Following fragmented packets: the first fragment says what the packet is, later ones are judged by what it said.
//!
//! INVARIANT: nothing that lies within the first fragment is ever forwarded a second time, so the transport header that
//! was judged is the one that arrives.

use crate::abi::{FragmentKey, Fragments};
use crate::mutant::{self, Mutant::*};
use crate::packet::Part;
use crate::{Direction, DropReason, KernelNanos, Packet, Tables};

/// Under what a fragment is remembered.
#[inline(always)]
fn key(packet: &Packet, direction: Direction) -> FragmentKey {
    FragmentKey {
        source: packet.source,
        destination: packet.destination,
        zone: packet.guard.zone,
        identification: packet.identification & mutant::unless(ShortIdentification, u32::MAX, 0xffff),
        protocol: if !mutant::is(FragmentsOfAnyProtocol) && packet.source.to_v4().is_some() {
            packet.protocol
        } else {
            0
        },
        direction: mutant::unless(FragmentsOfEitherWay, direction as u8, 0),
        reserved: [0; 6],
    }
}

/// Gives a later fragment the protocol and the ports that its first one had.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub fn recall<T: Tables>(
    tables: &T,
    packet: &mut Packet,
    direction: Direction,
    now: KernelNanos,
) -> Result<(), DropReason> {
    let memory = tables.fragments(&key(packet, direction)).ok_or(DropReason::FragmentStray)?;
    if KernelNanos(memory.deadline.load()).has_passed(now) && !mutant::is(FragmentsForever) {
        return Err(DropReason::FragmentStray);
    }
    let first = memory.first.load();
    packet.source_port = (first >> 48) as u16;
    packet.destination_port = (first >> 32) as u16;
    packet.protocol = (first >> 8) as u8;
    packet.detail = first as u8;
    if (packet.start < (first >> 16) as u16 && !mutant::is(OverlapFirst)) || !has_room(&memory, packet) {
        return Err(DropReason::FragmentOverlap);
    }
    Ok(())
}

/// Remembers a fragment that was forwarded.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub fn remember<T: Tables>(tables: &T, packet: &Packet, direction: Direction, now: KernelNanos) {
    let key = key(packet, direction);
    if packet.part == Part::Later {
        // If it gave way meanwhile, those that follow are strays.
        if let Some(memory) = tables.fragments(&key) {
            add(&memory, packet);
        }
        return;
    }
    // The flags of a TCP segment are its first fragment's alone.
    let has_kind = mutant::is(RepeatTcpFlags) || matches!(packet.protocol, Packet::ICMP | Packet::ICMPV6);
    let kind = if has_kind { packet.detail } else { 0 };
    let first = u64::from(packet.source_port) << 48
        | u64::from(packet.destination_port) << 32
        | u64::from(packet.end) << 16
        | u64::from(packet.protocol) << 8
        | u64::from(kind);
    tables.remember_fragments(&key, now.after(Fragments::LIFETIME).0, first);
}

/// Whether the fragment overlaps none that was forwarded, and can be remembered.
#[inline(always)]
fn has_room(memory: &Fragments, packet: &Packet) -> bool {
    let mut has_room = false;
    for word in &memory.later {
        let (start, end) = stretch(word.load());
        if end == 0 || end == packet.start || start == packet.end {
            has_room = true;
        }
        if packet.start < end && start < packet.end && !mutant::is(OverlapLater) {
            return false;
        }
    }
    mutant::is(AnyNumberOfStretches) || has_room
}

/// Remembers a later fragment that was forwarded: it lengthens the stretches that it touches, or is one of its own.
#[inline(always)]
fn add(memory: &Fragments, packet: &Packet) {
    let (mut start, mut end) = (packet.start, packet.end);
    for word in &memory.later {
        let (from, to) = stretch(word.load());
        if to != 0 && to == start && !mutant::is(StretchesNeverMerge) {
            start = from;
            word.store(0);
        } else if to != 0 && from == end {
            end = to;
            word.store(0);
        }
    }
    for word in &memory.later {
        if word.load() == 0 {
            word.store(u64::from(start) << 32 | u64::from(end));
            return;
        }
    }
}

/// First byte and end; an unused one is empty, and its end 0.
#[inline(always)]
const fn stretch(word: u64) -> (u16, u16) {
    ((word >> 32) as u16, word as u16)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Fragments from one byte to another, one after the other: which of them are forwarded, and what is remembered then.
    #[track_caller]
    fn check(parts: &[(u16, u16)], are_forwarded: &[bool], remembered: &[(u16, u16)]) {
        let memory = Fragments::default();
        for ((start, end), is_forwarded) in parts.iter().zip(are_forwarded) {
            let packet = Packet { part: Part::Later, start: *start, end: *end, ..Packet::default() };
            assert_eq!(has_room(&memory, &packet), *is_forwarded, "{start} to {end}");
            if *is_forwarded {
                add(&memory, &packet);
            }
        }
        let mut found: Vec<_> =
            memory.later.iter().map(|word| stretch(word.load())).filter(|(_, end)| *end != 0).collect();
        found.sort_unstable();
        assert_eq!(found, remembered);
    }

    #[test]
    fn stretches_that_touch_become_one() {
        check(&[(8, 16), (16, 24)], &[true; 2], &[(8, 24)]);
        check(&[(16, 24), (8, 16)], &[true; 2], &[(8, 24)]);
        check(&[(8, 16), (24, 32)], &[true; 2], &[(8, 16), (24, 32)]);
        check(&[(8, 16), (24, 32), (16, 24)], &[true; 3], &[(8, 32)]);
        check(&[(24, 32), (8, 16), (16, 24)], &[true; 3], &[(8, 32)]);
    }

    #[test]
    fn no_byte_is_forwarded_twice() {
        for overlapping in [(16, 24), (8, 17), (23, 32), (8, 32), (17, 18)] {
            check(&[(16, 24), overlapping], &[true, false], &[(16, 24)]);
        }
    }

    #[test]
    fn fifth_stretch_has_no_room_unless_it_touches_one() {
        let four = [(8, 16), (24, 32), (40, 48), (56, 64)];
        let with = |part| [&four[..], &[part]].concat();
        check(&with((72, 80)), &[true, true, true, true, false], &four);
        check(&with((64, 80)), &[true; 5], &[(8, 16), (24, 32), (40, 48), (56, 80)]);
        check(&with((48, 56)), &[true; 5], &[(8, 16), (24, 32), (40, 64)]);
    }

    #[test]
    fn fragment_at_the_very_end_is_remembered() {
        check(&[(65_528, 65_535), (65_520, 65_528)], &[true; 2], &[(65_520, 65_535)]);
    }

    #[test]
    fn only_ipv4_tells_fragments_apart_by_their_protocol() {
        let v4 = Packet { source: crate::Address::v4([10, 0, 0, 1]), protocol: Packet::UDP, ..Packet::default() };
        let v6 = Packet { source: crate::Address([0xfd; 16]), ..v4 };
        assert_eq!(key(&v4, Direction::ToApp).protocol, Packet::UDP);
        assert_eq!(key(&v6, Direction::ToApp).protocol, 0);
        assert_ne!(key(&v4, Direction::ToApp), key(&v4, Direction::ToClient));
    }
}
