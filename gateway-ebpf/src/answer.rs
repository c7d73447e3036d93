//! Sending the answer to a denied packet back where it came from, in its own frame.

use crate::frame::XdpFrame;
use crate::maps::ANSWER;
use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use gateway_common::answer::{self, Answer};
use gateway_common::{Frame as _, Packet};

/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Length of a tag.
const TAG: usize = 4;

/// Puts the answer in the place of the packet; `XDP_TX` if that was possible, else the packet is dropped.
#[inline(never)]
pub fn send(ctx: &XdpContext, packet: &Packet) -> u32 {
    let frame = XdpFrame::arriving(ctx);
    let Some(scratch) = ANSWER.get_ptr_mut(0) else { return xdp_action::XDP_DROP };
    // SAFETY: this CPU's own element, used here alone; a program is not interrupted by another run of itself.
    let answer = unsafe { &mut *scratch };
    if answer::to(&frame, packet, answer).is_none() {
        return xdp_action::XDP_DROP;
    }
    let is_sent = match usize::from(packet.offset) {
        0 => replace::<0>(ctx, &frame, answer),
        ETHERNET => replace::<ETHERNET>(ctx, &frame, answer),
        offset if offset == ETHERNET + TAG => replace::<{ ETHERNET + TAG }>(ctx, &frame, answer),
        offset if offset == ETHERNET + 2 * TAG => replace::<{ ETHERNET + 2 * TAG }>(ctx, &frame, answer),
        _ => false,
    };
    if is_sent { xdp_action::XDP_TX } else { xdp_action::XDP_DROP }
}

/// Gives the frame, with a link layer of `L` bytes, the answer as its packet.
#[inline(always)]
fn replace<const L: usize>(ctx: &XdpContext, frame: &XdpFrame, answer: &Answer) -> bool {
    let Some(mut link) = frame.bytes::<L>(0) else { return false };
    if let Some((to, rest)) = link.split_first_chunk_mut::<6>()
        && let Some(from) = rest.first_chunk_mut::<6>()
    {
        core::mem::swap(to, from);
    }
    let (old, new) = (frame.length(), L + answer.length);
    // Shorter at the end, longer at the beginning: behind a short packet not every driver has room.
    // SAFETY: the context is the one the kernel passed; all pointers into the frame are read anew below.
    let refused = unsafe {
        if new > old {
            bpf_xdp_adjust_head(ctx.ctx, old as i32 - new as i32)
        } else {
            bpf_xdp_adjust_tail(ctx.ctx, new as i32 - old as i32)
        }
    };
    if refused != 0 || !write(ctx, 0, &link) {
        return false;
    }
    match answer.length {
        40 => write_first::<40>(ctx, L, answer),
        56 => write_first::<56>(ctx, L, answer),
        60 => write_first::<60>(ctx, L, answer),
        96 => write_first::<96>(ctx, L, answer),
        _ => false,
    }
}

#[inline(always)]
fn write_first<const N: usize>(ctx: &XdpContext, offset: usize, answer: &Answer) -> bool {
    answer.bytes.first_chunk::<N>().is_some_and(|bytes| write(ctx, offset, bytes))
}

#[inline(always)]
fn write<const N: usize>(ctx: &XdpContext, offset: usize, bytes: &[u8; N]) -> bool {
    let (start, end) = (ctx.data(), ctx.data_end());
    if start + offset + N > end {
        return false;
    }
    // SAFETY: the range was just found to lie within the frame.
    unsafe { core::ptr::write_unaligned((start + offset) as *mut [u8; N], *bytes) };
    true
}
