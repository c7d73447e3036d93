//! What the daemon is told: counters for every packet, denials added up, and events for flows that begin or give way.

use crate::capture::{self, Whole};
use crate::maps::{APP_TRAFFIC, DENIALS, DENIED, EVENT_GATE, EVENTS, SETTINGS, UNRECORDED, VERDICTS, layout, records};
use crate::tables::Table;
use crate::this_cpu;
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_log_ebpf::warn;
use gateway_common::abi::{
    Cpu, Denial, DenialKey, EVENT_WINDOW, EventGate, Flow, FlowEvent, Interface, Opening, Unrecorded,
};
use gateway_common::table::denials::{self, Noted};
use gateway_common::{Direction, DropReason, Judgement, KernelNanos, Packet, Verdict, answer};

/// The gate of flow openings.
const OPENINGS: u32 = 0;
/// The gate of answers to denials.
const ANSWERS: u32 = 1;

/// What is done with the packet.
#[must_use = "a fate that is not acted on lets the packet through"]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on: permitted, or only observed.
    Pass,
    /// It is dropped without a word.
    Drop,
    /// It is dropped, and its sender is told.
    Answer,
}

/// The packet's circumstances.
pub struct Reporter {
    pub interface: u32,
    pub direction: Direction,
    pub now: KernelNanos,
}

impl Reporter {
    /// Decides what a judgement means on this interface, counts it, and reports it if it opens a flow or denies.
    #[inline(always)]
    pub fn carry_out<C: EbpfContext + Whole>(&self, ctx: &C, judgement: &Judgement, packet: &Packet) -> Fate {
        match judgement.verdict {
            Verdict::Forward => {
                if let Some(cpu) = this_cpu() {
                    forwarded(cpu, judgement.app, packet, self.direction);
                }
                if judgement.opened && records() && self.may_emit(OPENINGS) {
                    self.opened(judgement, packet);
                }
                Fate::Pass
            }
            Verdict::ToHost => {
                count(packet, judgement.verdict.code());
                Fate::Pass
            }
            Verdict::Drop(reason) => self.deny(ctx, judgement, packet, reason),
        }
    }

    #[inline(never)]
    fn deny<C: EbpfContext + Whole>(
        &self,
        ctx: &C,
        judgement: &Judgement,
        packet: &Packet,
        reason: DropReason,
    ) -> Fate {
        let code = Verdict::Drop(reason).code();
        let (fate, flags) = if packet.guard.has(Interface::OBSERVE) {
            count(packet, code + Verdict::OBSERVED);
            (Fate::Pass, DenialKey::OBSERVED)
        } else {
            count(packet, code);
            let is_due = judgement.answer.is_due_on(&packet.guard) && answer::is_due(packet);
            (if is_due && self.may_emit(ANSWERS) { Fate::Answer } else { Fate::Drop }, 0)
        };
        if !records() {
            return fate;
        }
        let Some(key) = DENIED.get_ptr_mut(self.direction as u32) else { return fate };
        // SAFETY: this CPU's own element, used here alone. All programs run with softirqs off on their CPU: none interrupts
        // another.
        let key = unsafe { &mut *key };
        key.write_packet(packet, self.interface, self.direction);
        key.write_verdict(judgement.token, judgement.app, reason, flags);
        let mut noted = note(home(key), key, self.now, fate == Fate::Answer);
        if noted == Noted::NoRoom && key.port != 0 {
            key.port = 0;
            noted = note(home(key), key, self.now, fate == Fate::Answer);
        }
        match noted {
            Noted::New if matches!(reason, DropReason::InterfaceUnknown) => complain(ctx, self.interface),
            Noted::NoRoom => with_unrecorded(|unrecorded| unrecorded.denied_packets += 1),
            Noted::New | Noted::Known => {}
        }
        if capture::is_on(self.now) {
            capture::take(ctx, key, packet.guard.slot, fate == Fate::Answer, self.now);
        }
        fate
    }

    /// Whether this CPU's budget of that kind has room, one of it taken if so.
    #[inline(always)]
    fn may_emit(&self, kind: u32) -> bool {
        let Some(gate) = gate(kind) else { return false };
        if self.now.since(KernelNanos(gate.window)) >= EVENT_WINDOW {
            gate.window = self.now.0;
            gate.emitted = 0;
        }
        let settings = SETTINGS.get(0);
        let budget = settings.map_or(0, |settings| match kind {
            ANSWERS => settings.answers_per_window,
            _ => settings.events_per_window,
        });
        if gate.emitted >= u64::from(budget) {
            gate.lost += 1;
            return false;
        }
        gate.emitted += 1;
        true
    }

