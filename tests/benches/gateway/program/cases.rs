//! The packets whose cost is measured.

use crate::frames::{ACK, CLIENT_MAC, ETHERNET, GATEWAY_MAC, Inside, SYN, frame};
use crate::measure::driver::Flow;
use crate::measure::plane::{APP, APP6, DENIED, Family, GRANTED, MANY, client, client6, stranger};
use gateway_tests::bpf::Kind;
use std::net::{IpAddr, Ipv4Addr};

/// The flags of a packet that opens a connection.
pub const OPENING: u8 = SYN;
/// Where the addresses are in a frame, and the ports right behind them.
const ADDRESSES: usize = ETHERNET + 12;
const ADDRESSES_6: usize = ETHERNET + 8;
/// Where flags and offset of a fragment are.
const FRAGMENT: usize = ETHERNET + 6;
/// The port of clients.
const FROM: u16 = 40_000;

/// What must become of each packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Forwarded, as part of a flow that there is.
    Known,
    /// Forwarded, opening a flow.
    Opening,
    /// Dropped, for the reason of this label.
    Dropped(&'static str),
}

/// Packets of a kind.
#[derive(Clone, Copy)]
pub struct Case {
    /// What the rows call it.
    pub name: &'static str,
    /// Which program it is for.
    pub kind: Kind,
    /// Whether flows are known.
    pub flow: Flow,
    /// What becomes of it.
    pub expected: Expected,
    /// Of TCP.
    pub flags: u8,
    /// Where keys go.
    pub offset: usize,
    /// The key of a session's packets.
    pub key: fn(usize) -> Vec<u8>,
    /// Of the whole frame.
    pub length: usize,
    /// Whether it is a first fragment.
    pub is_fragment: bool,
}

const ESTABLISHED: Case = Case {
    name: "established",
    kind: Kind::Xdp,
    flow: Flow::Known,
    expected: Expected::Known,
    flags: ACK,
    offset: ADDRESSES,
    key: |number| key(client(number), APP, FROM, GRANTED),
    length: 64,
    is_fragment: false,
};

/// The cases of a family. The first one is an open connection.
pub fn of(family: Family) -> Vec<Case> {
    let established = ESTABLISHED;
    if family == Family::V6 {
        let key = |number| [&client6(number).octets()[..], &APP6.octets(), &ports(FROM, GRANTED)].concat();
        return vec![Case { name: "established, IPv6", offset: ADDRESSES_6, key, ..established }];
    }
    vec![
        established,
        Case { name: "established, 1,500 bytes", length: 1_500, ..established },
        Case {
            name: "no session",
            flags: SYN,
            expected: Expected::Dropped("no_session"),
            key: |number| key(stranger(number), APP, FROM, GRANTED),
            ..established
        },
        Case {
            name: "no grant",
            flags: SYN,
            expected: Expected::Dropped("no_grant"),
            key: |number| key(client(number), APP, FROM, DENIED),
            ..established
        },
        Case { name: "fragment", is_fragment: true, expected: Expected::Dropped("fragment"), ..established },
        Case {
            name: "established, to the client",
            kind: Kind::Tc,
            key: |number| key(APP, client(number), GRANTED, FROM),
            ..established
        },
        Case {
            name: "new flow",
            flags: SYN,
            flow: Flow::Fresh,
            expected: Expected::Opening,
            key: |number| key(client(number), MANY, FROM, GRANTED),
            ..established
        },
    ]
}

impl Case {
    /// The frame; addresses and ports are overwritten.
    pub fn frame(&self) -> Vec<u8> {
        let mac = if matches!(self.kind, Kind::Tc) { GATEWAY_MAC } else { CLIENT_MAC };
        let (from, to): (IpAddr, IpAddr) = match self.offset {
            ADDRESSES => (client(0).into(), APP.into()),
            _ => (client6(0).into(), APP6.into()),
        };
        let inside = Inside::Tcp(FROM, GRANTED, self.flags);
        let bare = frame(mac, &from.to_string(), &to.to_string(), inside, 0).len();
        let mut frame = frame(mac, &from.to_string(), &to.to_string(), inside, self.length.saturating_sub(bare));
        if self.is_fragment {
            frame[FRAGMENT] = 0x20;
        }
        frame
    }
}

fn key(source: Ipv4Addr, destination: Ipv4Addr, from: u16, to: u16) -> Vec<u8> {
    [source.octets(), destination.octets(), ports(from, to)].concat()
}

fn ports(from: u16, to: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
    [a, b, c, d]
}
