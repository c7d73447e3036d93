//! Handing denied packets to whoever captures them: their first bytes, at a pace, and what could not be handed over counted.

use crate::clock;
use crate::frame::removed_tag;
use crate::maps::{CAPTURE, CAPTURE_COUNTS, CAPTURE_GATE, CAPTURE_RECORD, CAPTURED};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};
use gateway_common::KernelNanos;
use gateway_common::abi::{CaptureCount, CaptureGate, CaptureHead, CaptureOrder, CaptureRecord, DenialKey};

/// A packet of which bytes can be had wherever they lie.
pub trait Whole {
    /// Whose packet it is, in the flags of its head.
    const KIND: u32;

    /// How long it is.
    fn whole_length(&self) -> u32;

    /// The tag that was taken out of the frame, as it would stand there; 0 if there is none.
    fn taken_tag(&self) -> u32;

    /// Copies its first bytes. False if the kernel does not give them.
    ///
    /// # Safety
    /// There is room for `length` bytes at `to`.
    unsafe fn copy_first(&self, to: *mut u8, length: u32) -> bool;
}

impl Whole for XdpContext {
    const KIND: u32 = CaptureHead::XDP;

    #[inline(always)]
    fn whole_length(&self) -> u32 {
        // SAFETY: the context pointer is the one the kernel passed to the program; the helper only reads it.
        unsafe { bpf_xdp_get_buff_len(self.ctx) as u32 }
    }

    #[inline(always)]
    fn taken_tag(&self) -> u32 {
        0
    }

    #[inline(always)]
    unsafe fn copy_first(&self, to: *mut u8, length: u32) -> bool {
        // SAFETY: the context pointer is the one the kernel passed to the program; of the room the caller has made sure.
        unsafe { bpf_xdp_load_bytes(self.ctx, 0, to.cast(), length) == 0 }
    }
}

impl Whole for TcContext {
    const KIND: u32 = 0;

    #[inline(always)]
    fn whole_length(&self) -> u32 {
        self.len()
    }

    #[inline(always)]
    fn taken_tag(&self) -> u32 {
        let (is_removed, tag) = removed_tag(self);
        if is_removed { u32::from(tag.ethertype) << 16 | u32::from(tag.control) } else { 0 }
    }

    #[inline(always)]
    unsafe fn copy_first(&self, to: *mut u8, length: u32) -> bool {
        // SAFETY: the context pointer is the one the kernel passed to the program; of the room the caller has made sure.
        unsafe { bpf_skb_load_bytes(self.skb.skb.cast(), 0, to.cast(), length) == 0 }
    }
}

/// Whether anything is captured: one load, where nothing is.
#[inline(always)]
pub fn is_on(now: KernelNanos) -> bool {
    CAPTURE.get(0).is_some_and(|order| order.is_on(now))
}

/// Hands a denied packet over, if it is wanted. A function of its own, as the two that it calls, for the sake of the stack.
#[inline(never)]
pub fn take<C: EbpfContext + Whole>(ctx: &C, key: &DenialKey, slot: u32, is_answered: bool, now: KernelNanos) {
    let serial = due(key, slot, now);
    if serial != 0 {
        hand_over(ctx, key, slot, is_answered, serial);
    }
}

/// Of which capture a denied packet is to be handed over now; 0 if of none. What is wanted and is not is counted.
#[inline(never)]
fn due(key: &DenialKey, slot: u32, now: KernelNanos) -> u64 {
    let Some(order) = CAPTURE.get(0) else { return 0 };
    // First, because the daemon writes it last: whoever reads it reads all of its order, or of a later one.
    let serial = order.serial.load();
    if !order.wants(key) {
        return 0;
    }
    let is_admitted = is_admitted(order, serial, now);
    if let Some(count) = count(slot, serial) {
        count.matched += 1;
        count.over += u64::from(!is_admitted);
    }
    if is_admitted { serial } else { 0 }
}

/// Hands a denied packet over.
#[inline(never)]
fn hand_over<C: EbpfContext + Whole>(ctx: &C, key: &DenialKey, slot: u32, is_answered: bool, serial: u64) {
    let Some(record) = CAPTURE_RECORD.get_ptr_mut(key.direction.into()) else { return };
    // SAFETY: this CPU's own element. All programs run with softirqs off on their CPU: none interrupts another.
    let record = unsafe { &mut *record };
    let head = &mut record.head;
    head.at = clock().0;
    head.key = *key;
    head.tag = ctx.taken_tag();
    head.flags = C::KIND | if is_answered { CaptureHead::ANSWERED } else { 0 };
    head.length = ctx.whole_length();
    let Some(order) = CAPTURE.get(0) else { return };
    head.serial = serial;
    let captured = held(head.length.min(order.length.load() as u32));
    head.captured = captured;
    // SAFETY: there is room for as many bytes as `held` leaves.
    if !unsafe { ctx.copy_first(record.bytes.as_mut_ptr(), captured) } {
        if let Some(count) = count(slot, serial) {
            count.unread += 1;
        }
    } else if !submit(record, captured)
        && let Some(count) = count(slot, serial)
    {
        count.no_room += 1;
    }
}

/// At most [`CaptureOrder::LONGEST`], and known to be within 1 and what there is room for by the verifier: the compiler would leave
/// out whatever it can tell changes nothing. Of nothing it makes too much, which no packet has.
#[inline(always)]
fn held(length: u32) -> u32 {
    let mut held = u64::from(length.min(CaptureOrder::LONGEST));
    // SAFETY: arithmetic on one register.
    unsafe {
        core::arch::asm!(
            "{held} += -1",
            "{held} &= 0x3fff",
            "{held} += 1",
            held = inout(reg) held,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    held as u32
}

const _: () = assert!(CaptureOrder::LONGEST == 0x3fff);

#[inline(always)]
fn submit(record: &CaptureRecord, captured: u32) -> bool {
    let length = size_of::<CaptureHead>() + captured as usize;
    // SAFETY: the record begins with its head, behind which so many bytes were written just now.
    let bytes = unsafe { core::slice::from_raw_parts(core::ptr::from_ref(record).cast::<u8>(), length) };
    CAPTURED.output::<[u8]>(bytes, 0).is_ok()
}

#[inline(always)]
fn is_admitted(order: &CaptureOrder, serial: u64, now: KernelNanos) -> bool {
    let Some(gate) = CAPTURE_GATE.get_ptr_mut(0) else { return false };
    // SAFETY: this CPU's own element. All programs run with softirqs off on their CPU: none interrupts another.
    let gate: &mut CaptureGate = unsafe { &mut *gate };
    gate.admits(serial, (order.per_window.load(), order.window.load()), now)
}

#[inline(always)]
fn count<'a>(slot: u32, serial: u64) -> Option<&'a mut CaptureCount> {
    let count = CAPTURE_COUNTS.get_ptr_mut(slot)?;
    // SAFETY: this CPU's own element. All programs run with softirqs off on their CPU: none interrupts another.
    Some(unsafe { &mut *count }.of(serial))
}
