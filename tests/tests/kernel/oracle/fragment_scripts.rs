//! Large packets in pieces.

use super::build::{ACK, SYN, echo, fragment, icmp, icmp_in, packet, sctp, tcp, udp};
use super::scripts::Talk;
use super::world::World;
use crate::ground::Way;

impl World {
    /// A large packet in pieces of random sizes; sometimes out of order, doubled or overlapping.
    pub fn fragments(&mut self, talk: &mut Talk) {
        let way = self.first();
        let (client, app) = self.ports();
        let (from, to) = if way == Way::In { (client, app) } else { (app, client) };
        let size = 64 + self.dice.below(200);
        let ends = if way == Way::In { talk.ends } else { talk.ends.turned() };
        let (protocol, mut whole) = match self.dice.below(10) {
            0 | 1 => (6, tcp(from, to, self.dice.pick(&[SYN, ACK, ACK]), 7, size)),
            2..=4 => (17, udp(from, to, size)),
            5 | 6 => (132, sctp(from, to, self.dice.pick(&[0, 1]), size)),
            7 => (icmp_in(ends), echo(ends, self.dice.one_in(2), from, size)),
            8 => (
                icmp_in(ends),
                icmp(if ends.is_ip4() { 3 } else { 1 }, 0, 0, &packet(ends.turned(), 17, &udp(to, from, size))),
            ),
            _ => (47, vec![3; size]),
        };
        if protocol == 6 && self.dice.one_in(3) {
            // Options that may not all be in the first piece.
            whole[12] = 0x10 * (4 + self.dice.below(12) as u8);
        }
        if protocol == 17 && self.dice.one_in(6) {
            // A length that the first piece has already, or none at all.
            whole[5] = self.dice.pick(&[8, 16, 24, 32, 0]);
        }
        let id = self.dice.below(4) as u16;
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < whole.len() {
            let step = 8 * self.dice.pick(&[1, 2, 3, 3, 4, 5, 8]);
            let step = if start == 0 && !self.dice.one_in(3) { 24 } else { step };
            let end = (start + step).min(whole.len());
            pieces.push(fragment(ends, protocol, id, &whole, start, end, end < whole.len()));
            start = end;
            if self.dice.one_in(16) && start >= 8 {
                start -= 8;
            }
        }
        if self.dice.one_in(10) {
            // Near the most that a packet can hold.
            let size = 8 + self.dice.below(16);
            let start = 65_536 - 8 * (1 + self.dice.below(3));
            let far = vec![1; start + size];
            pieces.push(fragment(ends, protocol, id, &far, start, start + size, self.dice.one_in(4)));
        }
        match self.dice.below(6) {
            0 => pieces.reverse(),
            1 | 2 => {
                for at in (2..pieces.len()).rev() {
                    let other = 1 + self.dice.below(at);
                    pieces.swap(at, other);
                }
            }
            // Every second one, so that there are many stretches.
            3 => pieces = pieces.into_iter().step_by(2).collect(),
            _ => {}
        }
        let abort = (protocol == 132 && self.dice.one_in(3)).then(|| packet(ends, 132, &sctp(from, to, 6, 0)));
        for (number, piece) in pieces.iter().enumerate() {
            talk.say(way, piece);
            if let (0, Some(abort)) = (number, &abort) {
                talk.say(way, abort);
            }
        }
    }
}
