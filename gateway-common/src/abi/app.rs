//! Apps: where they are, who may reach them, and what was exchanged with them.

use crate::Word;
use crate::table::{Hash, Secrets};

/// A session and an app that has a budget.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct BudgetKey {
    /// The session.
    pub token: u64,
    /// The app.
    pub app: u32,
    /// Zero.
    pub reserved: u32,
}

/// The bytes that a session has exchanged with an app, and may.
#[derive(Default, Debug)]
#[repr(C)]
pub struct Budget {
    /// Bytes of IP, both directions together.
    pub used: Word,
    /// How many there may be.
    pub limit: Word,
}

/// Data of a key in the prefix trie of apps: the app set, in network order, then the address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct AppPrefix {
    /// The app set in network order: always compared whole.
    pub app_set: [u8; 4],
    /// The address; the prefix length counts from its first bit, plus 32 for the app set.
    pub address: [u8; 16],
}

/// A port of a block of destinations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct AppKey {
    /// The block that the destination's prefix leads to.
    pub block: u32,
    /// The port in network order; 0 for any port, and for protocols without ports.
    pub port: [u8; 2],
    /// IP protocol number.
    pub protocol: u8,
    /// [`AppKey::SERVICE`]: a port of the app. [`AppKey::OPENS`]: a port of clients that the app may open.
    pub side: u8,
}

impl AppKey {
    /// What clients reach.
    pub const SERVICE: u8 = 0;
    /// What the app may open toward clients.
    pub const OPENS: u8 = 1;
}

/// What stands at a port: the app, whether it is a trip-wire, and whether it can be reached without a daemon.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct AppEntry(pub u32);

impl AppEntry {
    const TRIP_WIRE: u32 = 1 << 31;
    const OUTLASTS: u32 = 1 << 30;
    const APP: u32 = Self::OUTLASTS - 1;

    /// The entry of an app with this number.
    #[inline(always)]
    #[must_use]
    pub const fn new(app: u32, is_trip_wire: bool) -> Self {
        Self(app | if is_trip_wire { Self::TRIP_WIRE } else { 0 })
    }

    /// The same, with sessions that go on when the daemon is gone, if `outlasts`.
    #[inline(always)]
    #[must_use]
    pub const fn outlasting(self, outlasts: bool) -> Self {
        Self(self.0 & !Self::OUTLASTS | if outlasts { Self::OUTLASTS } else { 0 })
    }

    /// The app's number.
    #[inline(always)]
    #[must_use]
    pub const fn app(self) -> u32 {
        self.0 & Self::APP
    }

    /// Whether the daemon's lease does not matter to it.
    #[inline(always)]
    #[must_use]
    pub const fn outlasts(self) -> bool {
        self.0 & Self::OUTLASTS != 0
    }

    /// Whether whoever touches it loses their session.
    #[inline(always)]
    #[must_use]
    pub const fn is_trip_wire(self) -> bool {
        self.0 & Self::TRIP_WIRE != 0
    }
}

/// An app in an allow-list.
///
/// What the list says of it is a [`Grant`], which may be [`Grant::REFUSAL`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct GrantKey {
    /// The allow-list.
    pub allow_list: u32,
    /// The app.
    pub app: u32,
}

/// What an allow-list says about an app.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[repr(C)]
pub struct Grant {
    /// End of the grant on the boot clock; `u64::MAX` if it has none of its own.
    pub deadline: u64,
    /// How old the session's last full authentication may be, in nanoseconds; `u64::MAX` if that does not matter.
    pub max_authentication_age: u64,
    /// How many bytes a session may exchange with the app; `u64::MAX` if that does not matter.
    pub budget: u64,
}

impl Grant {
    /// A grant that lasts as long as its session.
    pub const UNLIMITED: Self = Self { deadline: u64::MAX, max_authentication_age: u64::MAX, budget: u64::MAX };

    /// No grant: the app is denied like one that the list does not name, and the client is told so on every interface.
    /// A program that does not know of refusals takes it for a grant that has expired before the host started, and
    /// drops as well.
    pub const REFUSAL: Self = Self { deadline: 0, max_authentication_age: 0, budget: 0 };

    /// Whether it is [`Self::REFUSAL`], and permits nothing at any time. No grant ends at 0 on the boot clock.
    #[inline(always)]
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        self.deadline == 0
    }
}

impl GrantKey {
    /// Where it belongs in the index.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, secrets: &Secrets) -> Hash {
        Hash::of(secrets, &[self.word()])
    }

    /// Both numbers in one word.
    #[inline(always)]
    #[must_use]
    pub const fn word(&self) -> u64 {
        (self.allow_list as u64) << 32 | self.app as u64
    }
}

/// A grant in its slot: written once, before the index points at it, and rewritten only after a pause in which every
/// program that could still hold it has ended.
#[derive(Default, Debug)]
#[repr(C, align(32))]
pub struct GrantSlot {
    /// Whose it is: [`GrantKey::word`]. 0 if it was never used: there is no app 0.
    pub key: Word,
    /// As in [`Grant`].
    pub deadline: Word,
    /// As in [`Grant`].
    pub max_authentication_age: Word,
    /// As in [`Grant`].
    pub budget: Word,
}

impl GrantSlot {
    /// What it says.
    #[inline(always)]
    #[must_use]
    pub fn read(&self) -> Grant {
        Grant {
            deadline: self.deadline.load(),
            max_authentication_age: self.max_authentication_age.load(),
            budget: self.budget.load(),
        }
    }

    /// Writes a grant.
    pub fn write(&self, key: &GrantKey, grant: &Grant) {
        self.deadline.store(grant.deadline);
        self.max_authentication_age.store(grant.max_authentication_age);
        self.budget.store(grant.budget);
        self.key.store(key.word());
    }

    /// Its key.
    #[must_use]
    pub fn read_key(&self) -> GrantKey {
        let key = self.key.load();
        GrantKey { allow_list: (key >> 32) as u32, app: key as u32 }
    }
}

/// Packets and bytes of one app on one CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct AppTraffic {
    /// Packets from clients.
    pub to_app_packets: u64,
    /// Bytes from clients.
    pub to_app_bytes: u64,
    /// Packets to clients.
    pub to_client_packets: u64,
    /// Bytes to clients.
    pub to_client_bytes: u64,
}
