//! The shape of the access log: one JSON object a line, `time` and `type` first.
//!
//! A record is made where something happens and written elsewhere, by two threads: names in it are pointers, and what
//! policies are called is looked up when it is written.

use super::denials::Denied;
use super::flows::{End, TrackedFlow};
use super::interfaces::interface;
use super::names::{Names, Policies};
use crate::core::{Actor, Receipt};
use crate::dataplane::clock::WallClock;
use crate::health::Turn;
use crate::policy::{
    AppName, Decision, Generation, Input, Logging, Protocol, Regranted, Session, SessionToken, UserName,
};
use arcstr::ArcStr;
use gateway_common::abi::{DenialKey, Flow, FlowKey};
use gateway_common::{DropReason, KernelNanos, Packet};
use serde::{Serialize, Serializer};
use std::fmt::Display;
use std::net::IpAddr;
use time::OffsetDateTime;

/// A line.
#[derive(Serialize)]
pub(super) struct Record {
    #[serde(with = "time::serde::rfc3339")]
    pub(super) time: OffsetDateTime,
    #[serde(flatten)]
    pub(super) what: What,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum What {
    Login {
        session: String,
        user: String,
        source: IpAddr,
        zone: String,
        interface: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        mac: Option<String>,
        factors: Vec<&'static str>,
        apps: Vec<String>,
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
    },
    LoginFailed {
        user: String,
        source: IpAddr,
        why: &'static str,
    },
    SessionEnd(SessionEnd),
    Regranted {
        session: String,
        user: String,
        gained: Vec<String>,
        lost: Vec<String>,
    },
    Admin(Administered),
    FlowStart(FlowNames),
    FlowUpdate {
        #[serde(flatten)]
        names: FlowNames,
        #[serde(flatten)]
        so_far: Carried,
    },
    FlowEnd {
        #[serde(flatten)]
        names: FlowNames,
        outcome: &'static str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        incomplete: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        tcp: Option<&'static str>,
        #[serde(flatten)]
        carried: Carried,
    },
    Denied(Refused),
    AppHealth {
        app: String,
        state: &'static str,
        was: &'static str,
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
        address: IpAddr,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    Lost {
        kernel_events: u64,
        records: u64,
    },
}

/// How a session ended.
#[derive(Serialize)]
pub(super) struct SessionEnd {
    pub(super) session: String,
    pub(super) user: String,
    pub(super) source: IpAddr,
    pub(super) interface: String,
    pub(super) cause: &'static str,
    by: String,
    /// From where that was asked for. The access log does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<IpAddr>,
    #[serde(with = "time::serde::rfc3339")]
    requested_at: OffsetDateTime,
    enforced_after_us: f64,
    #[serde(with = "time::serde::rfc3339::option")]
    last_packet_at: Option<OffsetDateTime>,
    last_packet_after_request_us: Option<f64>,
    flows_cut: usize,
}

impl SessionEnd {
    pub(super) fn of(receipt: &Receipt, from: Option<IpAddr>) -> Self {
        let Receipt { session, cause, by, requested_at, enforced_after, last_packet_at, .. } = receipt;
        Self {
            session: session.token.to_string(),
            user: session.user.to_string(),
            source: session.source.address,
            interface: session.source.interface_name.to_string(),
            cause: cause.label(),
            by: by.clone(),
            from,
            requested_at: *requested_at,
            enforced_after_us: enforced_after.as_nanos() as f64 / 1e3,
            last_packet_at: *last_packet_at,
            last_packet_after_request_us: receipt.last_packet_after_request_nanos.map(|nanos| nanos as f64 / 1e3),
            flows_cut: receipt.flows_cut,
        }
    }
}

/// What an administrator did.
#[derive(Serialize)]
pub(super) struct Administered {
    pub(super) by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<IpAddr>,
    pub(super) action: &'static str,
    object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) generation: Option<u64>,
}

impl Administered {
    pub(super) fn by(actor: Actor, action: &'static str, object: String, generation: Option<Generation>) -> Self {
        let Actor { name: by, address: from } = actor;
        Self { by, from, action, object, generation: generation.map(|generation| generation.0) }
    }
}

/// Who wanted to log in. What was typed may be a password in the wrong field: only what can be a name is repeated.
pub(super) fn name_as_typed(user: &str) -> String {
    UserName::new(user).map_or_else(|_| "(not a name)".into(), |name| name.to_string())
}

/// Whose flow it is, and from where to where.
#[derive(Serialize)]
pub(super) struct FlowNames {
    #[serde(serialize_with = "shown")]
    pub(super) session: SessionToken,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown_if_known")]
    pub(super) user: Option<UserName>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown_if_known")]
    pub(super) app: Option<AppName>,
    pub(super) policies: Policies,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) alert: bool,
    pub(super) client: IpAddr,
    pub(super) client_port: u16,
    pub(super) destination: IpAddr,
    pub(super) port: u16,
    #[serde(serialize_with = "protocol_shown")]
    pub(super) protocol: u8,
    pub(super) opened_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown_if_known")]
    pub(super) interface: Option<ArcStr>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown_if_known")]
    pub(super) zone: Option<ArcStr>,
}

