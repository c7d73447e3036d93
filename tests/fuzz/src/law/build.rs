//! Honest packets. The law looks at no checksum, so they have none.

use super::world::{CLIENT_MAC, GATEWAY_MAC, Way, address};
use std::net::IpAddr;

/// TCP without payload.
pub fn tcp(from: u16, to: u16, flags: u8) -> Vec<u8> {
    let mut segment = [from.to_be_bytes(), to.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 4, 0, 0, 0, 0, 0]);
    segment
}

pub fn udp(from: u16, to: u16, payload: usize) -> Vec<u8> {
    let length = u16::try_from(payload + 8).unwrap();
    let mut datagram = [from.to_be_bytes(), to.to_be_bytes(), length.to_be_bytes(), [0; 2]].concat();
    datagram.resize(payload + 8, 0x5a);
    datagram
}

/// SCTP with one chunk.
pub fn sctp(from: u16, to: u16, chunk: u8) -> Vec<u8> {
    let mut packet = [from.to_be_bytes(), to.to_be_bytes()].concat();
    packet.extend([0, 0, 0, 1, 0, 0, 0, 0, chunk, 0, 0, 4]);
    packet
}

/// An ICMP message: type, code, the second word, and what follows.
pub fn icmp(kind: u8, code: u8, word: u32, rest: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0], &word.to_be_bytes()[..], rest].concat()
}

/// An IP packet, in the family of its addresses.
pub fn ip(source: &str, destination: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
    with_head(source, destination, protocol, &[], 0, payload)
}

/// The same with IPv4 options or IPv6 extension headers, and the word that says which fragment of an IPv4 packet it is.
pub fn with_head(source: &str, destination: &str, protocol: u8, head: &[u8], part: u16, payload: &[u8]) -> Vec<u8> {
    let length = |header: usize| u16::try_from(header + head.len() + payload.len()).unwrap().to_be_bytes();
    let mut packet = Vec::new();
    match (address(source), address(destination)) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let words = u8::try_from(head.len() / 4).unwrap();
            packet.extend([0x45 + words, 0]);
            packet.extend([length(20), [0, 7], part.to_be_bytes()].concat());
            packet.extend([64, protocol, 0, 0]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(length(0));
            packet.extend([protocol, if protocol == 58 { 255 } else { 64 }]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        families => panic!("{families:?}"),
    }
    packet.extend(head);
    packet.extend(payload);
    packet
}

/// A frame between the client and the gateway, with tags.
pub fn frame(way: Way, tags: &[(u16, u16)], packet: &[u8]) -> Vec<u8> {
    let ethertype: u16 = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    ethernet(way, tags, ethertype, packet)
}

pub fn ethernet(way: Way, tags: &[(u16, u16)], ethertype: u16, body: &[u8]) -> Vec<u8> {
    let (to, from) = if way == Way::In { (GATEWAY_MAC, CLIENT_MAC) } else { (CLIENT_MAC, GATEWAY_MAC) };
    let mut frame = [to, from].concat();
    for (kind, number) in tags {
        frame.extend([kind.to_be_bytes(), number.to_be_bytes()].concat());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(body);
    frame
}
