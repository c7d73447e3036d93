//! What a session is told when its packet is dropped on an interface that rejects: a TCP reset, or ICMP
//! "administratively prohibited".
//!
//! The answer comes from the address that the packet was for, and takes the place of the packet in its frame.

use crate::mutant::{self, Mutant::*};
use crate::packet::Part;
use crate::{Address, Frame, Packet};

/// The longest answer: ICMPv6 with an IPv6 header and eight bytes quoted.
pub const LONGEST: usize = V6 + ICMP + V6 + QUOTED;

const V4: usize = 20;
const V6: usize = 40;
const TCP: usize = 20;
const ICMP: usize = 8;
/// How much of the payload an error quotes.
const QUOTED: usize = 8;
/// What a host chooses for packets of its own.
const HOP_LIMIT: u8 = 64;

/// An IP packet.
pub struct Answer {
    /// Its bytes, and zeros.
    pub bytes: [u8; LONGEST],
    /// How many of them are the packet.
    pub length: usize,
}

/// Whether a denied packet is of a kind that is answered. Never an answer to an answer, nor to a part of something.
#[inline(always)]
#[must_use]
pub fn is_due(packet: &Packet) -> bool {
    let is_answer = match packet.protocol {
        Packet::TCP => !mutant::is(AnswerResets) && packet.detail & Packet::RST != 0,
        _ => !mutant::is(AnswerErrors) && (packet.is_icmp_error() || packet.is_echo_reply()),
    };
    let can_be_quoted = mutant::is(AnswerTooShort) || usize::from(packet.transport_length) >= QUOTED;
    !is_answer
        && can_be_quoted
        && (mutant::is(AnswerFragments) || packet.part == Part::Whole)
        && (mutant::is(AnswerExtras) || !packet.has_extras)
}

/// A reset from one end of a TCP connection to the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reset {
    /// The end that seems to send it.
    pub from: (Address, u16),
    /// The end that it is for.
    pub to: (Address, u16),
    /// What that end expects next.
    pub sequence: u32,
    /// What it has sent last.
    pub acknowledgement: u32,
}

impl Reset {
    /// The packet. Both addresses are of one family.
    #[must_use]
    pub fn packet(&self) -> Answer {
        let mut answer = Answer { bytes: [0; LONGEST], length: 0 };
        let ((from, from_port), (to, to_port)) = (self.from, self.to);
        let ip = header(from, to, Packet::TCP, TCP, &mut answer.bytes);
        let sequence = self.sequence.to_be_bytes();
        segment([from_port, to_port], sequence, self.acknowledgement.to_be_bytes(), true, ip, &mut answer.bytes);
        finish(from, to, Packet::TCP, ip, TCP, &mut answer);
        answer
    }
}

/// The answer to a packet, which has been parsed from this frame. Written in small pieces: the kernel program has little
/// stack. `None` if the frame does not hold what is needed; then nothing is to be sent.
#[inline(always)]
pub fn to<F: Frame + ?Sized>(frame: &F, packet: &Packet, answer: &mut Answer) -> Option<()> {
    let is_v4 = packet.source.to_v4().is_some();
    let is_tcp = packet.protocol == Packet::TCP;
    let (protocol, length) = match (is_tcp, is_v4) {
        (true, _) => (Packet::TCP, TCP),
        (false, true) => (Packet::ICMP, const { ICMP + V4 + QUOTED }),
        (false, false) => (Packet::ICMPV6, const { ICMP + V6 + QUOTED }),
    };
    let (from, to) = (packet.destination, packet.source);
    let ip = header(from, to, protocol, length, &mut answer.bytes);
    let at = usize::from(packet.offset);
    if is_tcp {
        reset(frame, at.saturating_add(ip), packet, ip, &mut answer.bytes)?;
    } else {
        unreachable(frame, at, is_v4, ip, &mut answer.bytes)?;
    }
    finish(from, to, protocol, ip, length, answer);
    Some(())
}

