//! The packet law: the one function per direction that decides what becomes of a packet.
//!
//! INVARIANT: nothing is forwarded to an app without a live session and a grant that was in force when the packet was
//! judged. A flow is a memory of that judgement: it counts only under the same session and the same policy word.
//!
//! The flow is looked up before the gateway's own services although the services come first in the order of
//! judgement: no flow is ever opened toward one of the gateway's addresses, so both orders give the same verdict and
//! this one is the shorter for a packet in the middle of a connection.

mod entitlement;
pub mod established;
mod flow;

use crate::abi::{Flow, FlowKey, Interface, ServiceKey, Session, SessionKey, VlanKey, place};
use crate::mutant::{self, Mutant::*};
use crate::packet::{Parsed, Part, link, network};
use crate::{
    Address, Answering, Direction, DropReason, Frame, Judgement, KernelNanos, Packet, Tables, Verdict, fragments,
    limits,
};
use entitlement::{Refused, Side, entitle};
use flow::{account, forward, open, own, speaks_for};

/// Judges a frame that arrives on a guarded interface. `packet` receives what was understood of it.
#[inline(always)]
pub fn ingress<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &mut Packet,
    tables: &T,
    interface: u32,
    now: KernelNanos,
) -> Judgement {
    match established::to_app(frame, packet, tables, interface, now) {
        Ok(found) => found.judgement(),
        Err(_) => whole_ingress(frame, packet, tables, interface, now),
    }
}

/// The same, all the way: for a packet that [`established`] has nothing to say of.
#[inline(always)]
pub fn whole_ingress<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &mut Packet,
    tables: &T,
    interface: u32,
    now: KernelNanos,
) -> Judgement {
    packet.clear();
    match read(frame, packet, tables, interface, Direction::ToApp) {
        Err(reason) => Judgement::of(Verdict::Drop(reason)),
        Ok(Parsed::Neighbour) => Judgement::of(neighbour(packet, tables, interface, now)),
        Ok(Parsed::Packet) => {
            if packet.part == Part::Later
                && let Err(reason) = fragments::recall(tables, packet, Direction::ToApp, now)
            {
                return Judgement::of(Verdict::Drop(reason));
            }
            let judgement = to_app(packet, tables, interface, now);
            if packet.part != Part::Whole
                && (judgement.verdict == Verdict::Forward || mutant::is(RememberDroppedFragments))
            {
                fragments::remember(tables, packet, Direction::ToApp, now);
            }
            judgement
        }
    }
}

/// Judges a frame that is about to leave through a guarded interface. `packet` receives what was understood of it.
#[inline(always)]
pub fn egress<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &mut Packet,
    tables: &T,
    interface: u32,
    now: KernelNanos,
) -> Judgement {
    match established::to_client(frame, packet, tables, interface, now) {
        Ok(found) => found.judgement(),
        Err(_) => whole_egress(frame, packet, tables, interface, now),
    }
}

/// The same, all the way: for a packet that [`established`] has nothing to say of.
#[inline(always)]
pub fn whole_egress<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &mut Packet,
    tables: &T,
    interface: u32,
    now: KernelNanos,
) -> Judgement {
    packet.clear();
    match read(frame, packet, tables, interface, Direction::ToClient) {
        Err(reason) => Judgement::of(Verdict::Drop(reason)),
        Ok(Parsed::Neighbour) => Judgement::of(Verdict::Forward),
        Ok(Parsed::Packet) => {
            if packet.part == Part::Later
                && let Err(reason) = fragments::recall(tables, packet, Direction::ToClient, now)
            {
                return Judgement::of(Verdict::Drop(reason));
            }
            let judgement = to_client(packet, tables, now);
            if packet.part != Part::Whole && judgement.verdict == Verdict::Forward {
                fragments::remember(tables, packet, Direction::ToClient, now);
            }
            judgement
        }
    }
}

/// Reads a frame as its interface, or the VLAN on it, admits.
///
/// A function of its own in the kernel: the verifier then forgets the ways through the headers before it looks at the
/// ways through the law, instead of multiplying them.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
fn read<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &mut Packet,
    tables: &T,
    interface: u32,
    direction: Direction,
) -> Result<Parsed, DropReason> {
    packet.guard = Interface { slot: const { Interface::LIMIT - 1 }, ..Interface::default() };
    packet.guard = tables.interface(interface).ok_or(DropReason::InterfaceUnknown)?;
    packet.mark = frame.mark();
    let link = link(frame, packet.guard.has_link_layer(), packet)?;
    if !packet.vlan.is_none() && !mutant::is(JudgeVlansAsUntagged) {
        let key = VlanKey { interface, vlan: packet.vlan };
        packet.guard = *tables.vlan(&key).ok_or(DropReason::VlanUnknown)?;
    }
    network(frame, &link, direction, packet)
}

