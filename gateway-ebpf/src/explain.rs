//! The dry run: what would become of a packet, with nothing changed by it.
//!
//! The daemon runs it by `BPF_PROG_TEST_RUN`, with the interface in the context and 32 bytes of metadata in front of the
//! packet: a question, as [`Explained`] says. The answer takes its place, and comes back as the first bytes of
//! `data_out`. Without such a question nothing is looked at.

use crate::clock;
use crate::frame::XdpFrame;
use crate::maps::{BUDGETS, REHEARSED, SOURCES, layout};
use crate::tables::{FlowSlots, KernelTables};
use aya_ebpf::programs::XdpContext;
use gateway_common::Word;
use gateway_common::abi::{Budget, BudgetKey, Explained, Flow, FlowKey, SourceKey};
use gateway_common::rehearsal::{self, Copies, Rehearse};
use gateway_common::table::flows::{self, REACH};

/// Answers the question in front of the packet.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> Option<()> {
    let asked = asked(ctx)?;
    let frame = XdpFrame::arriving(ctx);
    // SAFETY: nobody else has this object, and whoever does runs it on one packet at a time.
    let packet = unsafe { &mut *REHEARSED.get(0)?.packet.get() };
    rehearsal::ingress(&frame, packet, &KernelTables, (frame.interface(), asked), clock());
    answer(ctx)
}

/// What is asked, if there is a question.
#[inline(always)]
fn asked(ctx: &XdpContext) -> Option<u32> {
    let (start, end) = (ctx.metadata(), ctx.data());
    if start + Explained::LENGTH > end {
        return None;
    }
    // SAFETY: the range was just found to lie before the packet.
    let words = unsafe { core::ptr::read_unaligned(start as *const [u64; 4]) };
    let Explained { mark, notes, .. } = Explained::from_words(words);
    if mark == Explained::ASKED { Some(notes) } else { None }
}

/// Puts the answer in the place of the question.
#[inline(never)]
fn answer(ctx: &XdpContext) -> Option<()> {
    let answer = &REHEARSED.get(0)?.copies.answer;
    let (start, end) = (ctx.metadata(), ctx.data());
    if start + Explained::LENGTH > end {
        return None;
    }
    let [first, second, third, fourth] = answer;
    let words = [first.load(), second.load(), third.load(), fourth.load()];
    // SAFETY: the range was just found to lie before the packet.
    unsafe { core::ptr::write_unaligned(start as *mut [u64; 4], words) };
    Some(())
}

impl Rehearse for KernelTables {
    #[inline(always)]
    fn copies(&self) -> Option<&Copies> {
        REHEARSED.get(0).map(|rehearsed| &rehearsed.copies)
    }

    #[inline(always)]
    fn known_flow(&self, key: &FlowKey) -> Option<(&Flow, u64)> {
        let flow = flows::find::<REACH, _>(&FlowSlots, key.hash(&layout().secrets), key.words())?;
        let state = flow.state.load();
        if flows::is_live(state) && flow.has_key(key.words()) { Some((flow, state)) } else { None }
    }

    #[inline(never)]
    fn has_room_for_flow(&self, key: &FlowKey) -> bool {
        flows::has_room::<REACH, _>(&FlowSlots, key.hash(&layout().secrets), key)
    }

    #[inline(always)]
    fn known_source(&self, key: &SourceKey) -> Option<&Word> {
        // SAFETY: one word. An element that changed hands is another source's debt, in this answer alone.
        unsafe { SOURCES.get(key) }
    }

    #[inline(always)]
    fn known_budget(&self, key: &BudgetKey) -> Option<&Budget> {
        // SAFETY: words. An entry is removed only when its session has ended.
        unsafe { BUDGETS.get(key) }
    }
}
