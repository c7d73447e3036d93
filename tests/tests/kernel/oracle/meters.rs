//! Section "Limits": debts, the window of destinations, and budgets.

use super::network::Datagram;
use super::sessions::{Permit, Ruling, Step};
use super::tables::{Account, Client, Connection, Name, Oracle, Origin, SECOND};
use crate::ground::Way;
use gateway_common::DropReason;
use std::net::IpAddr;

/// Adds to a debt, unless it reaches too far ahead.
fn owe(paid: &mut u64, cost: u64, most: u64, now: u64) -> bool {
    let moment = (*paid).max(now);
    if moment - now >= most {
        return false;
    }
    *paid = moment + cost;
    true
}

/// Whose rate a packet to the gateway is counted for.
pub fn origin(address: IpAddr) -> Origin {
    match address {
        IpAddr::V4(v4) => Origin::V4(v4.octets()),
        IpAddr::V6(v6) => Origin::V6(v6.octets()[..8].try_into().unwrap()),
    }
}

impl Oracle {
    /// Whether the source is within its rate of packets to the gateway.
    pub fn serve(&mut self, zone: u32, origin: Origin, now: u64) -> bool {
        let interval = self.service_interval;
        interval == 0 || owe(self.sources.entry((zone, origin)).or_default(), interval, SECOND, now)
    }

    /// Step 44.
    pub fn lease(&self, token: u64, app: u32, outlasts_daemon: bool, now: u64) -> Step<()> {
        let is_over = self.lease_until <= now && !outlasts_daemon;
        if is_over { Err(Ruling::about(DropReason::LeaseExpired, token, app)) } else { Ok(()) }
    }

    /// Step 45.
    pub fn pay_flow(&mut self, at: usize, app: u32, now: u64) -> Step<()> {
        let client = &mut self.clients[at];
        let rate = u64::from(client.entry.limits.new_flows_per_second);
        if rate == 0 || owe(&mut client.flows_paid, SECOND / rate, SECOND, now) {
            return Ok(());
        }
        Err(Ruling::about(DropReason::FlowRate, client.token, app))
    }

    /// Step 46.
    pub fn pay_bytes(&mut self, at: usize, app: u32, way: Way, length: u64, now: u64) -> Step<()> {
        let client = &mut self.clients[at];
        let rate = client.entry.limits.bytes_per_second;
        if rate == 0 {
            return Ok(());
        }
        let interval = (SECOND * 1024 / rate).max(1);
        if owe(&mut client.bytes_paid[way as usize], length * interval / 1024, SECOND / 4, now) {
            return Ok(());
        }
        Err(Ruling::about(DropReason::BandwidthExceeded, client.token, app))
    }

    /// Step 37: whether this is one destination too many.
    pub fn is_scan(&mut self, at: usize, packet: &Datagram, now: u64) -> bool {
        let client = &mut self.clients[at];
        let limit = client.entry.limits.destinations_per_second;
        if limit == 0 {
            return false;
        }
        if now >= client.window + SECOND {
            (client.window, client.tried) = (now, 0);
        }
        let mark = 1 << place(packet, client.token);
        if client.tried & mark == 0 && client.tried.count_ones() >= limit {
            return true;
        }
        client.tried |= mark;
        false
    }

    /// Puts a flow under a permit.
    fn put_under(&mut self, at: usize, name: &Name, permit: &Permit) {
        let client = &self.clients[at];
        if let Some(flow) = self.flows.get_mut(name) {
            flow.policy = client.policy();
            flow.deadline = permit.deadline;
            flow.app_number = permit.app;
            flow.has_budget = permit.budget.is_some();
            flow.outlasts_daemon = permit.outlasts_daemon;
        }
    }

    /// Notes the budget of the grant by which a flow was judged.
    pub fn agree(&mut self, token: u64, permit: &Permit) {
        let Some(limit) = permit.budget else { return };
        let has_room = self.accounts.len() < self.most_accounts;
        match self.accounts.get_mut(&(token, permit.app)) {
            Some(account) => account.limit = limit,
            None if has_room => drop(self.accounts.insert((token, permit.app), Account { used: 0, limit })),
            None => {}
        }
    }

    /// Step 47, for an app that has a budget.
    pub fn spend(&mut self, token: u64, app: u32, length: u64) -> Step<()> {
        let Some(account) = self.accounts.get_mut(&(token, app)) else {
            return Err(Ruling::about(DropReason::BudgetTableFull, token, app));
        };
        if account.used >= account.limit {
            return Err(Ruling::about(DropReason::BudgetExceeded, token, app));
        }
        account.used += length;
        Ok(())
    }

    /// Steps 44, 46 and 47 for a packet of a flow, which then carries it; under the permit, if it was asked for one.
    pub fn carry_on(
        &mut self,
        at: usize,
        name: &Name,
        way: Way,
        packet: &Datagram,
        permit: Option<&Permit>,
        now: u64,
    ) -> Step<Ruling> {
        let Connection { token, mut app_number, mut has_budget, mut outlasts_daemon, .. } = self.flows[name];
        if let Some(permit) = permit {
            (app_number, has_budget) = (permit.app, permit.budget.is_some());
            outlasts_daemon = permit.outlasts_daemon;
        }
        self.lease(token, app_number, outlasts_daemon, now)?;
        self.pay_bytes(at, app_number, way, packet.length, now)?;
        if let Some(permit) = permit {
            self.agree(token, permit);
        }
        if has_budget {
            self.spend(token, app_number, packet.length)?;
        }
        if let Some(permit) = permit {
            self.put_under(at, name, permit);
        }
        if let Some(flow) = self.flows.get_mut(name) {
            flow.carry(way, packet, now);
        }
        Ok(Ruling::forward(token, app_number, false))
    }

    /// Steps 44 to 49.
    pub fn open(
        &mut self,
        at: usize,
        name: &Name,
        way: Way,
        packet: &Datagram,
        permit: &Permit,
        now: u64,
    ) -> Step<Ruling> {
        let Client { token, .. } = self.clients[at];
        self.lease(token, permit.app, permit.outlasts_daemon, now)?;
        self.pay_flow(at, permit.app, now)?;
        self.pay_bytes(at, permit.app, way, packet.length, now)?;
        if permit.budget.is_some() {
            self.agree(token, permit);
            self.spend(token, permit.app, packet.length)?;
        }
        if !self.flows.contains_key(name) && self.flows.len() >= self.most_flows {
            return Err(Ruling::about(DropReason::FlowTableFull, token, permit.app));
        }
        let mut flow = Connection {
            token,
            policy: self.clients[at].policy(),
            deadline: permit.deadline,
            app_number: permit.app,
            has_budget: permit.budget.is_some(),
            outlasts_daemon: permit.outlasts_daemon,
            by_app: way == Way::Out,
            client_closed: false,
            app_closed: false,
            reset: false,
            opened_at: now,
            last_seen: now,
            carried: [0; 4],
            progress: [(0, 0); 2],
        };
        flow.carry(way, packet, now);
        self.flows.insert(*name, flow);
        Ok(Ruling::forward(token, permit.app, true))
    }
}

/// The place of a destination among 64.
fn place(packet: &Datagram, token: u64) -> u32 {
    let address = match packet.to {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let address = u128::from(address);
    let (first, second) = ((address >> 64) as u64, address as u64);
    let (_, port) = packet.inside.ports();
    let mixed = first ^ second.rotate_left(23) ^ (u64::from(packet.protocol) * 65_536 + u64::from(port)) ^ token;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as u32
}