/// Judges address resolution from a client.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
fn neighbour<T: Tables>(packet: &Packet, tables: &T, interface: u32, now: KernelNanos) -> Verdict {
    let claim = &packet.claim;
    if claim.is_made && !mutant::is(BelieveClaims) {
        let is_own = !mutant::is(ClaimGatewaysAddress) && tables.service(&ServiceKey::own(claim.address)).is_some();
        let claimed = SessionKey::new(packet.guard.zone, claim.address);
        let session = tables.session(&claimed).filter(|session| session.belongs_to(&claimed));
        let mac = mutant::unless(ClaimByFrame, claim.mac, packet.mac);
        let is_elsewhere = match session {
            Some(session) if is_in_force(session, now) => !is_bound(session, mac, &packet.guard, interface),
            _ => false,
        };
        if is_own || is_elsewhere {
            return Verdict::Drop(DropReason::NeighbourSpoofed);
        }
    }
    let has_link_layer = !mutant::is(NeighbourRateByAddress) && packet.guard.has_link_layer();
    let source = if has_link_layer { limits::hardware(packet.mac) } else { limits::origin(packet.source) };
    to_host(tables, packet.guard.zone, source, now)
}

/// For the gateway itself, within the rate of its source.
#[inline(always)]
fn to_host<T: Tables>(tables: &T, zone: u32, source: Address, now: KernelNanos) -> Verdict {
    match limits::source(tables, zone, source, tables.exactly(now)) {
        Ok(()) => Verdict::ToHost,
        Err(reason) => Verdict::Drop(reason),
    }
}

#[inline(always)]
fn to_app<T: Tables>(packet: &mut Packet, tables: &T, interface: u32, now: KernelNanos) -> Judgement {
    // Before anything that may be taken away is looked at.
    let epoch = tables.epoch();
    let source = SessionKey::new(packet.guard.zone, packet.source);
    let session = tables.session(&source).filter(|session| session.belongs_to(&source));
    let is_bound = session.is_some_and(|session| is_bound(session, packet.mac, &packet.guard, interface));
    let admitted = match admit(session, now) {
        Ok(_) if !is_bound => Err(DropReason::SourceSpoofed),
        admitted => admitted,
    };
    if packet.is_icmp_error() {
        return match admitted {
            Ok(session) => related(packet, tables, session, Direction::ToApp, now),
            Err(reason) => refuse(reason, session, 0, Answering::Never),
        };
    }
    packet.flow = FlowKey::to_app(packet.guard.zone, packet);
    let packet = &*packet;
    // Without a session no flow matters, and looking for one would cost what whoever floods pays for.
    let flow = if admitted.is_ok() { tables.flow(&packet.flow) } else { None };
    if let (Ok(session), Some(flow)) = (admitted, &flow)
        && speaks_for(flow, session, packet.protocol, now)
        && packet.continues(flow, Direction::ToApp)
    {
        let case = Case { packet, tables, session, now, epoch };
        return forward(flow, &case, None, Direction::ToApp);
    }
    if let Some(verdict) = to_gateway(packet, tables, now) {
        return Judgement::of(verdict);
    }
    match admitted {
        Ok(session) => judge(&Case { packet, tables, session, now, epoch }, flow),
        Err(reason) => {
            let is_told = mutant::is(AnswerStrangers) || is_bound;
            refuse(reason, session, 0, if is_told { Answering::WhereRejecting } else { Answering::Never })
        }
    }
}

/// Whether the daemon ends a connection by this. Packets that pass through have no mark, but what an administrator gives
/// them; those of the daemon are random.
#[inline(always)]
fn is_own_reset<T: Tables>(packet: &Packet, tables: &T) -> bool {
    packet.mark != 0
        && packet.protocol == Packet::TCP
        && packet.detail & Packet::RST != 0
        && packet.mark == tables.settings().reset_mark
}

/// A packet of an admitted session.
struct Case<'c, T> {
    packet: &'c Packet,
    tables: &'c T,
    session: &'c Session,
    now: KernelNanos,
    /// That in which the session was looked up.
    epoch: u64,
}

