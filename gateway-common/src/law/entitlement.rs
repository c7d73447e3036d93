//! What the policy in force for a session says about an app.

use super::Case;
use crate::abi::{AppEntry, AppKey, Flow, FlowKey, Grant, GrantKey, Session, allow_list, app_set};
use crate::mutant::{self, Mutant::*};
use crate::{DropReason, KernelNanos, Tables};

/// An app that a session may exchange packets with, until when and how much.
pub(super) struct Entitled {
    /// The app.
    pub entry: AppEntry,
    pub deadline: KernelNanos,
    /// In bytes; `u64::MAX` for as much as it likes.
    pub budget: u64,
}

impl Entitled {
    #[inline(always)]
    pub(super) const fn app(&self) -> u32 {
        self.entry.app()
    }

    /// The app as a flow remembers it.
    #[inline(always)]
    pub(super) fn app_word(&self) -> u64 {
        let budgeted = if self.budget == u64::MAX || mutant::is(ForgetBudgets) { 0 } else { Flow::BUDGETED };
        let outlasts = if self.entry.outlasts() { Flow::OUTLASTS } else { 0 };
        self.app() as u64 | budgeted | outlasts
    }
}

/// Why a session may not, and the app if there is one.
pub(super) struct Refused {
    pub reason: DropReason,
    pub app: u32,
    /// Whether a policy wants the client to be told, wherever it is.
    pub is_told: bool,
}

impl Refused {
    #[inline(always)]
    const fn because(reason: DropReason, app: u32) -> Self {
        Self { reason, app, is_told: false }
    }
}

/// Who opens, or has opened, the flow.
#[derive(Clone, Copy)]
pub(super) enum Side {
    /// The client, to a service of the app.
    Service,
    /// The app, to a port of the client.
    Opens,
}

impl Side {
    /// The side that opened a flow; the client's if there is none yet.
    #[inline(always)]
    pub(super) fn of(flow: Option<&Flow>) -> Self {
        match flow {
            Some(flow) if flow.is_by_app() && !mutant::is(JudgeAppFlowsAsService) => Self::Opens,
            _ => Self::Service,
        }
    }
}

/// What the policy says about the connection that `key` names.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub(super) fn entitle<T: Tables>(case: &Case<'_, T>, policy: u64, side: Side) -> Result<Entitled, Refused> {
    let Case { packet, tables, session, now, .. } = *case;
    let entry =
        app_at(tables, app_set(policy), &packet.flow, side).ok_or(Refused::because(DropReason::AppUnknown, 0))?;
    let app = entry.app();
    if entry.is_trip_wire() && !mutant::is(TripWireIsAnApp) {
        return Err(Refused::because(DropReason::TripWire, app));
    }
    let grant = tables
        .grant(&GrantKey { allow_list: allow_list(policy), app })
        .ok_or(Refused::because(DropReason::NoGrant, app))?;
    if grant.is_refusal() && !mutant::is(RefusalHasExpired) {
        return Err(Refused { is_told: true, ..Refused::because(DropReason::NoGrant, app) });
    }
    if KernelNanos(grant.deadline).has_passed(now) != mutant::is(GrantDeadlineWrongWay) {
        return Err(Refused::because(DropReason::GrantExpired, app));
    }
    let reauthenticate_at = reauthentication_deadline(&grant, session);
    if reauthenticate_at.has_passed(now) && !mutant::is(IgnoreReauthentication) {
        return Err(Refused::because(DropReason::ReauthRequired, app));
    }
    let login_ends = mutant::unless(FlowOutlivesLogin, reauthenticate_at, KernelNanos::NEVER);
    let deadline = KernelNanos(grant.deadline).min(login_ends);
    Ok(Entitled { entry, deadline, budget: grant.budget })
}

#[inline(always)]
fn reauthentication_deadline(grant: &Grant, session: &Session) -> KernelNanos {
    KernelNanos(session.authenticated_at.load()).after(grant.max_authentication_age)
}

/// The app at an address: the block of the most specific prefix, then the port, then any port of the protocol.
#[inline(always)]
fn app_at<T: Tables>(tables: &T, app_set: u32, key: &FlowKey, side: Side) -> Option<AppEntry> {
    let block = tables.block(app_set, &key.app)?;
    let (port, side) = match side {
        Side::Service => (key.app_port, AppKey::SERVICE),
        Side::Opens => (key.client_port, AppKey::OPENS),
    };
    let key = AppKey { block, port, protocol: key.protocol, side };
    match tables.app(&key) {
        None if port != [0; 2] && !mutant::is(SkipAnyPort) => {
            let side = mutant::unless(AnyPortOfService, side, AppKey::SERVICE);
            tables.app(&AppKey { port: [0; 2], side, ..key })
        }
        found => found,
    }
}
