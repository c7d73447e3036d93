//! Tags that a driver takes out of the frame before the XDP program sees it.
//!
//! The XDP program judges by the tags in the frame, the network stack delivers by the outermost tag wherever it is. So
//! the XDP program writes down, in front of the packet, the tags that it judged by; behind it the TC program lets a
//! tagged packet pass only with the same outermost tag written there.

use crate::report::Reporter;
use crate::{clock, frame, tables};
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::helpers::bpf_xdp_adjust_meta;
use aya_ebpf::programs::{TcContext, XdpContext};
use gateway_common::abi::{Interface, Vlan};
use gateway_common::{Direction, DropReason, Judgement, Packet, Verdict};

/// Length of an Ethernet header.
const ETHERNET: u32 = 14;
/// Length of a tag.
const TAG: u32 = 4;
/// Where the EtherType behind the first tag stands.
const BEHIND_A_TAG: usize = 16;
/// Marks the note as ours: "pcvl".
const MARK: u32 = 0x7063_766c;
/// Mark, VLANs, and how many tags there were in the frame.
type Note = [u32; 3];
const LENGTH: usize = size_of::<Note>();

#[inline(always)]
fn note(packet: &Packet) -> Note {
    let Vlan { outer, inner } = packet.vlan;
    let tags = u32::from(packet.offset).saturating_sub(ETHERNET) / TAG;
    [MARK, (u32::from(outer) << 16) | u32::from(inner), tags]
}

/// Passes a tagged frame on with a note of its tags. A driver that has no room for the note cannot carry VLANs.
#[inline(always)]
pub fn hand_over(ctx: &XdpContext, packet: &Packet) -> u32 {
    // SAFETY: the context is the one the kernel passed; the pointers are read anew below.
    if unsafe { bpf_xdp_adjust_meta(ctx.ctx, -(LENGTH as i32)) } != 0 {
        return xdp_action::XDP_DROP;
    }
    let (start, end) = (ctx.metadata(), ctx.data());
    if start + LENGTH > end {
        return xdp_action::XDP_DROP;
    }
    // SAFETY: the range was just found to lie before the packet, where the helper made room.
    unsafe { core::ptr::write_unaligned(start as *mut Note, note(packet)) };
    xdp_action::XDP_PASS
}

/// Lets a packet with a tag in its metadata pass only with its note, or where nothing is enforced.
#[inline(always)]
pub fn check(ctx: &TcContext) -> i32 {
    let (is_removed, tag) = frame::removed_tag(ctx);
    let number = u32::from(tag.control & 0x0fff);
    if !is_removed || number == 0 {
        return TC_ACT_UNSPEC;
    }
    if let Some([MARK, vlan, tags]) = written(ctx) {
        let (outer, inner) = (vlan >> 16, vlan & 0xffff);
        let outermost = if outer == 0 { inner } else { outer };
        // The stack has taken one off. If more are left than that, the driver took another one before.
        if outermost == number && tags == left(ctx).saturating_add(1) {
            return TC_ACT_UNSPEC;
        }
    }
    // SAFETY: the context pointer is the one the kernel passed to the program.
    let interface = unsafe { (*ctx.skb.skb).ifindex };
    let guard = tables::interface(interface);
    let unknown = Interface { slot: Interface::LIMIT - 1, ..Interface::default() };
    let packet = Packet { guard: guard.unwrap_or(unknown), ..Packet::default() };
    let judgement = Judgement::of(Verdict::Drop(DropReason::VlanUnknown));
    let reporter = Reporter { interface, direction: Direction::ToApp, now: clock() };
    match reporter.carry_out(ctx, &judgement, &packet) {
        crate::report::Fate::Pass => TC_ACT_UNSPEC,
        crate::report::Fate::Drop | crate::report::Fate::Answer => TC_ACT_SHOT,
    }
}

/// How many tags are left in the frame, of which two are looked at; more than there can be if that cannot be said.
#[inline(always)]
fn left(ctx: &TcContext) -> u32 {
    // SAFETY: the context pointer is the one the kernel passed to the program.
    let protocol = unsafe { (*ctx.skb.skb).protocol };
    if !is_tag(protocol as u16) {
        return 0;
    }
    let (start, end) = (ctx.data(), ctx.data_end());
    if start + BEHIND_A_TAG + 2 > end {
        return u32::MAX;
    }
    // SAFETY: the range was just found to lie within the frame.
    let inside = unsafe { core::ptr::read_unaligned((start + BEHIND_A_TAG) as *const u16) };
    1 + u32::from(is_tag(inside))
}

/// Whether an EtherType, in network order, is that of a tag.
#[inline(always)]
fn is_tag(ethertype: u16) -> bool {
    matches!(u16::from_be(ethertype), 0x8100 | 0x88a8)
}

#[inline(always)]
fn written(ctx: &TcContext) -> Option<Note> {
    // SAFETY: the context pointer is the one the kernel passed to the program.
    let (start, end) = unsafe { ((*ctx.skb.skb).data_meta as usize, (*ctx.skb.skb).data as usize) };
    if start + LENGTH > end {
        return None;
    }
    // SAFETY: the range was just found to lie before the packet.
    Some(unsafe { core::ptr::read_unaligned(start as *const Note) })
}