/// Judges a packet of an admitted session that no flow speaks for, and opens or renews its flow.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
fn judge<'t, T: Tables>(case: &Case<'t, T>, flow: Option<T::Ref<'t, Flow>>) -> Judgement {
    let Case { packet, tables, session, now, .. } = *case;
    let flow = flow.filter(|flow| own(flow, session, packet, Direction::ToApp, now));
    if packet.is_echo_reply() && flow.is_none() && !mutant::is(AcceptReplyToNothing) {
        return refuse(DropReason::IcmpType, Some(session), 0, Answering::WhereRejecting);
    }
    let acts = mutant::is(ActWhereObserving) || !packet.guard.has(Interface::OBSERVE);
    if limits::scans(&session.limits, session.token(), packet, now) {
        if acts && !mutant::is(ScanWithoutQuarantine) {
            session.quarantined_until.store(now.after(tables.settings().quarantine).0);
            tables.begin_epoch();
        }
        return refuse(DropReason::ScanDetected, Some(session), 0, Answering::WhereRejecting);
    }
    let policy = session.policy();
    let entitled = match entitle(case, policy, Side::of(flow.as_deref())) {
        Ok(entitled) => entitled,
        Err(Refused { reason, app, is_told }) => {
            if reason == DropReason::TripWire && acts && !mutant::is(TripWireDoesNotRevoke) {
                session.state.store(Session::REVOKED);
                tables.begin_epoch();
            }
            let told = if is_told { Answering::Always } else { Answering::WhereRejecting };
            return refuse(reason, Some(session), app, told);
        }
    };
    if let Some(flow) = &flow {
        return forward(flow, case, Some((policy, &entitled)), Direction::ToApp);
    }
    open(case, policy, &entitled, Direction::ToApp)
}

#[inline(always)]
fn to_client<T: Tables>(packet: &mut Packet, tables: &T, now: KernelNanos) -> Judgement {
    let epoch = tables.epoch();
    let client = SessionKey::new(packet.guard.zone, packet.destination);
    let session = tables.session(&client).filter(|session| session.belongs_to(&client));
    let admitted = admit(session, now);
    if packet.is_icmp_error() {
        return match admitted {
            Ok(session) => related(packet, tables, session, Direction::ToClient, now),
            Err(reason) => refuse(reason, session, 0, Answering::Never),
        };
    }
    packet.flow = FlowKey::to_client(packet.guard.zone, packet);
    let packet = &*packet;
    let flow = if admitted.is_ok() { tables.flow(&packet.flow) } else { None };
    if let (Ok(session), Some(flow)) = (admitted, &flow)
        && speaks_for(flow, session, packet.protocol, now)
        && packet.continues(flow, Direction::ToClient)
    {
        let case = Case { packet, tables, session, now, epoch };
        return forward(flow, &case, None, Direction::ToClient);
    }
    if tables.service(&ServiceKey::new(packet.source, packet.protocol, packet.source_port)).is_some() {
        return Judgement::of(Verdict::Forward);
    }
    if is_own_reset(packet, tables) {
        return Judgement::of(Verdict::Forward);
    }
    let session = match admitted {
        Ok(session) => session,
        Err(reason) => return refuse(reason, session, 0, Answering::Never),
    };
    judge_to_client(&Case { packet, tables, session, now, epoch }, flow)
}

/// Judges a packet toward an admitted session's client that no flow speaks for: an answer to what an earlier policy
/// permitted, or something that an app opens because a grant lets it.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
fn judge_to_client<'t, T: Tables>(case: &Case<'t, T>, flow: Option<T::Ref<'t, Flow>>) -> Judgement {
    let Case { packet, tables, session, now, .. } = *case;
    let policy = session.policy();
    let flow = flow.filter(|flow| own(flow, session, packet, Direction::ToClient, now));
    if flow.is_none() && !packet.may_open_to_client() && !mutant::is(AppOpensWithAnything) {
        return refuse(DropReason::NoFlow, Some(session), 0, Answering::Never);
    }
    // No flow leads to an address of the gateway, whatever apps are said to be there.
    let may_be_own = !mutant::is(GatewayOpens);
    if flow.is_none() && may_be_own && tables.service(&ServiceKey::own(packet.source)).is_some() {
        return refuse(DropReason::NoFlow, Some(session), 0, Answering::Never);
    }
    let side = flow.as_deref().map_or(Side::Opens, |flow| Side::of(Some(flow)));
    match (entitle(case, policy, side), &flow) {
        (Ok(entitled), Some(flow)) => forward(flow, case, Some((policy, &entitled)), Direction::ToClient),
        (Ok(entitled), None) => open(case, policy, &entitled, Direction::ToClient),
        (Err(Refused { reason, app, .. }), Some(_)) => refuse(reason, Some(session), app, Answering::Never),
        (Err(_), None) => refuse(DropReason::NoFlow, Some(session), 0, Answering::Never),
    }
}

