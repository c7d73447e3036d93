//! What the daemon is told: counters for every packet, events for openings and for a sample of the denials.

use crate::maps::{APP_TRAFFIC, EVENT_GATE, EVENTS, INTERFACES, SETTINGS, VERDICTS};
use aya_ebpf::EbpfContext;
use aya_log_ebpf::warn;
use gateway_common::abi::{EVENT_WINDOW, Event, EventGate, Interface};
use gateway_common::{Direction, DropReason, Judgement, KernelNanos, Packet, Verdict};

/// The packet's circumstances.
pub struct Reporter {
    pub interface: u32,
    pub direction: Direction,
    pub now: KernelNanos,
}

/// Counts the verdict, and reports it if it opens a flow or denies.
#[inline(always)]
pub fn judgement<C: EbpfContext>(ctx: &C, reporter: &Reporter, judgement: &Judgement, packet: &Packet) {
    reporter.count(judgement.verdict);
    match judgement.verdict {
        Verdict::Forward => {
            reporter.count_app(judgement.app, packet.length);
            if judgement.opened && reporter.may_emit(0) {
                reporter.emit(judgement, packet, Event::OPENED, 0);
            }
        }
        Verdict::ToHost => {}
        Verdict::Drop(reason) => {
            if reporter.may_emit(1) {
                if matches!(reason, DropReason::InterfaceUnknown) {
                    warn!(ctx, "interface {} carries the program but is not configured: dropping", reporter.interface);
                }
                reporter.emit(judgement, packet, reason as u8, 1);
            }
        }
    }
}

impl Reporter {
    #[inline(always)]
    fn count(&self, verdict: Verdict) {
        // SAFETY: plain integers, written once per attach.
        let slot = unsafe { INTERFACES.get(self.interface) }.map_or(Interface::LIMIT - 1, |found| found.slot);
        if let Some(counter) = VERDICTS.get_ptr_mut(slot * Verdict::CODES + verdict.code()) {
            // SAFETY: this CPU's own element; a program is not interrupted by another run of itself on its CPU.
            unsafe { *counter += 1 };
        }
    }

    #[inline(always)]
    fn count_app(&self, app: u32, length: u16) {
        if app == 0 {
            return;
        }
        let Some(traffic) = APP_TRAFFIC.get_ptr_mut(app) else { return };
        // SAFETY: this CPU's own element, see `count`.
        let traffic = unsafe { &mut *traffic };
        let (packets, bytes) = match self.direction {
            Direction::ToApp => (&mut traffic.to_app_packets, &mut traffic.to_app_bytes),
            Direction::ToClient => (&mut traffic.to_client_packets, &mut traffic.to_client_bytes),
        };
        *packets += 1;
        *bytes += u64::from(length);
    }

    /// Whether this CPU's budget of events has room, one of them taken if so.
    #[inline(always)]
    fn may_emit(&self, kind: u32) -> bool {
        let Some(gate) = gate(kind) else { return false };
        if self.now.since(KernelNanos(gate.window)) >= EVENT_WINDOW {
            gate.window = self.now.0;
            gate.emitted = 0;
        }
        let budget = SETTINGS.get(0).map_or(0, |settings| settings.events_per_window);
        if gate.emitted >= u64::from(budget) {
            gate.lost += 1;
            return false;
        }
        gate.emitted += 1;
        true
    }

    #[inline(always)]
    fn emit(&self, judgement: &Judgement, packet: &Packet, what: u8, kind: u32) {
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
            reserved: 0,
        });
        entry.submit(0);
    }
}

#[inline(always)]
fn gate<'a>(kind: u32) -> Option<&'a mut EventGate> {
    let gate = EVENT_GATE.get_ptr_mut(kind)?;
    // SAFETY: this CPU's own element; a program is not interrupted by another run of itself on its CPU, and no two of
    // these references live at once.
    Some(unsafe { &mut *gate })
}
