//! ARP and neighbour discovery: whether they are well-formed, and what they claim.

use super::network::{is_host, is_link_local};
use crate::ground::Way;
use gateway_common::DropReason;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// That an address is at a hardware address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    pub address: IpAddr,
    pub mac: [u8; 6],
}

/// Neither zero nor a group.
fn is_station(mac: [u8; 6]) -> bool {
    mac != [0; 6] && mac[0] & 1 == 0
}

/// RFC 826, with the probes of RFC 5227.
pub fn arp(body: &[u8]) -> Result<Vec<Claim>, DropReason> {
    let malformed = DropReason::ArpMalformed;
    let body: &[u8; 28] = body.first_chunk().ok_or(malformed)?;
    // Ethernet, IPv4, addresses of 6 and 4 bytes. etherparse would read other lengths, too.
    let is_request = body[6..8] == [0, 1];
    if body[..6] != [0, 1, 8, 0, 6, 4] || !(is_request || body[6..8] == [0, 2]) {
        return Err(malformed);
    }
    let mac: [u8; 6] = body[8..14].try_into().unwrap();
    let sender = Ipv4Addr::new(body[14], body[15], body[16], body[17]);
    if !is_station(mac) {
        return Err(malformed);
    }
    if sender.is_unspecified() && is_request {
        return Ok(Vec::new());
    }
    let address = IpAddr::V4(sender);
    if is_host(address) { Ok(vec![Claim { address, mac }]) } else { Err(malformed) }
}

/// A packet that carries neighbour discovery.
pub struct Discovery<'a> {
    pub source: Ipv6Addr,
    pub hop_limit: u8,
    /// Without extension headers and fragments.
    pub is_plain: bool,
    pub message: &'a [u8],
}

impl Discovery<'_> {
    /// RFC 4861, sections 6.1, 7.1 and 8.1. What it claims; toward the client nothing is asked for.
    pub fn judge(&self, way: Way) -> Result<Vec<Claim>, DropReason> {
        self.claims(way).ok_or(DropReason::NeighbourInvalid)
    }

    fn claims(&self, way: Way) -> Option<Vec<Claim>> {
        let kind = self.message[0];
        let shortest = match kind {
            133 => 8,
            134 => 16,
            135 | 136 => 24,
            _ => 40,
        };
        let source = IpAddr::V6(self.source);
        let can_be_source = self.source.is_unspecified() || is_link_local(source) || is_host(source);
        if !self.is_plain || self.hop_limit != 255 || self.message.len() < shortest || self.message[1] != 0 {
            return None;
        }
        if !can_be_source {
            return None;
        }
        if way == Way::Out {
            return Some(Vec::new());
        }
        let (about, wanted) = match kind {
            133 => (source, 1),
            135 => (self.target()?, 1),
            136 => (self.target()?, 2),
            _ => return None,
        };
        let mut macs = self.link_addresses(shortest, wanted)?;
        if wanted == 1 && !macs.is_empty() && self.source.is_unspecified() {
            return None;
        }
        macs.dedup();
        let address = if wanted == 1 { source } else { about };
        match macs[..] {
            [] => Some(Vec::new()),
            [mac] => Some(vec![Claim { address, mac }]),
            _ => None,
        }
    }

    fn target(&self) -> Option<IpAddr> {
        let bytes: [u8; 16] = self.message[8..24].try_into().unwrap();
        let target = IpAddr::from(bytes);
        (is_link_local(target) || is_host(target)).then_some(target)
    }

    /// The hardware addresses in the options of this type, if all options are as they should be.
    fn link_addresses(&self, options_at: usize, wanted: u8) -> Option<Vec<[u8; 6]>> {
        let mut rest = &self.message[options_at..];
        let mut macs = Vec::new();
        let mut options = 0;
        while !rest.is_empty() {
            options += 1;
            let length = usize::from(*rest.get(1)?) * 8;
            if options > 4 || length == 0 || length > rest.len() {
                return None;
            }
            let (option, behind) = rest.split_at(length);
            if option[0] == wanted {
                let mac: [u8; 6] = option[2..].try_into().ok()?;
                macs.push(Some(mac).filter(|mac| is_station(*mac))?);
            }
            rest = behind;
        }
        Some(macs)
    }
}
