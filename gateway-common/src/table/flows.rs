//! Flows in their slots: every CPU opens them, the daemon reads and removes them, nobody waits for anybody.
//!
//! A flow stands in the slot that its hash gives, its home, or in one of the next [`REACH`] - 1. A slot is taken by one
//! compare-and-exchange of its state word, filled, and published by one store; whoever finds it being written passes it
//! by. Where there is no free slot within reach, the flow that was silent longest gives way.
//!
//! A reader compares the key, reads what it needs, and compares the key again ([`Flow::has_key`]), or reads the state
//! before and after all that: a slot that changed hands meanwhile says so. Two CPUs that open the same flow at the same
//! moment may take two slots; both then look at the whole reach, and the later slot is given up by whoever sees it first, its
//! traffic added to that of the other.
//!
//! What a flow remembers of its judgement is written by whoever holds its stamp ([`Flow::HELD`]), and a slot whose stamp is
//! held is not taken.
//!
//! That no verdict is lost or torn, whatever the CPUs do in between, is checked by trying all orders
//! (`gateway-common/tests/races.rs`).

use super::{Hash, Lines};
use crate::abi::{Carried, Flow, FlowCopy, FlowKey};

const FREE: u64 = 0;
const BUSY: u64 = 1;
/// The state of a slot in use, whatever it was before.
pub const LIVE: u64 = 2;
const KIND: u64 = 3;
/// In how many slots from its home on a flow may stand. A parameter of what follows, because tests try tables that are
/// smaller.
pub const REACH: u32 = 16;
/// How often a slot is tried that another CPU takes first.
const TRIES: u32 = 3;

/// How many slots a table for so many flows has: twice as many homes, so that three of four flows stand at home, and that
/// at most one in two thousand has to give way before the table is as full as it may be; and behind the last home as many
/// as a flow may reach.
#[must_use]
pub const fn slots_for(flows: u32) -> u32 {
    flows.saturating_mul(2).saturating_add(REACH)
}

/// The home of a flow, in a table of so many slots.
#[inline(always)]
fn home<const REACH: u32>(hash: Hash, slots: u32) -> u32 {
    // In a table that is smaller than a flow's reach this lies far beyond it, where there is no slot.
    hash.first(slots.wrapping_sub(const { REACH.wrapping_sub(1) }))
}

/// The state after this one.
#[inline(always)]
const fn next(state: u64, kind: u64) -> u64 {
    (state & !KIND).wrapping_add(KIND.wrapping_add(1)) | kind
}

/// Whether a slot with this state holds a flow.
#[inline(always)]
#[must_use]
pub const fn is_live(state: u64) -> bool {
    state & KIND == LIVE
}

/// The flow at home, where most are, if it is the one; and the state that its slot had before that was looked at.
#[inline(always)]
pub fn at_home<const REACH: u32, L: Lines<Flow>>(
    slots: &L,
    hash: Hash,
    is_it: impl Fn(&Flow) -> bool,
) -> Option<(&Flow, u64)> {
    let slot = slots.line(home::<REACH>(hash, slots.count()))?;
    let state = slot.state.load();
    if is_live(state) && is_it(slot) { Some((slot, state)) } else { None }
}

/// The flow with this key.
#[inline(always)]
pub fn find<'s, const REACH: u32, L: Lines<Flow>>(slots: &'s L, hash: Hash, key: &[u64; 6]) -> Option<&'s Flow> {
    let home = home::<REACH>(hash, slots.count());
    for step in 0..REACH {
        let slot = slots.line(home.wrapping_add(step))?;
        let state = slot.state.load();
        // Never used: a flow that belongs here would have taken it.
        if state == FREE {
            return None;
        }
        if is_live(state) && slot.has_key(key) {
            return Some(slot);
        }
    }
    None
}

/// Stores the flow that `begin` writes, in place of an older one with this key. `begin` writes every word but the key and
/// the state, and the stamp last. `gives_way` is told of the flow that is in the slot now, and will be no more. False if no
/// slot could be had.
#[inline(always)]
pub fn open<const REACH: u32, L: Lines<Flow>>(
    slots: &L,
    hash: Hash,
    key: &FlowKey,
    begin: impl Fn(&Flow),
    gives_way: impl Fn(&Flow),
) -> bool {
    let home = home::<REACH>(hash, slots.count());
    let words = key.words();
    for _ in 0..TRIES {
        let Some((number, state)) = choose::<REACH, L>(slots, home, words) else { return false };
        let Some(slot) = slots.line(number) else { return false };
        let busy = next(state, BUSY);
        if !slot.state.swap_if(state, busy) {
            continue;
        }
        // Whoever still writes about the flow that was here has seen it in use: it is left alone.
        let stamp = slot.stamp.load();
        if stamp == Flow::HELD || !slot.stamp.swap_if(stamp, Flow::HELD) {
            slot.state.store(next(busy, state & KIND));
            continue;
        }
        if is_live(state) {
            gives_way(slot);
        }
        for (own, word) in slot.key.iter().zip(words) {
            own.store(*word);
        }
        begin(slot);
        // By an exchange, although nobody else writes it now: of two CPUs that publish the same flow, and then look
        // whether the other has, at least one must see the other. Read once more, because the programs are short of stack.
        let busy = slot.state.load();
        let _ = slot.state.swap_if(busy, next(busy, LIVE));
        settle::<REACH, L>(slots, home, number, words);
        return true;
    }
    false
}

