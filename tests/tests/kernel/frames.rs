//! Frames: well-formed ones to begin with, to be bent afterwards.

use etherparse::PacketBuilder;
use std::net::{IpAddr, Ipv6Addr};

/// The client's hardware address.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The gateway's hardware address.
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;

/// What goes inside an IP packet.
#[derive(Clone, Copy, Debug)]
pub enum Inside {
    /// TCP from port to port, with the flags in the order of their bits.
    Tcp(u16, u16, u8),
    /// UDP from port to port.
    Udp(u16, u16),
    /// Echo request with this identifier.
    Ping(u16),
    /// Echo reply with this identifier.
    Pong(u16),
}

/// TCP flags.
pub const SYN: u8 = 2;
/// TCP flags.
pub const ACK: u8 = 16;
/// TCP flags.
pub const FIN: u8 = 1;
/// TCP flags.
pub const RST: u8 = 4;

/// An Ethernet frame from `source` to `destination`, with `payload` bytes of payload.
pub fn frame(mac: [u8; 6], source: &str, destination: &str, inside: Inside, payload: usize) -> Vec<u8> {
    let link = PacketBuilder::ethernet2(mac, if mac == CLIENT_MAC { GATEWAY_MAC } else { CLIENT_MAC });
    let (source, destination) = (address(source), address(destination));
    let payload = vec![0x5a; payload];
    let is_v4 = source.is_ipv4();
    let network = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => link.ipv4(source.octets(), destination.octets(), 64),
        (source, destination) => link.ipv6(v6(source).octets(), v6(destination).octets(), 64),
    };
    let mut bytes = Vec::new();
    match inside {
        Inside::Tcp(from, to, flags) => {
            network.tcp(from, to, 1, 1024).write(&mut bytes, &payload).unwrap();
            let offset = ETHERNET + if is_v4 { 20 } else { 40 };
            bytes[offset + 13] = flags;
        }
        Inside::Udp(from, to) => network.udp(from, to).write(&mut bytes, &payload).unwrap(),
        Inside::Ping(id) if is_v4 => network.icmpv4_echo_request(id, 1).write(&mut bytes, &payload).unwrap(),
        Inside::Ping(id) => network.icmpv6_echo_request(id, 1).write(&mut bytes, &payload).unwrap(),
        Inside::Pong(id) if is_v4 => network.icmpv4_echo_reply(id, 1).write(&mut bytes, &payload).unwrap(),
        Inside::Pong(id) => network.icmpv6_echo_reply(id, 1).write(&mut bytes, &payload).unwrap(),
    }
    bytes
}

/// The same without the Ethernet header.
pub fn packet(source: &str, destination: &str, inside: Inside) -> Vec<u8> {
    frame(CLIENT_MAC, source, destination, inside, 0).split_off(ETHERNET)
}

/// An Ethernet frame with a packet of any protocol, with this behind the IP header.
pub fn carrying(mac: [u8; 6], source: &str, destination: &str, protocol: u8, inside: &[u8]) -> Vec<u8> {
    let mut frame = frame(mac, source, destination, Inside::Udp(1, 1), inside.len().saturating_sub(8));
    let (header, place) = if address(source).is_ipv4() { (20, 9) } else { (40, 6) };
    frame.truncate(ETHERNET + header);
    frame.extend(inside);
    frame[ETHERNET + place] = protocol;
    let length = (if header == 20 { 20 } else { 0 } + inside.len() as u16).to_be_bytes();
    let at = ETHERNET + if header == 20 { 2 } else { 4 };
    frame[at..at + 2].copy_from_slice(&length);
    frame
}

/// An SCTP packet whose first chunk is of this type.
pub fn sctp(from: u16, to: u16, chunk: u8) -> Vec<u8> {
    let mut packet = [from.to_be_bytes(), to.to_be_bytes()].concat();
    packet.extend([1, 2, 3, 4, 0, 0, 0, 0, chunk, 0, 0, 4]);
    packet
}