/// Judges an ICMP error from or to an admitted session: it passes if it is about a live flow of the session, which counts
/// it and lives no longer for it. Path MTU discovery and traceroute depend on it.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
fn related<T: Tables>(
    packet: &Packet,
    tables: &T,
    session: &Session,
    direction: Direction,
    now: KernelNanos,
) -> Judgement {
    // It must be about something that was on its way in the other direction; from the client, to that client.
    let zone = packet.guard.zone;
    let (key, about, is_own) = match direction {
        Direction::ToClient => (FlowKey::of_error_to_client(zone, packet), Direction::ToApp, true),
        Direction::ToApp => {
            let is_own = packet.quoted_destination == packet.source;
            (FlowKey::of_error_to_app(zone, packet), Direction::ToClient, is_own)
        }
    };
    match tables.flow(&key) {
        Some(flow)
            if is_own
                && (speaks_for(&flow, session, key.protocol, now) || mutant::is(ErrorAboutDeadFlow))
                && (limits::lease(tables, flow.app_word(), now).is_ok() || mutant::is(ErrorWithoutLease))
                && packet.quotes_packet_to(about, &flow) =>
        {
            session.last_forwarded.store(now.0);
            account(flow.carried(direction), packet.length);
            let app = flow.app.load() as u32;
            Judgement {
                verdict: Verdict::Forward,
                token: session.token(),
                app,
                opened: false,
                answer: Answering::Never,
            }
        }
        _ => refuse(DropReason::IcmpUnrelated, Some(session), 0, Answering::Never),
    }
}

/// Whether the session behind a slot may pass traffic at all.
#[inline(always)]
fn admit(session: Option<&Session>, now: KernelNanos) -> Result<&Session, DropReason> {
    let session = session.ok_or(DropReason::NoSession)?;
    match session.state.load() {
        Session::LIVE if KernelNanos(session.deadline.load()).has_passed(now) && !mutant::is(IgnoreExpiry) => {
            Err(DropReason::SessionExpired)
        }
        Session::LIVE
            if !KernelNanos(session.quarantined_until.load()).has_passed(now) && !mutant::is(IgnoreQuarantine) =>
        {
            Err(DropReason::SessionQuarantined)
        }
        Session::LIVE => Ok(session),
        Session::REVOKED if mutant::is(ForgetRevocation) => Ok(session),
        Session::REVOKED => Err(DropReason::SessionRevoked),
        Session::EXPIRED => Err(DropReason::SessionExpired),
        _ => Err(DropReason::NoSession),
    }
}

/// Whether the session is somebody's now, in quarantine or not.
#[inline(always)]
fn is_in_force(session: &Session, now: KernelNanos) -> bool {
    session.state.load() == Session::LIVE
        && (mutant::is(HonourDeadClaims) || !KernelNanos(session.deadline.load()).has_passed(now))
}

/// Whether a packet with this hardware address comes from where the session lives.
#[inline(always)]
fn is_bound(session: &Session, mac: [u8; 6], guard: &Interface, interface: u32) -> bool {
    let binding = session.binding.load();
    let mac_matters = binding & Session::MAC_BOUND != 0 && guard.has_link_layer();
    let is_bound_mac = binding & !Session::METERED == Session::binding_to(mac);
    (mutant::is(SkipInterfaceBinding) || session.place.load() == place(guard.zone, interface))
        && (mutant::is(SkipMacBinding) || !mac_matters || is_bound_mac)
}

/// A packet for the gateway itself: one of its services, or none.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
fn to_gateway<T: Tables>(packet: &Packet, tables: &T, now: KernelNanos) -> Option<Verdict> {
    let service = ServiceKey::new(packet.destination, packet.protocol, packet.destination_port);
    let flags = tables.service(&service);
    if flags.is_none() {
        tables.service(&ServiceKey::own(packet.destination)).filter(|_| !mutant::is(OpenOwnAddresses))?;
    }
    if tables.service(&ServiceKey::own(packet.source)).is_some() && !mutant::is(AcceptOwnSource) {
        return Some(Verdict::Drop(DropReason::SourceInvalid));
    }
    let flags = flags.unwrap_or(0);
    let is_management = |source| mutant::is(OpenManagement) || tables.is_management(source);
    Some(if flags & ServiceKey::MANAGEMENT != 0 && is_management(&packet.source) {
        Verdict::ToHost
    } else if flags & ServiceKey::OPEN == 0 {
        Verdict::Drop(DropReason::OwnAddress)
    } else {
        to_host(tables, packet.guard.zone, limits::origin(packet.source), now)
    })
}

/// A drop of a packet of that session, if there is one. `told` is what its sender may be told if the reason is one that
/// is answered: nothing, if it does not come from where the session lives.
#[inline(always)]
fn refuse(reason: DropReason, session: Option<&Session>, app: u32, told: Answering) -> Judgement {
    let token = session.map_or(0, |session| {
        session.dropped.add(1);
        session.token()
    });
    let answer = if mutant::is(AnswerEveryDrop) || reason.is_answered() { told } else { Answering::Never };
    Judgement { verdict: Verdict::Drop(reason), token, app, opened: false, answer }
}
