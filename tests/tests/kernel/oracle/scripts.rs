//! What hosts say to each other: conversations, packet by packet, to be drawn from at random.

use super::build::{
    ACK, CLIENT_MAC, Ends, FIN, GATEWAY_MAC, RST, SYN, echo, frame, icmp, icmp_in, kind_of, packet, sctp, tcp, udp,
};
use super::link::Tag;
use super::world::{CLIENT_PORTS, OWN, Place, RESET_MARK, World};
use crate::ground::Way;
use std::net::IpAddr;

/// A frame, where it appears.
#[derive(Clone, Debug)]
pub struct Shot {
    pub way: Way,
    pub interface: u32,
    /// The outermost tag, if it is not in the frame.
    pub beside: Option<Tag>,
    /// What a sender on the gateway has marked it with.
    pub mark: u32,
    pub frame: Vec<u8>,
}

const APPS: [[&str; 7]; 2] = [
    ["10.20.0.10", "10.20.0.11", "10.20.0.200", "10.20.7.1", "10.77.0.1", "8.8.8.8", "10.77.0.3"],
    ["fd20::10", "fd20::11", "fd20::200", "fd20:0:0:7::1", "fd77::1", "2001:db8::1", "fd77::3"],
];
const PORTS: [u16; 5] = [22, 53, 443, 443, 8_443];
const OTHER_PROTOCOLS: [u8; 13] = [47, 47, 47, 47, 47, 47, 50, 4, 41, 1, 58, 255, 43];

/// One conversation in the making.
pub struct Talk {
    place: Place,
    /// From the client.
    pub ends: Ends,
    pub mac: [u8; 6],
    shots: Vec<Shot>,
}

impl Talk {
    /// Wraps an IP packet in whatever the client's place has around it.
    pub fn say(&mut self, way: Way, packet: &[u8]) {
        self.say_as(way, kind_of(packet), packet);
    }

    pub fn say_as(&mut self, way: Way, kind: u16, body: &[u8]) {
        let Place { interface, vlan, .. } = self.place;
        let mut tags = match vlan {
            (0, 0) => vec![],
            (0, inner) => vec![Tag(0x8100, inner)],
            (outer, inner) => vec![Tag(0x88a8, outer), Tag(0x8100, inner)],
        };
        let (receiver, sender) = if way == Way::In { (GATEWAY_MAC, self.mac) } else { (CLIENT_MAC, GATEWAY_MAC) };
        // As a network card would hand it over, half of the time.
        let is_beside = way == Way::Out && self.shots.len().is_multiple_of(2) && !tags.is_empty();
        let beside = is_beside.then(|| tags.remove(0));
        let frame = if interface == 4 { body.to_vec() } else { frame(receiver, sender, &tags, kind, body) };
        self.shots.push(Shot { way, interface, beside, mark: 0, frame });
    }

    fn carry(&mut self, way: Way, protocol: u8, payload: &[u8]) {
        let ends = if way == Way::In { self.ends } else { self.ends.turned() };
        self.say(way, &packet(ends, protocol, payload));
    }
}

impl World {
    /// A conversation of any kind.
    pub fn script(&mut self) -> Vec<Shot> {
        let place = self.dice.pick(&self.places);
        let family = usize::from(place.address.contains(':'));
        let app = if self.dice.one_in(40) {
            [["224.0.0.1", "127.0.0.1"], ["ff02::1", "::ffff:10.20.0.10"]][family][self.dice.below(2)]
        } else {
            self.dice.pick(&APPS[family])
        };
        let from = if self.dice.one_in(60) { OWN[if family == 0 { 3 } else { 4 }] } else { place.address };
        let ends = Ends { from: from.parse().unwrap(), to: app.parse().unwrap() };
        let mac = if self.dice.one_in(16) { [2, 0, 0, 0, 0, 9] } else { CLIENT_MAC };
        let mut talk = Talk { place, ends, mac, shots: Vec::new() };
        match self.dice.below(24) {
            0..=5 => self.tcp(&mut talk),
            6 | 7 => self.udp(&mut talk),
            8 | 9 => self.sctp(&mut talk),
            10 | 11 => self.echo(&mut talk),
            12 => self.other(&mut talk),
            13..=16 => self.fragments(&mut talk),
            17 | 18 => self.errors(&mut talk),
            19 => self.arp(&mut talk),
            20 | 21 => self.discovery(&mut talk),
            22 => self.scan(&mut talk),
            _ => self.odd(&mut talk),
        }
        talk.shots
    }

    /// Who speaks first: the client, or sometimes the app.
    pub fn first(&mut self) -> Way {
        if self.dice.one_in(4) { Way::Out } else { Way::In }
    }

    pub fn ports(&mut self) -> (u16, u16) {
        (self.dice.pick(&CLIENT_PORTS), self.dice.pick(&PORTS))
    }

    fn tcp(&mut self, talk: &mut Talk) {
        let first = self.first();
        let (client, app) = self.ports();
        let mut sequence = [100, 900];
        let close = self.dice.pick(&[FIN | ACK, FIN | ACK, RST, RST | ACK]);
        for (turned, flags) in [
            (false, SYN),
            (true, SYN | ACK),
            (false, ACK),
            (true, ACK | 8),
            (false, close),
            (true, close),
            (false, ACK),
        ] {
            let way = if turned { turn(first) } else { first };
            let (from, to) = if way == Way::In { (client, app) } else { (app, client) };
            let flags = if self.dice.one_in(24) { self.dice.next() as u8 } else { flags };
            let payload = if flags == ACK || flags & 8 != 0 { self.dice.below(600) } else { 0 };
            talk.carry(way, 6, &tcp(from, to, flags, sequence[way as usize], payload));
            if let Some(shot) = talk.shots.last_mut()
                && (flags & RST != 0 && self.dice.one_in(2) || self.dice.one_in(30))
            {
                shot.mark = self.dice.pick(&[RESET_MARK, RESET_MARK, 1]);
            }
            sequence[way as usize] += payload as u32 + 1;
        }
    }

