//! Forwarding past the network stack: which packets are plain enough for it, and what a router changes in them.
//!
//! Nothing here decides whether a packet may pass: that is the law's. What is not plain goes to the network stack, which
//! then does what it would have done anyway: it answers by ICMP, puts fragments together, reads options, drops.
//!
//! A flow remembers its way, as a [`Kept`], so that the kernel need not be asked for every packet of it. What is
//! remembered counts in one epoch only, and somebody begins another whenever a way may have become another one.

use crate::abi::{InterfaceRow, Port};
use crate::address::join;
use crate::packet::{Link, SHORTEST_FRAME, is_extension_header};
use crate::{Address, Frame, FrameMut};

/// Length of an Ethernet header; what has tags is not plain.
const ETHERNET: usize = 14;
/// Length of an IPv4 header without options.
const IPV4: usize = 20;
/// Length of an IPv6 header.
const IPV6: usize = 40;
/// Where an IPv4 packet says how many hops it has to live, beside its protocol and the checksum of its header.
const HOPS_AND_CHECKSUM: usize = 22;
/// Where an IPv6 packet says so, behind the number of the next header.
const HOPS_AND_NEXT: usize = 20;
/// IPv4, with such a header.
const PLAIN_IPV4: u8 = 0x45;
/// The bits of the class of service; the others say how congested the way is.
const SERVICE: u8 = 0xfc;
/// `AF_INET`.
const FAMILY_IPV4: u8 = 2;
/// `AF_INET6`.
const FAMILY_IPV6: u8 = 10;
/// Whose route may depend on ports: TCP and UDP.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The way of a packet: what the kernel is asked, and what it answers. Laid out as its `struct bpf_fib_lookup`; numbers
/// are words in memory order as they lie in the packet, but for `length` and `interface`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Way {
    /// The address family.
    pub family: u8,
    /// The IP protocol.
    pub protocol: u8,
    /// The source port of TCP and UDP.
    pub source_port: u16,
    /// Their destination port.
    pub destination_port: u16,
    /// Asked: length of the packet. Answered: the MTU of the way.
    pub length: u16,
    /// Asked: where the packet arrived. Answered: where it leaves.
    pub interface: u32,
    /// IPv4: the type of service in the first byte. IPv6: traffic class and flow label.
    pub class: u32,
    /// The source address; an IPv4 address in the first word, and the others of no meaning.
    pub source: [u32; 4],
    /// Asked: the destination address. Answered: that of the next hop.
    pub destination: [u32; 4],
    /// Answered: nothing, as VLANs are not asked for.
    pub vlan: u32,
    /// Answered: the hardware address of the interface where it leaves.
    pub from: [u8; 6],
    /// Answered: that of the next hop.
    pub to: [u8; 6],
}

const _: () = assert!(size_of::<Way>() == 64 && align_of::<Way>() == 4);

impl Way {
    /// The source address.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> Address {
        let [a, b, c, d] = self.source;
        if self.family == FAMILY_IPV4 { Address::v4_word(a) } else { Address::from_words([join(a, b), join(c, d)]) }
    }
}

/// From where a packet is seen, as far as its way may depend on that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// From the client: where its session is bound to, which the law has looked at.
    FromClient,
    /// From the port in this row: replies may come from several.
    FromPort(u32),
}

impl Seen {
    /// What must be equal for two packets of a flow to have the same way, in a byte; `None` if that is not enough. Of
    /// replies only those of the usual class have one.
    #[inline(always)]
    const fn mark(self, class: u8) -> Option<u8> {
        match self {
            Self::FromClient => Some(class & SERVICE),
            Self::FromPort(row) if class & SERVICE == 0 => Some(row as u8),
            Self::FromPort(_) => None,
        }
    }
}

/// A way as a flow remembers it: the hardware address of the next hop, the row of the port where it leaves, and for which
/// class of service (RFC 2474) it was asked, or from which port. Its MTU, and the hardware address where it leaves, are the
/// port's: other ways are not remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Kept(u64);

impl Kept {
    /// No way.
    pub const NONE: Self = Self(0);

    /// What is remembered of a way that was asked for, and that leaves through the port in this row, with this MTU;
    /// [`Kept::NONE`] if it cannot be remembered.
    #[inline(always)]
    #[must_use]
    pub fn of(way: &Way, row: u32, port: &Port, mtu: u32, seen: Seen) -> Self {
        const { assert!(InterfaceRow::ROWS == 1 << u8::BITS) };
        if u32::from(way.length) != mtu || way.from != port.mac {
            return Self::NONE;
        }
        let [first, second, ..] = way.class.to_ne_bytes();
        let class = if way.family == FAMILY_IPV4 { first } else { first << 4 | second >> 4 };
        let [a, b, c, d, e, f] = way.to;
        match seen.mark(class) {
            Some(mark) => Self(u64::from_le_bytes([a, b, c, d, e, f, row as u8, mark])),
            None => Self::NONE,
        }
    }

