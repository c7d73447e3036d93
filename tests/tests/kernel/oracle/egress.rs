//! "Toward a client": the second table of the document.

use super::network::Datagram;
use super::sessions::{Question, Ruling, Step};
use super::tables::{Name, Oracle};
use super::transport::{Inside, Quote};
use crate::ground::Way;
use gateway_common::{Answering, DropReason, Verdict};

impl Oracle {
    /// Steps 3 to 18.
    pub fn judge_received(&mut self, zone: u32, mark: u32, packet: &Datagram, now: u64) -> Step<Ruling> {
        let name = Name::of(zone, Way::Out, packet);
        let receiver = self.receiver(&name, now);
        if let Inside::Error(quote) = packet.inside {
            let at = receiver?;
            // The quoted packet was sent by the client.
            let flow = |quote: Quote| Name {
                app: quote.to,
                protocol: quote.protocol,
                client_port: quote.ports.0,
                app_port: quote.ports.1,
                ..name
            };
            return self.about(at, quote.map(|quote| (quote, flow(quote))), Way::Out, packet.length, now);
        }
        let continued = receiver.ok().filter(|at| self.is_continued(*at, &name, Way::Out, packet, now));
        if let Some(at) = continued
            && self.is_in_force(at, &name, now)
        {
            return self.carry_on(at, &name, Way::Out, packet, None, now);
        }
        let (port, _) = packet.inside.ports();
        if self.services.iter().any(|s| (s.address, s.protocol, s.port) == (packet.from, packet.protocol, port)) {
            return Ok(Ruling::of(Verdict::Forward));
        }
        // The daemon ends what was cut; no mark is none.
        if mark != 0 && mark == self.reset_mark && matches!(packet.inside, Inside::Tcp { flags, .. } if flags.rst) {
            return Ok(Ruling::of(Verdict::Forward));
        }
        let at = receiver?;
        if let Some(at) = continued {
            let is_by_app = self.flows[&name].by_app;
            let question = if is_by_app { Question::opens(&name) } else { Question::service(&name) };
            // No app is told.
            let untold = |ruling| Ruling { answer: Answering::Never, ..ruling };
            let permit = self.permit(at, question, now).map_err(untold)?;
            return self.carry_on(at, &name, Way::Out, packet, Some(&permit), now);
        }
        let no_flow = Ruling::about(DropReason::NoFlow, self.clients[at].token, 0);
        // The gateway itself opens no connections to clients.
        if !packet.inside.may_be_first_from_app() || self.own.contains(&packet.from) {
            return Err(no_flow);
        }
        let permit = self.permit(at, Question::opens(&name), now).map_err(|_| no_flow)?;
        self.open(at, &name, Way::Out, packet, &permit, now)
    }
}
