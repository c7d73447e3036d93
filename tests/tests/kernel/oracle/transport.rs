//! What an IP packet carries: steps 18 to 22, and the packets that ICMP errors quote.

use super::network::Part;
use etherparse::{TcpHeaderSlice, UdpHeaderSlice};
use gateway_common::DropReason;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inside {
    Tcp {
        from: u16,
        to: u16,
        flags: Flags,
        /// Sequence number behind the segment, and acknowledgement. None in a later fragment.
        progress: Option<(u32, u32)>,
    },
    Udp {
        from: u16,
        to: u16,
    },
    Sctp {
        from: u16,
        to: u16,
        chunk: u8,
    },
    Request(u16),
    Reply(u16),
    /// An ICMP error; None if it quotes nothing that a flow could have carried.
    Error(Option<Quote>),
    /// A protocol without ports.
    Other,
    /// A later fragment of what is not known yet.
    Unknown,
}

/// The flags of TCP that count.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags {
    pub fin: bool,
    pub syn: bool,
    pub rst: bool,
    pub ack: bool,
}

impl Inside {
    /// Source and destination port, or what takes their place.
    pub fn ports(&self) -> (u16, u16) {
        match *self {
            Self::Tcp { from, to, .. } | Self::Udp { from, to } | Self::Sctp { from, to, .. } => (from, to),
            Self::Request(id) => (id, 0),
            Self::Reply(id) => (0, id),
            Self::Error(_) | Self::Other | Self::Unknown => (0, 0),
        }
    }

    /// Section "Flows": whether it begins something.
    pub fn begins(&self) -> bool {
        match self {
            Self::Tcp { flags, .. } => flags.syn && !flags.ack,
            Self::Sctp { chunk, .. } => *chunk == 1,
            Self::Request(_) => true,
            _ => false,
        }
    }

    /// Whether an app may begin a connection to its client with it.
    pub fn may_be_first_from_app(&self) -> bool {
        self.begins() || matches!(self, Self::Udp { .. } | Self::Other)
    }

    pub fn is_reply(&self) -> bool {
        matches!(self, Self::Reply(_))
    }

    /// What a later fragment of this packet carries.
    pub fn continued(self) -> Self {
        match self {
            Self::Tcp { from, to, .. } => Self::Tcp { from, to, flags: Flags::default(), progress: None },
            Self::Sctp { from, to, .. } => Self::Sctp { from, to, chunk: 0 },
            other => other,
        }
    }
}

/// The packet that an ICMP error is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    pub to: IpAddr,
    pub protocol: u8,
    /// Ports, or what takes their place.
    pub ports: (u16, u16),
    pub is_request: bool,
    pub is_reply: bool,
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

const MALFORMED: DropReason = DropReason::TransportMalformed;

/// Steps 18 to 22.
pub fn transport(protocol: u8, payload: &[u8], to: IpAddr, part: Part) -> Result<Inside, DropReason> {
    let is_ip4 = to.is_ipv4();
    let is_first = match part {
        Part::Whole => false,
        Part::First { .. } => true,
        // The first one says what it carries.
        Part::Later { .. } => return Ok(Inside::Unknown),
    };
    let whole = match protocol {
        6 => payload.get(12).map_or(20, |byte| 20.max(usize::from(byte >> 4) * 4)),
        17 => 8,
        132 => 16,
        _ => 8,
    };
    if is_first && payload.len() < whole {
        return Err(DropReason::FragmentTiny);
    }
    match protocol {
        6 => tcp(payload),
        17 => udp(payload, is_first),
        132 => sctp(payload),
        1 if is_ip4 => icmp(payload, to, is_first),
        58 if !is_ip4 => icmp(payload, to, is_first),
        other if can_be_granted(other, is_ip4) => Ok(Inside::Other),
        _ => refuse(),
    }
}

fn refuse() -> Result<Inside, DropReason> {
    Err(DropReason::ProtocolUnsupported)
}

fn can_be_granted(protocol: u8, is_ip4: bool) -> bool {
    if is_ip4 { !matches!(protocol, 0 | 43 | 44 | 58 | 59 | 60 | 255) } else { !matches!(protocol, 1 | 255) }
}