/// Writes the checksum of the payload, and the length of it all.
#[inline(always)]
fn finish(from: Address, to: Address, protocol: u8, ip: usize, length: usize, answer: &mut Answer) {
    // The sum over the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1); ICMP has none. The mapped form of IPv4 addresses
    // adds 0xffff, which is nothing in ones' complement.
    let pseudo = match protocol {
        Packet::ICMP => 0,
        Packet::ICMPV6 if mutant::is(Icmp6WithoutPseudo) => 0,
        _ => sum(&from.0, sum(&to.0, 0)).wrapping_add(protocol.into()).wrapping_add(length as u32),
    };
    let place = if protocol == Packet::TCP { 16 } else { 2 };
    let body = answer.bytes.get(ip..ip.saturating_add(length)).unwrap_or_default();
    let checksum = !fold(sum(body, pseudo));
    put(&mut answer.bytes, ip.saturating_add(place), &checksum.to_be_bytes());
    answer.length = ip.saturating_add(length);
}

/// Writes an IP header; how long it is.
#[inline(always)]
fn header(from: Address, to: Address, protocol: u8, length: usize, bytes: &mut [u8; LONGEST]) -> usize {
    if from.to_v4().is_some() {
        header_v4(from, to, protocol, length, bytes);
        V4
    } else {
        header_v6(from, to, protocol, length, bytes);
        V6
    }
}

/// The reset that the sender of a segment accepts (RFC 9293, 3.10.7.1).
#[inline(always)]
fn reset<F: Frame + ?Sized>(
    frame: &F,
    segment_at: usize,
    packet: &Packet,
    into: usize,
    bytes: &mut [u8; LONGEST],
) -> Option<()> {
    let ports = [packet.destination_port, packet.source_port];
    let acknowledged: [u8; 4] = frame.bytes(segment_at.saturating_add(8))?;
    if packet.detail & Packet::ACK != 0 {
        segment(ports, mutant::unless(ResetFromZero, acknowledged, [0; 4]), [0; 4], false, into, bytes);
    } else {
        let after = packet.progress >> mutant::unless(ResetAcknowledgesItself, 32, 0);
        segment(ports, [0; 4], (after as u32).to_be_bytes(), !mutant::is(ResetWithoutAck), into, bytes);
    }
    Some(())
}

/// Writes a TCP header with RST, and with ACK if it acknowledges something.
#[inline(always)]
fn segment(
    [from, to]: [u16; 2],
    sequence: [u8; 4],
    acknowledgement: [u8; 4],
    is_acknowledging: bool,
    into: usize,
    bytes: &mut [u8; LONGEST],
) {
    let ([f0, f1], [t0, t1]) = (from.to_be_bytes(), to.to_be_bytes());
    put(bytes, into, &[f0, f1, t0, t1]);
    put(bytes, into.saturating_add(4), &sequence);
    put(bytes, into.saturating_add(8), &acknowledgement);
    let flags = if is_acknowledging { Packet::RST | Packet::ACK } else { Packet::RST };
    put(bytes, into.saturating_add(12), &[0x50, flags, 0, 0, 0, 0, 0, 0]);
}

/// Destination unreachable, communication administratively prohibited (RFC 1812, 5.2.7.1; RFC 4443, 3.1), with the
/// header and eight bytes of the packet.
#[inline(always)]
fn unreachable<F: Frame + ?Sized>(
    frame: &F,
    packet: usize,
    is_v4: bool,
    into: usize,
    bytes: &mut [u8; LONGEST],
) -> Option<()> {
    let kind = if is_v4 { [3, 13] } else { [1, 1] };
    put(bytes, into, &kind);
    put(bytes, into.saturating_add(2), &[0; 6]);
    // In pieces of four: 28 bytes of IPv4, 48 of IPv6.
    for piece in 0..12_usize {
        if is_v4 && piece >= mutant::unless(ShortQuotation, 7, 6) {
            break;
        }
        let offset = piece << 2;
        let quoted: [u8; 4] = frame.bytes(packet.saturating_add(offset))?;
        put(bytes, into.saturating_add(ICMP).saturating_add(offset), &quoted);
    }
    Some(())
}