/// What a flow has carried, and when.
#[derive(Serialize)]
pub(super) struct Carried {
    #[serde(with = "time::serde::rfc3339")]
    pub(super) opened_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) last_seen: OffsetDateTime,
    pub(super) to_app_packets: u64,
    pub(super) to_app_bytes: u64,
    pub(super) to_client_packets: u64,
    pub(super) to_client_bytes: u64,
}

/// Equal denials of one window.
#[derive(Serialize)]
pub(super) struct Refused {
    pub(super) reason: &'static str,
    pub(super) source: IpAddr,
    #[serde(serialize_with = "mac_shown")]
    pub(super) mac: [u8; 6],
    pub(super) destination: IpAddr,
    pub(super) port: u16,
    #[serde(serialize_with = "protocol_shown")]
    pub(super) protocol: u8,
    pub(super) direction: &'static str,
    #[serde(serialize_with = "shown")]
    pub(super) interface: ArcStr,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown_if_known")]
    pub(super) zone: Option<ArcStr>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) observed: bool,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown_if_known")]
    pub(super) session: Option<SessionToken>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown_if_known")]
    pub(super) user: Option<UserName>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown_if_known")]
    pub(super) app: Option<AppName>,
    pub(super) packets: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answered: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policies: Option<Policies>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) alert: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) first: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) last: OffsetDateTime,
}

impl Record {
    fn now(what: What) -> Self {
        Self { time: OffsetDateTime::now_utc(), what }
    }

    /// The same, of this moment.
    pub(super) fn of(self, time: OffsetDateTime) -> Self {
        Self { time, ..self }
    }

    pub(super) fn login(session: &Session) -> Self {
        let source = &session.source;
        Self::now(What::Login {
            session: session.token.to_string(),
            user: session.user.to_string(),
            source: source.address,
            zone: source.zone_name.to_string(),
            interface: source.interface_name.to_string(),
            mac: source.mac.map(mac),
            factors: session.factors.iter().map(|factor| factor.label()).collect(),
            apps: session.permitted.keys().map(ToString::to_string).collect(),
            until: WallClock::now().at(session.deadline),
        })
    }

    pub(super) fn login_failed(user: &str, source: IpAddr, why: &'static str) -> Self {
        Self::now(What::LoginFailed { user: name_as_typed(user), source, why })
    }

    pub(super) fn session_end(receipt: &Receipt) -> Self {
        Self::now(What::SessionEnd(SessionEnd::of(receipt, None)))
    }

    pub(super) fn regranted(regranted: &Regranted) -> Self {
        Self::now(What::Regranted {
            session: regranted.token.to_string(),
            user: regranted.user.to_string(),
            gained: regranted.gained.iter().map(ToString::to_string).collect(),
            lost: regranted.lost.iter().map(ToString::to_string).collect(),
        })
    }

