//! The packets that are sent to all contenders.

use crate::frames::{ACK, CLIENT_MAC, ETHERNET, GATEWAY_MAC, Inside, SYN, frame};
use crate::measure::driver::{Driver, Flow, Keys, Then};
use crate::measure::keys::Pattern;
use crate::measure::plane::{APP, DENIED, GRANTED, client, stranger};
use anyhow::{Context as _, Result};
use gateway_tests::bpf::Kind;
use std::net::Ipv4Addr;

/// Packets that the generator makes at a time, as a driver does.
pub const BATCH: u32 = 64;
/// What of a frame is written anew for each packet, because whoever forwards it changes it: everything up to the ports.
/// The first part is the same for all; the key begins at the time to live.
const KEY: usize = ETHERNET + 8;
const KEY_END: usize = ETHERNET + 24;
const FROM: u16 = 40_000;

/// Whose packets come, and to what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stream {
    /// To what everybody is granted, in connections that are open.
    Granted,
    /// To what everybody is granted, opening a connection.
    Opening,
    /// To what nobody is granted.
    Denied,
    /// From nobody.
    Strange,
    /// Back to the clients.
    Back,
}

impl Stream {
    /// The frame; most of it is overwritten.
    pub fn frame(self) -> Vec<u8> {
        self.of(0)
    }

    fn of(self, number: usize) -> Vec<u8> {
        let (mac, source, destination, from, to) = match self {
            Self::Granted | Self::Opening => (CLIENT_MAC, client(number), APP, FROM, GRANTED),
            Self::Denied => (CLIENT_MAC, client(number), APP, FROM, DENIED),
            Self::Strange => (CLIENT_MAC, stranger(number), APP, FROM, GRANTED),
            Self::Back => (GATEWAY_MAC, APP, client(number), GRANTED, FROM),
        };
        let flags = if self == Self::Granted || self == Self::Back { ACK } else { SYN };
        let text = |address: Ipv4Addr| address.to_string();
        // With ten bytes of payload it is a frame of 64.
        frame(mac, &text(source), &text(destination), Inside::Tcp(from, to, flags), 10)
    }

    /// The keys of that many sessions, in an order.
    pub fn keys(self, pattern: Pattern, sessions: usize) -> Result<Keys> {
        let keys = pattern.order(sessions).into_iter().map(|number| self.of(number)[KEY..KEY_END].to_vec());
        Keys::new(KEY, &keys.collect::<Vec<_>>())
    }

    /// What makes them, and sends them out of the interface of this number to a hardware address.
    pub fn driver(self, keys: &Keys, interface: u32, to: Option<[u8; 6]>) -> Result<Driver> {
        let mut frame = self.frame();
        if let Some(to) = to {
            frame[..6].copy_from_slice(&to);
        }
        let beginning = frame.get(..KEY).context("a short frame")?;
        Driver::new(Kind::Xdp, keys, Flow::Known, &Then::Send(interface, beginning))
    }
}
