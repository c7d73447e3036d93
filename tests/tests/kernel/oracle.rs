//! The oracle: the first edition's law, written a second time from `docs/law.md`, over plain lists that it keeps itself.
//!
//! It shares the names of reasons and verdicts with the law, and nothing else: a mistake in the law's parser, in its
//! order or in its handling of flows shows as a disagreement.

use super::oracle_reader::{Content, Datagram, Quote, Seen, read};
use super::oracle_tables::{Client, Connection, Guard, Oracle, Standing};
use super::scene::Way;
use gateway_common::abi::{AppKey, GrantKey};
use gateway_common::{DropReason, Judgement, Verdict};
use std::net::IpAddr;

/// What names a connection: zone, client, app, protocol, the client's port, the app's port.
type Name = (u32, IpAddr, IpAddr, u8, u16, u16);

fn drop_for(reason: DropReason, token: u64, app: u32) -> Judgement {
    Judgement { verdict: Verdict::Drop(reason), token, app, opened: false }
}

fn forward(token: u64, app: u32, opened: bool) -> Judgement {
    Judgement { verdict: Verdict::Forward, token, app, opened }
}

impl Oracle {
    /// The verdict about a frame, and what it leaves behind.
    pub fn judge(&mut self, way: Way, interface: u32, frame: &[u8], now: u64) -> Judgement {
        let Some(guard) = self.guards.iter().find(|guard| guard.index == interface).copied() else {
            return drop_for(DropReason::InterfaceUnknown, 0, 0);
        };
        match (read(frame, guard.has_link, way), way) {
            (Err(reason), _) => drop_for(reason, 0, 0),
            (Ok(Seen::Link), Way::In) => Judgement::of(Verdict::ToHost),
            (Ok(Seen::Link), Way::Out) => Judgement::of(Verdict::Forward),
            (Ok(Seen::Packet(packet)), Way::In) => self.judge_sent(guard, &packet, now).unwrap_or_else(|drop| drop),
            (Ok(Seen::Packet(packet)), Way::Out) => {
                self.judge_received(guard, &packet, now).unwrap_or_else(|drop| drop)
            }
        }
    }

    fn judge_sent(&mut self, guard: Guard, packet: &Datagram, now: u64) -> Result<Judgement, Judgement> {
        let (client_port, app_port) = match packet.inside {
            Content::Tcp { from, to, .. } | Content::Udp { from, to } => (from, to),
            Content::Request(id) => (id, 0),
            Content::Reply(_) => (0, 0),
            Content::Error(quote) => {
                let client = self.sender(guard, packet, now)?;
                let related = Some(quote).filter(|quote| quote.to == packet.from && !quote.is_request);
                let name = |q: Quote| (guard.zone, packet.from, packet.to, q.protocol, q.ports.1, q.ports.0);
                return self.about(&client, related.map(name), now);
            }
        };
        if let Some(service) =
            self.services.iter().find(|s| (s.address, s.protocol, s.port) == (packet.to, packet.protocol, app_port))
            && (service.is_open || self.management.iter().any(|prefix| prefix.contains(&packet.from)))
        {
            return Ok(Judgement::of(Verdict::ToHost));
        }
        if self.own.contains(&packet.to) {
            return Err(drop_for(DropReason::OwnAddress, 0, 0));
        }
        let client = self.sender(guard, packet, now)?;
        if matches!(packet.inside, Content::Reply(_)) {
            return Err(drop_for(DropReason::IcmpType, client.token, 0));
        }
        let name = (guard.zone, packet.from, packet.to, packet.protocol, client_port, app_port);
        let known = self.remembered(&client, name, now).filter(|at| !(packet.is_syn() && self.flows[*at].is_over()));
        if let Some(at) = known.filter(|at| self.is_in_force(&client, *at, now)) {
            self.flows[at].carry(Way::In, packet, now);
            return Ok(forward(client.token, self.flows[at].app_number, false));
        }
        let (app, deadline) = self.permit(&client, name, now)?;
        if let Some(at) = known {
            self.renew(&client, at, app, deadline);
            self.flows[at].carry(Way::In, packet, now);
            return Ok(forward(client.token, app, false));
        }
        let old = self.position(name);
        if old.is_none() && self.flows.len() >= self.most_flows {
            return Err(drop_for(DropReason::FlowTableFull, client.token, app));
        }
        let mut flow = Connection {
            zone: guard.zone,
            client: packet.from,
            app: packet.to,
            protocol: packet.protocol,
            client_port,
            app_port,
            token: client.token,
            policy: (client.entry.app_set.0, client.entry.allow_list.0),
            deadline,
            app_number: app,
            client_closed: false,
            app_closed: false,
            reset: false,
            opened_at: now,
            last_seen: now,
            carried: [0; 4],
        };
        flow.carry(Way::In, packet, now);
        match old {
            Some(at) => self.flows[at] = flow,
            None => self.flows.push(flow),
        }
        Ok(forward(client.token, app, true))
    }

