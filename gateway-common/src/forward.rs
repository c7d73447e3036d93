//! Forwarding past the network stack: which packets are plain enough for it, and what a router changes in them.
//!
//! Nothing here decides whether a packet may pass: that is the law's. What is not plain goes to the network stack, which
//! then does what it would have done anyway: it answers by ICMP, puts fragments together, reads options, drops.

use crate::abi::Port;
use crate::packet::{Link, SHORTEST_FRAME, is_extension_header};
use crate::{Address, Frame};

/// Length of an Ethernet header; what has tags is not plain.
const ETHERNET: usize = 14;
/// Length of an IPv4 header without options.
const IPV4: usize = 20;
/// Length of an IPv6 header.
const IPV6: usize = 40;
/// `AF_INET`.
const FAMILY_IPV4: u8 = 2;
/// `AF_INET6`.
const FAMILY_IPV6: u8 = 10;
/// Whose route may depend on ports: TCP and UDP.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The way of a packet: what the kernel is asked, and what it answers. Laid out as its `struct bpf_fib_lookup`; numbers
/// of more than a byte are in network order but for `length` and `interface`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Way {
    /// The address family.
    pub family: u8,
    /// The IP protocol.
    pub protocol: u8,
    /// The source port of TCP and UDP.
    pub source_port: [u8; 2],
    /// Their destination port.
    pub destination_port: [u8; 2],
    /// Asked: length of the packet. Answered: the MTU of the way.
    pub length: u16,
    /// Asked: where the packet arrived. Answered: where it leaves.
    pub interface: u32,
    /// IPv4: the type of service, and zero. IPv6: traffic class and flow label.
    pub class: [u8; 4],
    /// The source address; an IPv4 address in the first four bytes.
    pub source: [u8; 16],
    /// Asked: the destination address. Answered: that of the next hop.
    pub destination: [u8; 16],
    /// Answered: nothing, as VLANs are not asked for.
    pub vlan: [u8; 4],
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
        match (self.family, self.source) {
            (FAMILY_IPV4, [a, b, c, d, ..]) => Address::v4([a, b, c, d]),
            _ => Address(self.source),
        }
    }
}

/// How many bytes of a frame change.
pub const CHANGED: usize = 26;

/// Whether a packet that arrived through `port` may be forwarded past the network stack, as far as the packet is
/// concerned: whole, without tags, options and extension headers, not at the end of its life, and for this host's
/// hardware address. Writes into `way` what has to be asked. `Some` of how many bytes lie behind the packet.
#[inline(always)]
pub fn plain<F: Frame + ?Sized>(frame: &F, port: &Port, way: &mut Way) -> Option<usize> {
    let [m0, m1, m2, m3, m4, m5, .., t0, t1] = frame.bytes::<ETHERNET>(0)?;
    if [m0, m1, m2, m3, m4, m5] != port.mac {
        return None;
    }
    let length = match u16::from_be_bytes([t0, t1]) {
        Link::IPV4 => ipv4(frame, way)?,
        Link::IPV6 => ipv6(frame, way)?,
        _ => return None,
    };
    way.length = u16::try_from(length).ok()?;
    let needed = ETHERNET.saturating_add(length);
    let behind = frame.length().checked_sub(needed)?;
    // More than that is no padding, and it is for the network stack to take it off before the law looks.
    if behind > SHORTEST_FRAME.saturating_sub(needed) { None } else { Some(behind) }
}

#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, way: &mut Way) -> Option<usize> {
    let header = frame.bytes::<IPV4>(ETHERNET)?;
    let [version, class, l0, l1, _, _, f0, f1, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // Fragments, and the flag that nobody may set.
    let is_whole = f0 & 0xbf == 0 && f1 == 0;
    if version != 0x45 || !is_whole || ttl <= 1 || length < IPV4 || !is_intact(&header) {
        return None;
    }
    way.family = FAMILY_IPV4;
    way.class = [class, 0, 0, 0];
    way.source = [s0, s1, s2, s3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    way.destination = [d0, d1, d2, d3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ports(frame, const { ETHERNET + IPV4 }, protocol, way);
    Some(length)
}

/// Whether the header's checksum is right: the network stack drops what has another one.
#[inline(always)]
fn is_intact(header: &[u8; IPV4]) -> bool {
    let words = header.as_chunks::<2>().0;
    let sum = words.iter().fold(0_u32, |sum, word| sum.wrapping_add(u16::from_be_bytes(*word).into()));
    let sum = (sum & 0xffff).wrapping_add(sum >> 16);
    (sum & 0xffff).wrapping_add(sum >> 16) == 0xffff
}

#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F, way: &mut Way) -> Option<usize> {
    let [version, c1, c2, c3, l0, l1, next, hop_limit] = frame.bytes(ETHERNET)?;
    if version >> 4 != 6 || hop_limit <= 1 || is_extension_header(next) {
        return None;
    }
    way.family = FAMILY_IPV6;
    way.class = [version & 0x0f, c1, c2, c3];
    way.source = frame.bytes(const { ETHERNET + 8 })?;
    way.destination = frame.bytes(const { ETHERNET + 24 })?;
    ports(frame, const { ETHERNET + IPV6 }, next, way);
    Some(usize::from(u16::from_be_bytes([l0, l1])).saturating_add(IPV6))
}

#[inline(always)]
fn ports<F: Frame + ?Sized>(frame: &F, offset: usize, protocol: u8, way: &mut Way) {
    way.protocol = protocol;
    if matches!(protocol, TCP | UDP)
        && let Some([s0, s1, d0, d1]) = frame.bytes(offset)
    {
        way.source_port = [s0, s1];
        way.destination_port = [d0, d1];
    }
}

/// What a router does to a plain packet: new hardware addresses, one hop less to live and, for IPv4, the checksum that
/// follows from it (RFC 1624), computed as the kernel does.
#[inline(always)]
pub fn step(head: &mut [u8; CHANGED], way: &Way) {
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1, _, _, _, _, _, _, _, hop_limit, ttl, _, c0, c1] = head;
    [*d0, *d1, *d2, *d3, *d4, *d5] = way.to;
    [*s0, *s1, *s2, *s3, *s4, *s5] = way.from;
    if u16::from_be_bytes([*t0, *t1]) == Link::IPV6 {
        *hop_limit = hop_limit.saturating_sub(1);
        return;
    }
    *ttl = ttl.saturating_sub(1);
    let sum = u32::from(u16::from_be_bytes([*c0, *c1])).wrapping_add(0x0100);
    let sum = sum.wrapping_add(u32::from(sum >= 0xffff));
    [*c0, *c1] = (sum as u16).to_be_bytes();
}