    pub(super) fn admin(actor: &Actor, action: &'static str, object: &str, generation: Option<Generation>) -> Self {
        Self::now(What::Admin(Administered::by(actor.clone(), action, object.to_owned(), generation)))
    }

    /// `None` if the policies that permit the connection want no line of it.
    pub(super) fn flow_start(key: &FlowKey, flow: &TrackedFlow, names: &Names) -> Option<Self> {
        if is_left_out(names.permit(flow.copy.token, flow.app())) {
            return None;
        }
        let time = WallClock::now().at(KernelNanos(flow.copy.opened_at));
        Some(Self { time, what: What::FlowStart(flow_names(key, flow, names)) })
    }

    /// What a flow that goes on has carried so far. `None` likewise.
    pub(super) fn flow_update(key: &FlowKey, flow: &TrackedFlow, names: &Names) -> Option<Self> {
        if is_left_out(names.permit(flow.copy.token, flow.app())) {
            return None;
        }
        Some(Self::now(What::FlowUpdate { names: flow_names(key, flow, names), so_far: carried(flow) }))
    }

    /// `None` likewise.
    pub(super) fn flow_end(key: &FlowKey, flow: &TrackedFlow, names: &Names, end: End) -> Option<Self> {
        let End { outcome, is_incomplete } = end;
        if is_left_out(names.permit(flow.copy.token, flow.app())) {
            return None;
        }
        Some(Self::now(What::FlowEnd {
            names: flow_names(key, flow, names),
            outcome,
            incomplete: is_incomplete,
            tcp: (key.protocol == Packet::TCP).then(|| tcp(flow.copy.ends, outcome)),
            carried: carried(flow),
        }))
    }

    /// `None` if the policies that deny it want no line of it.
    pub(super) fn denied(key: &DenialKey, denied: &Denied, names: &Names) -> Option<Self> {
        let (clock, reason) = (WallClock::now(), DropReason::from_number(key.reason));
        // Policies determine this reason; whatever else is dropped, they did not forbid.
        let is_policys = reason == Some(DropReason::NoGrant);
        let denial = names.denial(key.token, key.app).filter(|_| is_policys);
        if is_left_out(denial) {
            return None;
        }
        let named = names.session(key.token);
        Some(Self::now(What::Denied(Refused {
            reason: reason.map_or("unknown", DropReason::label),
            source: key.source.into(),
            mac: key.mac,
            destination: key.destination.into(),
            port: key.port,
            protocol: key.protocol,
            direction: if key.direction == 0 { "to_app" } else { "to_client" },
            interface: interface(key.interface),
            zone: named.map(|named| named.zone_name.clone()),
            observed: key.flags & DenialKey::OBSERVED != 0,
            session: (key.token != 0).then_some(SessionToken(key.token)),
            user: named.map(|named| named.user.clone()),
            app: names.app(key.app).cloned(),
            packets: denied.packets,
            answered: Some(denied.answered).filter(|answered| *answered != 0),
            policies: is_policys.then(|| names.forbids(key.token, key.app)),
            alert: is_alert(denial),
            first: clock.at(KernelNanos(denied.first)),
            last: clock.at(KernelNanos(denied.last)),
        })))
    }

    pub(super) fn app_health(turn: &Turn) -> Self {
        let Turn { app, was, state, since, address, failure } = turn;
        Self::now(What::AppHealth {
            app: app.to_string(),
            state: state.label(),
            was: was.label(),
            since: WallClock::now().at(*since),
            address: *address,
            error: failure.as_ref().map(|failure| failure.kind.label()),
            detail: failure.as_ref().map(|failure| failure.detail.clone()),
        })
    }

    pub(super) fn lost(kernel_events: u64, records: u64) -> Self {
        Self::now(What::Lost { kernel_events, records })
    }
}

