//! Bytes of a frame, by direct access: every read proves its own bounds to the verifier.

use aya_ebpf::programs::{TcContext, XdpContext};
use gateway_common::Frame;

/// Enough for two tags, an IPv6 header and a TCP header.
const HEADERS: u32 = 96;

/// The frame in front of the XDP program.
pub struct XdpFrame {
    start: usize,
    end: usize,
}

impl XdpFrame {
    /// The frame, and the interface that it arrived on.
    #[inline(always)]
    pub fn of(ctx: &XdpContext) -> (Self, u32) {
        // SAFETY: the context pointer is the one the kernel passed to the program.
        let interface = unsafe { (*ctx.ctx).ingress_ifindex };
        (Self { start: ctx.data(), end: ctx.data_end() }, interface)
    }
}

impl Frame for XdpFrame {
    #[inline(always)]
    fn length(&self) -> usize {
        self.end - self.start
    }

    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        read(self.start, self.end, offset)
    }
}

/// The frame in front of the TC program; its first bytes are linear, the rest may be in fragments.
pub struct SkbFrame {
    start: usize,
    end: usize,
    length: usize,
}

impl SkbFrame {
    /// The frame and the interface that it leaves through; only the interface if its metadata carries a VLAN's tag.
    #[inline(always)]
    pub fn of(ctx: &TcContext) -> Result<(Self, u32), u32> {
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

impl Frame for SkbFrame {
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
