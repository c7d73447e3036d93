//! Interfaces between which packets are forwarded in XDP.

/// An interface that takes part in forwarding in XDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Port {
    /// Its hardware address.
    pub mac: [u8; 6],
    /// [`Port::GUARDED`] and its neighbours.
    pub flags: u16,
}

impl Port {
    /// It faces clients: what leaves through it is judged.
    pub const GUARDED: u16 = 1;
    /// It faces apps.
    pub const APPS: u16 = 1 << 1;
    /// Its driver can send what is redirected to it.
    pub const SENDS: u16 = 1 << 2;
    /// Also frames that lie in several buffers.
    pub const SENDS_PARTS: u16 = 1 << 3;
    /// What arrives on it is redirected.
    pub const RECEIVES: u16 = 1 << 4;

    /// How many there can be: as many that face apps as are guarded.
    pub const LIMIT: u32 = 128;

    /// Its bytes as a word, in memory order.
    #[must_use]
    pub const fn word(&self) -> u64 {
        let ([a, b, c, d, e, f], [g, h]) = (self.mac, self.flags.to_ne_bytes());
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }

    /// The port of this word: the inverse of [`Self::word`].
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
        Self { mac: [a, b, c, d, e, f], flags: u16::from_ne_bytes([g, h]) }
    }

    /// Whether all of these flags are set.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }
}
