//! The packet law: the one function per direction that decides what becomes of a packet.
//!
//! INVARIANT: nothing is forwarded to an app without a live session and a grant that was in force when the packet was
//! judged. A flow is a memory of that judgement: it counts only under the same session and the same policy word.
//!
//! The flow is looked up before the gateway's own services although the services come first in the order of
//! judgement: no flow is ever opened toward one of the gateway's addresses, so both orders give the same verdict and
//! this one is the shorter for a packet in the middle of a connection.

use crate::abi::{
    AppKey, Flow, FlowKey, Grant, GrantKey, Interface, ServiceKey, Session, SessionKey, Traffic, allow_list, app_set,
    place,
};
use crate::packet::{Parsed, parse};
use crate::{Address, Direction, DropReason, Frame, Judgement, KernelNanos, Packet, Tables, Verdict};

/// Judges a frame that arrives on a guarded interface. `packet` receives what was understood of it.
#[inline(always)]
pub fn ingress<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &mut Packet,
    tables: &T,
    interface: u32,
    now: KernelNanos,
) -> Judgement {
    let Some(guarded) = tables.interface(interface) else {
        return Judgement::of(Verdict::Drop(DropReason::InterfaceUnknown));
    };
    match parse(frame, guarded.has_link_layer(), packet) {
        Err(reason) => Judgement::of(Verdict::Drop(reason)),
        Ok(Parsed::Neighbour) => Judgement::of(Verdict::ToHost),
        Ok(Parsed::FromRouter) => Judgement::of(Verdict::Drop(DropReason::NeighbourInvalid)),
        Ok(Parsed::Packet) => to_app(packet, tables, guarded, interface, now),
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
    let Some(guarded) = tables.interface(interface) else {
        return Judgement::of(Verdict::Drop(DropReason::InterfaceUnknown));
    };
    match parse(frame, guarded.has_link_layer(), packet) {
        Err(reason) => Judgement::of(Verdict::Drop(reason)),
        Ok(Parsed::Neighbour | Parsed::FromRouter) => Judgement::of(Verdict::Forward),
        Ok(Parsed::Packet) => to_client(packet, tables, guarded, now),
    }
}

#[inline(always)]
fn to_app<T: Tables>(packet: &Packet, tables: &T, guarded: &Interface, interface: u32, now: KernelNanos) -> Judgement {
    let source = SessionKey::new(guarded.zone, packet.source);
    let session = tables.session(&source).filter(|session| session.belongs_to(&source));
    let admitted = admit(session, now).and_then(|session| bound(session, packet, guarded, interface));
    if packet.is_icmp_error() {
        let key = FlowKey::of_error_to_app(guarded.zone, packet);
        return related(packet, tables, session, admitted, &key, Direction::ToApp, now);
    }
    let key = FlowKey::to_app(guarded.zone, packet);
    // An echo reply from the client answers nobody: with identifier 0 its flow would look like that of a request.
    let flow = if packet.is_icmp() && !packet.is_echo_request() { None } else { tables.flow(&key) };
    if let (Ok(session), Some(flow)) = (admitted, &flow)
        && continues(flow, session, packet, now)
    {
        return forward(flow, session, packet, Direction::ToApp, now);
    }
    if let Some(judgement) = to_gateway(packet, tables) {
        return judgement;
    }
    match admitted {
        Ok(session) => judge(packet, tables, session, &key, flow, now),
        Err(reason) => refuse(reason, session, 0),
    }
}

/// Judges a packet of an admitted session that no flow speaks for, and opens or renews its flow.
#[inline(always)]
fn judge<'t, T: Tables>(
    packet: &Packet,
    tables: &'t T,
    session: &'t Session,
    key: &FlowKey,
    flow: Option<T::FlowRef<'t>>,
    now: KernelNanos,
) -> Judgement {
    if packet.is_icmp() && !packet.is_echo_request() {
        return refuse(DropReason::IcmpType, Some(session), 0);
    }
    let policy = session.policy();
    let found = entitle(tables, session, policy, packet.destination, packet.protocol, packet.destination_port, now);
    let Entitled { app, deadline } = match found {
        Ok(entitled) => entitled,
        Err(Refused { reason, app }) => return refuse(reason, Some(session), app),
    };
    if let Some(flow) = &flow
        && flow.token == session.token()
        && flow.is_fresh(packet.protocol, now)
        && !reopens(flow, packet)
    {
        renew(flow, policy, app, deadline);
        return forward(flow, session, packet, Direction::ToApp, now);
    }
    if !tables.open_flow(key, |flow| begin(flow, packet, session.token(), policy, app, deadline, now)) {
        return refuse(DropReason::FlowTableFull, Some(session), app);
    }
    account(&session.traffic, packet.length, Direction::ToApp);
    session.last_forwarded.store(now.0);
    Judgement { verdict: Verdict::Forward, token: session.token(), app, opened: true }
}

