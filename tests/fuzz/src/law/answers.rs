//! Answers to denied packets: well-formed, from where the packet went, and never an answer to an answer.

use super::Judged;
use etherparse::{IpNumber, SlicedPacket, TransportSlice};
use gateway_common::answer::{self, Answer, LONGEST};
use gateway_common::packet::Part;
use gateway_common::{Address, Answering, Judgement, Packet};
use std::net::IpAddr;

/// Looks at the answer to what has been judged.
pub fn check(frame: &Judged<'_>, packet: &Packet, judgement: &Judgement) {
    let mut answer = Answer { bytes: [0; LONGEST], length: 0 };
    let written = answer::to(frame, packet, &mut answer);
    if judgement.answer == Answering::Never || !answer::is_due(packet) {
        return;
    }
    assert!(packet.part == Part::Whole && !packet.has_extras, "a part is answered");
    if packet.protocol == Packet::TCP {
        assert!(packet.detail & Packet::RST == 0, "a reset is answered");
    } else if packet.protocol == Packet::ICMP || packet.protocol == Packet::ICMPV6 {
        assert!(packet.detail == 8 || packet.detail == 128, "ICMP {} is answered", packet.detail);
    }
    written.expect("what an answer needs is there");
    let original = &frame.bytes[usize::from(packet.offset)..];
    well_formed(&answer.bytes[..answer.length], original, packet);
}

fn well_formed(bytes: &[u8], original: &[u8], packet: &Packet) {
    let sliced = SlicedPacket::from_ip(bytes).expect("an answer is an IP packet");
    let (source, destination, header, hop_limit) = match sliced.net.as_ref().unwrap() {
        etherparse::NetSlice::Ipv4(ip) => {
            assert_eq!(sum(ip.header().slice(), 0), 0xffff, "checksum of the header");
            assert_eq!(usize::from(ip.header().total_len()), bytes.len());
            (
                IpAddr::from(ip.header().source_addr()),
                IpAddr::from(ip.header().destination_addr()),
                20,
                ip.header().ttl(),
            )
        }
        etherparse::NetSlice::Ipv6(ip) => {
            assert_eq!(usize::from(ip.header().payload_length()) + 40, bytes.len());
            let (from, to) = (ip.header().source_addr(), ip.header().destination_addr());
            (IpAddr::from(from), IpAddr::from(to), 40, ip.header().hop_limit())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((Address::from(source), Address::from(destination)), (packet.destination, packet.source));
    assert_eq!(hop_limit, 64);
    let body = &bytes[header..];
    let pseudo = |protocol: IpNumber| {
        let [from, to] = [packet.destination, packet.source].map(|address| match address.to_v4() {
            Some(octets) => octets.to_vec(),
            None => address.0.to_vec(),
        });
        sum(&[from, to].concat(), u64::from(protocol.0) + body.len() as u64)
    };
    match sliced.transport.expect("an answer says something") {
        TransportSlice::Tcp(tcp) => {
            assert_eq!(packet.protocol, Packet::TCP);
            assert_eq!(sum(body, pseudo(IpNumber::TCP).into()), 0xffff, "checksum of the reset");
            assert!(tcp.rst() && !tcp.syn() && !tcp.fin() && tcp.payload().is_empty());
            assert_eq!((tcp.source_port(), tcp.destination_port()), (packet.destination_port, packet.source_port));
            reset(&tcp, original, header);
        }
        TransportSlice::Icmpv4(icmp) => {
            assert_eq!((icmp.type_u8(), icmp.code_u8(), sum(body, 0)), (3, 13, 0xffff));
            quotes(icmp.payload(), original);
        }
        TransportSlice::Icmpv6(icmp) => {
            let checksum = sum(body, pseudo(IpNumber::IPV6_ICMP).into());
            assert_eq!((icmp.type_u8(), icmp.code_u8(), checksum), (1, 1, 0xffff));
            quotes(icmp.payload(), original);
        }
        other => panic!("{other:?}"),
    }
}

/// RFC 9293, 3.10.7.1: a reset has the number that the segment acknowledges, or acknowledges all of the segment.
fn reset(tcp: &etherparse::TcpSlice<'_>, original: &[u8], header: usize) {
    let length = match header {
        20 => u16::from_be_bytes([original[2], original[3]]).into(),
        _ => usize::from(u16::from_be_bytes([original[4], original[5]])) + 40,
    };
    let denied = etherparse::TcpSlice::from_slice(&original[header..length]).expect("the law has read it");
    if denied.ack() {
        assert_eq!((tcp.sequence_number(), tcp.ack()), (denied.acknowledgment_number(), false));
        return;
    }
    let size = u32::try_from(denied.payload().len()).unwrap() + u32::from(denied.syn()) + u32::from(denied.fin());
    assert_eq!((tcp.sequence_number(), tcp.ack()), (0, true));
    assert_eq!(tcp.acknowledgment_number(), denied.sequence_number().wrapping_add(size));
}

fn quotes(quoted: &[u8], original: &[u8]) {
    assert_eq!(quoted, &original[..quoted.len()], "what is quoted is the packet");
}

/// RFC 1071.
fn sum(bytes: &[u8], start: u64) -> u16 {
    let words = bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum = words.sum::<u64>() + start;
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum.try_into().unwrap()
}