    /// What stands in a flow.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// As it stands in a flow.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Whether there is none.
    #[inline(always)]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The row of the port where it leaves.
    #[inline(always)]
    #[must_use]
    pub const fn row(self) -> u32 {
        let [.., row, _] = self.0.to_le_bytes();
        row as u32
    }

    /// The hardware address of the next hop.
    #[inline(always)]
    #[must_use]
    pub const fn to(self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = self.0.to_le_bytes();
        [a, b, c, d, e, f]
    }

    /// Whether a packet that the short way has understood may be forwarded along this way past the network stack, as far as
    /// the packet is concerned: see [`plain`], of which the short way has not looked at all. `Some` of how many bytes lie
    /// behind the packet.
    #[inline(always)]
    #[must_use]
    pub fn admits<F: Frame + ?Sized>(self, frame: &F, port: &Port, length: u16, seen: Seen) -> Option<usize> {
        let [.., mark] = self.0.to_le_bytes();
        let first = frame.double(ETHERNET)?;
        let [version, second, .., hop_limit] = first.to_ne_bytes();
        let (class, hops) = if version == PLAIN_IPV4 {
            let header = Header::of(frame)?;
            if !header.is_intact() {
                return None;
            }
            let [time_to_live, ..] = header.second.to_ne_bytes();
            (second, time_to_live)
        } else {
            (version << 4 | second >> 4, hop_limit)
        };
        if hops <= 1 || seen.mark(class) != Some(mark) || !is_for(frame, port)? {
            return None;
        }
        padding(frame, length)
    }
}

/// Whether a packet that arrived through `port` may be forwarded past the network stack, as far as the packet is
/// concerned: whole, without tags, options and extension headers, not at the end of its life, and for this host's
/// hardware address. Writes into `way` what has to be asked. `Some` of how many bytes lie behind the packet.
#[inline(always)]
pub fn plain<F: Frame + ?Sized>(frame: &F, port: &Port, way: &mut Way) -> Option<usize> {
    if !is_for(frame, port)? {
        return None;
    }
    let length = match u16::from_be(frame.half(12)?) {
        Link::IPV4 => ipv4(frame, way)?,
        Link::IPV6 => ipv6(frame, way)?,
        _ => return None,
    };
    way.length = u16::try_from(length).ok()?;
    padding(frame, way.length)
}

/// Whether the frame is for this host, as the hardware address of the interface where it arrived.
#[inline(always)]
fn is_for<F: Frame + ?Sized>(frame: &F, port: &Port) -> Option<bool> {
    // Its two flag bytes are shifted out, and so are those of the frame that come behind.
    Some(u64::from_le(frame.double(0)?) << 16 == u64::from_le(port.word()) << 16)
}

/// How many bytes lie behind a packet of this length.
#[inline(always)]
fn padding<F: Frame + ?Sized>(frame: &F, length: u16) -> Option<usize> {
    let needed = ETHERNET.saturating_add(length.into());
    let behind = frame.length().checked_sub(needed)?;
    // More than that is no padding, and it is for the network stack to take it off before the law looks.
    if behind > SHORTEST_FRAME.saturating_sub(needed) { None } else { Some(behind) }
}

#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, way: &mut Way) -> Option<usize> {
    let header = Header::of(frame)?;
    let [version, class, l0, l1, _, _, f0, f1] = header.first.to_ne_bytes();
    let [ttl, protocol, _, _, s0, s1, s2, s3] = header.second.to_ne_bytes();
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // Fragments, and the flag that nobody may set.
    let is_whole = f0 & 0xbf == 0 && f1 == 0;
    if version != PLAIN_IPV4 || !is_whole || ttl <= 1 || length < IPV4 || !header.is_intact() {
        return None;
    }
    way.family = FAMILY_IPV4;
    way.class = u32::from_ne_bytes([class, 0, 0, 0]);
    let ([to_source, ..], [to_destination, ..]) = (&mut way.source, &mut way.destination);
    (*to_source, *to_destination) = (u32::from_ne_bytes([s0, s1, s2, s3]), header.last);
    ports(frame, const { ETHERNET + IPV4 }, protocol, way);
    Some(length)
}

