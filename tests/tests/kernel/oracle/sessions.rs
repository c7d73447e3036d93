//! Whose packet it is, what the session's policy says about it, and which flow it continues.

use super::link::Guard;
use super::network::Datagram;
use super::tables::{Client, Name, Oracle, Standing};
use crate::ground::Way;
use gateway_common::abi::{AppKey, GrantKey};
use gateway_common::{Answering, DropReason, Verdict};
use std::net::IpAddr;

/// A verdict, with what was found on the way to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ruling {
    pub verdict: Verdict,
    pub token: u64,
    pub app: u32,
    pub opened: bool,
    /// On which interfaces it may be answered, by who sent it and why it was dropped.
    pub answer: Answering,
    /// Whether it is answered, if the budget of answers allows.
    pub rejected: bool,
}

/// `Err` ends the judgement, whatever the verdict is.
pub type Step<T> = Result<T, Ruling>;

impl Ruling {
    pub fn of(verdict: Verdict) -> Self {
        Self { verdict, token: 0, app: 0, opened: false, answer: Answering::Never, rejected: false }
    }

    pub fn drop(reason: DropReason) -> Self {
        Self::of(Verdict::Drop(reason))
    }

    pub fn about(reason: DropReason, token: u64, app: u32) -> Self {
        Self { token, app, ..Self::drop(reason) }
    }

    pub fn forward(token: u64, app: u32, opened: bool) -> Self {
        Self { token, app, opened, ..Self::of(Verdict::Forward) }
    }
}

/// What a session may do, by the policy in force.
#[derive(Clone, Copy, Debug)]
pub struct Permit {
    pub app: u32,
    pub deadline: u64,
    pub budget: Option<u64>,
    pub outlasts_daemon: bool,
}

/// What is asked of the policy about an app at an address.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub address: IpAddr,
    pub protocol: u8,
    pub port: u16,
    /// [`AppKey::SERVICE`] or [`AppKey::OPENS`].
    pub side: u8,
}

impl Question {
    /// What the client reaches.
    pub fn service(name: &Name) -> Self {
        Self { address: name.app, protocol: name.protocol, port: name.app_port, side: AppKey::SERVICE }
    }

    /// What the app may open.
    pub fn opens(name: &Name) -> Self {
        Self { address: name.app, protocol: name.protocol, port: name.client_port, side: AppKey::OPENS }
    }
}

impl Oracle {
    /// The place of the session that has this address, and what forbids it to forward anything: steps 30 to 33.
    pub fn session(&self, zone: u32, address: IpAddr, now: u64) -> (Option<usize>, Step<()>) {
        let at = self.clients.iter().position(|c| c.entry.zone == zone && c.entry.address == address);
        let Some(at) = at else { return (None, Err(Ruling::drop(DropReason::NoSession))) };
        let client = &self.clients[at];
        let reason = if client.standing == Standing::Revoked {
            DropReason::SessionRevoked
        } else if client.standing == Standing::Expired || client.entry.deadline.0 <= now {
            DropReason::SessionExpired
        } else if now < client.quarantined_until {
            DropReason::SessionQuarantined
        } else {
            return (Some(at), Ok(()));
        };
        (Some(at), Err(Ruling::about(reason, client.token, 0)))
    }

    /// Steps 30 to 34.
    pub fn sender(&self, guard: &Guard, name: &Name, mac: Option<[u8; 6]>, now: u64) -> Step<usize> {
        let (at, outcome) = self.session(name.zone, name.client, now);
        let Some(at) = at else { return Err(Ruling::drop(DropReason::NoSession)) };
        let client = &self.clients[at];
        let is_here = is_bound_to(client, guard, mac);
        let answer = if is_here { Answering::WhereRejecting } else { Answering::Never };
        outcome.map_err(|ruling| Ruling { answer, ..ruling })?;
        if is_here { Ok(at) } else { Err(Ruling::about(DropReason::SourceSpoofed, client.token, 0)) }
    }

