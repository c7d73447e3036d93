//! Sessions: the slots that daemon and kernel share, and the words in them.

use crate::mutant::{self, Mutant::*};
use crate::table::{Hash, Secrets};
use crate::{Address, Word};

/// Where a session's packets come from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct SessionKey {
    /// The client's address.
    pub source: Address,
    /// The zone of the interface that it is behind.
    pub zone: u32,
    /// Zero.
    pub reserved: u32,
}

impl SessionKey {
    /// The key of `source` in `zone`.
    #[inline(always)]
    #[must_use]
    pub const fn new(zone: u32, source: Address) -> Self {
        Self { source, zone, reserved: 0 }
    }

    /// Where it belongs in the index.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, secrets: &Secrets) -> Hash {
        let [high, low] = self.source.words();
        Hash::of(secrets, &[high, low, self.zone.into()])
    }
}

/// A session's slot: the first cache line is written by the daemon, the second mostly by the kernel, the third holds
/// the session's limits (daemon) and how near it is to them (kernel).
///
/// The daemon fills a free slot and sets the state last; it reuses a slot only after a pause in which every program
/// that could still hold it has ended. `source` and `place` let a program notice that its index entry was stale.
#[derive(Default, Debug)]
#[repr(C, align(64))]
pub struct Session {
    /// [`Session::FREE`], [`Session::LIVE`], [`Session::REVOKED`] or [`Session::EXPIRED`].
    pub state: Word,
    /// App set and allow-list in one word, so that a change of policy is one store: see [`policy_word`].
    pub policy: Word,
    /// The session's name. Random, never 0, never used again.
    pub token: Word,
    /// End of the session, on the boot clock.
    pub deadline: Word,
    /// The address of this slot's owner, as two words in the byte order of [`Address`].
    pub source: [Word; 2],
    /// The zone of this slot's owner and the interface that the session is bound to: see [`place`].
    pub place: Word,
    /// The hardware address that the session is bound to in the low 48 bits, [`Session::MAC_BOUND`] and
    /// [`Session::METERED`].
    pub binding: Word,
    /// Last full authentication, on the boot clock.
    pub authenticated_at: Word,
    /// When the whole law last forwarded a packet of the session, in either direction; 0 if never. What took the short way
    /// since stands in its flow: [`super::Flow::last_seen`].
    pub last_forwarded: Word,
    /// Packets of the session that were dropped.
    pub dropped: Word,
    /// End of the quarantine, on the boot clock; 0 if there never was one.
    pub quarantined_until: Word,
    /// Zero.
    pub reserved: [Word; 4],
    /// Limits, and how near the session is to them.
    pub limits: Limits,
}

/// A session's limits, and what it has used of them. See [`crate::limits`].
#[derive(Default, Debug)]
#[repr(C)]
pub struct Limits {
    /// Nanoseconds between two new flows, in the long run; 0 for no limit.
    pub flow_interval: Word,
    /// Nanoseconds × 1024 that one byte takes, in each direction; 0 for no limit.
    pub byte_interval: Word,
    /// Destinations that may be tried in a second, at most 64; 0 for no limit.
    pub destinations: Word,
    /// Until when new flows are paid for, on the boot clock.
    pub flows_paid: Word,
    /// Until when bytes are paid for, by [`crate::Direction`], on the boot clock.
    pub bytes_paid: [Word; 2],
    /// When the window of destinations began, on the boot clock.
    pub window: Word,
    /// One bit for each destination tried in the window.
    pub tried: Word,
}

impl Session {
    /// Nobody's slot.
    pub const FREE: u64 = 0;
    /// In force.
    pub const LIVE: u64 = 1;
    /// Access was taken away; the slot remains for a moment so that the reason can be told.
    pub const REVOKED: u64 = 2;
    /// The deadline passed and the daemon has noticed; the slot remains for a moment so that the reason can be told.
    pub const EXPIRED: u64 = 3;
    /// In `binding`: only frames with this session's hardware address are the session's.
    pub const MAC_BOUND: u64 = 1 << 63;
    /// In `binding`: the session has a bandwidth limit. In a line that every packet needs anyway.
    pub const METERED: u64 = 1 << 62;

    /// Whether the session has a bandwidth limit.
    #[inline(always)]
    #[must_use]
    pub fn is_metered(&self) -> bool {
        self.binding.load() & Self::METERED != 0
    }

    /// The value of `binding` for a session whose frames carry `mac`.
    #[inline(always)]
    #[must_use]
    pub const fn binding_to(mac: [u8; 6]) -> u64 {
        let [a, b, c, d, e, f] = mac;
        Self::MAC_BOUND | u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// Whether the slot is that of `key`.
    #[inline(always)]
    #[must_use]
    pub fn belongs_to(&self, key: &SessionKey) -> bool {
        let [high, low] = key.source.words();
        let [own_high, own_low] = &self.source;
        let is_there = (self.place.load() >> 32) as u32 == key.zone;
        is_there && (mutant::is(BelieveStaleIndex) || own_high.load() == high && own_low.load() == low)
    }

    /// The policy in force for this session, see [`policy_word`].
    #[inline(always)]
    #[must_use]
    pub fn policy(&self) -> u64 {
        self.policy.load()
    }

    /// The session's name.
    #[inline(always)]
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token.load()
    }
}

/// Puts a zone and an interface of it into one word.
#[inline(always)]
#[must_use]
pub const fn place(zone: u32, interface: u32) -> u64 {
    ((zone as u64) << 32) | interface as u64
}

/// Puts the compiled app table and the allow-list that a session is judged by into one word.
#[inline(always)]
#[must_use]
pub const fn policy_word(app_set: u32, allow_list: u32) -> u64 {
    ((app_set as u64) << 32) | allow_list as u64
}

/// The app set in a policy word.
#[inline(always)]
#[must_use]
pub const fn app_set(policy: u64) -> u32 {
    (policy >> 32) as u32
}

/// The allow-list in a policy word.
#[inline(always)]
#[must_use]
pub const fn allow_list(policy: u64) -> u32 {
    policy as u32
}
