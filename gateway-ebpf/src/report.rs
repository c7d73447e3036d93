//! What the daemon is told: counters for every packet, events for openings and for a sample of the denials.

use crate::maps::{APP_TRAFFIC, EVENT_GATE, EVENTS, SETTINGS, VERDICTS};
use aya_ebpf::EbpfContext;
use aya_log_ebpf::warn;
use gateway_common::abi::{EVENT_WINDOW, Event, EventGate, Interface};
use gateway_common::{Direction, DropReason, Judgement, KernelNanos, Packet, Verdict, answer};

/// The gate of flow openings.
const OPENINGS: u32 = 0;
/// The gate of denials.
const DENIALS: u32 = 1;
/// The gate of answers to denials.
const ANSWERS: u32 = 2;

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
    pub fn carry_out<C: EbpfContext>(&self, ctx: &C, judgement: &Judgement, packet: &Packet) -> Fate {
        match judgement.verdict {
            Verdict::Forward => {
                forwarded(judgement.app, packet, self.direction);
                if judgement.opened && self.may_emit(OPENINGS) {
                    self.emit(judgement, packet, Event::OPENED, 0, OPENINGS);
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
    fn deny<C: EbpfContext>(&self, ctx: &C, judgement: &Judgement, packet: &Packet, reason: DropReason) -> Fate {
        let code = Verdict::Drop(reason).code();
        let (fate, flags) = if packet.guard.has(Interface::OBSERVE) {
            count(packet, code + Verdict::OBSERVED);
            (Fate::Pass, Event::OBSERVED)
        } else {
            count(packet, code);
            let is_due = judgement.answer.is_due_on(&packet.guard) && answer::is_due(packet);
            if is_due && self.may_emit(ANSWERS) { (Fate::Answer, Event::ANSWERED) } else { (Fate::Drop, 0) }
        };
        if self.may_emit(DENIALS) {
            if matches!(reason, DropReason::InterfaceUnknown) {
                warn!(ctx, "interface {} carries the program but is not configured: dropping", self.interface);
            }
            self.emit(judgement, packet, reason as u8, flags, DENIALS);
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

    #[inline(always)]
    fn emit(&self, judgement: &Judgement, packet: &Packet, what: u8, flags: u8, kind: u32) {
        let Some(mut entry) = EVENTS.reserve::<Event>(0) else {
            if let Some(gate) = gate(kind) {
                gate.lost += 1;
            }
            return;
        };
        entry.write(Event {
            at: self.now.0,
            token: judgement.token,
            source: packet.source,
            destination: packet.destination,
            interface: self.interface,
            app: judgement.app,
            source_port: packet.source_port,
            destination_port: packet.destination_port,
            length: packet.length,
            protocol: packet.protocol,
            what,
            mac: packet.mac,
            direction: self.direction as u8,
            flags,
        });
        entry.submit(0);
    }
}

/// Counts a packet that goes on, for its interface and its app.
#[inline(always)]
pub fn forwarded(app: u32, packet: &Packet, direction: Direction) {
    count(packet, Verdict::Forward.code());
    if app == 0 {
        return;
    }
    let Some(traffic) = APP_TRAFFIC.get_ptr_mut(app) else { return };
    // SAFETY: this CPU's own element; a program is not interrupted by another run of itself on its CPU.
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
    if let Some(counter) = VERDICTS.get_ptr_mut(packet.guard.slot * Verdict::CODES + code) {
        // SAFETY: this CPU's own element; a program is not interrupted by another run of itself on its CPU.
        unsafe { *counter += 1 };
    }
}

#[inline(always)]
fn gate<'a>(kind: u32) -> Option<&'a mut EventGate> {
    let gate = EVENT_GATE.get_ptr_mut(kind)?;
    // SAFETY: this CPU's own element; a program is not interrupted by another run of itself on its CPU, and no two of
    // these references live at once.
    Some(unsafe { &mut *gate })
}