    #[inline(never)]
    fn opened(&self, judgement: &Judgement, packet: &Packet) {
        let opening = Opening {
            token: judgement.token,
            app: judgement.app,
            interface: self.interface,
            direction: self.direction,
            length: packet.length,
            at: self.now.0,
        };
        if !emit(|event| event.write_opened(&packet.flow, &opening))
            && let Some(gate) = gate(OPENINGS)
        {
            gate.lost += 1;
        }
    }
}

/// A function of its own, for the sake of the stack.
#[inline(never)]
fn complain<C: EbpfContext>(ctx: &C, interface: u32) {
    warn!(ctx, "interface {} carries the program but is not configured: dropping", interface);
}

/// Adds a denial to those of its kind.
#[inline(never)]
fn note(home: u32, key: &DenialKey, now: KernelNanos, is_answered: bool) -> Noted {
    denials::note(&Table(&DENIALS, Denial::SLOTS), home, key, now.0, is_answered)
}

/// Where it is looked for. A function of its own, for the sake of the stack.
#[inline(never)]
fn home(key: &DenialKey) -> u32 {
    // SAFETY: the helper takes no arguments and only reads a number.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    denials::home(key, &layout().secrets, cpu, Denial::SLOTS)
}

/// A flow gives way to another: what it carried is reported, or at least counted.
#[inline(never)]
pub fn gives_way(flow: &Flow, is_replaced: bool) {
    if !records() || emit(|event| event.write_gave_way(flow, is_replaced)) {
        return;
    }
    with_unrecorded(|unrecorded| {
        unrecorded.flows += 1;
        unrecorded.to_app_packets += flow.to_app.packets.load();
        unrecorded.to_app_bytes += flow.to_app.bytes.load();
        unrecorded.to_client_packets += flow.to_client.packets.load();
        unrecorded.to_client_bytes += flow.to_client.bytes.load();
    });
}

/// Reports what `write` writes, all of it. False if the ring buffer has no room.
#[inline(always)]
fn emit(write: impl Fn(&mut FlowEvent)) -> bool {
    let Some(mut entry) = EVENTS.reserve::<FlowEvent>(0) else { return false };
    // SAFETY: memory that the kernel has given us alone; an event is made of integers, so whatever was there is one.
    write(unsafe { entry.assume_init_mut() });
    entry.submit(0);
    true
}

#[inline(always)]
fn with_unrecorded(change: impl Fn(&mut Unrecorded)) {
    if let Some(unrecorded) = UNRECORDED.get_ptr_mut(0) {
        // SAFETY: this CPU's own element. All programs run with softirqs off on their CPU: none interrupts another.
        change(unsafe { &mut *unrecorded });
    }
}

/// Counts a packet that goes on, for its interface and its app.
#[inline(always)]
pub fn forwarded(cpu: &mut Cpu, app: u32, packet: &Packet, direction: Direction) {
    // Asked once: that nothing comes of it is known to the verifier, and that it is asked for costs a load all the same.
    if !records() {
        return;
    }
    // A slot is below the limit, and that it is less than a power of two is what the verifier can follow everywhere.
    const { assert!(Interface::LIMIT.is_power_of_two()) };
    if let Some(packets) = cpu.forwarded.get_mut((packet.guard.slot % Interface::LIMIT) as usize) {
        *packets += 1;
    }
    if app == 0 {
        return;
    }
    let Some(traffic) = APP_TRAFFIC.get_ptr_mut(app) else { return };
    // SAFETY: this CPU's own element. All programs run with softirqs off on their CPU: none interrupts another.
    let traffic = unsafe { &mut *traffic };
    let (packets, bytes) = match direction {
        Direction::ToApp => (&mut traffic.to_app_packets, &mut traffic.to_app_bytes),
        Direction::ToClient => (&mut traffic.to_client_packets, &mut traffic.to_client_bytes),
    };
    *packets += 1;
    *bytes += u64::from(packet.length);
}

/// Adds one to a counter of the packet's interface.
#[inline(always)]
pub fn count(packet: &Packet, code: u32) {
    if records()
        && let Some(counter) = VERDICTS.get_ptr_mut(packet.guard.slot * Verdict::CODES + code)
    {
        // SAFETY: this CPU's own element. All programs run with softirqs off on their CPU: none interrupts another.
        unsafe { *counter += 1 };
    }
}

#[inline(always)]
fn gate<'a>(kind: u32) -> Option<&'a mut EventGate> {
    let gate = EVENT_GATE.get_ptr_mut(kind)?;
    // SAFETY: this CPU's own element. All programs run with softirqs off on their CPU: none interrupts another, and no two of
    // these references live at once.
    Some(unsafe { &mut *gate })
}
