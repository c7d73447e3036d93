//! "From a client": the first table of the document, and what both tables begin with.

use super::link::{Content, Guard, Seen, read};
use super::meters::origin;
use super::neighbours::Claim;
use super::network::{Datagram, Part};
use super::scripts::Shot;
use super::sessions::{Question, Ruling, Step, is_answered};
use super::tables::{Name, Oracle, Origin, Standing, count};
use super::transport::{Inside, Quote};
use crate::ground::Way;
use gateway_common::{Answering, DropReason, Verdict};

/// What is known of a packet beside itself.
struct Arrival {
    way: Way,
    zone: u32,
    mac: Option<[u8; 6]>,
    mark: u32,
}

/// Section "Answers", last sentences.
fn may_be_answered(packet: &Datagram) -> bool {
    let is_silent = match packet.inside {
        Inside::Tcp { flags, .. } => flags.rst,
        Inside::Error(_) | Inside::Reply(_) => true,
        _ => false,
    };
    let header = if packet.from.is_ipv4() { 20 } else { 40 };
    !is_silent && packet.is_plain && packet.part == Part::Whole && packet.length >= header + 8
}

impl Oracle {
    /// The verdict about a frame, and what it leaves behind.
    pub fn judge(&mut self, shot: &Shot, now: u64) -> Ruling {
        let Shot { way, interface, beside, mark, ref frame } = *shot;
        let Some(guard) = self.guards.iter().find(|guard| guard.index == interface).cloned() else {
            return Ruling::drop(DropReason::InterfaceUnknown);
        };
        let Seen { zone, sender_mac, content } = match read(frame, beside, &guard, way) {
            Ok(seen) => seen,
            Err(reason) => return Ruling::drop(reason),
        };
        match (content, way) {
            (Content::Neighbour(..), Way::Out) => Ruling::of(Verdict::Forward),
            (Content::Neighbour(claims, asker), Way::In) => {
                let source = sender_mac.map(Origin::Mac).or(asker.map(origin));
                self.judge_neighbour(&guard, zone, &claims, source, now)
            }
            (Content::Packet(packet), way) => {
                let arrival = Arrival { way, zone, mac: sender_mac, mark };
                self.judge_packet(&guard, &arrival, packet, now)
            }
        }
    }

    fn judge_packet(
        &mut self,
        guard: &Guard,
        &Arrival { way, zone, mac, mark }: &Arrival,
        mut packet: Datagram,
        now: u64,
    ) -> Ruling {
        if let Err(reason) = self.recall(zone, way, &mut packet, now) {
            return Ruling::drop(reason);
        }
        let outcome = match way {
            Way::In => self.judge_sent(guard, zone, mac, &packet, now),
            Way::Out => self.judge_received(zone, mark, &packet, now),
        };
        let mut ruling = outcome.unwrap_or_else(|ended| ended);
        let is_told = match ruling.answer {
            Answering::Never => false,
            Answering::WhereRejecting => guard.rejects,
            Answering::Always => true,
        };
        ruling.rejected = is_told && !guard.observes && may_be_answered(&packet);
        if ruling.verdict == Verdict::Forward {
            self.remember(zone, way, &packet, now);
        }
        if let Some(client) = self.clients.iter_mut().find(|client| client.token == ruling.token) {
            match ruling.verdict {
                Verdict::Forward => client.last_forwarded = now,
                Verdict::Drop(_) => client.dropped += 1,
                Verdict::ToHost => {}
            }
        }
        ruling
    }

    /// Steps 13 to 15.
    fn judge_neighbour(
        &mut self,
        guard: &Guard,
        zone: u32,
        claims: &[Claim],
        source: Option<Origin>,
        now: u64,
    ) -> Ruling {
        let is_false = |claim: &Claim| {
            let is_anothers = self.clients.iter().any(|client| {
                let entry = &client.entry;
                let is_elsewhere =
                    entry.interface != guard.index || (guard.has_link && entry.mac.is_some_and(|mac| mac != claim.mac));
                client.standing == Standing::Live
                    && now < entry.deadline.0
                    && (entry.zone, entry.address) == (zone, claim.address)
                    && is_elsewhere
            });
            self.own.contains(&claim.address) || is_anothers
        };
        if claims.iter().any(is_false) {
            return Ruling::drop(DropReason::NeighbourSpoofed);
        }
        if source.is_some_and(|source| !self.serve(zone, source, now)) {
            return Ruling::drop(DropReason::RateLimited);
        }
        Ruling::of(Verdict::ToHost)
    }

