//! What the oracle knows: plain lists, kept by following the plans and by its own judgements.

use super::oracle_reader::{Content, Datagram};
use super::scene::Way;
use gateway_common::abi::{AppKey, FlowKey, Grant, GrantKey};
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
    pub fn is_over(&self) -> bool {
        self.reset || self.client_closed && self.app_closed
    }

    pub fn is_remembered(&self, now: u64) -> bool {
        let silent_for = match self.protocol {
            6 if self.is_over() => 10,
            6 => 2 * 3600 + 4 * 60,
            17 => 5 * 60,
            _ => 60,
        };
        now - self.last_seen < silent_for * SECOND
    }

    pub fn carry(&mut self, way: Way, packet: &Datagram, now: u64) {
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

impl Oracle {
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
