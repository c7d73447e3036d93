//! Answers to denied packets, byte by byte (RFC 9293, 3.10.7.1; RFC 792; RFC 4443, 3.1), and what is not answered.

use super::client::{NOW, from_to, judge, plane, udp};
use gateway_common::abi::{AppEntry, AppKey, Grant, GrantKey, Interface};
use gateway_common::answer::{self, Answer, LONGEST};
use gateway_common::{Answering, DropReason, Packet, Verdict};
use gateway_userspace::dataplane::DataPlane as _;
use gateway_userspace::policy::{AppSetId, BlockId, Plan, Step};
use std::net::IpAddr;

checks![
    a_segment_that_acknowledges_is_answered_by_a_reset_that_begins_there,
    a_segment_that_acknowledges_nothing_is_answered_by_a_reset_that_acknowledges_all_of_it,
    what_is_not_tcp_is_answered_as_prohibited_with_its_header_and_eight_bytes,
    a_checksum_keeps_its_second_carry,
    packets_of_a_session_are_answered_and_answers_parts_and_extras_are_not,
    a_refusal_is_told_where_no_other_denial_is,
];

const FAMILIES: [[&str; 2]; 2] = [["10.77.0.2", "10.20.0.10"], ["fd77::2", "fd20::10"]];
const ETHERNET: usize = 14;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// An answer, taken apart.
struct Said {
    /// What is inside its IP header.
    body: Vec<u8>,
    protocol: u8,
    /// The sum over it and its pseudo header, without the checksum, before anything is carried.
    unfolded: u32,
}

/// What of a denied packet the law has understood.
fn parsed(frame: &[u8]) -> Packet {
    let (judgement, packet) = judge(&plane(), frame, NOW);
    assert!(
        matches!(judgement.verdict, Verdict::Drop(DropReason::NoSession | DropReason::AppUnknown)),
        "{judgement:?}"
    );
    packet
}

/// The answer to a frame, whose IP header is checked here.
#[track_caller]
fn said(frame: &[u8]) -> Said {
    let packet = parsed(frame);
    let mut answer = Answer { bytes: [0; LONGEST], length: 0 };
    answer::to(frame, &packet, &mut answer).unwrap();
    let bytes = &answer.bytes[..answer.length];
    let ip = &frame[ETHERNET..];
    let (pseudo, protocol, body) = if ip[0] >> 4 == 4 {
        let (header, body) = bytes.split_at(20);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        assert_eq!((header[0], length, header[8]), (0x45, bytes.len(), 64));
        assert_eq!(header[12..], [&ip[16..20], &ip[12..16]].concat(), "addresses are not exchanged");
        assert_eq!(fold(sum(header)), 0xffff, "the header's checksum");
        let pseudo = [&header[12..], &[0, header[9]], &(body.len() as u16).to_be_bytes()].concat();
        (if header[9] == 1 { Vec::new() } else { pseudo }, header[9], body)
    } else {
        let (header, body) = bytes.split_at(40);
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        assert_eq!((header[0], length, header[7]), (0x60, body.len(), 64));
        assert_eq!(header[8..], [&ip[24..40], &ip[8..24]].concat(), "addresses are not exchanged");
        ([&header[8..], &(body.len() as u32).to_be_bytes(), &[0, 0, 0, header[6]]].concat(), header[6], body)
    };
    let at = if protocol == 6 { 16 } else { 2 };
    let unfolded = sum(&pseudo) + sum(body) - sum(&body[at..at + 2]);
    assert_eq!(fold(unfolded + sum(&body[at..at + 2])), 0xffff, "the checksum");
    Said { body: body.to_vec(), protocol, unfolded }
}

/// The sum of RFC 1071, before anything is carried.
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
}

/// All carries: 0xffff if a right checksum is in the sum.
fn fold(mut sum: u32) -> u32 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// A TCP segment from port 40000 to 443 with sequence number 1000.
fn segment(ends: [&str; 2], flags: u8, acknowledgement: u32, payload: &[u8]) -> Vec<u8> {
    segment_at(ends, 1_000, flags, acknowledgement, payload)
}

fn segment_at([from, to]: [&str; 2], sequence: u32, flags: u8, acknowledgement: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let ends = from_to(from.parse().unwrap(), to.parse().unwrap());
    ends.tcp(40_000, 443, sequence, 1_024).ack(acknowledgement).write(&mut frame, payload).unwrap();
    let at = frame.len() - payload.len() - 20;
    frame[at + 13] = flags;
    frame
}

#[track_caller]
fn check_reset(frame: &[u8], sequence: u32, acknowledgement: u32, flags: u8) {
    let Said { protocol, body, .. } = said(frame);
    let mut expected = [443_u16, 40_000].map(u16::to_be_bytes).concat();
    expected.extend(sequence.to_be_bytes());
    expected.extend(acknowledgement.to_be_bytes());
    expected.extend([0x50, flags, 0, 0, body[16], body[17], 0, 0]);
    assert_eq!((protocol, body), (6, expected));
}

fn a_segment_that_acknowledges_is_answered_by_a_reset_that_begins_there() {
    for ends in FAMILIES {
        check_reset(&segment(ends, ACK, 0x0102_0304, b"some"), 0x0102_0304, 0, RST);
        check_reset(&segment(ends, FIN | ACK, 7, b""), 7, 0, RST);
    }
}

