//! The packet that a question is about, as it would arrive.
//!
//! It says what the law reads and nothing more. The law looks at no checksum, so all are 0, and the packet is never sent.

use super::{Connection, ExplainError, Question};
use gateway_common::Packet;
use gateway_common::abi::Vlan;
use gateway_common::packet::Link;
use std::net::IpAddr;

/// The law asks only whether it is the address of one host.
const TO: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// What hosts begin with.
const HOP_LIMIT: u8 = 64;
/// As much of a payload as an answer would quote.
const PAYLOAD: [u8; 8] = [0; 8];

impl Question {
    /// The frame.
    ///
    /// # Errors
    /// If the addresses are of different families.
    pub fn frame(&self) -> Result<Vec<u8>, ExplainError> {
        let inside = self.inside();
        let (ethertype, header) = match (self.source, self.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let length = (20 + inside.len() as u16).to_be_bytes();
                let header = [0x45, 0, length[0], length[1], 0, 0, 0, 0, HOP_LIMIT, self.protocol, 0, 0];
                (Link::IPV4, [&header[..], &from.octets(), &to.octets()].concat())
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let length = (inside.len() as u16).to_be_bytes();
                let header = [0x60, 0, 0, 0, length[0], length[1], self.protocol, HOP_LIMIT];
                (Link::IPV6, [&header[..], &from.octets(), &to.octets()].concat())
            }
            (from, to) => return Err(ExplainError::Families { from, to }),
        };
        Ok([self.link(ethertype), header, inside].concat())
    }

    fn link(&self, ethertype: u16) -> Vec<u8> {
        let Some(mac) = self.mac else { return Vec::new() };
        let Vlan { outer, inner } = self.vlan;
        let mut link = [TO, mac].concat();
        for (kind, number) in [(Link::SERVICE_VLAN, outer), (Link::VLAN, inner)] {
            if number != 0 {
                link.extend([kind.to_be_bytes(), number.to_be_bytes()].concat());
            }
        }
        link.extend(ethertype.to_be_bytes());
        link
    }

    /// What is behind the IP header.
    fn inside(&self) -> Vec<u8> {
        let is_new = self.connection == Connection::New;
        let [from, to] = [self.source_port, self.destination_port].map(u16::to_be_bytes);
        let echo = |kind| [kind, 0, 0, 0, from[0], from[1], 0, 1].to_vec();
        match self.protocol {
            Packet::TCP => {
                let flags = if is_new { Packet::SYN } else { Packet::ACK };
                [&from[..], &to, &[0; 8], &[5 << 4, flags], &[0; 6]].concat()
            }
            Packet::UDP => [&from[..], &to, &8_u16.to_be_bytes(), &[0; 2]].concat(),
            Packet::SCTP => [&from[..], &to, &[0; 8], &[u8::from(is_new), 0, 0, 4]].concat(),
            Packet::ICMP => echo(8),
            Packet::ICMPV6 => echo(128),
            _ => PAYLOAD.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_common::abi::Interface;
    use gateway_common::packet::{Parsed, link, network};
    use gateway_common::{Address, Direction};

    fn question(source: &str, destination: &str, protocol: u8) -> Question {
        Question {
            interface: 1,
            vlan: Vlan::default(),
            mac: Some([2, 0, 0, 0, 0, 2]),
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol,
            source_port: 40_000,
            destination_port: 443,
            connection: Connection::New,
        }
    }

    /// What the law's own parser understands of it.
    fn read(question: &Question) -> Packet {
        let flags = if question.mac.is_some() { Interface::LINK_LAYER } else { 0 };
        let mut packet = Packet { guard: Interface { flags, ..Interface::default() }, ..Packet::default() };
        let frame = question.frame().unwrap();
        let behind = link(&frame[..], question.mac.is_some(), &mut packet).unwrap();
        let parsed = network(&frame[..], &behind, Direction::ToApp, &mut packet);
        assert_eq!(parsed, Ok(Parsed::Packet), "{question:?}");
        packet
    }

    #[test]
    fn the_law_reads_in_the_frame_what_the_question_says() {
        for (source, destination) in [("10.0.0.2", "10.1.0.1"), ("fd00::2", "fd01::1")] {
            let echo = if source.contains(':') { Packet::ICMPV6 } else { Packet::ICMP };
            for protocol in [Packet::TCP, Packet::UDP, Packet::SCTP, echo, 47, 50, 89] {
                for mac in [None, Some([2, 0, 0, 0, 0, 7])] {
                    let asked = Question { mac, ..question(source, destination, protocol) };
                    let packet = read(&asked);
                    assert_eq!(IpAddr::from(packet.source), asked.source);
                    assert_eq!(packet.destination, Address::from(asked.destination));
                    assert_eq!((packet.protocol, packet.mac), (protocol, mac.unwrap_or_default()));
                    let ports = match protocol {
                        Packet::TCP | Packet::UDP | Packet::SCTP => (40_000, 443),
                        _ if protocol == echo => (40_000, 0),
                        _ => (0, 0),
                    };
                    assert_eq!((packet.source_port, packet.destination_port), ports);
                }
            }
        }
    }

    #[test]
    fn the_first_packet_of_a_connection_begins_it_and_another_one_does_not() {
        for protocol in [Packet::TCP, Packet::SCTP] {
            let first = question("10.0.0.2", "10.1.0.1", protocol);
            assert!(read(&first).begins());
            assert!(!read(&Question { connection: Connection::Open, ..first }).begins());
        }
    }

    #[test]
    fn tags_are_those_of_the_vlan() {
        for (outer, inner) in [(0, 10), (100, 0), (100, 20)] {
            let vlan = Vlan { outer, inner };
            let asked = Question { vlan, ..question("10.0.0.2", "10.1.0.1", Packet::UDP) };
            assert_eq!(read(&asked).vlan, vlan);
        }
    }

    #[test]
    fn addresses_of_two_families_make_no_packet() {
        let error = question("10.0.0.2", "fd01::1", Packet::TCP).frame().unwrap_err();
        assert_eq!(error.to_string(), "`10.0.0.2` and `fd01::1` are not of one family: there is no such packet");
    }
}
