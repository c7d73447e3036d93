//! Packets and frames, made byte by byte: well-formed unless somebody asks for something else.

use super::link::Tag;
use std::net::{IpAddr, Ipv6Addr};

pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// TCP flags.
pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// From whom to whom.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub from: IpAddr,
    pub to: IpAddr,
}

impl Ends {
    pub fn turned(self) -> Self {
        Self { from: self.to, to: self.from }
    }

    pub fn is_ip4(self) -> bool {
        self.from.is_ipv4()
    }
}

pub fn tcp(from: u16, to: u16, flags: u8, sequence: u32, payload: usize) -> Vec<u8> {
    let mut segment = [from.to_be_bytes(), to.to_be_bytes()].concat();
    segment.extend(sequence.to_be_bytes());
    segment.extend((!sequence).to_be_bytes());
    segment.extend([0x50, flags, 4, 0, 0, 0, 0, 0]);
    segment.resize(20 + payload, 0x5a);
    segment
}

pub fn udp(from: u16, to: u16, payload: usize) -> Vec<u8> {
    let mut datagram = [from, to, (8 + payload) as u16, 0].map(u16::to_be_bytes).concat();
    datagram.resize(8 + payload, 0x5a);
    datagram
}

/// SCTP with one chunk of this type.
pub fn sctp(from: u16, to: u16, chunk: u8, payload: usize) -> Vec<u8> {
    let mut packet = [from.to_be_bytes(), to.to_be_bytes()].concat();
    packet.extend([1, 2, 3, 4, 0, 0, 0, 0, chunk, 0]);
    packet.extend((4 + payload as u16).to_be_bytes());
    packet.resize(16 + payload, 0x5a);
    packet
}

/// ICMP, or ICMPv6: the second word of the header, then what follows.
pub fn icmp(kind: u8, code: u8, word: u32, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(word.to_be_bytes());
    message.extend(rest);
    message
}

pub fn echo(ends: Ends, is_request: bool, id: u16, payload: usize) -> Vec<u8> {
    let kind = match (ends.is_ip4(), is_request) {
        (true, true) => 8,
        (true, false) => 0,
        (false, true) => 128,
        (false, false) => 129,
    };
    icmp(kind, 0, u32::from(id) << 16 | 1, &vec![0x5a; payload])
}

/// The number of ICMP in this family.
pub fn icmp_in(ends: Ends) -> u8 {
    if ends.is_ip4() { 1 } else { 58 }
}

/// An IP packet.
pub fn packet(ends: Ends, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (ends.from, ends.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut packet = vec![0x45, 0];
            packet.extend((20 + payload.len() as u16).to_be_bytes());
            packet.extend([0, 7, 0x40, 0, 64, protocol, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            packet.extend(payload);
            packet
        }
        (from, to) => {
            let mut packet = vec![0x60, 0, 0, 0];
            packet.extend((payload.len() as u16).to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend(as_v6(from).octets());
            packet.extend(as_v6(to).octets());
            packet.extend(payload);
            packet
        }
    }
}

/// Part of an IP packet of this payload: the bytes from `start` to `end`, with more to come or not.
pub fn fragment(ends: Ends, protocol: u8, id: u16, whole: &[u8], start: usize, end: usize, more: bool) -> Vec<u8> {
    let place = (start / 8) as u16;
    if ends.is_ip4() {
        let mut packet = packet(ends, protocol, &whole[start..end]);
        packet[4..6].copy_from_slice(&id.to_be_bytes());
        packet[6..8].copy_from_slice(&(place | u16::from(more) << 13).to_be_bytes());
        packet
    } else {
        let mut payload = vec![protocol, 0];
        payload.extend((place << 3 | u16::from(more)).to_be_bytes());
        payload.extend(u32::from(id).to_be_bytes());
        payload.extend(&whole[start..end]);
        packet(ends, 44, &payload)
    }
}

/// An Ethernet frame; `tags` from the outside in.
pub fn frame(receiver: [u8; 6], sender: [u8; 6], tags: &[Tag], kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = [receiver, sender].concat();
    for Tag(kind, vlan) in tags {
        frame.extend(kind.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(body);
    frame
}

/// The EtherType of an IP packet.
pub fn kind_of(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}

/// An ARP packet: operation, sender.
pub fn arp(operation: u8, mac: [u8; 6], sender: [u8; 4]) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4, 0, operation];
    body.extend(mac);
    body.extend(sender);
    body.extend([0, 0, 0, 0, 0, 0, 10, 77, 0, 1]);
    body
}

/// Neighbour discovery with this target (where there is one) and these options.
pub fn discovery(ends: Ends, kind: u8, target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    let mut rest = Vec::new();
    match kind {
        133 => {}
        134 => rest.extend([0; 8]),
        137 => rest.extend([target.octets(), target.octets()].concat()),
        _ => rest.extend(target.octets()),
    }
    rest.extend(options);
    let mut packet = packet(ends, 58, &icmp(kind, 0, 0, &rest));
    packet[7] = 255;
    packet
}

fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}
