//! The enforcement point: an XDP program for what clients send, a TC program for what is sent to them; and, where
//! packets are forwarded in XDP, another XDP program for what apps send.
//!
//! A thin adapter: it reads bytes, looks maps up, counts and reports. Every decision is `gateway_common::law`'s.
#![no_std]
#![no_main]
#![expect(missing_docs, reason = "the program macros drop the documentation of what they wrap")]

mod answer;
mod forward;
mod frame;
mod maps;
mod report;
mod tables;
mod vlan;

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use frame::{SkbFrame, XdpFrame};
use gateway_common::abi::Interface;
use gateway_common::{Direction, KernelNanos, Packet, Verdict, law};
use report::{Fate, Reporter};
use tables::KernelTables;

/// Judges what arrives on a guarded interface.
#[xdp(frags)]
pub fn pc_ingress(ctx: XdpContext) -> u32 {
    let (frame, interface) = XdpFrame::arriving(&ctx);
    let now = clock();
    let Some(packet) = scratch(Direction::ToApp) else { return xdp_action::XDP_DROP };
    let judgement = law::ingress(&frame, packet, &KernelTables, interface, now);
    match (Reporter { interface, direction: Direction::ToApp, now }).carry_out(&ctx, &judgement, packet) {
        Fate::Pass if !packet.vlan.is_none() => vlan::hand_over(&ctx, packet),
        Fate::Pass if judgement.verdict == Verdict::Forward && packet.guard.has(Interface::FORWARD) => {
            forward::to_app(&ctx)
        }
        Fate::Pass => xdp_action::XDP_PASS,
        Fate::Drop => xdp_action::XDP_DROP,
        Fate::Answer => {
            let action = answer::send(&ctx, packet);
            if action == xdp_action::XDP_TX {
                report::count(packet, Verdict::REJECTED);
            }
            action
        }
    }
}

/// Judges what is about to leave through a guarded interface.
#[classifier]
pub fn pc_egress(ctx: TcContext) -> i32 {
    let now = clock();
    let Some(packet) = scratch(Direction::ToClient) else { return TC_ACT_SHOT };
    let (frame, interface) = SkbFrame::leaving(&ctx);
    let judgement = law::egress(&frame, packet, &KernelTables, interface, now);
    match (Reporter { interface, direction: Direction::ToClient, now }).carry_out(&ctx, &judgement, packet) {
        // Not OK but "no opinion": other programs on the hook keep their say.
        Fate::Pass => TC_ACT_UNSPEC,
        Fate::Drop | Fate::Answer => TC_ACT_SHOT,
    }
}

/// Judges what apps send and is about to leave through a guarded interface, and sends it there. Everything else goes to
/// the network stack, and what leaves it through a guarded interface meets `pc_egress`.
#[xdp(frags)]
pub fn pc_replies(ctx: XdpContext) -> u32 {
    forward::to_client(&ctx)
}

/// Drops what arrives with a tag that the driver took away before `pc_ingress` could see it.
#[classifier]
pub fn pc_stripped(ctx: TcContext) -> i32 {
    vlan::check(&ctx)
}

/// Where the packet at hand is described, empty.
#[inline(always)]
fn scratch<'a>(direction: Direction) -> Option<&'a mut Packet> {
    let scratch = maps::PACKET.get_ptr_mut(direction as u32)?;
    // SAFETY: this CPU's own element, used by one program alone, which is not interrupted by another run of itself on
    // its CPU; writing comes first, so whatever was there is not looked at.
    unsafe {
        scratch.write(Packet::default());
        Some(&mut *scratch)
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
