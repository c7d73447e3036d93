//! The oracle: the first edition's law, written a second time from `docs/law.md`, over plain lists that it keeps itself.
//!
//! It shares the names of reasons and verdicts with the law, and nothing else: a mistake in the law's parser, in its
//! order or in its handling of flows shows as a disagreement.

use super::oracle_reader::{Content, Datagram, Quote, Seen, read};
use super::scene::Way;
use gateway_common::abi::{AppKey, FlowKey, Grant, GrantKey};
use gateway_common::{DropReason, Judgement, Verdict};
use gateway_userspace::policy::Step;
use gateway_userspace::policy::table::SessionEntry;
use ipnet::IpNet;
use std::net::IpAddr;

const SECOND: u64 = 1_000_000_000;

/// A session's standing, beside its deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Live,
    Revoked,
    Expired,
}

/// A session as the oracle remembers it.
#[derive(Clone, Debug)]
pub struct Client {
    pub token: u64,
    pub entry: SessionEntry,
    pub standing: Standing,
}

/// A connection as the oracle remembers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    pub zone: u32,
    pub client: IpAddr,
    pub app: IpAddr,
    pub protocol: u8,
    pub client_port: u16,
    pub app_port: u16,
    pub token: u64,
    pub policy: (u32, u32),
    pub deadline: u64,
    pub app_number: u32,
    pub client_closed: bool,
    pub app_closed: bool,
    pub reset: bool,
    pub opened_at: u64,
    pub last_seen: u64,
    /// Packets and bytes from the client, packets and bytes to it.
    pub carried: [u64; 4],
}

impl Connection {
    fn is_over(&self) -> bool {
        self.reset || self.client_closed && self.app_closed
    }

    fn is_remembered(&self, now: u64) -> bool {
        let silent_for = match self.protocol {
            6 if self.is_over() => 10,
            6 => 2 * 3600 + 4 * 60,
            17 => 5 * 60,
            _ => 60,
        };
        now - self.last_seen < silent_for * SECOND
    }

    fn carry(&mut self, way: Way, packet: &Datagram, now: u64) {
        self.last_seen = now;
        let place = if way == Way::In { 0 } else { 2 };
        self.carried[place] += 1;
        self.carried[place + 1] += packet.length;
        if let Content::Tcp { flags, .. } = packet.inside {
            self.reset |= flags & 4 != 0;
            self.client_closed |= way == Way::In && flags & 1 != 0;
            self.app_closed |= way == Way::Out && flags & 1 != 0;
        }
    }

    /// The key under which the data plane has the flow.
    pub fn key(&self) -> FlowKey {
        FlowKey {
            client: self.client.into(),
            app: self.app.into(),
            client_port: self.client_port.to_be_bytes(),
            app_port: self.app_port.to_be_bytes(),
            zone: self.zone,
            protocol: self.protocol,
            reserved: [0; 7],
        }
    }
}

/// A guarded interface.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    pub index: u32,
    pub zone: u32,
    pub has_link: bool,
}

/// A service of the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    pub address: IpAddr,
    pub protocol: u8,
    pub port: u16,
    pub is_open: bool,
}