#[inline(always)]
fn to_client<T: Tables>(packet: &Packet, tables: &T, guarded: &Interface, now: KernelNanos) -> Judgement {
    let client = SessionKey::new(guarded.zone, packet.destination);
    let session = tables.session(&client).filter(|session| session.belongs_to(&client));
    let admitted = admit(session, now);
    if packet.is_icmp_error() {
        let key = FlowKey::of_error_to_client(guarded.zone, packet);
        return related(packet, tables, session, admitted, &key, Direction::ToClient, now);
    }
    // Whatever begins something is not an answer, also on the ports of a flow.
    let begins = packet.is_tcp_opening() || packet.is_echo_request();
    let flow = if begins { None } else { tables.flow(&FlowKey::to_client(guarded.zone, packet)) };
    if let (Ok(session), Some(flow)) = (admitted, &flow)
        && continues(flow, session, packet, now)
    {
        return forward(flow, session, packet, Direction::ToClient, now);
    }
    if tables.service(&ServiceKey::new(packet.source, packet.protocol, packet.source_port)).is_some() {
        return Judgement::of(Verdict::Forward);
    }
    let session = match admitted {
        Ok(session) => session,
        Err(reason) => return refuse(reason, session, 0),
    };
    let Some(flow) = flow.filter(|flow| flow.token == session.token() && flow.is_fresh(packet.protocol, now)) else {
        return refuse(DropReason::NoFlow, Some(session), 0);
    };
    let policy = session.policy();
    match entitle(tables, session, policy, packet.source, packet.protocol, packet.source_port, now) {
        Ok(Entitled { app, deadline }) => {
            renew(&flow, policy, app, deadline);
            forward(&flow, session, packet, Direction::ToClient, now)
        }
        Err(Refused { reason, app }) => refuse(reason, Some(session), app),
    }
}

/// Judges an ICMP error: it passes if it is about a live flow of the session, and leaves that flow as it is. Path MTU
/// discovery and traceroute depend on it.
#[inline(always)]
fn related<T: Tables>(
    packet: &Packet,
    tables: &T,
    session: Option<&Session>,
    admitted: Result<&Session, DropReason>,
    key: &FlowKey,
    direction: Direction,
    now: KernelNanos,
) -> Judgement {
    let live = match admitted {
        Ok(live) => live,
        Err(reason) => return refuse(reason, session, 0),
    };
    // It must be about something that was on its way in the other direction; from the client, to that client.
    let is_own = match direction {
        Direction::ToClient => packet.quotes_packet_to(Direction::ToApp),
        Direction::ToApp => packet.quotes_packet_to(Direction::ToClient) && packet.quoted_destination == packet.source,
    };
    match tables.flow(key) {
        Some(flow) if is_own && speaks_for(&flow, live, key.protocol, now) => {
            live.last_forwarded.store(now.0);
            account(&live.traffic, packet.length, direction);
            let app = flow.app.load() as u32;
            Judgement { verdict: Verdict::Forward, token: flow.token, app, opened: false }
        }
        _ => refuse(DropReason::IcmpUnrelated, session, 0),
    }
}