#[inline(always)]
fn header_v4(from: Address, to: Address, protocol: u8, length: usize, bytes: &mut [u8; LONGEST]) {
    let [l0, l1] = (V4.saturating_add(length) as u16).to_be_bytes();
    put(bytes, 0, &[0x45, 0, l0, l1, 0, 0, 0x40, 0]);
    put(bytes, 8, &[HOP_LIMIT, protocol, 0, 0]);
    let ((_, from), (_, to)) = (from.0.split_at(12), to.0.split_at(12));
    put(bytes, 12, from);
    put(bytes, 16, to);
    let header = bytes.get(..V4).unwrap_or_default();
    let checksum = !fold(sum(header, 0));
    put(bytes, 10, &checksum.to_be_bytes());
}

#[inline(always)]
fn header_v6(from: Address, to: Address, next: u8, length: usize, bytes: &mut [u8; LONGEST]) {
    let counted = length.saturating_add(mutant::unless(HeaderInPayloadLength, 0, V6));
    let [l0, l1] = (counted as u16).to_be_bytes();
    put(bytes, 0, &[0x60, 0, 0, 0, l0, l1, next, HOP_LIMIT]);
    put(bytes, 8, &from.0);
    put(bytes, 24, &to.0);
}

#[inline(always)]
fn sum(bytes: &[u8], start: u32) -> u32 {
    let words = bytes.as_chunks::<2>().0.iter();
    words.fold(start, |sum, word| sum.wrapping_add(u16::from_be_bytes(*word).into()))
}

/// At most 64 words and a pseudo header were added: two folds carry everything.
#[inline(always)]
fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff).wrapping_add(sum >> 16);
    (once & 0xffff).wrapping_add(mutant::unless(FoldOnce, once >> 16, 0)) as u16
}

