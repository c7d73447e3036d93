//! Flows: whether one answers for a packet, and what a packet that passes leaves in it.

use super::entitlement::Entitled;
use super::established::{hold, remember};
use super::{Case, refuse};
use crate::abi::{Carried, Epoch, Flow, Session};
use crate::mutant::{self, Mutant::*};
use crate::{Answering, Direction, DropReason, Judgement, KernelNanos, Packet, Tables, Verdict, limits};

/// Whether the flow is alive, of this session, and judged by the policy in force.
#[inline(always)]
pub(super) fn speaks_for(flow: &Flow, session: &Session, protocol: u8, now: KernelNanos) -> bool {
    (mutant::is(FlowOutlivesSession) || flow.token.load() == session.token())
        && (mutant::is(IgnorePolicyWord) || flow.policy.load() == session.policy())
        && (mutant::is(IgnoreFlowDeadline) || !KernelNanos(flow.deadline.load()).has_passed(now))
        && flow.is_fresh(protocol, now)
}

/// Whether the packet continues this flow of the session, under whatever policy it was judged.
#[inline(always)]
pub(super) fn own(flow: &Flow, session: &Session, packet: &Packet, direction: Direction, now: KernelNanos) -> bool {
    (mutant::is(InheritFlows) || flow.token.load() == session.token())
        && flow.is_fresh(packet.protocol, now)
        && packet.continues(flow, direction)
}

/// Opens a flow, if the session's limits and the table have room for it.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub(super) fn open<T: Tables>(case: &Case<'_, T>, policy: u64, entitled: &Entitled, direction: Direction) -> Judgement {
    let Case { packet, tables, session, now, .. } = *case;
    let told = told(direction);
    let within = limits::lease(tables, entitled.app_word(), now)
        .and_then(|()| limits::flow(&session.limits, now))
        .and_then(|()| limits::bandwidth(session, packet, direction, now))
        .and_then(|()| limits::budget(tables, session.token(), entitled.app_word(), packet, Some(entitled.budget)));
    if let Err(reason) = within {
        return refuse(reason, Some(session), entitled.app(), told);
    }
    let begin = |flow: &Flow| {
        begin(flow, packet, session.token(), policy, entitled, direction, now);
        remember(flow, session, packet.protocol, case.epoch);
    };
    if !tables.open_flow(&packet.flow, begin) && !mutant::is(IgnoreFullTable) {
        return refuse(DropReason::FlowTableFull, Some(session), entitled.app(), told);
    }
    session.last_forwarded.store(now.0);
    Judgement {
        verdict: Verdict::Forward,
        token: session.token(),
        app: entitled.app(),
        opened: true,
        answer: Answering::Never,
    }
}

/// Writes every field of a new flow, whatever was there before.
#[inline(always)]
fn begin(
    flow: &Flow,
    packet: &Packet,
    token: u64,
    policy: u64,
    entitled: &Entitled,
    direction: Direction,
    now: KernelNanos,
) {
    let opener = match direction {
        Direction::ToApp => 0,
        Direction::ToClient => Flow::BY_APP,
    };
    flow.token.store(token);
    flow.policy.store(policy);
    flow.deadline.store(entitled.deadline.0);
    flow.app.store(entitled.app_word());
    flow.begin_life(now.0, packet.closes(direction) | mutant::unless(ForgetOpener, opener, 0));
    flow.last_seen.store(now.0);
    for carried in [&flow.to_app, &flow.to_client] {
        carried.packets.store(0);
        carried.bytes.store(0);
        carried.progress.store(0);
    }
    let carried = flow.carried(direction);
    account(carried, packet.length);
    progress(carried, packet);
}

/// Forwards a packet of a flow, if the session's limits have room for it. `judged` is the policy under which the flow
/// has just been judged, and what it says: from then on that is what the flow remembers.
#[inline(always)]
pub(super) fn forward<T: Tables>(
    flow: &Flow,
    case: &Case<'_, T>,
    judged: Option<(u64, &Entitled)>,
    direction: Direction,
) -> Judgement {
    let Case { packet, tables, session, now, .. } = *case;
    let app = judged.map_or_else(|| flow.app_word(), |(_, entitled)| entitled.app_word());
    let budget = judged.map(|(_, entitled)| entitled.budget);
    let within = limits::lease(tables, app, now)
        .and_then(|()| limits::bandwidth(session, packet, direction, now))
        .and_then(|()| limits::budget(tables, session.token(), app, packet, budget));
    if let Err(reason) = within {
        return refuse(reason, Some(session), app as u32, told(direction));
    }
    let seen = packet.closes(direction);
    if seen != 0 {
        // Two CPUs may each add an end at once and one be lost; the flow then ends by its idle limit instead.
        flow.life.store(mutant::unless(ForgetOtherEnd, flow.life.load(), flow.life.load() & !(Flow::ENDS - 1)) | seen);
    }
    if judged.is_some() || seen != 0 || !Epoch::counts(flow.stamp.load(), case.epoch) {
        hold(flow, &packet.flow, session.token(), || {
            if let Some((policy, entitled)) = judged {
                flow.app.store(app);
                if !mutant::is(KeepOldDeadline) {
                    flow.deadline.store(entitled.deadline.0);
                }
                flow.policy.store(policy);
            }
            remember(flow, session, packet.protocol, case.epoch);
        });
    }
    flow.last_seen.store(now.0);
    session.last_forwarded.store(now.0);
    let carried = flow.carried(direction);
    progress(carried, packet);
    account(carried, packet.length);
    Judgement {
        verdict: Verdict::Forward,
        token: session.token(),
        app: app as u32,
        opened: false,
        answer: Answering::Never,
    }
}

/// What the sender may be told of a packet of an admitted session in this direction: the app is told nothing.
#[inline(always)]
fn told(direction: Direction) -> Answering {
    match direction {
        Direction::ToApp => Answering::WhereRejecting,
        Direction::ToClient => Answering::Never,
    }
}

/// Remembers how far the sender of a TCP segment has come.
#[inline(always)]
pub(super) fn progress(carried: &Carried, packet: &Packet) {
    if packet.protocol == Packet::TCP && packet.progress != 0 {
        carried.progress.store(packet.progress);
    }
}

/// Counts a packet of so many bytes.
#[inline(always)]
pub(super) fn account(carried: &Carried, length: u16) {
    carried.packets.add(1);
    carried.bytes.add(length.into());
}
