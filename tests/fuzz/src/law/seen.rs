//! Another reading of frames, for what the law has passed: it may assume that the frame is well-formed, and gives up
//! where it is not.

use gateway_common::packet::Tag;
use std::net::IpAddr;

/// What is in a frame.
#[derive(Debug)]
pub enum Seen {
    /// ARP, or neighbour discovery.
    Neighbour,
    Packet(Packet),
}

#[derive(Debug)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// Source and destination port; the identifier of an echo is the port of the side that asks.
    pub ports: (u16, u16),
    /// TCP: the flags. ICMP: the type.
    pub detail: u8,
    /// Of the IP packet.
    pub length: u64,
    pub fragment: Option<Fragment>,
    pub has_extras: bool,
    /// What an ICMP error is about.
    pub quoted: Option<Box<Self>>,
}

#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    pub identification: u32,
    pub start: usize,
    pub end: usize,
}

impl Packet {
    pub fn is_later(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.start > 0)
    }
}

/// The numbers of the two tags, without priority tags, and what is behind them.
pub fn tags(frame: &[u8], removed: Option<Tag>) -> Option<((u16, u16), u16, &[u8])> {
    let mut rest = frame.get(12..)?;
    let mut found: Vec<(u16, u16)> = removed.iter().map(|tag| (tag.ethertype, tag.control)).collect();
    while let Some(kind @ (0x8100 | 0x88a8)) = word(rest, 0) {
        found.push((kind, word(rest, 2)?));
        rest = rest.get(4..)?;
    }
    found.retain(|(_, control)| control & 0xfff != 0);
    let number = |control: u16| control & 0xfff;
    let vlan = match found.as_slice() {
        [] => (0, 0),
        [(0x8100, one)] => (0, number(*one)),
        [(0x88a8, outer), (0x8100, inner)] => (number(*outer), number(*inner)),
        _ => return None,
    };
    Some((vlan, word(rest, 0)?, rest.get(2..)?))
}

/// What is behind the link layer.
pub fn read(ethertype: u16, bytes: &[u8]) -> Option<Seen> {
    match ethertype {
        0x0806 => Some(Seen::Neighbour),
        0x0800 => v4(bytes, true).map(Seen::Packet),
        0x86dd => {
            let packet = v6(bytes, true)?;
            let is_discovery = packet.protocol == 58 && !packet.is_later() && matches!(packet.detail, 133..=137);
            Some(if is_discovery { Seen::Neighbour } else { Seen::Packet(packet) })
        }
        _ => None,
    }
}

fn v4(bytes: &[u8], quotes: bool) -> Option<Packet> {
    let header = usize::from(bytes.first()? & 15) * 4;
    let length = usize::from(word(bytes, 2)?);
    let flags = word(bytes, 6)?;
    let mut packet = Packet {
        source: <[u8; 4]>::try_from(bytes.get(12..16)?).ok()?.into(),
        destination: <[u8; 4]>::try_from(bytes.get(16..20)?).ok()?.into(),
        protocol: *bytes.get(9)?,
        ports: (0, 0),
        detail: 0,
        length: length as u64,
        fragment: None,
        has_extras: header > 20,
        quoted: None,
    };
    if flags & 0x3fff != 0 {
        let start = usize::from(flags & 0x1fff) * 8;
        let identification = word(bytes, 4)?.into();
        packet.fragment = Some(Fragment { identification, start, end: start + length.checked_sub(header)? });
    }
    // What a quotation says of its length need not be there.
    let payload = if quotes { bytes.get(header..length)? } else { bytes.get(header..)? };
    packet.transport(payload, quotes)?;
    Some(packet)
}

fn v6(bytes: &[u8], quotes: bool) -> Option<Packet> {
    let length = usize::from(word(bytes, 4)?) + 40;
    let mut packet = Packet {
        source: <[u8; 16]>::try_from(bytes.get(8..24)?).ok()?.into(),
        destination: <[u8; 16]>::try_from(bytes.get(24..40)?).ok()?.into(),
        protocol: *bytes.get(6)?,
        ports: (0, 0),
        detail: 0,
        length: length as u64,
        fragment: None,
        has_extras: false,
        quoted: None,
    };
    let mut payload = if quotes { bytes.get(40..length)? } else { bytes.get(40..)? };
    while quotes && matches!(packet.protocol, 0 | 44 | 60) {
        packet.has_extras |= packet.protocol != 44;
        let size = if packet.protocol == 44 { 8 } else { usize::from(*payload.get(1)?) * 8 + 8 };
        if packet.protocol == 44 {
            let (place, start) = (word(payload, 2)?, usize::from(word(payload, 2)? >> 3) * 8);
            let identification = u32::from(word(payload, 4)?) << 16 | u32::from(word(payload, 6)?);
            let end = start + payload.len().checked_sub(8)?;
            // One that is first and last is no fragment.
            packet.fragment = (place & !6 != 0).then_some(Fragment { identification, start, end });
            packet.has_extras |= place & !6 == 0;
        }
        packet.protocol = *payload.first()?;
        payload = payload.get(size..)?;
        if packet.is_later() {
            break;
        }
    }
    packet.transport(payload, quotes)?;
    Some(packet)
}

impl Packet {
    fn transport(&mut self, bytes: &[u8], quotes: bool) -> Option<()> {
        if self.is_later() {
            return Some(());
        }
        match self.protocol {
            6 | 17 | 132 => {
                self.ports = (word(bytes, 0)?, word(bytes, 2)?);
                self.detail = if self.protocol == 6 && quotes { *bytes.get(13)? } else { 0 };
            }
            1 | 58 => {
                self.detail = *bytes.first()?;
                match (self.protocol, self.detail) {
                    (1, 8) | (58, 128) => self.ports.0 = word(bytes, 4)?,
                    (1, 0) | (58, 129) => self.ports.1 = word(bytes, 4)?,
                    (1, 3 | 11 | 12) if quotes => self.quoted = Some(Box::new(v4(bytes.get(8..)?, false)?)),
                    (58, 1..=4) if quotes => self.quoted = Some(Box::new(v6(bytes.get(8..)?, false)?)),
                    _ => {}
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Whether this is an echo request, an echo reply.
    pub fn echo(&self) -> (bool, bool) {
        let kind = (self.protocol, self.detail);
        (matches!(kind, (1, 8) | (58, 128)), matches!(kind, (1, 0) | (58, 129)))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