    /// Steps 6 to 9 of the second table.
    pub fn receiver(&self, name: &Name, now: u64) -> Step<usize> {
        let (at, outcome) = self.session(name.zone, name.client, now);
        outcome?;
        at.ok_or(Ruling::drop(DropReason::NoSession))
    }

    /// Section "Flows": whether the packet continues a flow of this session that was not silent too long.
    pub fn is_continued(&self, at: usize, name: &Name, way: Way, packet: &Datagram, now: u64) -> bool {
        let Some(flow) = self.flows.get(name) else { return false };
        let is_from_opener = flow.by_app == (way == Way::Out);
        let is_new = packet.inside.begins() && (!is_from_opener || flow.is_over());
        let is_stray = packet.inside.is_reply() && is_from_opener;
        flow.token == self.clients[at].token && flow.is_remembered(name.protocol, now) && !is_new && !is_stray
    }

    /// Whether a flow was judged under the policy in force, and is within its deadline.
    pub fn is_in_force(&self, at: usize, name: &Name, now: u64) -> bool {
        let flow = &self.flows[name];
        flow.policy == self.clients[at].policy() && now < flow.deadline
    }

    /// Steps 38 to 42. A trip-wire is told by its reason; what follows is the caller's.
    pub fn permit(&self, at: usize, question: Question, now: u64) -> Step<Permit> {
        let client = &self.clients[at];
        let unknown = Ruling::about(DropReason::AppUnknown, client.token, 0);
        let mut best: Option<(u8, u32)> = None;
        for (set, prefix, block) in &self.prefixes {
            let is_better = best.is_none_or(|(length, _)| length < prefix.prefix_len());
            if *set == client.entry.app_set.0 && is_better && prefix.contains(&question.address) {
                best = Some((prefix.prefix_len(), *block));
            }
        }
        let (_, block) = best.ok_or(unknown)?;
        let entry = |port: u16| {
            let Question { protocol, side, .. } = question;
            self.apps.get(&AppKey { block, port: port.to_be_bytes(), protocol, side })
        };
        let entry = entry(question.port).or_else(|| entry(0)).ok_or(unknown)?;
        let app = entry.app();
        let refusal = |reason| Ruling::about(reason, client.token, app);
        if entry.is_trip_wire() {
            return Err(refusal(DropReason::TripWire));
        }
        let grant = self.grants.get(&GrantKey { allow_list: client.entry.allow_list.0, app });
        let grant = grant.ok_or(refusal(DropReason::NoGrant))?;
        // Section "Refusals".
        if grant.deadline == 0 {
            return Err(Ruling { answer: Answering::Always, ..refusal(DropReason::NoGrant) });
        }
        if grant.deadline <= now {
            return Err(refusal(DropReason::GrantExpired));
        }
        let login_ends = client.entry.authenticated_at.0.saturating_add(grant.max_authentication_age);
        if login_ends <= now {
            return Err(refusal(DropReason::ReauthRequired));
        }
        let budget = Some(grant.budget).filter(|budget| *budget != u64::MAX);
        Ok(Permit { app, deadline: grant.deadline.min(login_ends), budget, outlasts_daemon: entry.outlasts() })
    }
}

fn is_bound_to(client: &Client, guard: &Guard, mac: Option<[u8; 6]>) -> bool {
    let is_other_mac = mac.is_some() && client.entry.mac.is_some() && mac != client.entry.mac;
    client.entry.interface == guard.index && !is_other_mac
}

/// Section "Answers": the reasons.
pub fn is_answered(reason: DropReason) -> bool {
    use DropReason::{
        AppUnknown, FlowRate, GrantExpired, LeaseExpired, NoGrant, ReauthRequired, SessionExpired, SessionQuarantined,
        SessionRevoked,
    };
    matches!(
        reason,
        SessionRevoked
            | SessionExpired
            | SessionQuarantined
            | AppUnknown
            | NoGrant
            | GrantExpired
            | ReauthRequired
            | LeaseExpired
            | FlowRate
    )
}