/// Whether [`open`] finds a slot for this flow, as long as nobody else takes it.
#[inline(always)]
pub fn has_room<const REACH: u32, L: Lines<Flow>>(slots: &L, hash: Hash, key: &FlowKey) -> bool {
    choose::<REACH, L>(slots, home::<REACH>(hash, slots.count()), key.words()).is_some()
}

/// The slot for a flow, and the state in which it was seen: its own, or the first free one, or that of the flow that was
/// silent longest.
#[inline(always)]
fn choose<const REACH: u32, L: Lines<Flow>>(slots: &L, home: u32, key: &[u64; 6]) -> Option<(u32, u64)> {
    let (mut best, mut silent_since, mut seen) = (u32::MAX, u64::MAX, 0);
    for step in 0..REACH {
        let number = home.wrapping_add(step);
        let Some(slot) = slots.line(number) else { break };
        let state = slot.state.load();
        let since = match state & KIND {
            LIVE if slot.has_key(key) => return Some((number, state)),
            // Later than 0, which is that of a free slot.
            LIVE => slot.last_seen.load().saturating_add(1),
            FREE => 0,
            _ => continue,
        };
        if since < silent_since {
            (best, silent_since, seen) = (number, since, state);
        }
        if state == FREE {
            break;
        }
    }
    if best == u32::MAX { None } else { Some((best, seen)) }
}

/// Leaves one of the slots that hold the flow in slot `own`: the first.
#[inline(always)]
fn settle<const REACH: u32, L: Lines<Flow>>(slots: &L, home: u32, own: u32, key: &[u64; 6]) {
    let mut first = None;
    for step in 0..REACH {
        let number = home.wrapping_add(step);
        let Some(slot) = slots.line(number) else { break };
        let state = slot.state.load();
        if state == FREE && number > own {
            break;
        }
        if !is_live(state) || !slot.has_key(key) {
            continue;
        }
        match first {
            None => first = Some(slot),
            Some(first) => {
                // Whoever takes it adds it up, and nobody else can have it before.
                let busy = next(state, BUSY);
                if slot.state.swap_if(state, busy) {
                    add(&first.to_app, &slot.to_app);
                    add(&first.to_client, &slot.to_client);
                    slot.state.store(next(busy, FREE));
                }
            }
        }
    }
}

/// Removes a flow, if it is there, is the one, and nobody is writing it. What it said at last.
pub fn take<const REACH: u32, L: Lines<Flow>>(
    slots: &L,
    hash: Hash,
    key: &[u64; 6],
    is_it: impl Fn(&FlowCopy) -> bool,
) -> Option<FlowCopy> {
    let slot = find::<REACH, L>(slots, hash, key)?;
    let state = slot.state.load();
    if !is_live(state) || !slot.has_key(key) {
        return None;
    }
    let copy = slot.copy();
    if is_it(&copy) && slot.state.swap_if(state, next(state, FREE)) { Some(copy) } else { None }
}

/// Removes a flow, if it is there and nobody is writing it.
pub fn remove<const REACH: u32, L: Lines<Flow>>(slots: &L, hash: Hash, key: &[u64; 6]) {
    let _ = take::<REACH, L>(slots, hash, key, |_| true);
}

#[inline(always)]
fn add(sum: &Carried, more: &Carried) {
    sum.packets.add(more.packets.load());
    sum.bytes.add(more.bytes.load());
}

/// What a slot holds, if it holds a flow; never half of one and half of another.
#[must_use]
pub fn read(slot: &Flow) -> Option<(FlowKey, FlowCopy)> {
    for _ in 0..TRIES {
        let state = slot.state.load();
        if !is_live(state) {
            return None;
        }
        let found = (slot.read_key(), slot.copy());
        if slot.state.load() == state {
            return Some(found);
        }
    }
    None
}