    fn udp(&mut self, talk: &mut Talk) {
        let (client, app) = self.ports();
        let first = self.first();
        for way in [first, turn(first), first] {
            let (from, to) = if way == Way::In { (client, app) } else { (app, client) };
            let payload = self.dice.below(400);
            talk.carry(way, 17, &udp(from, to, payload));
        }
    }

    fn sctp(&mut self, talk: &mut Talk) {
        let (client, app) = self.ports();
        let first = self.first();
        let end = self.dice.pick(&[6, 14, 14]);
        for (turned, chunk) in [(false, 1), (true, 2), (false, 10), (true, 11), (false, 0), (true, 3), (false, end)] {
            let way = if turned { turn(first) } else { first };
            let (from, to) = if way == Way::In { (client, app) } else { (app, client) };
            talk.carry(way, 132, &sctp(from, to, chunk, self.dice.below(60)));
        }
    }

    fn echo(&mut self, talk: &mut Talk) {
        let first = self.first();
        // With identifier 0 a request and its reply have the same ports, whoever asks.
        let id = self.dice.pick(&[0, 40_000, 40_001]);
        for (way, is_request) in [(first, true), (turn(first), false), (first, true), (turn(first), false)] {
            let is_request = is_request ^ self.dice.one_in(8);
            talk.carry(way, icmp_in(talk.ends), &echo(talk.ends, is_request, id, self.dice.below(64)));
        }
    }

    fn other(&mut self, talk: &mut Talk) {
        let protocol = self.dice.pick(&OTHER_PROTOCOLS);
        let first = self.first();
        for way in [first, turn(first), first] {
            talk.carry(way, protocol, &vec![7; self.dice.below(80)]);
        }
    }

    /// A packet, and errors about it, of the other side or (wrongly) of the same.
    fn errors(&mut self, talk: &mut Talk) {
        let way = self.first();
        let ends = if way == Way::In { talk.ends } else { talk.ends.turned() };
        let (client, app) = self.ports();
        let (from, to) = if way == Way::In { (client, app) } else { (app, client) };
        let id = self.dice.pick(&[0, 0, client]);
        let (protocol, payload) = match self.dice.below(7) {
            0 | 1 => (6, tcp(from, to, SYN, 1, 0)),
            2 => (17, udp(from, to, 12)),
            3 => (132, sctp(from, to, 1, 4)),
            4 => (47, vec![0; 20]),
            _ => (icmp_in(ends), echo(ends, true, id, 8)),
        };
        let mut about = packet(ends, protocol, &payload);
        talk.say(way, &about);
        if protocol == icmp_in(ends) && self.dice.one_in(2) {
            about = packet(ends, protocol, &echo(ends, false, id, 8));
        } else if protocol == icmp_in(ends) && self.dice.one_in(3) {
            about = packet(ends, protocol, &icmp(13, 0, 0, &[0; 12]));
        }
        if self.dice.one_in(10) {
            // To somebody else.
            let at = if ends.is_ip4() { 19 } else { 39 };
            about[at] ^= 1;
        }
        if ends.is_ip4() && self.dice.one_in(4) {
            about[0] = 0x46;
            about.splice(20..20, [1, 1, 1, 0]);
        }
        let enough = if about[0] == 0x46 && self.dice.one_in(3) {
            28 + self.dice.below(6)
        } else if self.dice.one_in(6) {
            20 + self.dice.below(40)
        } else {
            60
        };
        let router: IpAddr = match (way, ends.is_ip4()) {
            (Way::Out, _) => ends.to,
            (Way::In, true) => self.dice.pick(&["10.20.0.1", "10.77.0.1", "10.20.0.10"]).parse().unwrap(),
            (Way::In, false) => self.dice.pick(&["fd20::1", "fd77::1", "fd20::10"]).parse().unwrap(),
        };
        for _ in 0..2 {
            let kind = self.dice.pick(if ends.is_ip4() { &[3, 3, 11, 12, 4, 5] } else { &[1, 2, 2, 3, 4, 5] });
            let word = self.dice.pick(&[0, 67, 68, 1279, 1280, 1400]);
            let code = self.dice.below(6) as u8;
            let quoted = &about[..about.len().min(enough)];
            let error = Ends { from: router, to: ends.from };
            let way = if self.dice.one_in(12) { way } else { turn(way) };
            talk.say(way, &packet(error, icmp_in(error), &icmp(kind, code, word, quoted)));
        }
    }

    /// Many destinations, one after the other.
    fn scan(&mut self, talk: &mut Talk) {
        for number in 0..8 {
            let port = PORTS[0] + number * self.dice.pick(&[0, 1, 7]);
            talk.carry(Way::In, 6, &tcp(40_000, port, SYN, 1, 0));
        }
    }

    fn odd(&mut self, talk: &mut Talk) {
        let kind = self.dice.next() as u16;
        let bytes: Vec<u8> = (0..self.dice.below(120)).map(|_| self.dice.next() as u8).collect();
        let way = self.first();
        match self.dice.below(3) {
            0 => talk.say_as(way, kind, &bytes),
            1 => talk.say_as(way, self.dice.pick(&[0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8]), &bytes),
            _ => talk.carry(way, kind as u8, &bytes),
        }
    }
}

pub fn turn(way: Way) -> Way {
    if way == Way::In { Way::Out } else { Way::In }
}
