//! Capturing packets that are denied: what is wanted is written where the programs read it, and what they hand over is taken.
//!
//! Whoever captures has to say again and again that they are there; otherwise the programs stop by themselves.

use super::load::{own, take};
use super::mapped::Mapped;
use super::rows::Rows;
use super::{DataPlaneError, clock, table};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, RingBuf};
use gateway_common::abi::{CaptureCount, CaptureHead, CaptureOrder, Interface, map};
use gateway_common::{Address, DropReason, KernelNanos};
use ipnet::IpNet;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

/// How long the ring buffer is: seven hundred packets of the usual length, or sixty of the longest.
pub(super) const BYTES: u32 = 1024 * 1024;
/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// Windows in a second, where more packets than that are wanted.
const WINDOWS: u64 = 10;

/// How many packets in how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// So many.
    pub packets: u64,
    /// In so many nanoseconds.
    pub window: u64,
}

impl Pace {
    /// So many a second, and no more than a tenth of that at once.
    #[must_use]
    pub fn per_second(packets: u32) -> Self {
        let wanted = u64::from(packets.max(1));
        let packets = wanted.div_ceil(WINDOWS);
        Self { packets, window: packets * SECOND / wanted }
    }
}

/// Which packets are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Denied for one of these reasons; for any, if there is none.
    pub reasons: Vec<DropReason>,
    /// On the interface with this index.
    pub interface: Option<u32>,
    /// Of the session with this token.
    pub token: Option<u64>,
    /// Of a session, whichever.
    pub of_sessions: bool,
    /// From or to a client in this prefix.
    pub client: Option<IpNet>,
    /// How many from each processor.
    pub pace: Pace,
    /// How many bytes of each at most.
    pub length: u32,
}

/// The programs' side of a capture. There is one.
pub struct Tap {
    order: Mapped<CaptureOrder>,
    counts: PerCpuArray<MapData, CaptureCount>,
    ring: RingBuf<MapData>,
    interfaces: Rows,
    serial: u64,
}

impl Tap {
    pub(super) fn open(ebpf: &mut Ebpf, interfaces: Rows) -> Result<Self, DataPlaneError> {
        Ok(Self {
            order: own(ebpf, map::CAPTURE, 1)?,
            counts: take(ebpf, map::CAPTURE_COUNTS)?,
            ring: take(ebpf, map::CAPTURED)?,
            interfaces,
            serial: 0,
        })
    }

    /// Begins to capture. What an earlier capture has left is not looked at.
    pub fn begin(&mut self, wanted: &Wanted) {
        self.end();
        self.serial += 1;
        let Some(order) = self.order.get(0) else { return };
        let Wanted { reasons, interface, token, of_sessions, client, pace, length } = wanted;
        let bits = reasons.iter().fold(0, |bits, reason| bits | 1 << *reason as u64);
        order.reasons.store(if reasons.is_empty() { u64::MAX } else { bits });
        order.interface.store(interface.unwrap_or(0).into());
        order.token.store(token.unwrap_or(0));
        order.of_sessions.store((*of_sessions).into());
        let (words, mask) = client.as_ref().map_or(([0; 2], [0; 2]), prefix);
        for (place, value) in order.client.iter().chain(&order.mask).zip(words.into_iter().chain(mask)) {
            place.store(value);
        }
        order.per_window.store(pace.packets);
        order.window.store(pace.window);
        order.length.store((*length).clamp(1, CaptureOrder::LONGEST).into());
        order.serial.store(self.serial);
        self.prolong();
    }

    /// Somebody still wants it: the programs go on for another while.
    pub fn prolong(&self) {
        if let Some(order) = self.order.get(0) {
            order.until.store(clock::boot().after(CaptureOrder::LEASE).0);
        }
    }

    /// Nobody wants it any more.
    pub fn end(&self) {
        if let Some(order) = self.order.get(0) {
            order.until.store(0);
        }
    }

    /// Until when the programs capture, if nobody prolongs it.
    #[must_use]
    pub fn until(&self) -> KernelNanos {
        self.order.get(0).map_or(KernelNanos(0), |order| KernelNanos(order.until.load()))
    }

    /// Waits for packets, but not for longer than so many milliseconds.
    pub fn wait(&self, longest: u16) {
        let mut fds = [PollFd::new(self.ring.as_fd(), PollFlags::POLLIN)];
        // An interrupted wait is a short one.
        let _ = poll(&mut fds, PollTimeout::from(longest));
    }

    /// The next packet of this capture, if there is one.
    pub fn take_next(&mut self) -> Option<(CaptureHead, Vec<u8>)> {
        while let Some(record) = self.ring.next() {
            if let Some((head, bytes)) = CaptureHead::split(&record).filter(|(head, _)| head.serial == self.serial) {
                return Some((head, bytes.to_vec()));
            }
        }
        None
    }

    /// What the programs have counted in this capture, by the index of the interface; 0 for those that are not configured.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn counts(&self) -> Result<BTreeMap<u32, CaptureCount>, DataPlaneError> {
        let unknown = (0, Interface { slot: Interface::LIMIT - 1, ..Interface::default() });
        let mut counts = BTreeMap::new();
        for (index, row) in self.interfaces.guarded().chain([unknown]) {
            let cpus = self.counts.get(&row.slot, 0).map_err(table(map::CAPTURE_COUNTS))?;
            let mut sum = CaptureCount { serial: self.serial, ..CaptureCount::default() };
            cpus.iter().for_each(|cpu| sum.add(cpu));
            counts.insert(index, sum);
        }
        Ok(counts)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.end();
    }
}

/// The words of a prefix, and which of their bits count.
fn prefix(net: &IpNet) -> ([u64; 2], [u64; 2]) {
    let bits = match net {
        IpNet::V4(net) => 96 + net.prefix_len(),
        IpNet::V6(net) => net.prefix_len(),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    (Address::from(net.network()).words(), Address(mask.to_be_bytes()).words())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_exact_and_spread_over_the_second() {
        for (wanted, packets, window) in [
            (1, 1, SECOND),
            (3, 1, SECOND / 3),
            (10, 1, SECOND / 10),
            (15, 2, SECOND * 2 / 15),
            (1_000, 100, SECOND / 10),
        ] {
            assert_eq!(Pace::per_second(wanted), Pace { packets, window }, "{wanted}");
        }
    }

    #[test]
    fn prefixes_of_both_families_are_those_of_addresses_in_tables() {
        let full = u64::MAX;
        for (text, mask) in [("10.9.0.0/24", 0xffff_ff00_u64), ("0.0.0.0/0", 0), ("10.9.0.1/32", 0xffff_ffff)] {
            let (words, found) = prefix(&text.parse().unwrap());
            assert_eq!(found, [full, (0xffff_ffff_0000_0000 | mask).to_be()], "{text}");
            assert_eq!(words[1] & !found[1], 0, "{text}");
        }
        let (_, found) = prefix(&"fd00::/8".parse().unwrap());
        assert_eq!(found, [0xff00_0000_0000_0000_u64.to_be(), 0]);
        assert_eq!(prefix(&"::/0".parse().unwrap()).1, [0, 0]);
    }
}