/// An ICMP error of this type and code from `from`, quoting the packet inside `about` (a frame, whose source it goes to).
/// `rest` is the second word of the ICMP header: for "too big", the MTU.
pub fn icmp_error(mac: [u8; 6], from: &str, about: &[u8], kind: u8, code: u8, rest: u32) -> Vec<u8> {
    let quoted = &about[ETHERNET..about.len().min(ETHERNET + 60)];
    let from = address(from);
    let to = match from {
        IpAddr::V4(_) => IpAddr::from(<[u8; 4]>::try_from(&quoted[12..16]).unwrap()),
        IpAddr::V6(_) => IpAddr::from(<[u8; 16]>::try_from(&quoted[8..24]).unwrap()),
    };
    let mut frame = frame(mac, &from.to_string(), &to.to_string(), Inside::Ping(0), quoted.len());
    let icmp = frame.len() - quoted.len() - 8;
    frame[icmp] = kind;
    frame[icmp + 1] = code;
    frame[icmp + 4..icmp + 8].copy_from_slice(&rest.to_be_bytes());
    frame[icmp + 8..].copy_from_slice(quoted);
    frame
}

/// With a tag of this VLAN behind the addresses.
pub fn tagged(mut frame: Vec<u8>, ethertype: u16, vlan: u16) -> Vec<u8> {
    let tag = [ethertype.to_be_bytes(), vlan.to_be_bytes()].concat();
    frame.splice(12..12, tag);
    frame
}

/// A frame with this ethertype and body.
pub fn raw(ethertype: u16, body: &[u8]) -> Vec<u8> {
    [&GATEWAY_MAC[..], &CLIENT_MAC, &ethertype.to_be_bytes(), body].concat()
}

/// An ARP request from the client.
pub fn arp() -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1];
    body.extend(CLIENT_MAC);
    body.extend([10, 77, 0, 2, 0, 0, 0, 0, 0, 0, 10, 77, 0, 1]);
    raw(0x0806, &body)
}

/// An ARP packet by which a sender says that it has this address.
pub fn arp_claim(operation: u8, mac: [u8; 6], sender: [u8; 4]) -> Vec<u8> {
    let mut frame = arp();
    let body = &mut frame[ETHERNET..];
    body[7] = operation;
    body[8..14].copy_from_slice(&mac);
    body[14..18].copy_from_slice(&sender);
    frame
}

/// A message of neighbour discovery from the client, as Linux sends it: 133 and 135 with the client's hardware address as
/// their source's, 136 as its target's. Others are as long as 137 must be.
pub fn neighbour_message(kind: u8, hop_limit: u8) -> Vec<u8> {
    let mut frame = match kind {
        133 => discovery(133, "fe80::2", "", &link_address(1, CLIENT_MAC)),
        135 => discovery(135, "fe80::2", "fd77::1", &link_address(1, CLIENT_MAC)),
        136 => discovery(136, "fe80::2", "fe80::2", &link_address(2, CLIENT_MAC)),
        _ => discovery(kind, "fe80::2", "", &[0; 32]),
    };
    frame[ETHERNET + 7] = hop_limit;
    frame
}

/// An option of neighbour discovery with a hardware address.
pub fn link_address(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    [&[kind, 1], &mac[..]].concat()
}

/// A message of neighbour discovery from the client: its first eight bytes, the target if it has one, and `rest`.
pub fn discovery(kind: u8, source: &str, target: &str, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    if !target.is_empty() {
        message.extend(v6(address(target)).octets());
    }
    message.extend(rest);
    let mut body = vec![0x60, 0, 0, 0, 0, message.len() as u8, 58, 255];
    body.extend(v6(address(source)).octets());
    body.extend(v6(address("ff02::1:ff00:1")).octets());
    body.extend(message);
    let mut frame = raw(0x86dd, &body);
    frame[..6].copy_from_slice(&[0x33, 0x33, 0xff, 0, 0, 1]);
    frame
}

/// A connection request from alice to the app that she may reach.
pub fn web() -> Vec<u8> {
    frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0)
}

/// The same over IPv6.
pub fn web_v6() -> Vec<u8> {
    frame(CLIENT_MAC, "fd77::2", "fd20::10", Inside::Tcp(40_000, 443, SYN), 0)
}

/// What the app sends back.
pub fn answer(flags: u8) -> Vec<u8> {
    frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Tcp(443, 40_000, flags), 0)
}

/// A datagram from alice to an app that she may reach at any port.
pub fn datagram(port: u16, payload: usize) -> Vec<u8> {
    frame(CLIENT_MAC, "10.77.0.2", "10.20.0.77", Inside::Udp(5_000, port), payload)
}

/// A connection request from alice to the app that nobody is granted.
pub fn vault() -> Vec<u8> {
    frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, SYN), 0)
}

/// `web` with some bytes replaced, counted from the IP header.
pub fn bent(bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut frame = web();
    for (offset, byte) in bytes {
        frame[ETHERNET + offset] = *byte;
    }
    frame
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}
