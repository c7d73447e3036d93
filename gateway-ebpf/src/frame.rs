//! Bytes of a frame, by direct access: every read and every write proves its own bounds to the verifier.

use aya_ebpf::helpers::bpf_xdp_get_buff_len;
use aya_ebpf::programs::{TcContext, XdpContext};
use core::marker::PhantomData;
use gateway_common::packet::Tag;
use gateway_common::{Frame, FrameMut};

/// Enough for two tags, an IPv6 header with what may be admitted behind it, and an ICMP error with the same quoted.
const HEADERS: u32 = 256;

/// Behind this nothing is read: four options of neighbour discovery end before it.
const FURTHEST: usize = 0x3fff;

/// What both kinds of frame read in the same way.
macro_rules! linear_part {
    () => {
        #[inline(always)]
        fn length(&self) -> usize {
            self.length
        }

        #[inline(always)]
        fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
            read(self.start, self.end, offset)
        }

        #[inline(always)]
        fn half(&self, offset: usize) -> Option<u16> {
            half(self.start, self.end, offset)
        }

        #[inline(always)]
        fn word(&self, offset: usize) -> Option<u32> {
            word(self.start, self.end, offset)
        }

        #[inline(always)]
        fn double(&self, offset: usize) -> Option<u64> {
            double(self.start, self.end, offset)
        }
    };
}

/// A frame in front of the XDP program: its first bytes lie between two pointers, the rest may be in fragments.
pub struct XdpFrame {
    start: usize,
    end: usize,
    length: usize,
    interface: u32,
}

impl XdpFrame {
    /// The interface that it arrived on.
    #[inline(always)]
    pub const fn interface(&self) -> u32 {
        self.interface
    }

    /// The frame.
    #[inline(always)]
    pub fn arriving(ctx: &XdpContext) -> Self {
        // SAFETY: the context pointer is the one the kernel passed to the program; the helper only reads it.
        let (interface, length) = unsafe { ((*ctx.ctx).ingress_ifindex, bpf_xdp_get_buff_len(ctx.ctx)) };
        Self { start: ctx.data(), end: ctx.data_end(), length: length as usize, interface }
    }

    /// Whether all of it lies in one buffer.
    #[inline(always)]
    pub fn is_whole(&self) -> bool {
        self.length <= self.end - self.start
    }
}

impl Frame for XdpFrame {
    linear_part!();

    #[inline(always)]
    fn removed_tag(&self) -> Option<Tag> {
        None
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        0
    }
}

/// The linear part of a frame in front of the XDP program, to be changed. After it was looked at anew: what changes a
/// frame's length moves it.
pub struct XdpHead<'c> {
    start: usize,
    end: usize,
    length: usize,
    /// Of the program's run: nobody else refers to the frame meanwhile.
    _ctx: PhantomData<&'c mut XdpContext>,
}

impl<'c> XdpHead<'c> {
    #[inline(always)]
    pub fn of(ctx: &'c XdpContext) -> Self {
        let (start, end) = (ctx.data(), ctx.data_end());
        Self { start, end, length: end - start, _ctx: PhantomData }
    }
}

impl Frame for XdpHead<'_> {
    linear_part!();

    #[inline(always)]
    fn removed_tag(&self) -> Option<Tag> {
        None
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        0
    }
}

impl FrameMut for XdpHead<'_> {
    #[inline(always)]
    fn put_half(&mut self, offset: usize, value: u16) -> Option<()> {
        put_half(self.start, self.end, offset, value)
    }

    #[inline(always)]
    fn put_word(&mut self, offset: usize, value: u32) -> Option<()> {
        put_word(self.start, self.end, offset, value)
    }
}

/// A frame in front of a TC program: as [`XdpFrame`], and what the network stack knows of it.
pub struct SkbFrame {
    start: usize,
    end: usize,
    length: usize,
    /// Of no meaning unless `is_removed`.
    removed: Tag,
    is_removed: bool,
    mark: u32,
}