/// An IPv4 header without options, as it lies in the frame.
struct Header {
    first: u64,
    second: u64,
    last: u32,
}

impl Header {
    #[inline(always)]
    fn of<F: Frame + ?Sized>(frame: &F) -> Option<Self> {
        let (first, second) = (frame.double(ETHERNET)?, frame.double(const { ETHERNET + 8 })?);
        Some(Self { first, second, last: frame.word(const { ETHERNET + 16 })? })
    }

    /// Whether the checksum is right: the network stack drops what has another one. The sum of RFC 1071 does not depend on
    /// the order of bytes.
    #[inline(always)]
    const fn is_intact(&self) -> bool {
        const HALF: u64 = 0xffff_ffff;
        let sum = (self.first & HALF).wrapping_add(self.first >> 32).wrapping_add(self.second & HALF);
        let sum = sum.wrapping_add(self.second >> 32).wrapping_add(self.last as u64);
        let sum = (sum & 0xffff).wrapping_add(sum >> 16 & 0xffff).wrapping_add(sum >> 32);
        let sum = (sum & 0xffff).wrapping_add(sum >> 16);
        (sum & 0xffff).wrapping_add(sum >> 16) == 0xffff
    }
}

#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F, way: &mut Way) -> Option<usize> {
    let at = |offset: usize| frame.word(ETHERNET.wrapping_add(offset));
    let ([version, c1, c2, c3], [l0, l1, next, hop_limit]) = (at(0)?.to_ne_bytes(), at(4)?.to_ne_bytes());
    if version >> 4 != 6 || hop_limit <= 1 || is_extension_header(next) {
        return None;
    }
    way.family = FAMILY_IPV6;
    way.class = u32::from_ne_bytes([version & 0x0f, c1, c2, c3]);
    way.source = [at(8)?, at(12)?, at(16)?, at(20)?];
    way.destination = [at(24)?, at(28)?, at(32)?, at(36)?];
    ports(frame, const { ETHERNET + IPV6 }, next, way);
    Some(usize::from(u16::from_be_bytes([l0, l1])).saturating_add(IPV6))
}

#[inline(always)]
fn ports<F: Frame + ?Sized>(frame: &F, offset: usize, protocol: u8, way: &mut Way) {
    way.protocol = protocol;
    let has_ports = matches!(protocol, TCP | UDP);
    let read = if has_ports { frame.half(offset).zip(frame.half(offset.wrapping_add(2))) } else { None };
    (way.source_port, way.destination_port) = read.unwrap_or((0, 0));
}

