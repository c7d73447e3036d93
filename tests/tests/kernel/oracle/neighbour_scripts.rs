//! What hosts say to find each other on a link, and what those say who pretend to be others.

use super::build::{Ends, arp, discovery};
use super::scripts::Talk;
use super::world::{OWN, World};
use std::net::{IpAddr, Ipv6Addr};

impl World {
    pub fn arp(&mut self, talk: &mut Talk) {
        for _ in 0..2 {
            let sender: IpAddr = if self.dice.one_in(3) {
                self.dice.pick(&["0.0.0.0", "10.77.0.1", "10.77.0.4", "127.0.0.1", "10.77.0.3"]).parse().unwrap()
            } else {
                talk.ends.from
            };
            let IpAddr::V4(sender) = sender else { continue };
            let mac = self.mac(talk);
            let mut body = arp(1 + self.dice.below(5) as u8 / 2, mac, sender.octets());
            body.resize(28 + self.dice.pick(&[0, 18, 100]), 0);
            let way = self.first();
            talk.say_as(way, 0x0806, &body);
        }
    }

    fn mac(&mut self, talk: &Talk) -> [u8; 6] {
        if self.dice.one_in(6) { self.dice.pick(&[[0; 6], [0xff; 6], [2, 0, 0, 0, 0, 9]]) } else { talk.mac }
    }

    pub fn discovery(&mut self, talk: &mut Talk) {
        for _ in 0..2 {
            let kind = self.dice.pick(&[133, 135, 135, 135, 136, 136, 136, 134, 137, 132, 138]);
            let own = if let IpAddr::V6(own) = talk.ends.from { own } else { "fd77::3".parse().unwrap() };
            let known: [Ipv6Addr; 5] =
                ["fe80::2", "::", "fd77::4", "ff02::1", OWN[1]].map(|text| text.parse().unwrap());
            let from = if self.dice.one_in(2) { own } else { self.dice.pick(&known) };
            let target = if self.dice.one_in(2) { own } else { self.dice.pick(&known) };
            let mut options = Vec::new();
            for _ in 0..self.dice.pick(&[0, 1, 1, 1, 2, 4, 5]) {
                let (option, words) = (self.dice.pick(&[1, 2, 1, 2, 14, 5]), self.dice.pick(&[1, 1, 1, 1, 1, 1, 2, 0]));
                let mac = self.mac(talk);
                options.extend([option, words]);
                options.extend(mac);
                options.resize(options.len() + 8 * usize::from(words.max(1) - 1), 0);
            }
            let ends = Ends { from: IpAddr::V6(from), to: "ff02::1".parse().unwrap() };
            let mut packet = discovery(ends, kind, target, &options);
            if self.dice.one_in(8) {
                packet[7] = 254;
            }
            let way = self.first();
            talk.say(way, &packet);
        }
    }
}
