//! Frames between the hosts of a random world, and what may happen to them on the way.

use super::frames::{
    CLIENT_MAC, ETHERNET, GATEWAY_MAC, Inside, arp, frame, icmp_error, neighbour_solicitation, raw, tagged,
};
use super::oracle_world::{SOURCES, World};
use super::scene::Way;

const APPS: [[&str; 6]; 2] = [
    ["10.20.0.10", "10.20.0.11", "10.20.0.200", "10.20.7.1", "10.77.0.1", "8.8.8.8"],
    ["fd20::10", "fd20::11", "fd20::200", "fd20:0:0:7::1", "fd77::1", "2001:db8::1"],
];

impl World {
    /// Frames for this world, with the interface that each of them belongs on.
    pub fn frames(&mut self, count: usize) -> Vec<(Way, u32, Vec<u8>)> {
        let mut frames = Vec::new();
        for _ in 0..count {
            let way = if self.dice.one_in(3) { Way::Out } else { Way::In };
            let (zone, interface, client) = self.dice.pick(&SOURCES);
            if zone > self.zones {
                continue;
            }
            let mut frame = match self.dice.below(48) {
                0 => arp(),
                1 | 2 => self.neighbour(),
                3 => raw(self.dice.next() as u16, &[0x45; 60]),
                4..=11 => self.error(way, client),
                _ => self.honest(way, client),
            };
            if self.dice.one_in(12) {
                frame =
                    tagged(frame, self.dice.pick(&[0x8100, 0x8100, 0x88a8, 0x9100]), self.dice.below(16) as u16 / 14);
            }
            if interface == 4 {
                frame.drain(..ETHERNET);
            }
            frames.push((way, interface, frame));
        }
        frames
    }

    fn neighbour(&mut self) -> Vec<u8> {
        let mut frame = neighbour_solicitation(130 + self.dice.below(10) as u8, 255 - self.dice.below(8) as u8 / 7);
        let source: &str = self.dice.pick(&["fe80::2", "fe80::2", "::", "fd77::2", "ff02::1", "::1", "febf::1"]);
        frame[ETHERNET + 8..ETHERNET + 24].copy_from_slice(&source.parse::<std::net::Ipv6Addr>().unwrap().octets());
        let length = self.dice.pick(&[8, 15, 16, 23, 24, 32, 32, 39, 40, 48]);
        frame.resize(ETHERNET + 40 + length, 0);
        frame[ETHERNET + 5] = length as u8;
        frame
    }

    fn honest(&mut self, way: Way, client: &str) -> Vec<u8> {
        let family = usize::from(client.contains(':'));
        let app = if self.dice.one_in(40) {
            [["224.0.0.1", "127.0.0.1"], ["ff02::1", "::ffff:10.20.0.10"]][family][self.dice.below(2)]
        } else {
            self.dice.pick(&APPS[family])
        };
        let port = 40_000 + self.dice.below(3) as u16;
        // With identifier 0 a request and its reply have the same ports.
        let id = if self.dice.one_in(4) { 0 } else { port };
        let ports = (port, self.dice.pick(&[22, 53, 443, 443, 8_443]));
        let (from, to) = if way == Way::In { ports } else { (ports.1, ports.0) };
        let inside = match self.dice.below(9) {
            0..=4 => Inside::Tcp(from, to, self.dice.pick(&[2, 2, 16, 16, 24, 18, 17, 17, 4, 20, 0])),
            5 | 6 => Inside::Udp(from, to),
            7 => Inside::Ping(id),
            _ => Inside::Pong(id),
        };
        let payload = self.dice.below(40);
        match way {
            Way::In => {
                let mac = if self.dice.one_in(16) { [2, 0, 0, 0, 0, 9] } else { CLIENT_MAC };
                frame(mac, client, app, inside, payload)
            }
            Way::Out => frame(GATEWAY_MAC, app, client, inside, payload),
        }
    }

    /// An ICMP error about a frame that goes the other way, or (wrongly) the same.
    fn error(&mut self, way: Way, client: &str) -> Vec<u8> {
        let opposite = if way == Way::In { Way::Out } else { Way::In };
        let about_way = if self.dice.one_in(10) { way } else { opposite };
        let about = self.honest(about_way, client);
        let is_v4 = about[12] == 0x08;
        let (mac, from) = match (way, is_v4) {
            (Way::In, _) => (CLIENT_MAC, client),
            (Way::Out, true) => (GATEWAY_MAC, self.dice.pick(&["10.20.0.1", "10.77.0.1", "10.20.0.10"])),
            (Way::Out, false) => (GATEWAY_MAC, self.dice.pick(&["fd20::1", "fd77::1", "fd20::10"])),
        };
        let kind = self.dice.pick(if is_v4 { &[3, 3, 11, 12, 4, 5] } else { &[1, 2, 2, 3, 4, 5] });
        let rest = self.dice.pick(&[0, 67, 68, 1279, 1280, 1400]);
        icmp_error(mac, from, &about, kind, self.dice.below(6) as u8, rest)
    }

    /// Changes some bytes near the headers, or the length.
    pub fn bend(&mut self, frame: &mut Vec<u8>) {
        match self.dice.below(6) {
            0 => frame.truncate(self.dice.below(frame.len() + 1)),
            1 => frame.resize(frame.len() + self.dice.below(30), 0),
            2 => self.stretch(frame),
            _ => {}
        }
        for _ in 0..self.dice.below(3) {
            if !frame.is_empty() {
                let at = self.dice.below(frame.len().min(110));
                let byte = self.dice.next() as u8;
                frame[at] = if self.dice.one_in(2) { frame[at] ^ (1 << (byte % 8)) } else { byte };
            }
        }
    }

    /// IPv4 options, an extension header or a fragment, in the right place for an untagged frame.
    fn stretch(&mut self, frame: &mut Vec<u8>) {
        if frame.len() < 60 {
            return;
        }
        if frame[12..14] == [0x08, 0x00] {
            let words = 1 + self.dice.below(4);
            frame.splice(34..34, vec![1; words * 4]);
            frame[14] = 0x45 + words as u8;
            frame[17] = frame[17].wrapping_add(words as u8 * 4);
        } else if frame[12..14] == [0x86, 0xdd] {
            let next = frame[20];
            frame.splice(54..54, [next, 0, 1, 4, 0, 0, 0, 0]);
            frame[20] = self.dice.pick(&[0, 43, 44, 50, 51, 59, 60, 135, 139, 140]);
            frame[19] = frame[19].wrapping_add(8);
        }
    }
}
