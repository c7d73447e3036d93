//! What the oracle knows: plain lists, kept by following the plans and by its own judgements.

use super::link::Guard;
use super::network::Datagram;
use super::transport::Inside;
use crate::ground::Way;
use gateway_common::abi::{AppEntry, AppKey, Grant, GrantKey};
use gateway_userspace::policy::Step;
use gateway_userspace::policy::table::SessionEntry;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

pub const SECOND: u64 = 1_000_000_000;

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
    pub quarantined_until: u64,
    /// Until when new flows are paid for.
    pub flows_paid: u64,
    /// Until when bytes are paid for, from the client and to it.
    pub bytes_paid: [u64; 2],
    /// When the window of destinations began.
    pub window: u64,
    /// The places that are marked in it.
    pub tried: u64,
    pub last_forwarded: u64,
    pub dropped: u64,
}

impl Client {
    fn new(token: u64, entry: SessionEntry) -> Self {
        Self {
            token,
            entry,
            standing: Standing::Live,
            quarantined_until: 0,
            flows_paid: 0,
            bytes_paid: [0; 2],
            window: 0,
            tried: 0,
            last_forwarded: 0,
            dropped: 0,
        }
    }

    pub fn is_live(&self) -> bool {
        matches!(self.standing, Standing::Live)
    }

    pub fn policy(&self) -> (u32, u32) {
        (self.entry.app_set.0, self.entry.allow_list.0)
    }
}

/// What names a flow, seen from the client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Name {
    pub zone: u32,
    pub client: IpAddr,
    pub app: IpAddr,
    pub protocol: u8,
    pub client_port: u16,
    pub app_port: u16,
}

impl Name {
    /// The flow that a packet would belong to.
    pub fn of(zone: u32, way: Way, packet: &Datagram) -> Self {
        let Datagram { from, to, protocol, .. } = *packet;
        let (from_port, to_port) = packet.inside.ports();
        match way {
            Way::In => Self { zone, client: from, app: to, protocol, client_port: from_port, app_port: to_port },
            Way::Out => Self { zone, client: to, app: from, protocol, client_port: to_port, app_port: from_port },
        }
    }
}

/// A connection as the oracle remembers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    pub token: u64,
    pub policy: (u32, u32),
    pub deadline: u64,
    pub app_number: u32,
    pub has_budget: bool,
    pub outlasts_daemon: bool,
    pub by_app: bool,
    pub client_closed: bool,
    pub app_closed: bool,
    pub reset: bool,
    pub opened_at: u64,
    pub last_seen: u64,
    /// Packets and bytes from the client, packets and bytes to it.
    pub carried: [u64; 4],
    /// Of the last segment from the client, and to it: sequence number behind it, and acknowledgement.
    pub progress: [(u32, u32); 2],
}

impl Connection {
    pub fn is_over(&self) -> bool {
        self.reset || self.client_closed && self.app_closed
    }

    /// Section "How long a flow is remembered".
    pub fn silence(&self, protocol: u8) -> u64 {
        let seconds = match protocol {
            6 | 132 if self.is_over() => 10,
            6 | 132 => 2 * 3600 + 4 * 60,
            1 | 58 => 60,
            _ => 5 * 60,
        };
        seconds * SECOND
    }

    pub fn is_remembered(&self, protocol: u8, now: u64) -> bool {
        now - self.last_seen < self.silence(protocol)
    }

    pub fn carry(&mut self, way: Way, packet: &Datagram, now: u64) {
        self.last_seen = now;
        count(&mut self.carried, way, packet.length);
        match packet.inside {
            Inside::Tcp { flags, progress, .. } => {
                self.reset |= flags.rst;
                self.client_closed |= way == Way::In && flags.fin;
                self.app_closed |= way == Way::Out && flags.fin;
                if let Some(progress) = progress {
                    self.progress[way as usize] = progress;
                }
            }
            // ABORT, SHUTDOWN COMPLETE.
            Inside::Sctp { chunk: 6 | 14, .. } => self.reset = true,
            _ => {}
        }
    }
}

/// Counts a packet and its bytes.
pub fn count(carried: &mut [u64; 4], way: Way, length: u64) {
    let place = if way == Way::In { 0 } else { 2 };
    carried[place] += 1;
    carried[place + 1] += length;
}

/// A service of the gateway, at an address of it.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    pub address: IpAddr,
    pub protocol: u8,
    pub port: u16,
    /// Whether everybody may reach it, or only sources in the management prefixes.
    pub is_open: bool,
}

/// What a rate of packets to the gateway is counted for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    V4([u8; 4]),
    /// The first 64 bits.
    V6([u8; 8]),
    Mac([u8; 6]),
}

/// What names the fragments of a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FragmentName {
    pub zone: u32,
    pub is_to_client: bool,
    pub from: IpAddr,
    pub to: IpAddr,
    /// In IPv4.
    pub protocol: Option<u8>,
    pub id: u32,
}

/// What is remembered of a fragmented packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstFragment {
    pub until: u64,
    pub protocol: u8,
    pub inside: Inside,
    pub end: u32,
    /// Later ones: from, to. They neither overlap nor touch.
    pub later: Vec<(u32, u32)>,
}

/// The bytes of a session with an app.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    pub used: u64,
    pub limit: u64,
}

/// All that the oracle knows.
#[derive(Clone, Default, Debug)]
pub struct Oracle {
    pub guards: Vec<Guard>,
    pub services: Vec<Service>,
    pub own: Vec<IpAddr>,
    pub management: Vec<IpNet>,
    /// Nanoseconds between two packets to the gateway itself, 0 for no limit.
    pub service_interval: u64,
    pub quarantine: u64,
    /// Until when the daemon's word counts.
    pub lease_until: u64,
    /// What the daemon marks its resets with, 0 if it does not.
    pub reset_mark: u32,
    pub clients: Vec<Client>,
    pub prefixes: Vec<(u32, IpNet, u32)>,
    pub apps: BTreeMap<AppKey, AppEntry>,
    pub grants: BTreeMap<GrantKey, Grant>,
    pub flows: BTreeMap<Name, Connection>,
    pub most_flows: usize,
    pub fragments: BTreeMap<FragmentName, FirstFragment>,
    pub sources: BTreeMap<(u32, Origin), u64>,
    /// By token and app.
    pub accounts: BTreeMap<(u64, u32), Account>,
    pub most_accounts: usize,
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
                self.clients.push(Client::new(token.0, entry.clone()));
            }
            Step::UpdateSession(token, entry) => {
                for client in self.clients.iter_mut().filter(|client| client.token == token.0) {
                    client.entry = entry.clone();
                }
            }
            Step::PutApp(key, app) => drop(self.apps.insert(*key, *app)),
            Step::PutGrant(key, grant) => drop(self.grants.insert(*key, *grant)),
            Step::PutAppPrefix(set, prefix, block) => {
                self.prefixes.retain(|(s, p, _)| (*s, *p) != (set.0, *prefix));
                self.prefixes.push((set.0, *prefix, block.0));
            }
            Step::RemoveGrant(key) => drop(self.grants.remove(key)),
            Step::RemoveAppPrefix(set, prefix) => self.prefixes.retain(|(s, p, _)| (*s, *p) != (set.0, *prefix)),
            Step::RemoveApp(key) => drop(self.apps.remove(key)),
        }
    }
}