#[inline(always)]
fn put(into: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = into.get_mut(at..at.saturating_add(bytes.len())) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const CLIENT: [u8; 4] = [10, 0, 0, 2];
    const APP: [u8; 4] = [10, 0, 1, 1];

    /// The sum over everything, checksums included, is all ones if they are right.
    fn all(bytes: &[u8], pseudo: u32) -> u16 {
        fold(sum(bytes, pseudo))
    }

    /// A TCP segment in IPv4, and what is understood of it.
    fn segment_to(flags: u8, sequence: u32, acknowledged: u32, payload: u32) -> (Vec<u8>, Packet) {
        let mut frame = std::vec![0; 20];
        frame.extend([0x9c, 0x40, 0, 22]);
        frame.extend(sequence.to_be_bytes());
        frame.extend(acknowledged.to_be_bytes());
        frame.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
        let phantom = u32::from(flags & Packet::SYN != 0) + u32::from(flags & Packet::FIN != 0);
        let after = sequence.wrapping_add(payload).wrapping_add(phantom);
        let packet = Packet {
            source: Address::v4(CLIENT),
            destination: Address::v4(APP),
            source_port: 40_000,
            destination_port: 22,
            protocol: Packet::TCP,
            detail: flags,
            progress: u64::from(after) << 32 | u64::from(acknowledged),
            transport_length: 20,
            ..Packet::default()
        };
        (frame, packet)
    }

    fn answer_to(frame: &[u8], packet: &Packet) -> Option<Vec<u8>> {
        let mut answer = Answer { bytes: [0; LONGEST], length: 0 };
        to(frame, packet, &mut answer)?;
        Some(answer.bytes[..answer.length].to_vec())
    }

    #[track_caller]
    fn check_reset(flags: u8, numbers: (u32, u32, u32), expected: (u32, u32, u8)) {
        let (frame, packet) = segment_to(flags, numbers.0, numbers.1, numbers.2);
        let reset = answer_to(&frame, &packet).unwrap();
        let (sequence, acknowledgement, flags) = expected;
        assert_eq!(reset.len(), 40);
        assert_eq!((&reset[12..16], &reset[16..20]), (&APP[..], &CLIENT[..]));
        assert_eq!(reset[20..24], [0, 22, 0x9c, 0x40]);
        assert_eq!(reset[24..28], sequence.to_be_bytes());
        assert_eq!(reset[28..32], acknowledgement.to_be_bytes());
        assert_eq!(reset[33], flags);
        assert_eq!(all(&reset[..20], 0), 0xffff, "sum of the header");
        assert_eq!(all(&reset[20..], sum(&reset[12..20], 6 + 20)), 0xffff, "sum of the segment");
    }

    #[test]
    fn segment_without_acknowledgement_is_acknowledged_by_its_reset() {
        let both = Packet::RST | Packet::ACK;
        check_reset(Packet::SYN, (7, 99, 0), (0, 8, both));
        check_reset(Packet::SYN, (7, 0, 10), (0, 18, both));
        check_reset(Packet::SYN, (u32::MAX, 0, 0), (0, 0, both));
    }

    #[test]
    fn segment_with_acknowledgement_is_reset_at_what_it_acknowledges() {
        for flags in [Packet::ACK, Packet::ACK | Packet::SYN, Packet::ACK | Packet::FIN] {
            check_reset(flags, (7, 99, 10), (99, 0, Packet::RST));
        }
    }

    #[test]
    fn error_quotes_the_header_and_eight_bytes_of_either_family() {
        let frame: Vec<u8> = (0..100).collect();
        let v4 = Packet { source: Address::v4(CLIENT), destination: Address::v4(APP), ..Packet::default() };
        let answer = answer_to(&frame, &Packet { offset: 4, protocol: Packet::UDP, ..v4 }).unwrap();
        assert_eq!((answer[9], &answer[20..22], &answer[24..28]), (1, &[3, 13][..], &[0; 4][..]));
        assert_eq!(answer[28..], frame[4..32]);
        assert_eq!((all(&answer[..20], 0), all(&answer[20..], 0)), (0xffff, 0xffff));

        let v6 = Packet { source: Address([0xfd; 16]), destination: Address([0xfc; 16]), ..v4 };
        let answer = answer_to(&frame, &Packet { offset: 4, protocol: Packet::UDP, ..v6 }).unwrap();
        assert_eq!((answer[6], &answer[40..42], &answer[44..48]), (58, &[1, 1][..], &[0; 4][..]));
        assert_eq!((&answer[8..24], &answer[24..40]), (&[0xfc; 16][..], &[0xfd; 16][..]));
        assert_eq!(answer[48..], frame[4..52]);
        assert_eq!(all(&answer[40..], sum(&answer[8..40], 58 + 56)), 0xffff);
    }

    #[test]
    fn nothing_is_sent_if_the_frame_ends_before_what_is_to_be_quoted() {
        let (frame, packet) = segment_to(Packet::SYN, 1, 0, 0);
        assert!(answer_to(&frame[..31], &packet).is_none());
        assert!(answer_to(&[0; 27], &Packet { protocol: Packet::UDP, ..packet }).is_none());
    }

    #[test]
    fn answers_parts_and_short_packets_are_not_answered() {
        let (_, syn) = segment_to(Packet::SYN, 1, 0, 0);
        assert!(is_due(&syn));
        let udp = Packet { protocol: Packet::UDP, detail: 0, transport_length: 8, ..syn };
        assert!(is_due(&udp));
        assert!(!is_due(&Packet { transport_length: 7, ..udp }));
        assert!(!is_due(&Packet { detail: Packet::RST | Packet::ACK, ..syn }));
        assert!(!is_due(&Packet { protocol: Packet::ICMP, detail: 0, ..udp }), "echo reply");
        assert!(!is_due(&Packet { protocol: Packet::ICMP, detail: 3, quoted_protocol: Packet::TCP, ..udp }), "error");
        assert!(!is_due(&Packet { part: Part::First, ..udp }));
        assert!(!is_due(&Packet { has_extras: true, ..udp }));
    }

    #[test]
    fn sums_carry_more_than_once() {
        assert_eq!(fold(sum(&[0xff; 128], 0)), 0xffff);
        assert_eq!(fold(0xffff_ffff), 0xffff);
        assert_eq!(fold(0x0001_ffff), 1);
    }
}
