//! The enforcement point: an XDP program for what clients send, a TC program for what is sent to them.
//!
//! A thin adapter: it reads bytes, looks maps up, counts and reports. Every decision is `gateway_common::law`'s.
#![no_std]
#![no_main]
#![expect(missing_docs, reason = "the program macros drop the documentation of what they wrap")]

mod frame;
mod maps;
mod report;
mod tables;

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use frame::LinearFrame;
use gateway_common::{Direction, DropReason, Judgement, KernelNanos, Packet, Verdict, law};
use report::Reporter;
use tables::KernelTables;

/// Judges what arrives on a guarded interface.
#[xdp]
pub fn pc_ingress(ctx: XdpContext) -> u32 {
    let (frame, interface) = LinearFrame::arriving(&ctx);
    let now = clock();
    let mut packet = Packet::default();
    let judgement = law::ingress(&frame, &mut packet, &KernelTables, interface, now);
    report::judgement(&ctx, &Reporter { interface, direction: Direction::ToApp, now }, &judgement, &packet);
    match judgement.verdict {
        Verdict::Forward | Verdict::ToHost => xdp_action::XDP_PASS,
        Verdict::Drop(_) => xdp_action::XDP_DROP,
    }
}

/// Judges what is about to leave through a guarded interface.
#[classifier]
pub fn pc_egress(ctx: TcContext) -> i32 {
    let now = clock();
    let mut packet = Packet::default();
    let (judgement, interface) = match LinearFrame::leaving(&ctx) {
        Ok((frame, interface)) => (law::egress(&frame, &mut packet, &KernelTables, interface, now), interface),
        Err(interface) => (Judgement::of(Verdict::Drop(DropReason::VlanUnknown)), interface),
    };
    report::judgement(&ctx, &Reporter { interface, direction: Direction::ToClient, now }, &judgement, &packet);
    match judgement.verdict {
        // Not OK but "no opinion": other programs on the hook keep their say.
        Verdict::Forward | Verdict::ToHost => TC_ACT_UNSPEC,
        Verdict::Drop(_) => TC_ACT_SHOT,
    }
}

#[inline(always)]
fn clock() -> KernelNanos {
    // SAFETY: the helper takes no arguments and only reads the clock.
    KernelNanos(unsafe { bpf_ktime_get_boot_ns() })
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Some helpers, the boot clock among them, are for programs under a GPL-compatible licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