fn tcp(segment: &[u8]) -> Result<Inside, DropReason> {
    // etherparse refuses a header below 20 bytes, and one that does not fit.
    let header = TcpHeaderSlice::from_slice(segment).map_err(|_| MALFORMED)?;
    let (from, to) = (header.source_port(), header.destination_port());
    if from == 0 || to == 0 {
        return Err(MALFORMED);
    }
    let flags = Flags { fin: header.fin(), syn: header.syn(), rst: header.rst(), ack: header.ack() };
    let is_sane = match flags {
        Flags { syn: true, fin, rst, .. } => !fin && !rst,
        Flags { rst: true, fin, .. } => !fin,
        Flags { ack, .. } => ack,
    };
    if !is_sane {
        return Err(DropReason::TcpFlags);
    }
    let length = segment.len() - header.slice().len() + usize::from(flags.syn) + usize::from(flags.fin);
    let behind = header.sequence_number().wrapping_add(length as u32);
    Ok(Inside::Tcp { from, to, flags, progress: Some((behind, header.acknowledgment_number())) })
}

fn udp(datagram: &[u8], is_first: bool) -> Result<Inside, DropReason> {
    let header = UdpHeaderSlice::from_slice(datagram).map_err(|_| MALFORMED)?;
    let length = usize::from(header.length());
    let fits = if is_first { length > datagram.len() } else { length == datagram.len() };
    if !fits || header.destination_port() == 0 {
        return Err(MALFORMED);
    }
    Ok(Inside::Udp { from: header.source_port(), to: header.destination_port() })
}

/// RFC 9260, section 3: a common header of 12 bytes, then a chunk of at least 4.
fn sctp(packet: &[u8]) -> Result<Inside, DropReason> {
    if packet.len() < 16 || word(packet, 0) == 0 || word(packet, 2) == 0 {
        return Err(MALFORMED);
    }
    Ok(Inside::Sctp { from: word(packet, 0), to: word(packet, 2), chunk: packet[12] })
}

fn icmp(message: &[u8], to: IpAddr, is_fragment: bool) -> Result<Inside, DropReason> {
    if message.len() < 8 {
        return Err(MALFORMED);
    }
    let (kind, code) = (message[0], message[1]);
    match (kind, to.is_ipv4()) {
        (8, true) | (128, false) if code == 0 => Ok(Inside::Request(word(message, 4))),
        (0, true) | (129, false) if code == 0 => Ok(Inside::Reply(word(message, 4))),
        (8 | 0, true) | (128 | 129, false) => Err(MALFORMED),
        (3 | 11 | 12, true) | (1..=4, false) => {
            // RFC 1191, section 5: a router that knows no better announces 0.
            let is_tiny = match to {
                IpAddr::V4(_) => (kind, code) == (3, 4) && (1..68).contains(&word(message, 6)),
                IpAddr::V6(_) => kind == 2 && word(message, 4) == 0 && word(message, 6) < 1280,
            };
            if is_fragment || is_tiny {
                return Err(MALFORMED);
            }
            quotation(&message[8..], to).map(Inside::Error)
        }
        _ => Err(DropReason::IcmpType),
    }
}

/// The packet that is quoted to the host that sent it. Options are skipped, extension headers are not.
fn quotation(packet: &[u8], sender: IpAddr) -> Result<Option<Quote>, DropReason> {
    let header = if sender.is_ipv4() { 20 } else { 40 };
    if packet.len() < header + 8 {
        return Err(MALFORMED);
    }
    let (from, to, protocol, rest) = if sender.is_ipv4() {
        let length = usize::from(packet[0] & 15) * 4;
        let is_later = word(packet, 6) & 0x1fff != 0;
        if packet[0] >> 4 != 4 || length < 20 || packet.len() < length + 8 || is_later {
            return Err(MALFORMED);
        }
        let at = |at: usize| IpAddr::V4(Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]));
        (at(12), at(16), packet[9], &packet[length..])
    } else {
        if packet[0] >> 4 != 6 {
            return Err(MALFORMED);
        }
        let at = |at: usize| IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap()));
        let (protocol, length) = if packet[6] == 44 { (packet[40], 48) } else { (packet[6], 40) };
        let is_later = length == 48 && word(packet, 42) >> 3 != 0;
        if packet.len() < length + 8 || is_later {
            return Err(MALFORMED);
        }
        (at(8), at(24), protocol, &packet[length..])
    };
    if from != sender {
        return Err(MALFORMED);
    }
    let is_icmp = protocol == if sender.is_ipv4() { 1 } else { 58 };
    let quote = |ports, is_request, is_reply| Some(Quote { to, protocol, ports, is_request, is_reply });
    Ok(match (protocol, rest[0]) {
        (6 | 17 | 132, _) => quote((word(rest, 0), word(rest, 2)), false, false),
        (1, 8) | (58, 128) if is_icmp => quote((word(rest, 4), 0), true, false),
        (1, 0) | (58, 129) if is_icmp => quote((0, word(rest, 4)), false, true),
        _ if is_icmp => None,
        _ => quote((0, 0), false, false),
    })
}