    /// Steps 26 to 48.
    fn judge_sent(
        &mut self,
        guard: &Guard,
        zone: u32,
        mac: Option<[u8; 6]>,
        packet: &Datagram,
        now: u64,
    ) -> Step<Ruling> {
        let name = Name::of(zone, Way::In, packet);
        if let Inside::Error(quote) = packet.inside {
            // No answer is given to errors.
            let at =
                self.sender(guard, &name, mac, now).map_err(|ruling| Ruling { answer: Answering::Never, ..ruling })?;
            // The quoted packet was sent by the app.
            let flow = |quote: Quote| Name {
                protocol: quote.protocol,
                client_port: quote.ports.1,
                app_port: quote.ports.0,
                ..name
            };
            let quote = quote.filter(|quote| quote.to == packet.from);
            return self.about(at, quote.map(|quote| (quote, flow(quote))), Way::In, packet.length, now);
        }
        self.judge_for_gateway(zone, packet, now)?;
        let at = self.sender(guard, &name, mac, now)?;
        let token = self.clients[at].token;
        let is_continued = self.is_continued(at, &name, Way::In, packet, now);
        if is_continued && self.is_in_force(at, &name, now) {
            return self.carry_on(at, &name, Way::In, packet, None, now).map_err(told);
        }
        if packet.inside.is_reply() && !is_continued {
            return Err(Ruling::about(DropReason::IcmpType, token, 0));
        }
        if self.is_scan(at, packet, now) {
            if !guard.observes {
                self.clients[at].quarantined_until = now + self.quarantine;
            }
            return Err(Ruling::about(DropReason::ScanDetected, token, 0));
        }
        let is_by_app = is_continued && self.flows[&name].by_app;
        let question = if is_by_app { Question::opens(&name) } else { Question::service(&name) };
        let permit = self.permit(at, question, now).map_err(|ruling| {
            let Verdict::Drop(reason) = ruling.verdict else { return ruling };
            if reason == DropReason::TripWire && !guard.observes {
                self.clients[at].standing = Standing::Revoked;
            }
            if ruling.answer == Answering::Always { ruling } else { told(ruling) }
        })?;
        if is_continued {
            return self.carry_on(at, &name, Way::In, packet, Some(&permit), now).map_err(told);
        }
        self.open(at, &name, Way::In, packet, &permit, now).map_err(told)
    }

    /// Steps 27 to 29.
    fn judge_for_gateway(&mut self, zone: u32, packet: &Datagram, now: u64) -> Step<()> {
        let (_, port) = packet.inside.ports();
        let is_this =
            |s: &&super::tables::Service| (s.address, s.protocol, s.port) == (packet.to, packet.protocol, port);
        let service = self.services.iter().find(is_this).copied();
        if service.is_none() && !self.own.contains(&packet.to) {
            return Ok(());
        }
        if self.own.contains(&packet.from) {
            return Err(Ruling::drop(DropReason::SourceInvalid));
        }
        Err(match service {
            Some(service) if service.is_open => {
                if self.serve(zone, origin(packet.from), now) {
                    Ruling::of(Verdict::ToHost)
                } else {
                    Ruling::drop(DropReason::RateLimited)
                }
            }
            Some(_) if self.management.iter().any(|prefix| prefix.contains(&packet.from)) => {
                Ruling::of(Verdict::ToHost)
            }
            _ => Ruling::drop(DropReason::OwnAddress),
        })
    }

    /// An ICMP error of this length on its way, about a packet that went the other way, in the flow of that name.
    pub fn about(&mut self, at: usize, about: Option<(Quote, Name)>, way: Way, length: u64, now: u64) -> Step<Ruling> {
        let token = self.clients[at].token;
        let unrelated = Ruling::about(DropReason::IcmpUnrelated, token, 0);
        let (quote, name) = about.ok_or(unrelated)?;
        let flow = self.flows.get(&name).ok_or(unrelated)?;
        let is_by_opener = flow.by_app == (way == Way::In);
        let could_be_sent = !(quote.is_request && !is_by_opener || quote.is_reply && is_by_opener);
        let is_forwarded =
            flow.token == token && flow.is_remembered(name.protocol, now) && self.is_in_force(at, &name, now);
        let is_forwarded = is_forwarded && self.lease(token, 0, flow.outlasts_daemon, now).is_ok();
        if !could_be_sent || !is_forwarded {
            return Err(unrelated);
        }
        let flow = self.flows.get_mut(&name).ok_or(unrelated)?;
        count(&mut flow.carried, way, length);
        Ok(Ruling::forward(token, flow.app_number, false))
    }
}

/// Section "Answers", for who sent it from where the session is bound to.
fn told(ruling: Ruling) -> Ruling {
    let is_told = matches!(ruling.verdict, Verdict::Drop(reason) if is_answered(reason));
    Ruling { answer: if is_told { Answering::WhereRejecting } else { Answering::Never }, ..ruling }
}