    fn judge_received(&mut self, guard: Guard, packet: &Datagram, now: u64) -> Result<Judgement, Judgement> {
        let (app_port, client_port) = match packet.inside {
            Content::Tcp { from, to, .. } | Content::Udp { from, to } => (from, to),
            Content::Reply(id) => (0, id),
            Content::Request(_) => (0, 0),
            Content::Error(quote) => {
                let client = self.receiver(guard, packet, now)?;
                let related = Some(quote).filter(|quote| !quote.is_reply);
                let name = |q: Quote| (guard.zone, packet.to, q.to, q.protocol, q.ports.0, q.ports.1);
                return self.about(&client, related.map(name), now);
            }
        };
        let name = (guard.zone, packet.to, packet.from, packet.protocol, client_port, app_port);
        let receiver = self.receiver(guard, packet, now);
        let mut known = None;
        if let Ok(client) = &receiver
            && !matches!(packet.inside, Content::Request(_))
            && !packet.is_syn()
        {
            known = self.remembered(client, name, now);
            if let Some(at) = known.filter(|at| self.is_in_force(client, *at, now)) {
                self.flows[at].carry(Way::Out, packet, now);
                return Ok(forward(client.token, self.flows[at].app_number, false));
            }
        }
        if self.services.iter().any(|s| (s.address, s.protocol, s.port) == (packet.from, packet.protocol, app_port)) {
            return Ok(Judgement::of(Verdict::Forward));
        }
        let client = receiver?;
        let at = known.ok_or(drop_for(DropReason::NoFlow, client.token, 0))?;
        let (app, deadline) = self.permit(&client, name, now)?;
        self.renew(&client, at, app, deadline);
        self.flows[at].carry(Way::Out, packet, now);
        Ok(forward(client.token, app, false))
    }

    /// Steps 24 to 26, or 7 to 9.
    fn live(&self, zone: u32, address: IpAddr, now: u64) -> Result<Client, Judgement> {
        let client = self.clients.iter().find(|client| client.entry.zone == zone && client.entry.address == address);
        let client = client.ok_or(drop_for(DropReason::NoSession, 0, 0))?;
        // Known: the document asks for the deadline first, the law for the revocation.
        if client.standing == Standing::Revoked {
            return Err(drop_for(DropReason::SessionRevoked, client.token, 0));
        }
        if client.entry.deadline.0 <= now || client.standing == Standing::Expired {
            return Err(drop_for(DropReason::SessionExpired, client.token, 0));
        }
        Ok(client.clone())
    }

    fn sender(&self, guard: Guard, packet: &Datagram, now: u64) -> Result<Client, Judgement> {
        let client = self.live(guard.zone, packet.from, now)?;
        let is_other_mac = packet.mac.is_some() && client.entry.mac.is_some() && packet.mac != client.entry.mac;
        if client.entry.interface != guard.index || is_other_mac {
            return Err(drop_for(DropReason::SourceSpoofed, client.token, 0));
        }
        Ok(client)
    }

    fn receiver(&self, guard: Guard, packet: &Datagram, now: u64) -> Result<Client, Judgement> {
        self.live(guard.zone, packet.to, now)
    }

    /// The verdict about an ICMP error about the connection of that name.
    fn about(&self, client: &Client, name: Option<Name>, now: u64) -> Result<Judgement, Judgement> {
        match name.and_then(|name| self.remembered(client, name, now)).filter(|at| self.is_in_force(client, *at, now)) {
            Some(at) => Ok(forward(client.token, self.flows[at].app_number, false)),
            None => Err(drop_for(DropReason::IcmpUnrelated, client.token, 0)),
        }
    }

    fn position(&self, (zone, client, app, protocol, client_port, app_port): Name) -> Option<usize> {
        self.flows.iter().position(|flow| {
            flow.client_port == client_port
                && flow.app_port == app_port
                && flow.protocol == protocol
                && flow.zone == zone
                && flow.app == app
                && flow.client == client
        })
    }

    fn remembered(&self, client: &Client, name: Name, now: u64) -> Option<usize> {
        let at = self.position(name)?;
        (self.flows[at].token == client.token && self.flows[at].is_remembered(now)).then_some(at)
    }

    fn is_in_force(&self, client: &Client, at: usize, now: u64) -> bool {
        let flow = &self.flows[at];
        flow.policy == (client.entry.app_set.0, client.entry.allow_list.0) && now < flow.deadline
    }

    fn renew(&mut self, client: &Client, at: usize, app: u32, deadline: u64) {
        let flow = &mut self.flows[at];
        flow.policy = (client.entry.app_set.0, client.entry.allow_list.0);
        (flow.app_number, flow.deadline) = (app, deadline);
    }

    /// Steps 30 to 33: the app and until when.
    fn permit(&self, client: &Client, name: Name, now: u64) -> Result<(u32, u64), Judgement> {
        let (_, _, to, protocol, _, port) = name;
        let unknown = drop_for(DropReason::AppUnknown, client.token, 0);
        let mut best: Option<(u8, u32)> = None;
        for (set, prefix, block) in &self.prefixes {
            let is_better = best.is_none_or(|(length, _)| length < prefix.prefix_len());
            if *set == client.entry.app_set.0 && is_better && prefix.contains(&to) {
                best = Some((prefix.prefix_len(), *block));
            }
        }
        let (_, block) = best.ok_or(unknown)?;
        let at = |port: u16| {
            let wanted = AppKey { block, port: port.to_be_bytes(), protocol, reserved: 0 };
            self.apps.iter().find(|(key, _)| *key == wanted).map(|(_, app)| *app)
        };
        let app = at(port).or_else(|| at(0)).ok_or(unknown)?;
        let refusal = |reason| drop_for(reason, client.token, app);
        let wanted = GrantKey { allow_list: client.entry.allow_list.0, app };
        let grant = self.grants.iter().find(|(key, _)| *key == wanted).map(|(_, grant)| grant);
        let grant = grant.ok_or(refusal(DropReason::NoGrant))?;
        if grant.deadline <= now {
            return Err(refusal(DropReason::GrantExpired));
        }
        let login_ends = client.entry.authenticated_at.0.saturating_add(grant.max_authentication_age);
        if login_ends <= now {
            return Err(refusal(DropReason::ReauthRequired));
        }
        Ok((app, grant.deadline.min(login_ends)))
    }
}