fn a_segment_that_acknowledges_nothing_is_answered_by_a_reset_that_acknowledges_all_of_it() {
    for ends in FAMILIES {
        check_reset(&segment(ends, SYN, 0, b""), 0, 1_001, RST | ACK);
        check_reset(&segment(ends, SYN, 5, b"with data"), 0, 1_010, RST | ACK);
    }
}

fn what_is_not_tcp_is_answered_as_prohibited_with_its_header_and_eight_bytes() {
    for [from, to] in FAMILIES {
        let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let (icmp, kind, header) = if from.is_ipv4() { (1, [3, 13], 20) } else { (58, [1, 1], 40) };
        let mut frames = vec![Vec::new(), Vec::new()];
        from_to(from, to).udp(40_000, 53).write(&mut frames[0], b"a question").unwrap();
        let echo = from_to(from, to);
        if from.is_ipv4() {
            echo.icmpv4_echo_request(7, 1).write(&mut frames[1], b"").unwrap();
        } else {
            echo.icmpv6_echo_request(7, 1).write(&mut frames[1], b"").unwrap();
        }
        for frame in frames {
            let Said { protocol, body, .. } = said(&frame);
            assert_eq!((protocol, &body[..2], &body[4..8]), (icmp, &kind[..], &[0; 4][..]));
            assert_eq!(body[8..], frame[ETHERNET..ETHERNET + header + 8]);
        }
    }
}

fn a_checksum_keeps_its_second_carry() {
    for ends in FAMILIES {
        // The lower half of what is acknowledged is 0: it makes the lower half of the sum what one likes.
        let Said { unfolded, .. } = said(&segment_at(ends, 0xffff, SYN, 0, b""));
        assert!(unfolded > 0xffff, "nothing is carried");
        said(&segment_at(ends, 0xffff + (0xffff - (unfolded & 0xffff)), SYN, 0, b""));
    }
}

fn packets_of_a_session_are_answered_and_answers_parts_and_extras_are_not() {
    let ends @ [from, to] = FAMILIES[0];
    let start = || from_to(from.parse().unwrap(), to.parse().unwrap());
    let datagram = udp(from, to, &[0; 16]);
    // About a packet that was sent by the one whom it goes to.
    let (quoted, mut error) = (udp(to, from, &[]), Vec::new());
    start().icmpv4_raw(3, 1, [0; 4]).write(&mut error, &quoted[ETHERNET..]).unwrap();
    let mut reply = Vec::new();
    start().icmpv4_echo_reply(7, 1).write(&mut reply, &[]).unwrap();
    let mut first = datagram.clone();
    first[ETHERNET + 6] = 0x20;
    let udp_length = ETHERNET + 20 + 4;
    first[udp_length..udp_length + 2].copy_from_slice(&1_000_u16.to_be_bytes());
    let mut with_options = datagram.clone();
    with_options.splice(ETHERNET + 20..ETHERNET + 20, [1, 1, 1, 0]);
    with_options[ETHERNET] = 0x46;
    with_options[ETHERNET + 3] += 4;
    let mut short = datagram.clone();
    short.truncate(ETHERNET + 27);
    short[ETHERNET + 3] = 27;
    short[ETHERNET + 9] = 47;
    for (frame, expected) in [
        (segment(ends, SYN, 0, b""), true),
        (segment(ends, ACK, 0, b""), true),
        (segment(ends, RST, 0, b""), false),
        (segment(ends, RST | ACK, 0, b""), false),
        (datagram, true),
        (error, false),
        (reply, false),
        (first, false),
        (with_options, false),
        (short, false),
    ] {
        let (judgement, packet) = judge(&plane(), &frame, NOW);
        assert!(packet.protocol != 0, "{judgement:?} of {frame:02x?}");
        assert_eq!(answer::is_due(&packet), expected, "{judgement:?} of {frame:02x?}");
    }
}

fn a_refusal_is_told_where_no_other_denial_is() {
    let (mut plane, block) = (plane(), BlockId(1));
    let keys = [443_u16, 444].map(|port| AppKey { block: 1, port: port.to_be_bytes(), protocol: Packet::TCP, side: 0 });
    let steps = vec![
        Step::PutAppPrefix(AppSetId(1), "10.20.0.10/32".parse().unwrap(), block),
        Step::PutApp(keys[0], AppEntry::new(1, false)),
        Step::PutApp(keys[1], AppEntry::new(2, false)),
        Step::PutGrant(GrantKey { allow_list: 1, app: 1 }, Grant::REFUSAL),
    ];
    plane.apply(&Plan { steps }).unwrap();
    let rejecting = Interface { flags: Interface::REJECT, ..Interface::default() };
    for (port, app, told) in [(443, 1, Answering::Always), (444, 2, Answering::WhereRejecting)] {
        let mut frame = Vec::new();
        let [from, to] = FAMILIES[0].map(|end| end.parse().unwrap());
        from_to(from, to).tcp(40_000, port, 7, 1_000).syn().write(&mut frame, &[]).unwrap();
        let (judgement, _) = judge(&plane, &frame, NOW);
        let expected = (Verdict::Drop(DropReason::NoGrant), app, told);
        assert_eq!((judgement.verdict, judgement.app, judgement.answer), expected);
        let is_refused = told == Answering::Always;
        assert_eq!(judgement.answer.is_due_on(&Interface::default()), is_refused, "on an interface that drops");
        assert!(judgement.answer.is_due_on(&rejecting));
    }
}
