//! Tables of our own, in array maps, where memory latency decides: one cache line for each lookup.
//!
//! [`index`] finds the slot of a session or a grant, [`filter`] says that there is none: the daemon writes them, programs
//! read them. [`flows`] holds the flows themselves, and [`denials`] what was denied: programs write them on every CPU. Kernel, daemon and tests run the same code; a picture is in
//! `docs/tables.md`.

pub mod denials;
pub mod filter;
pub mod flows;
pub mod hash;
pub mod index;

pub use hash::{Hash, Secrets};

/// A table as an array of lines: a map in the kernel, mapped memory in the daemon.
pub trait Lines<T> {
    /// How many there are.
    fn count(&self) -> u32;

    /// One of them; `None` beyond the last.
    fn line(&self, number: u32) -> Option<&T>;
}

/// How the tables are laid out: what whoever looks something up has to know beside the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Layout {
    /// What the hashes are made with.
    pub secrets: Secrets,
    /// Buckets of the index of sessions.
    pub session_buckets: u32,
    /// Buckets of the index of grants.
    pub grant_buckets: u32,
    /// Slots of flows.
    pub flow_slots: u32,
    /// Words of the filter of sessions.
    pub filter_words: u32,
    /// Zero.
    pub reserved: [u32; 12],
}

impl Layout {
    /// Of tables that hold nothing.
    pub const NONE: Self = Self {
        secrets: Secrets::NONE,
        session_buckets: 0,
        grant_buckets: 0,
        flow_slots: 0,
        filter_words: 0,
        reserved: [0; 12],
    };
}
