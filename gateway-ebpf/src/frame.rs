//! Bytes of a frame, by direct access: every read proves its own bounds to the verifier.

use aya_ebpf::programs::{TcContext, XdpContext};
use gateway_common::Frame;

/// Enough for two tags, an IPv6 header and a TCP header.
const HEADERS: u32 = 96;

/// A frame whose first bytes lie between two pointers; in front of the TC program the rest may be in fragments.
pub struct LinearFrame {
    start: usize,
    end: usize,
    length: usize,
}

impl LinearFrame {
    /// The frame in front of the XDP program, and the interface that it arrived on.
    #[inline(always)]
    pub fn arriving(ctx: &XdpContext) -> (Self, u32) {
        // SAFETY: the context pointer is the one the kernel passed to the program.
        let interface = unsafe { (*ctx.ctx).ingress_ifindex };
        (Self { start: ctx.data(), end: ctx.data_end(), length: linear_length(ctx) }, interface)
    }

    /// The frame in front of the TC program and the interface that it leaves through; only the interface if its metadata
    /// carries a VLAN's tag.
    #[inline(always)]
    pub fn leaving(ctx: &TcContext) -> Result<(Self, u32), u32> {
        // SAFETY: the context pointer is the one the kernel passed to the program.
        let (interface, vlan) = unsafe { ((*ctx.skb.skb).ifindex, (*ctx.skb.skb).vlan_tci) };
        if vlan & 0x0fff != 0 {
            return Err(interface);
        }
        let length = ctx.len();
        if ctx.data_end() - ctx.data() < length.min(HEADERS) as usize {
            // On failure the linear part stays short, and the law finds the frame truncated.
            let _ = ctx.pull_data(length.min(HEADERS));
        }
        Ok((Self { start: ctx.data(), end: ctx.data_end(), length: length as usize }, interface))
    }
}

/// Bytes between the start and the end of the frame.
///
/// Read anew and volatile: were it the same value as `end - start`, the compiler would express the bounds checks by it,
/// as a comparison of numbers that tells the verifier nothing about the pointers.
#[inline(always)]
fn linear_length(ctx: &XdpContext) -> usize {
    // SAFETY: both fields are in the context that the kernel passed to the program.
    let (start, end) =
        unsafe { ((&raw const (*ctx.ctx).data).read_volatile(), (&raw const (*ctx.ctx).data_end).read_volatile()) };
    end as usize - start as usize
}

impl Frame for LinearFrame {
    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        read(self.start, self.end, offset)
    }
}

#[inline(always)]
fn read<const N: usize>(start: usize, end: usize, offset: usize) -> Option<[u8; N]> {
    if start + offset + N > end {
        return None;
    }
    // SAFETY: `start..end` is the frame's linear part, and the range read was just found to end within it.
    Some(unsafe { core::ptr::read_unaligned((start + offset) as *const [u8; N]) })
}
