//! Denials in their slots: every CPU adds to them, the daemon takes them, nobody waits for anybody, no packet is lost.
//!
//! A denial stands in one of [`REACH`] slots from its home on. A slot is taken by one compare-and-exchange of its state,
//! filled, and published by one store; then packets are added to it, and to whatever is in it. So a CPU that has found the
//! slot just before it changed hands counts its packet for another kind: by one packet in a great many the wrong kind is
//! named, and **the sum over all is exact**. The daemon takes the numbers out of a slot by exchanging them for zero.
//!
//! Where there is no room for a kind, its port is left out, and it is added to what has gone to several ports: an eighth of
//! the slots is for these alone. So a scan of all ports is in the table as a whole, and is no more than two lookups a packet.
//!
//! Which slots are tried depends on the CPU, too: a flood that all CPUs deny at once does not make them share a line.

use super::{Hash, Lines, Secrets};
use crate::abi::{Denial, DenialKey};

const FREE: u64 = 0;
const BUSY: u64 = 1;
const LIVE: u64 = 2;
const KIND: u64 = 3;
/// In how many slots from its home on a denial may stand.
pub const REACH: u32 = 4;

/// What became of a denial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noted {
    /// It is the first of its kind.
    New,
    /// There are others of its kind.
    Known,
    /// There is no room for its kind: it is not kept.
    NoRoom,
}

/// Denials of a kind, as they were taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Which kind.
    pub key: DenialKey,
    /// Packets.
    pub packets: u64,
    /// Of them, those whose sender was told.
    pub answered: u64,
    /// When the first was denied, on the boot clock.
    pub first: u64,
    /// When the last was.
    pub last: u64,
}

/// The slot in which a denial is looked for first, by this CPU, in a table of so many slots. One without a port, or to
/// several, has its place among the last eighth.
#[inline(always)]
#[must_use]
pub fn home(key: &DenialKey, secrets: &Secrets, cpu: u32, slots: u32) -> u32 {
    let [a, b, c, d, _, e, f, _] = *key.words();
    // Token, app and zone follow from the rest. An odd factor spreads the CPUs' numbers over the word.
    let hash = Hash::of(secrets, &[a, b, c, d, e, f ^ u64::from(cpu).wrapping_mul(0x9e37_79b9_7f4a_7c15)]);
    let most = slots.wrapping_sub(slots / 8);
    let (from, count) = if key.port == 0 { (most, slots / 8) } else { (0, most) };
    hash.first(count.wrapping_sub(const { REACH.wrapping_sub(1) })).wrapping_add(from)
}

#[inline(always)]
const fn next(state: u64, kind: u64) -> u64 {
    (state & !KIND).wrapping_add(KIND.wrapping_add(1)) | kind
}

#[inline(always)]
fn has_key(slot: &Denial, key: &[u64; 8]) -> bool {
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (&slot.key, key);
    // What differs most often comes first.
    f.load() == *n
        && b.load() == *j
        && d.load() == *l
        && g.load() == *o
        && a.load() == *i
        && c.load() == *k
        && e.load() == *m
        && h.load() == *p
}

#[inline(always)]
fn add(slot: &Denial, at: u64, is_answered: bool) {
    slot.last.store(at);
    slot.packets.add(1);
    if is_answered {
        slot.answered.add(1);
    }
}

/// Adds one denial, `at` the boot clock.
#[inline(always)]
pub fn note<L: Lines<Denial>>(slots: &L, home: u32, key: &DenialKey, at: u64, is_answered: bool) -> Noted {
    let words = key.words();
    let mut free = None;
    for step in 0..REACH {
        let Some(slot) = slots.line(home.wrapping_add(step)) else { break };
        let state = slot.state.load();
        if state & KIND == LIVE && has_key(slot, words) {
            add(slot, at, is_answered);
            return Noted::Known;
        }
        if state & KIND == FREE && free.is_none() {
            free = Some((slot, state));
        }
    }
    let Some((slot, state)) = free else { return Noted::NoRoom };
    let busy = next(state, BUSY);
    if !slot.state.swap_if(state, busy) {
        return Noted::NoRoom;
    }
    for (own, word) in slot.key.iter().zip(words) {
        own.store(*word);
    }
    slot.first.store(at);
    slot.last.store(at);
    slot.state.store(next(busy, LIVE));
    add(slot, at, is_answered);
    Noted::New
}

/// Takes what is in a slot, and leaves it free. For the daemon. `None` if there is nothing in it, or it is being written.
#[cfg(not(target_arch = "bpf"))]
pub fn take(slot: &Denial) -> Option<Taken> {
    let state = slot.state.load();
    // What was added to a slot after it had been taken is still of the kind that it had.
    if state & KIND == BUSY || state & KIND == FREE && slot.packets.load() == 0 {
        return None;
    }
    let key = DenialKey::from_words(slot.key.each_ref().map(crate::Word::load));
    let (first, last) = (slot.first.load(), slot.last.load());
    let busy = next(state, BUSY);
    if !slot.state.swap_if(state, busy) {
        return None;
    }
    let taken = Taken { key, packets: slot.packets.take(), answered: slot.answered.take(), first, last };
    slot.state.store(next(busy, FREE));
    Some(taken).filter(|taken| taken.packets != 0)
}

/// Whether a slot is being written, and then the state that says so.
#[cfg(not(target_arch = "bpf"))]
#[must_use]
pub fn busy(slot: &Denial) -> Option<u64> {
    Some(slot.state.load()).filter(|state| state & KIND == BUSY)
}

/// Frees a slot that has been in this state, being written, for longer than any writer lives. What is in it is kept.
#[cfg(not(target_arch = "bpf"))]
pub fn free_stuck(slot: &Denial, state: u64) {
    // Whoever was faster is no dead writer.
    let _ = slot.state.swap_if(state, next(state, FREE));
}