/// What a router does to a plain packet: new hardware addresses, one hop less to live and, for IPv4, the checksum that
/// follows from it (RFC 1624), computed as the kernel does. `None` if the frame does not hold its header; then nothing of it
/// may be sent.
#[inline(always)]
pub fn step<F: FrameMut + ?Sized>(frame: &mut F, to: [u8; 6], from: [u8; 6]) -> Option<()> {
    if u16::from_be(frame.half(12)?) == Link::IPV6 {
        let [next, hop_limit] = frame.half(HOPS_AND_NEXT)?.to_ne_bytes();
        frame.put_half(HOPS_AND_NEXT, u16::from_ne_bytes([next, hop_limit.saturating_sub(1)]))?;
    } else {
        let [time_to_live, protocol, c0, c1] = frame.word(HOPS_AND_CHECKSUM)?.to_ne_bytes();
        let sum = u32::from(u16::from_be_bytes([c0, c1])).wrapping_add(0x0100);
        let sum = sum.wrapping_add(u32::from(sum >= 0xffff));
        let [c0, c1] = (sum as u16).to_be_bytes();
        frame.put_word(HOPS_AND_CHECKSUM, u32::from_ne_bytes([time_to_live.saturating_sub(1), protocol, c0, c1]))?;
    }
    let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (to, from);
    frame.put_word(0, u32::from_ne_bytes([a, b, c, d]))?;
    frame.put_word(4, u32::from_ne_bytes([e, f, g, h]))?;
    frame.put_word(8, u32::from_ne_bytes([i, j, k, l]))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const PORT: Port = Port { mac: [2, 0, 0, 0, 0, 1], flags: 0 };

    fn frame(version: u8, payload: usize) -> Vec<u8> {
        let mut frame = Vec::from(PORT.mac);
        frame.extend([2, 0, 0, 0, 0, 9]);
        if version == 4 {
            frame.extend([8, 0, 0x45, 0xb8, 0, IPV4 as u8 + payload as u8, 0, 7, 0x40, 0, 64, 17, 0, 0]);
            frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
            checksum(&mut frame);
        } else {
            frame.extend([0x86, 0xdd, 0x6b, 0x81, 2, 3, 0, payload as u8, 17, 64]);
            frame.extend([0xfd; 16]);
            frame.extend([0xfe; 16]);
        }
        frame.extend((1..).take(payload));
        frame
    }

    fn checksum(frame: &mut [u8]) {
        frame[24..26].fill(0);
        let mut header: [u8; IPV4] = frame[14..34].try_into().unwrap();
        let right = (0..=0xffff_u16).find(|sum| {
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            has_right_sum(&header)
        });
        frame[24..26].copy_from_slice(&right.unwrap().to_be_bytes());
    }

    fn has_right_sum(header: &[u8]) -> bool {
        Header::of(&[&[0; ETHERNET], header].concat()[..]).unwrap().is_intact()
    }

    fn look(frame: &[u8]) -> (Option<usize>, Way) {
        let mut way = Way::default();
        (plain(frame, &PORT, &mut way), way)
    }

    #[test]
    fn a_plain_packet_is_asked_for_by_all_that_its_route_may_depend_on() {
        let (padding, way) = look(&frame(4, 12));
        assert_eq!((padding, way.family, way.protocol, way.length), (Some(0), 2, 17, 32));
        assert_eq!(
            (way.class.to_ne_bytes(), way.source[0].to_ne_bytes(), way.destination[0].to_ne_bytes()),
            ([0xb8, 0, 0, 0], [10, 0, 0, 1], [10, 0, 0, 2])
        );
        assert_eq!((way.source_port.to_ne_bytes(), way.destination_port.to_ne_bytes()), ([1, 2], [3, 4]));
        assert_eq!(way.source(), Address::v4([10, 0, 0, 1]));
        let (padding, way) = look(&frame(6, 12));
        assert_eq!((padding, way.family, way.protocol, way.length), (Some(0), 10, 17, 52));
        assert_eq!(way.class.to_ne_bytes(), [0x0b, 0x81, 2, 3]);
        assert_eq!((way.source, way.destination), ([0xfdfd_fdfd; 4], [0xfefe_fefe; 4]));
        assert_eq!((way.source_port.to_ne_bytes(), way.destination_port.to_ne_bytes()), ([1, 2], [3, 4]));
        assert_eq!(way.source(), Address([0xfd; 16]));
    }

    #[test]
    fn what_is_cut_off_is_not_plain_and_what_is_padded_is() {
        for whole in [frame(4, 12), frame(6, 0)] {
            for length in 0..whole.len() {
                assert_eq!(look(&whole[..length]).0, None, "{length}");
            }
            for padding in 0..80 {
                let mut padded = whole.clone();
                padded.resize(whole.len() + padding, 7);
                let is_plain = padding == 0 || padded.len() <= SHORTEST_FRAME;
                assert_eq!(look(&padded).0, is_plain.then_some(padding), "{padding}");
            }
        }
    }

    #[test]
    fn what_needs_more_than_a_router_is_not_plain() {
        // Addresses, tags, header length, flags, offset, life, length, checksum; for IPv6 version, life and next header.
        let v4 = [(0, 3), (5, 9), (12, 0x81), (14, 0x46), (20, 0x20), (20, 0x80), (21, 1), (22, 1), (22, 0), (17, 19)];
        for (place, value) in v4 {
            let mut other = frame(4, 12);
            other[place] = value;
            checksum(&mut other);
            assert_eq!(look(&other).0, None, "{place} {value}");
        }
        let mut other = frame(4, 12);
        other[25] ^= 1;
        assert_eq!(look(&other).0, None);
        for (place, value) in [(14, 0x4b), (21, 1), (21, 0), (20, 0), (20, 43), (20, 44), (20, 51), (20, 60), (19, 13)]
        {
            let mut other = frame(6, 12);
            other[place] = value;
            assert_eq!(look(&other).0, None, "{place} {value}");
        }
    }

    #[test]
    fn a_step_changes_what_a_router_changes_and_the_checksum_stays_right_whatever_it_was() {
        let intact = frame(4, 0);
        for identification in 0..=0xffff_u16 {
            let mut header = intact.clone();
            header[18..20].copy_from_slice(&identification.to_be_bytes());
            // The identification is 7 more or less than it was, and so is the checksum's complement.
            let sum = !u16::from_be_bytes([header[24], header[25]]);
            let sum = u32::from(sum) + u32::from(identification) + u32::from(!7_u16);
            let sum = (sum & 0xffff) + (sum >> 16);
            header[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
            assert!(has_right_sum(&header[14..34]), "{identification}");
            step(&mut header[..], [5; 6], [4; 6]).unwrap();
            assert!(has_right_sum(&header[14..34]), "{identification}");
            // Of the two ways to write zero the kernel chooses the other one.
            assert_ne!(header[24..26], [0xff, 0xff], "{identification}");
            assert_eq!((&header[..14], header[22]), (&[5, 5, 5, 5, 5, 5, 4, 4, 4, 4, 4, 4, 8, 0][..], 63));
        }
        let before = frame(6, 0);
        let mut after = before.clone();
        step(&mut after[..], [5; 6], [4; 6]).unwrap();
        assert_eq!((&after[12..21], after[21], &after[22..]), (&before[12..21], 63, &before[22..]));
    }

    const LAN: Port = Port { mac: [2, 0, 0, 0, 0, 7], flags: 0 };

    /// The way of a frame, as the kernel would answer.
    fn answered(frame: &[u8]) -> Way {
        Way { from: LAN.mac, to: [2, 3, 4, 5, 6, 7], length: 1_500, ..look(frame).1 }
    }

    #[test]
    fn a_way_is_remembered_with_all_that_it_depends_on_and_not_if_it_depends_on_more() {
        let frame = frame(4, 12);
        let way = answered(&frame);
        let kept = Kept::of(&way, 200, &LAN, 1_500, Seen::FromClient);
        assert_eq!((kept.to(), kept.row(), kept.is_none()), (way.to, 200, false));
        assert_eq!(Kept::from_word(kept.word()), kept);
        // Another MTU, or another hardware address, than the port's; replies of a class of their own.
        assert!(Kept::of(&way, 200, &LAN, 1_400, Seen::FromClient).is_none());
        assert!(Kept::of(&way, 200, &PORT, 1_500, Seen::FromClient).is_none());
        assert!(Kept::of(&way, 200, &LAN, 1_500, Seen::FromPort(3)).is_none());
    }

    #[test]
    fn a_way_that_is_remembered_admits_what_is_plain_and_was_asked_for() {
        for (version, header) in [(4, IPV4), (6, IPV6)] {
            let plain = frame(version, 12);
            let kept = Kept::of(&answered(&plain), 200, &LAN, 1_500, Seen::FromClient);
            let length = header as u16 + 12;
            let admits = |frame: &[u8]| kept.admits(frame, &PORT, length, Seen::FromClient);
            assert_eq!(admits(&plain), Some(0));
            let mut padded = plain.clone();
            padded.resize(SHORTEST_FRAME.max(plain.len()), 9);
            assert_eq!(admits(&padded), Some(SHORTEST_FRAME.saturating_sub(plain.len())));
            padded.push(9);
            assert_eq!(admits(&padded), None);
            for cut in 0..plain.len() {
                assert_eq!(admits(&plain[..cut]), None, "{cut}");
            }
            // For another host, at the end of its life, of another class.
            let (hops, class) = if version == 4 { (22, 15) } else { (21, 14) };
            let others = [(5, 3_u8), (hops, 1), (hops, 0), (class, plain[class] ^ if version == 4 { 4 } else { 1 })];
            for (place, value) in others {
                let mut other = plain.clone();
                other[place] = value;
                if version == 4 {
                    checksum(&mut other);
                }
                assert_eq!(admits(&other), None, "{version} {place} {value}");
            }
            // How congested the way was says nothing of where it leads.
            let mut congested = plain.clone();
            congested[15] ^= if version == 4 { 3 } else { 0x30 };
            if version == 4 {
                checksum(&mut congested);
                congested[25] ^= 1;
                assert_eq!(admits(&congested), None, "a wrong checksum");
                congested[25] ^= 1;
            }
            assert_eq!(admits(&congested), Some(0));
        }
    }

    #[test]
    fn a_reply_goes_along_the_way_of_those_that_came_from_the_same_port() {
        let mut reply = frame(4, 12);
        reply[15] = 1;
        checksum(&mut reply);
        let kept = Kept::of(&answered(&reply), 200, &LAN, 1_500, Seen::FromPort(3));
        let admits = |frame: &[u8], row| kept.admits(frame, &PORT, 32, Seen::FromPort(row));
        assert_eq!((admits(&reply, 3), admits(&reply, 4)), (Some(0), None));
        reply[15] = 8;
        checksum(&mut reply);
        assert_eq!(admits(&reply, 3), None);
    }
}