/// Whether the session behind a slot may pass traffic at all.
#[inline(always)]
fn admit(session: Option<&Session>, now: KernelNanos) -> Result<&Session, DropReason> {
    let session = session.ok_or(DropReason::NoSession)?;
    match session.state.load() {
        Session::LIVE if KernelNanos(session.deadline.load()).has_passed(now) => Err(DropReason::SessionExpired),
        Session::LIVE => Ok(session),
        Session::REVOKED => Err(DropReason::SessionRevoked),
        Session::EXPIRED => Err(DropReason::SessionExpired),
        _ => Err(DropReason::NoSession),
    }
}

/// Whether the packet comes from where the session lives.
#[inline(always)]
fn bound<'s>(
    session: &'s Session,
    packet: &Packet,
    guarded: &Interface,
    interface: u32,
) -> Result<&'s Session, DropReason> {
    let binding = session.binding.load();
    let mac_matters = binding & Session::MAC_BOUND != 0 && guarded.has_link_layer();
    let is_bound_mac = binding == Session::binding_to(packet.mac);
    if session.place.load() != place(guarded.zone, interface) || (mac_matters && !is_bound_mac) {
        return Err(DropReason::SourceSpoofed);
    }
    Ok(session)
}

/// Whether the flow already answers for this packet.
#[inline(always)]
fn continues(flow: &Flow, session: &Session, packet: &Packet, now: KernelNanos) -> bool {
    speaks_for(flow, session, packet.protocol, now) && !reopens(flow, packet)
}

/// Whether the flow is alive, of this session, and judged by the policy in force.
#[inline(always)]
fn speaks_for(flow: &Flow, session: &Session, protocol: u8, now: KernelNanos) -> bool {
    flow.token == session.token()
        && flow.policy.load() == session.policy()
        && !KernelNanos(flow.deadline.load()).has_passed(now)
        && flow.is_fresh(protocol, now)
}

/// Whether the packet begins a new connection on the ports of one that is over.
#[inline(always)]
fn reopens(flow: &Flow, packet: &Packet) -> bool {
    packet.is_tcp_opening() && Flow::is_over(flow.ends.load())
}

/// A packet for the gateway itself: one of its services, or none.
#[inline(always)]
fn to_gateway<T: Tables>(packet: &Packet, tables: &T) -> Option<Judgement> {
    let service = ServiceKey::new(packet.destination, packet.protocol, packet.destination_port);
    if let Some(flags) = tables.service(&service)
        && (flags & ServiceKey::OPEN != 0
            || (flags & ServiceKey::MANAGEMENT != 0 && tables.is_management(&packet.source)))
    {
        return Some(Judgement::of(Verdict::ToHost));
    }
    tables.service(&ServiceKey::own(packet.destination))?;
    Some(Judgement::of(Verdict::Drop(DropReason::OwnAddress)))
}

/// An app that a session may reach, until when.
struct Entitled {
    app: u32,
    deadline: KernelNanos,
}

/// Why a session may not, and the app if there is one.
struct Refused {
    reason: DropReason,
    app: u32,
}

/// What the policy in force for the session says about a destination.
#[inline(always)]
fn entitle<T: Tables>(
    tables: &T,
    session: &Session,
    policy: u64,
    address: Address,
    protocol: u8,
    port: u16,
    now: KernelNanos,
) -> Result<Entitled, Refused> {
    let app = app_at(tables, app_set(policy), address, protocol, port)
        .ok_or(Refused { reason: DropReason::AppUnknown, app: 0 })?;
    let grant = tables
        .grant(&GrantKey { allow_list: allow_list(policy), app })
        .ok_or(Refused { reason: DropReason::NoGrant, app })?;
    if KernelNanos(grant.deadline).has_passed(now) {
        return Err(Refused { reason: DropReason::GrantExpired, app });
    }
    let reauthenticate_at = reauthentication_deadline(grant, session);
    if reauthenticate_at.has_passed(now) {
        return Err(Refused { reason: DropReason::ReauthRequired, app });
    }
    Ok(Entitled { app, deadline: KernelNanos(grant.deadline).min(reauthenticate_at) })
}