/// What an administrator's change is called, and what it was done to. Sessions have records of their own.
pub(crate) fn described(input: &Input) -> Option<(&'static str, String)> {
    Some(match input {
        Input::PutUser(user) if user.is_active() => ("user_put", user.name.to_string()),
        Input::PutUser(user) if user.enabled => ("user_suspended", user.name.to_string()),
        Input::PutUser(user) => ("user_disabled", user.name.to_string()),
        Input::RemoveUser(name) => ("user_removed", name.to_string()),
        Input::PutGroup(name) => ("group_put", name.to_string()),
        Input::Members { group, .. } => ("group_members_changed", group.to_string()),
        Input::RemoveGroup(name) => ("group_removed", name.to_string()),
        Input::PutApp(app) if app.enabled => ("app_put", app.name.to_string()),
        Input::PutApp(app) => ("app_disabled", app.name.to_string()),
        Input::RemoveApp(name) => ("app_removed", name.to_string()),
        Input::PutPolicy { .. } => ("policy_applied", "policy".into()),
        Input::Apply { .. } => ("bundle_applied", "bundle".into()),
        Input::Login { .. } | Input::End { .. } | Input::Resolved(_) | Input::Tick => return None,
    })
}

fn flow_names(key: &FlowKey, flow: &TrackedFlow, names: &Names) -> FlowNames {
    let copy = &flow.copy;
    let named = names.session(copy.token);
    FlowNames {
        session: SessionToken(copy.token),
        user: named.map(|named| named.user.clone()),
        app: names.app(flow.app()).cloned(),
        policies: names.permits(copy.token, flow.app()),
        alert: is_alert(names.permit(copy.token, flow.app())),
        client: key.client.into(),
        client_port: u16::from_be_bytes(key.client_port),
        destination: key.app.into(),
        port: u16::from_be_bytes(key.app_port),
        protocol: key.protocol,
        opened_by: if flow.is_by_app() { "app" } else { "client" },
        interface: (flow.interface != 0).then(|| interface(flow.interface)),
        zone: named.map(|named| named.zone_name.clone()),
    }
}

fn carried(flow: &TrackedFlow) -> Carried {
    let (clock, copy) = (WallClock::now(), &flow.copy);
    Carried {
        opened_at: clock.at(KernelNanos(copy.opened_at)),
        last_seen: clock.at(KernelNanos(copy.last_seen)),
        to_app_packets: copy.to_app_packets,
        to_app_bytes: copy.to_app_bytes,
        to_client_packets: copy.to_client_packets,
        to_client_bytes: copy.to_client_bytes,
    }
}

/// How a TCP connection ended, by the ends that were seen of it and what ended the flow.
fn tcp(ends: u64, outcome: &str) -> &'static str {
    match outcome {
        _ if ends & Flow::RESET != 0 => "reset",
        _ if Flow::is_over(ends) => "fin",
        "idle" => "timeout",
        "revoked" | "policy" => "cut",
        _ => "open",
    }
}

/// Whether policies want no line of what they have determined.
fn is_left_out(decision: Option<&Decision>) -> bool {
    decision.is_some_and(|decision| decision.log == Logging::Off)
}

/// Whether they want it looked at.
fn is_alert(decision: Option<&Decision>) -> bool {
    decision.is_some_and(|decision| decision.log == Logging::Alert)
}

/// The name of an IP protocol number, or the number.
#[must_use]
pub fn protocol(number: u8) -> String {
    match number {
        Packet::TCP => Protocol::Tcp,
        Packet::UDP => Protocol::Udp,
        Packet::SCTP => Protocol::Sctp,
        Packet::ICMP | Packet::ICMPV6 => Protocol::Icmp,
        other => Protocol::Ip(other),
    }
    .to_string()
}

pub(super) fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn shown<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn shown_if_known<T: Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

fn protocol_shown<S: Serializer>(number: &u8, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&protocol(*number))
}

fn mac_shown<S: Serializer>(address: &[u8; 6], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&mac(*address))
}
