//! What the daemon wants to see of packets that are denied, and how the programs hand it to the daemon.
//!
//! Programs and daemon share these maps only while the same daemon has loaded the programs: none of them is pinned.

use super::DenialKey;
use crate::{Direction, KernelNanos, Word};

/// Which denied packets are captured, and how many. The daemon writes `until` last when it begins and first when it ends.
#[derive(Default, Debug)]
#[repr(C, align(64))]
pub struct CaptureOrder {
    /// Until when, on the boot clock: a daemon that is gone does not prolong it. 0 for never.
    pub until: Word,
    /// Which capture this is: no two of a daemon have the same number, and none has 0.
    pub serial: Word,
    /// A bit for each reason, at the place of its number.
    pub reasons: Word,
    /// The interface's index; 0 for any.
    pub interface: Word,
    /// The session's token; 0 for any.
    pub token: Word,
    /// 1 if only packets of sessions are wanted.
    pub of_sessions: Word,
    /// The client's prefix, as the words of an [`crate::Address`].
    pub client: [Word; 2],
    /// Which bits of it count.
    pub mask: [Word; 2],
    /// Packets that one CPU may hand over in one window.
    pub per_window: Word,
    /// The length of a window, in nanoseconds.
    pub window: Word,
    /// How many bytes of a packet at most.
    pub length: Word,
    /// Zero.
    pub reserved: [Word; 3],
}

impl CaptureOrder {
    /// The most bytes of a packet.
    pub const LONGEST: u32 = 0x3fff;
    /// How long it counts after it was prolonged, in nanoseconds: two seconds.
    pub const LEASE: u64 = 2_000_000_000;

    /// Whether anything is captured now.
    #[inline(always)]
    #[must_use]
    pub fn is_on(&self, now: KernelNanos) -> bool {
        !KernelNanos(self.until.load()).has_passed(now)
    }

    /// Whether this packet is one of those.
    #[inline(always)]
    #[must_use]
    pub fn wants(&self, key: &DenialKey) -> bool {
        let is = |wanted: &Word, found: u64| {
            let wanted = wanted.load();
            wanted == 0 || wanted == found
        };
        let client = if key.direction == Direction::ToApp as u8 { &key.source } else { &key.destination };
        let ([high, low], [wanted_high, wanted_low], [mask_high, mask_low]) =
            (client.words(), &self.client, &self.mask);
        (self.reasons.load() >> (key.reason & 63)) & 1 != 0
            && is(&self.interface, u64::from(key.interface))
            && is(&self.token, key.token)
            && (key.token != 0 || self.of_sessions.load() == 0)
            && (high ^ wanted_high.load()) & mask_high.load() == 0
            && (low ^ wanted_low.load()) & mask_low.load() == 0
    }
}

/// One CPU's pace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct CaptureGate {
    /// Of which capture.
    pub serial: u64,
    /// Start of the window on the boot clock.
    pub window: u64,
    /// Packets handed over in the window.
    pub taken: u64,
}

impl CaptureGate {
    /// Whether one more may be taken now, which it is then.
    #[inline(always)]
    #[must_use]
    pub fn admits(&mut self, serial: u64, (per_window, window): (u64, u64), now: KernelNanos) -> bool {
        if self.serial != serial || now.since(KernelNanos(self.window)) >= window {
            (self.serial, self.window, self.taken) = (serial, now.0, 0);
        }
        let is_admitted = self.taken < per_window;
        self.taken = self.taken.wrapping_add(is_admitted.into());
        is_admitted
    }
}

/// What one CPU has seen of one interface in one capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct CaptureCount {
    /// In which capture.
    pub serial: u64,
    /// Packets that were wanted.
    pub matched: u64,
    /// Of them, those beyond the pace.
    pub over: u64,
    /// Those for which the ring buffer had no room.
    pub no_room: u64,
    /// Those whose bytes the kernel did not give.
    pub unread: u64,
}

impl CaptureCount {
    /// The count of this capture: of an earlier one nothing is left.
    #[inline(always)]
    pub fn of(&mut self, serial: u64) -> &mut Self {
        if self.serial != serial {
            self.serial = serial;
            self.matched = 0;
            self.over = 0;
            self.no_room = 0;
            self.unread = 0;
        }
        self
    }

    /// Adds what another CPU has counted in this capture.
    pub fn add(&mut self, more: &Self) {
        let Self { serial, matched, over, no_room, unread } = self;
        if *serial != more.serial {
            return;
        }
        for (own, more) in [(matched, more.matched), (over, more.over), (no_room, more.no_room), (unread, more.unread)]
        {
            *own = own.wrapping_add(more);
        }
    }
}

/// What stands in front of the bytes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct CaptureHead {
    /// Of which capture.
    pub serial: u64,
    /// When, on the boot clock.
    pub at: u64,
    /// What was denied.
    pub key: DenialKey,
    /// How long the packet is.
    pub length: u32,
    /// How many bytes of it follow.
    pub captured: u32,
    /// The tag that was taken out of the frame, as it would stand there; 0 if there is none.
    pub tag: u32,
    /// [`CaptureHead::ANSWERED`] and [`CaptureHead::XDP`].
    pub flags: u32,
}

/// A packet on its way to the daemon, written where the stack has no room for it.
#[repr(C)]
pub struct CaptureRecord {
    /// What it is.
    pub head: CaptureHead,
    /// Its first bytes.
    pub bytes: [u8; CaptureOrder::LONGEST as usize + 1],
}

impl CaptureHead {
    /// In `flags`: the sender was told.
    pub const ANSWERED: u32 = 1;
    /// In `flags`: an XDP program has denied it, and not one of traffic control.
    pub const XDP: u32 = 1 << 1;