#[inline(always)]
fn reauthentication_deadline(grant: &Grant, session: &Session) -> KernelNanos {
    KernelNanos(session.authenticated_at.load()).after(grant.max_authentication_age)
}

/// The app at a destination: the block of the most specific prefix, then the port, then any port of the protocol.
#[inline(always)]
fn app_at<T: Tables>(tables: &T, app_set: u32, address: Address, protocol: u8, port: u16) -> Option<u32> {
    let block = tables.block(app_set, &address)?;
    let key = AppKey { block, port: port.to_be_bytes(), protocol, reserved: 0 };
    match tables.app(&key) {
        None if port != 0 => tables.app(&AppKey { port: [0; 2], ..key }),
        found => found,
    }
}

/// Writes every field of a new flow, whatever was there before.
#[inline(always)]
fn begin(flow: &mut Flow, packet: &Packet, token: u64, policy: u64, app: u32, deadline: KernelNanos, now: KernelNanos) {
    flow.token = token;
    flow.policy.store(policy);
    flow.deadline.store(deadline.0);
    flow.app.store(app.into());
    flow.ends.store(ends(packet, Direction::ToApp));
    flow.opened_at = now.0;
    flow.last_seen.store(now.0);
    flow.traffic.to_app_packets.store(1);
    flow.traffic.to_app_bytes.store(packet.length.into());
    flow.traffic.to_client_packets.store(0);
    flow.traffic.to_client_bytes.store(0);
}

/// Puts a flow that was judged again under the policy that it was judged by.
#[inline(always)]
fn renew(flow: &Flow, policy: u64, app: u32, deadline: KernelNanos) {
    flow.app.store(app.into());
    flow.deadline.store(deadline.0);
    flow.policy.store(policy);
}

#[inline(always)]
fn forward(flow: &Flow, session: &Session, packet: &Packet, direction: Direction, now: KernelNanos) -> Judgement {
    flow.last_seen.store(now.0);
    session.last_forwarded.store(now.0);
    let seen = ends(packet, direction);
    if seen != 0 {
        // Two CPUs may each add an end at once and one be lost; the flow then ends by its idle limit instead.
        flow.ends.store(flow.ends.load() | seen);
    }
    account(&flow.traffic, packet.length, direction);
    account(&session.traffic, packet.length, direction);
    let app = flow.app.load() as u32;
    Judgement { verdict: Verdict::Forward, token: flow.token, app, opened: false }
}

#[inline(always)]
fn ends(packet: &Packet, direction: Direction) -> u64 {
    if packet.protocol != Packet::TCP {
        return 0;
    }
    let fin = match direction {
        Direction::ToApp => Flow::CLIENT_FIN,
        Direction::ToClient => Flow::APP_FIN,
    };
    match (packet.detail & Packet::RST != 0, packet.detail & Packet::FIN != 0) {
        (true, _) => Flow::RESET,
        (false, true) => fin,
        (false, false) => 0,
    }
}

#[inline(always)]
fn account(traffic: &Traffic, length: u16, direction: Direction) {
    let (packets, bytes) = match direction {
        Direction::ToApp => (&traffic.to_app_packets, &traffic.to_app_bytes),
        Direction::ToClient => (&traffic.to_client_packets, &traffic.to_client_bytes),
    };
    packets.add(1);
    bytes.add(length.into());
}

#[inline(always)]
fn refuse(reason: DropReason, session: Option<&Session>, app: u32) -> Judgement {
    let token = session.map_or(0, |session| {
        session.dropped.add(1);
        session.token()
    });
    Judgement { verdict: Verdict::Drop(reason), token, app, opened: false }
}