/// All that the oracle knows.
#[derive(Default, Debug)]
pub struct Oracle {
    pub guards: Vec<Guard>,
    pub services: Vec<Service>,
    pub own: Vec<IpAddr>,
    pub management: Vec<IpNet>,
    pub clients: Vec<Client>,
    pub prefixes: Vec<(u32, IpNet, u32)>,
    pub apps: Vec<(AppKey, u32)>,
    pub grants: Vec<(GrantKey, Grant)>,
    pub flows: Vec<Connection>,
    pub most_flows: usize,
}

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
            (Ok(Seen::Packet(packet)), Way::In) => self.from_client(guard, &packet, now).unwrap_or_else(|drop| drop),
            (Ok(Seen::Packet(packet)), Way::Out) => self.to_client(guard, &packet, now).unwrap_or_else(|drop| drop),
        }
    }

    fn from_client(&mut self, guard: Guard, packet: &Datagram, now: u64) -> Result<Judgement, Judgement> {
        let (client_port, app_port) = match packet.inside {
            Content::Tcp { from, to, .. } | Content::Udp { from, to } => (from, to),
            Content::Request(id) => (id, 0),
            Content::Reply(_) => (0, 0),
            Content::Error(quote) => {
                let client = self.sender(guard, packet, now)?;
                let related = quote.filter(|quote| quote.to == packet.from && !quote.is_request);
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
        let is_syn = matches!(packet.inside, Content::Tcp { flags, .. } if flags & 18 == 2);
        let known = self.remembered(&client, name, now).filter(|at| !(is_syn && self.flows[*at].is_over()));
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

    fn to_client(&mut self, guard: Guard, packet: &Datagram, now: u64) -> Result<Judgement, Judgement> {
        let (app_port, client_port) = match packet.inside {
            Content::Tcp { from, to, .. } | Content::Udp { from, to } => (from, to),
            Content::Reply(id) => (0, id),
            Content::Request(_) => (0, 0),
            Content::Error(quote) => {
                let client = self.receiver(guard, packet, now)?;
                let related = quote.filter(|quote| !quote.is_reply);
                let name = |q: Quote| (guard.zone, packet.to, q.to, q.protocol, q.ports.0, q.ports.1);
                return self.about(&client, related.map(name), now);
            }
        };
        let name = (guard.zone, packet.to, packet.from, packet.protocol, client_port, app_port);
        let receiver = self.receiver(guard, packet, now);
        let mut known = None;
        if let Ok(client) = &receiver
            && !matches!(packet.inside, Content::Request(_))
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
        if client.entry.deadline.0 <= now || client.standing == Standing::Expired {
            return Err(drop_for(DropReason::SessionExpired, client.token, 0));
        }
        if client.standing == Standing::Revoked {
            return Err(drop_for(DropReason::SessionRevoked, client.token, 0));
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
        if login_ends < now {
            return Err(refusal(DropReason::ReauthRequired));
        }
        Ok((app, grant.deadline.min(login_ends)))
    }

    /// Follows a step of a plan.
    pub fn follow(&mut self, step: &Step, now: u64) {
        match step {
            Step::EndSession(token) => {
                for client in self.clients.iter_mut().filter(|c| c.token == token.0 && c.standing == Standing::Live) {
                    let is_over = client.entry.deadline.0 <= now;
                    client.standing = if is_over { Standing::Expired } else { Standing::Revoked };
                }
            }
            Step::OpenSession(token, entry) => {
                self.clients.retain(|c| (c.entry.zone, c.entry.address) != (entry.zone, entry.address));
                self.clients.push(Client { token: token.0, entry: entry.clone(), standing: Standing::Live });
            }
            Step::UpdateSession(token, entry) => {
                for client in self.clients.iter_mut().filter(|client| client.token == token.0) {
                    client.entry = entry.clone();
                }
            }
            Step::PutApp(key, app) => put(&mut self.apps, *key, app.0),
            Step::PutGrant(key, grant) => put(&mut self.grants, *key, *grant),
            Step::PutAppPrefix(set, prefix, block) => {
                self.prefixes.retain(|(s, p, _)| (*s, *p) != (set.0, *prefix));
                self.prefixes.push((set.0, *prefix, block.0));
            }
            Step::RemoveGrant(key) => self.grants.retain(|(k, _)| k != key),
            Step::RemoveAppPrefix(set, prefix) => self.prefixes.retain(|(s, p, _)| (*s, *p) != (set.0, *prefix)),
            Step::RemoveApp(key) => self.apps.retain(|(k, _)| k != key),
        }
    }
}

fn put<K: PartialEq, V>(list: &mut Vec<(K, V)>, key: K, value: V) {
    list.retain(|(k, _)| *k != key);
    list.push((key, value));
}