    /// The head in these bytes, as the programs laid them out on this machine, and the bytes of the packet. `None` if that is
    /// not what they are.
    #[must_use]
    pub fn split(record: &[u8]) -> Option<(Self, &[u8])> {
        let (head, bytes) = record.split_at_checked(size_of::<Self>())?;
        let (words, _) = head.as_chunks::<8>();
        let [serial, at, key @ .., sizes, more] = words.first_chunk::<12>()?.map(u64::from_ne_bytes);
        let halves = |word: u64| {
            let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
            [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes)
        };
        let ([length, captured], [tag, flags]) = (halves(sizes), halves(more));
        // The ring buffer hands out what was reserved, rounded up.
        let bytes = bytes.get(..captured as usize)?;
        Some((Self { serial, at, key: DenialKey::from_words(key), length, captured, tag, flags }, bytes))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{Address, DropReason};

    fn order() -> CaptureOrder {
        CaptureOrder { reasons: u64::MAX.into(), ..CaptureOrder::default() }
    }

    fn denial() -> DenialKey {
        let [source, destination] = [[10, 9, 0, 2], [10, 20, 0, 10]].map(Address::v4);
        let key = DenialKey { source, destination, token: 7, interface: 3, ..DenialKey::default() };
        DenialKey { reason: DropReason::NoGrant as u8, ..key }
    }

    fn prefix(bytes: [u8; 4], bits: u32) -> CaptureOrder {
        let ([high, low], order) = (Address::v4(bytes).words(), order());
        let mask = (u128::MAX << (32 - bits)).to_be_bytes();
        let [mask_high, mask_low] = Address(mask).words();
        CaptureOrder { client: [high.into(), low.into()], mask: [mask_high.into(), mask_low.into()], ..order }
    }

    #[test]
    fn an_order_wants_what_it_names_and_nothing_else() {
        let key = denial();
        assert!(order().wants(&key));
        assert!(!CaptureOrder::default().wants(&key), "for no reason");
        let only = |reason: DropReason| CaptureOrder { reasons: (1 << reason as u64).into(), ..order() };
        assert!(only(DropReason::NoGrant).wants(&key) && !only(DropReason::NoSession).wants(&key));
        assert!(CaptureOrder { interface: 3.into(), ..order() }.wants(&key));
        assert!(!CaptureOrder { interface: 4.into(), ..order() }.wants(&key));
        assert!(CaptureOrder { token: 7.into(), ..order() }.wants(&key));
        assert!(!CaptureOrder { token: 8.into(), ..order() }.wants(&key));
        let of_sessions = CaptureOrder { of_sessions: 1.into(), ..order() };
        assert!(of_sessions.wants(&key) && !of_sessions.wants(&DenialKey { token: 0, ..key }));
    }

    #[test]
    fn the_client_is_the_source_of_what_it_sends_and_the_destination_of_what_it_gets() {
        let key = denial();
        let back = DenialKey { direction: 1, source: key.destination, destination: key.source, ..key };
        for (order, is_wanted) in [
            (prefix([10, 9, 0, 2], 32), true),
            (prefix([10, 9, 0, 0], 24), true),
            (prefix([10, 9, 0, 3], 32), false),
            (prefix([10, 20, 0, 0], 16), false),
        ] {
            assert_eq!((order.wants(&key), order.wants(&back)), (is_wanted, is_wanted), "{order:?}");
        }
    }

    #[test]
    fn an_order_ends_by_itself() {
        let order = CaptureOrder { until: 100.into(), ..order() };
        assert!(order.is_on(KernelNanos(99)) && !order.is_on(KernelNanos(100)));
        assert!(!CaptureOrder::default().is_on(KernelNanos(0)));
    }

    #[test]
    fn a_gate_admits_so_many_in_a_window_and_each_capture_begins_anew() {
        let mut gate = CaptureGate::default();
        let mut admitted = |serial, at| (0..5).filter(|_| gate.admits(serial, (2, 100), KernelNanos(at))).count();
        assert_eq!([admitted(1, 10), admitted(1, 109), admitted(1, 110), admitted(2, 111)], [2, 0, 2, 2]);
    }

    #[test]
    fn counts_are_of_one_capture() {
        let mut count = CaptureCount { serial: 1, matched: 9, over: 8, no_room: 7, unread: 6 };
        assert_eq!(count.of(1).matched, 9);
        count.of(2).matched += 1;
        assert_eq!(count, CaptureCount { serial: 2, matched: 1, ..CaptureCount::default() });
        count.add(&CaptureCount { serial: 1, matched: 5, ..count });
        count.add(&CaptureCount { serial: 2, matched: 1, over: 3, no_room: 4, unread: 5 });
        assert_eq!(count, CaptureCount { serial: 2, matched: 2, over: 3, no_room: 4, unread: 5 });
    }

    #[test]
    fn a_record_is_read_field_by_field_and_a_short_one_is_none() {
        let key = denial();
        let head = CaptureHead { serial: 1, at: 2, key, length: 1_514, captured: 3, tag: 0x8100_000a, flags: 1 };
        let mut record: std::vec::Vec<u8> = [head.serial, head.at].iter().flat_map(|word| word.to_ne_bytes()).collect();
        record.extend(key.words().iter().flat_map(|word| word.to_ne_bytes()));
        record.extend([head.length, head.captured, head.tag, head.flags].iter().flat_map(|half| half.to_ne_bytes()));
        record.extend([7, 8, 9, 0]);
        assert_eq!(CaptureHead::split(&record), Some((head, &[7, 8, 9][..])));
        assert_eq!(CaptureHead::split(&record[..98]), None);
        assert_eq!(CaptureHead::split(&record[..95]), None);
    }
}
