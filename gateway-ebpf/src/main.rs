//! The enforcement point: an XDP program for what clients send, a TC program for what is sent to them; and, where
//! packets are forwarded in XDP, another XDP program for what apps send. Beside them one that is attached nowhere and says what
//! the first of them would do.
//!
//! A thin adapter: it reads bytes, looks maps up, counts and reports. Every decision is `gateway_common::law`'s.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(missing_docs, reason = "the program macros drop the documentation of what they wrap")]

mod answer;
mod capture;
mod explain;
mod forward;
mod frame;
mod maps;
mod report;
mod tables;
mod vlan;

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use frame::{SkbFrame, XdpFrame};
use gateway_common::abi::{Cpu, Interface};
use gateway_common::law;
use gateway_common::law::established::{self, Unsaid};
use gateway_common::{Direction, KernelNanos, Packet, Verdict};
use report::{Fate, Reporter};
use tables::KernelTables;

/// Judges what arrives on a guarded interface.
#[xdp(frags)]
pub fn pc_ingress(ctx: XdpContext) -> u32 {
    let frame = XdpFrame::arriving(&ctx);
    let interface = frame.interface();
    let (Some(packet), Some(cpu)) = (scratch(Direction::ToApp), this_cpu()) else { return xdp_action::XDP_DROP };
    let now = tick(cpu);
    let now = match established::to_app(&frame, packet, &KernelTables, interface, now) {
        Ok(found) => {
            report::forwarded(cpu, found.app, packet, Direction::ToApp);
            if packet.guard.has(Interface::FORWARD) {
                return forward::to_app_in_flow(&ctx, &frame, packet, &found);
            }
            return xdp_action::XDP_PASS;
        }
        // Floods come from nobody: a time that is a tick old is good enough for them, and costs nothing.
        Err(Unsaid::Nobody) => now,
        Err(Unsaid::Unknown) => clock(),
    };
    let judgement = law::whole_ingress(&frame, packet, &KernelTables, interface, now);
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
    let (Some(packet), Some(cpu)) = (scratch(Direction::ToClient), this_cpu()) else { return TC_ACT_SHOT };
    let (frame, interface) = SkbFrame::leaving(&ctx);
    let now = tick(cpu);
    if let Ok(found) = established::to_client(&frame, packet, &KernelTables, interface, now) {
        report::forwarded(cpu, found.app, packet, Direction::ToClient);
        return TC_ACT_UNSPEC;
    }
    let now = clock();
    let judgement = law::whole_egress(&frame, packet, &KernelTables, interface, now);
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

/// Says what `pc_ingress` would make of a packet, and leaves everything as it is. Never attached: it drops whatever comes.
#[xdp]
pub fn pc_explain(ctx: XdpContext) -> u32 {
    explain::run(&ctx);
    xdp_action::XDP_DROP
}

/// Where the packet at hand is described. What an earlier one has left there is a description, too: the law overwrites
/// what it goes by.
#[inline(always)]
fn scratch<'a>(direction: Direction) -> Option<&'a mut Packet> {
    let scratch = maps::PACKET.get_ptr_mut(direction as u32)?;
    // SAFETY: this CPU's own element, used by one program alone, which is not interrupted by another run of itself on
    // its CPU; of zeroes, which are a valid value, until the law writes it.
    unsafe { Some(&mut *scratch) }
}

/// What this CPU keeps from packet to packet.
#[inline(always)]
fn this_cpu<'a>() -> Option<&'a mut Cpu> {
    let cpu = maps::CPU.get_ptr_mut(0)?;
    // SAFETY: this CPU's own element. All programs run with softirqs off on their CPU: none interrupts another. Whoever asks
    // twice for one packet is done with the first when it asks for the second.
    unsafe { Some(&mut *cpu) }
}

/// The boot clock, read once a tick: late by one tick at most, of 1 to 10 ms as the kernel was built.
#[inline(always)]
fn tick(cpu: &mut Cpu) -> KernelNanos {
    // SAFETY: the helper takes no arguments and only reads a counter.
    let jiffies = unsafe { bpf_jiffies64() };
    if cpu.jiffies != jiffies {
        cpu.boot = clock().0;
        cpu.jiffies = jiffies;
    }
    KernelNanos(cpu.boot)
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