impl SkbFrame {
    /// The frame, and the interface that it leaves through.
    #[inline(always)]
    pub fn leaving(ctx: &TcContext) -> (Self, u32) {
        // SAFETY: the context pointer is the one the kernel passed to the program.
        let (interface, mark) = unsafe { ((*ctx.skb.skb).ifindex, (*ctx.skb.skb).mark) };
        let (is_removed, removed) = removed_tag(ctx);
        let length = ctx.len();
        if ctx.data_end() - ctx.data() < length.min(HEADERS) as usize {
            // On failure the linear part stays short, and the law finds the frame truncated.
            let _ = ctx.pull_data(length.min(HEADERS));
        }
        let (start, end, length) = (ctx.data(), ctx.data_end(), length as usize);
        (Self { start, end, length, removed, is_removed, mark }, interface)
    }
}

impl Frame for SkbFrame {
    linear_part!();

    #[inline(always)]
    fn removed_tag(&self) -> Option<Tag> {
        if self.is_removed { Some(self.removed) } else { None }
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        self.mark
    }
}

/// Whether there is a tag in the metadata of a packet, and which. In two words, both always written: of an `Option` the
/// verifier would see bytes that nobody wrote.
#[inline(always)]
pub fn removed_tag(ctx: &TcContext) -> (bool, Tag) {
    // SAFETY: the context pointer is the one the kernel passed to the program.
    let (present, control, protocol) =
        unsafe { ((*ctx.skb.skb).vlan_present, (*ctx.skb.skb).vlan_tci, (*ctx.skb.skb).vlan_proto) };
    // The protocol is in network order, in the lower half of the word.
    (present != 0, Tag { ethertype: u16::from_be(protocol as u16), control: control as u16 })
}

#[inline(always)]
fn read<const N: usize>(start: usize, end: usize, offset: usize) -> Option<[u8; N]> {
    // No header lies further in, and the verifier must see that the sum stays below the longest packet.
    if offset > FURTHEST || start + offset + N > end {
        return None;
    }
    // SAFETY: `start..end` is the frame's linear part, and the range read was just found to end within it.
    Some(unsafe { core::ptr::read_unaligned((start + offset) as *const [u8; N]) })
}

macro_rules! load {
    ($name:ident, $type:ty, $size:literal) => {
        /// One load, wherever the bytes lie: the kernel reads packets so. The compiler would read them one by one.
        #[inline(always)]
        fn $name(start: usize, end: usize, offset: usize) -> Option<$type> {
            if offset > FURTHEST || start + offset + size_of::<$type>() > end {
                return None;
            }
            let value: u64;
            // SAFETY: `start..end` is the frame's linear part, and the range read was just found to end within it.
            unsafe {
                core::arch::asm!(
                    concat!("{value} = *(", $size, " *)({place} + 0)"),
                    place = in(reg) start + offset,
                    value = lateout(reg) value,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            Some(value as $type)
        }
    };
}

macro_rules! store {
    ($name:ident, $type:ty, $size:literal) => {
        /// One store, wherever the bytes lie: whoever reads them next reads more than one at once.
        #[inline(always)]
        fn $name(start: usize, end: usize, offset: usize, value: $type) -> Option<()> {
            if offset > FURTHEST || start + offset + size_of::<$type>() > end {
                return None;
            }
            // SAFETY: `start..end` is the frame's linear part, and the range written was just found to end within it.
            unsafe {
                core::arch::asm!(
                    concat!("*(", $size, " *)({place} + 0) = {value}"),
                    place = in(reg) start + offset,
                    value = in(reg) u64::from(value),
                    options(nostack, preserves_flags),
                );
            }
            Some(())
        }
    };
}

store!(put_half, u16, "u16");
store!(put_word, u32, "u32");

load!(half, u16, "u16");
load!(word, u32, "u32");
load!(double, u64, "u64");
