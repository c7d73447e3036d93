//! Forwarding past the network stack: the kernel's routes are asked, and the frame is redirected.
//!
//! Whatever is not plain, or has no such way, goes to the network stack as it is. Redirected is only from a guarded
//! interface to one that faces apps, where nothing is judged, or the other way round, where the law is asked before.

use crate::frame::{XdpFrame, XdpHead};
use crate::maps::{PORTS, REPLY, TARGETS, WAY};
use crate::report::{self, Fate, Reporter};
use crate::tables::KernelTables;
use crate::{clock, this_cpu, tick};
use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::{bpf_fib_lookup, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use gateway_common::abi::{Flow, InterfaceRow, Port, ServiceKey};
use gateway_common::forward::{Kept, Seen, Way, plain, step};
use gateway_common::law;
use gateway_common::law::established::{self, Established};
use gateway_common::{Direction, DropReason, Judgement, KernelNanos, Packet, Tables as _, Verdict};

/// A packet that the law forwards to an app.
#[inline(always)]
pub fn to_app(ctx: &XdpContext) -> u32 {
    let Some(way) = scratch(Direction::ToApp) else { return xdp_action::XDP_PASS };
    let row = leads(ctx, Port::APPS, way);
    if row == NOWHERE { xdp_action::XDP_PASS } else { send(ctx, way.to, way.from, row) }
}

/// The same, of a flow that may remember its way.
#[inline(always)]
pub fn to_app_in_flow(ctx: &XdpContext, frame: &XdpFrame, packet: &Packet, found: &Established<&Flow>) -> u32 {
    if !found.way.is_none() {
        let action = send_along(ctx, frame, found.way, packet.length);
        if action != NOT_ALONG {
            return action;
        }
    }
    let Some(way) = scratch(Direction::ToApp) else { return xdp_action::XDP_PASS };
    let row = leads(ctx, Port::APPS, way);
    if row == NOWHERE {
        return xdp_action::XDP_PASS;
    }
    if found.way.is_none() {
        found.keep(kept(way, row, Seen::FromClient), Direction::ToApp);
    }
    send(ctx, way.to, way.from, row)
}

/// What no program answers: a packet does not go along the way that was remembered.
const NOT_ALONG: u32 = u32::MAX;

/// Sends a packet along the way to its app that its flow remembers; [`NOT_ALONG`] if it has to be asked for.
#[inline(never)]
fn send_along(ctx: &XdpContext, frame: &XdpFrame, way: Kept, length: u16) -> u32 {
    match leaves(frame, way, length, Port::APPS) {
        Some((padding, exit)) if cut(ctx, padding) => send(ctx, way.to(), exit.mac, way.row()),
        _ => NOT_ALONG,
    }
}

/// Sends a reply along the way that its flow remembers; [`NOT_ALONG`] if it has to be asked for. Nothing of it counts before
/// it is certain that it can be sent: otherwise it would be counted twice.
#[inline(never)]
fn reply_along(ctx: &XdpContext, packet: &mut Packet) -> u32 {
    let Some(cpu) = this_cpu() else { return NOT_ALONG };
    let (frame, now) = (XdpFrame::arriving(ctx), tick(cpu));
    let Ok(found) = established::reply(&frame, packet, &KernelTables, now) else { return NOT_ALONG };
    let Some((padding, exit)) = leaves(&frame, found.way, packet.length, Port::GUARDED) else { return NOT_ALONG };
    let Some(guard) = KernelTables.interface(exit.interface) else { return NOT_ALONG };
    if guard.zone != packet.guard.zone || !cut(ctx, padding) {
        return NOT_ALONG;
    }
    packet.guard = guard;
    found.pass(packet, Direction::ToClient, now);
    report::forwarded(cpu, found.app, packet, Direction::ToClient);
    send(ctx, found.way.to(), exit.mac, found.way.row())
}

/// Where a packet leaves.
struct Exit {
    interface: u32,
    mac: [u8; 6],
}

/// Whether a packet can leave along the way that its flow remembers, through a port of that kind, and how many bytes have
/// to be cut off it before.
#[inline(always)]
fn leaves(frame: &XdpFrame, way: Kept, length: u16, side: u16) -> Option<(usize, Exit)> {
    let arrived_at = row(frame.interface());
    let arrived = port(arrived_at).filter(|port| port.has(Port::RECEIVES))?;
    let seen = if side == Port::GUARDED { Seen::FromPort(arrived_at) } else { Seen::FromClient };
    let padding = way.admits(frame, &arrived, length, seen)?;
    let (interface, port, mtu) = PORTS.get(way.row())?.any_port()?;
    let can_leave = port.has(side | needed(frame)) && way.row() != arrived_at && u32::from(length) <= mtu;
    if can_leave { Some((padding, Exit { interface, mac: port.mac })) } else { None }
}

/// What a flow remembers of a way that was asked for.
#[inline(always)]
fn kept(way: &Way, row: u32, seen: Seen) -> Kept {
    match PORTS.get(row).and_then(InterfaceRow::any_port) {
        Some((interface, port, mtu)) if interface == way.interface => Kept::of(way, row, &port, mtu, seen),
        _ => Kept::NONE,
    }
}

/// A packet that comes from the apps' side, and that nobody has judged.
#[inline(always)]
pub fn to_client(ctx: &XdpContext) -> u32 {
    let (Some(way), Some(packet)) = (scratch(Direction::ToClient), reply()) else { return xdp_action::XDP_PASS };
    let action = reply_along(ctx, packet);
    if action == NOT_ALONG { reply_as_asked(ctx, way, packet) } else { action }
}

/// Judges a reply and sends it where the kernel says that it leads. A function of its own, because the law needs the stack.
#[inline(never)]
fn reply_as_asked(ctx: &XdpContext, way: &mut Way, packet: &mut Packet) -> u32 {
    let row = leads(ctx, Port::GUARDED, way);
    if row == NOWHERE || is_forged_error(way, packet) {
        return xdp_action::XDP_PASS;
    }
    let Some(cpu) = this_cpu() else { return xdp_action::XDP_PASS };
    let frame = XdpFrame::arriving(ctx);
    let now = tick(cpu);
    if let Ok(found) = established::to_client(&frame, packet, &KernelTables, way.interface, now) {
        report::forwarded(cpu, found.app, packet, Direction::ToClient);
        found.keep(kept(way, row, Seen::FromPort(self::row(frame.interface()))), Direction::ToClient);
        return send(ctx, way.to, way.from, row);
    }
    let now = clock();
    let judgement = law::whole_egress(&frame, packet, &KernelTables, way.interface, now);
    carry_out(ctx, &judgement, packet, way, now)
}

/// Does what the judgement of a reply says. A function of its own, because the law needs the stack.
#[inline(never)]
fn carry_out(ctx: &XdpContext, judgement: &Judgement, packet: &mut Packet, way: &Way, now: KernelNanos) -> u32 {
    if is_for_the_stack(judgement, packet) {
        return xdp_action::XDP_PASS;
    }
    // As `pc_egress` would see it.
    packet.mac = way.from;
    match (Reporter { interface: way.interface, direction: Direction::ToClient, now }).carry_out(ctx, judgement, packet)
    {
        // Also what is only observed: the network stack would have it judged, and counted, once more.
        Fate::Pass => send(ctx, way.to, way.from, row(way.interface)),
        Fate::Drop | Fate::Answer => xdp_action::XDP_DROP,
    }
}

/// Whether this is ICMP that claims to come from the gateway itself: of the network stack's own errors none comes this
/// way. Asked before the law, to which such an error about a live flow is as good as any.
#[inline(never)]
fn is_forged_error(way: &Way, reply: &mut Packet) -> bool {
    if !matches!(way.protocol, Packet::ICMP | Packet::ICMPV6) {
        return false;
    }
    reply.source = way.source();
    is_own(reply)
}

#[inline(always)]
fn is_own(packet: &Packet) -> bool {
    KernelTables.service(&ServiceKey::own(packet.source)).is_some()
}

/// Whether the network stack is to look at a reply first, because it drops such packets before they are judged: what
/// claims to come from the gateway itself, or from or to an address that nobody has. The law has found no session for
/// these, so it has changed nothing.
#[inline(always)]
fn is_for_the_stack(judgement: &Judgement, packet: &Packet) -> bool {
    match judgement.verdict {
        Verdict::Forward | Verdict::ToHost => judgement.token == 0,
        Verdict::Drop(DropReason::SourceInvalid | DropReason::DestinationInvalid) => true,
        Verdict::Drop(_) => is_own(packet),
    }
}

/// The row of no port: a packet goes to the network stack.
const NOWHERE: u32 = u32::MAX;

/// The row of the port to which the frame may be redirected, if it leads to one of that kind; [`NOWHERE`] if not. Of the
/// frame only its padding is changed.
#[inline(never)]
fn leads(ctx: &XdpContext, side: u16, way: &mut Way) -> u32 {
    let frame = XdpFrame::arriving(ctx);
    let interface = frame.interface();
    let Some(arrived) = port(row(interface)).filter(|port| port.has(Port::RECEIVES)) else { return NOWHERE };
    let Some(padding) = plain(&frame, &arrived, way) else { return NOWHERE };
    way.interface = interface;
    // SAFETY: the context is the one the kernel passed; `Way` is laid out as the helper's parameters, of which the size
    // is given. Other answers than 0 (forward) mean that the network stack has something to do.
    let answer = unsafe { bpf_fib_lookup(ctx.ctx.cast(), (&raw mut *way).cast(), size_of::<Way>() as i32, 0) };
    if answer != 0 || way.interface == interface {
        return NOWHERE;
    }
    let row = row(way.interface);
    let can_leave = port(row).is_some_and(|port| port.has(side | needed(&frame)));
    if can_leave && cut(ctx, padding) { row } else { NOWHERE }
}

/// What a port must be able to do, so that the frame can leave through it.
#[inline(always)]
fn needed(frame: &XdpFrame) -> u16 {
    if frame.is_whole() { Port::SENDS } else { Port::SENDS | Port::SENDS_PARTS }
}

/// Takes so many bytes off the end of the frame. No pointer into it is of use afterwards.
#[inline(always)]
fn cut(ctx: &XdpContext, padding: usize) -> bool {
    // SAFETY: the context is the one the kernel passed.
    padding == 0 || unsafe { bpf_xdp_adjust_tail(ctx.ctx, -(padding as i32)) } == 0
}

/// Does what a router does, and redirects to the port in this row. The way was found just before: what cannot be sent after
/// all is dropped, because it was judged and, perhaps, changed.
#[inline(always)]
fn send(ctx: &XdpContext, to: [u8; 6], from: [u8; 6], row: u32) -> u32 {
    if step(&mut XdpHead::of(ctx), to, from).is_none() {
        return xdp_action::XDP_DROP;
    }
    TARGETS.redirect(row, u64::from(xdp_action::XDP_DROP)).unwrap_or(xdp_action::XDP_DROP)
}

/// The row of the port that this interface is; [`NOWHERE`] if it is none.
#[inline(always)]
fn row(interface: u32) -> u32 {
    for step in 0..InterfaceRow::REACH {
        let row = InterfaceRow::place(interface, step);
        if PORTS.get(row).is_some_and(|found| found.index() == interface) {
            return row;
        }
    }
    NOWHERE
}

#[inline(always)]
fn port(row: u32) -> Option<Port> {
    PORTS.get(row)?.any_port().map(|(_, port, _)| port)
}

/// Where the way of the packet at hand is written. What an earlier one has left there is overwritten where it is asked.
#[inline(always)]
fn scratch<'a>(direction: Direction) -> Option<&'a mut Way> {
    let scratch = WAY.get_ptr_mut(direction as u32)?;
    // SAFETY: this CPU's own element, used by one program alone, which is not interrupted by another run of itself on
    // its CPU; of zeroes, which are a valid value, until it is written.
    unsafe { Some(&mut *scratch) }
}

/// Where a reply is described. The law overwrites what it goes by.
#[inline(always)]
fn reply<'a>() -> Option<&'a mut Packet> {
    let scratch = REPLY.get_ptr_mut(0)?;
    // SAFETY: this CPU's own element, used by one program alone, which is not interrupted by another run of itself on
    // its CPU; of zeroes, which are a valid value, until the law writes it.
    unsafe { Some(&mut *scratch) }
}
