//! The short way through the law, for what most packets are: one in the middle of a TCP connection, or of an exchange
//! over UDP, that was judged before.
//!
//! Whatever this lets through, the whole law would let through, with the same effects; of everything else it says nothing,
//! and the whole law judges. It can be short because a flow remembers, beside the verdict, the **epoch** in which it was
//! reached: a number that grows after everything that may take access away. In the same epoch the session is as it was:
//! live, bound to the same place, under the same policy, and without limits that count packets. So the session need not
//! be looked at; what remains is the time, which stands in the flow, and the packet itself.
//!
//! Beside that a flow may remember its way, so that the routes need not be asked: in the very same epoch, and as long as
//! somebody watches them. See [`crate::forward`].
//!
//! The oracle of the tests knows nothing of this: it compares each verdict, and all that packets leave in the tables.

use crate::abi::{Epoch, Flow, FlowKey, Interface, Session, SessionKey, Vlan};
use crate::forward::Kept;
use crate::mutant::{self, Mutant::*};
use crate::packet::{Link, Part, SHORTEST_FRAME};
use crate::{Address, Answering, Direction, Frame, Judgement, KernelNanos, Packet, Tables, Verdict};
use core::ops::Deref;

/// Offset of the IP header.
const NETWORK: usize = 14;
/// Length of an IPv4 header without options.
const IPV4: usize = 20;
/// Length of an IPv6 header.
const IPV6: usize = 40;
/// IPv4, with a header of 20 bytes.
const PLAIN_IPV4: u8 = 0x45;
/// Flags and offset of a fragment, and the reserved flag; not "don't fragment".
const NOT_PLAIN: u16 = 0xbfff;
/// TCP flags: a segment in the middle of a connection has the first of these, and none of the others.
const MIDDLE: u8 = Packet::ACK;
const EDGE: u8 = Packet::SYN | Packet::FIN | Packet::RST;

/// The flow of a packet that takes the short way, and what was found in it while it was that flow's.
pub struct Established<R> {
    /// The app's number.
    pub app: u32,
    /// The way on, if the flow remembers it.
    pub way: Kept,
    /// The flow.
    pub flow: R,
    /// Its stamp, its state, and the epoch, as they were; no epoch if nobody watches the routes. The verifier could not
    /// follow a `bool` here, by which the compiler would say whether there is a flow at all.
    stamp: u64,
    state: u64,
    epoch: u64,
}

/// Why the whole law has to judge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsaid {
    /// Nobody at all is at the source of the packet, so no deadline is to be compared.
    Nobody,
    /// The packet is not plain, or no flow of now answers for it.
    Unknown,
}

/// The flow of a packet that a client sends. `packet` receives what was understood.
///
/// # Errors
/// If the whole law has to judge.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub fn to_app<'t, F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &mut Packet,
    tables: &'t T,
    interface: u32,
    now: KernelNanos,
) -> Result<Established<T::Ref<'t, Flow>>, Unsaid> {
    let found = find(frame, packet, tables, Through::Arrived(interface), now)?;
    found.pass(packet, Direction::ToApp, now);
    Ok(found)
}

/// The flow of a packet that is sent to a client. `packet` receives what was understood.
///
/// # Errors
/// If the whole law has to judge.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub fn to_client<'t, F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &mut Packet,
    tables: &'t T,
    interface: u32,
    now: KernelNanos,
) -> Result<Established<T::Ref<'t, Flow>>, Unsaid> {
    let found = find(frame, packet, tables, Through::Leaves(interface), now)?;
    found.pass(packet, Direction::ToClient, now);
    Ok(found)
}

/// The same, if the flow knows its way to the client, in whatever zone that is. The packet has not passed until
/// [`Established::pass`] says so, and its guard is not known.
///
/// # Errors
/// If the way has to be asked for first.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub fn reply<'t, F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &mut Packet,
    tables: &'t T,
    now: KernelNanos,
) -> Result<Established<T::Ref<'t, Flow>>, Unsaid> {
    let found = find(frame, packet, tables, Through::Whatever, now)?;
    if found.way.is_none() { Err(Unsaid::Unknown) } else { Ok(found) }
}

/// Through which guarded interface a packet goes.
#[derive(Clone, Copy)]
enum Through {
    /// It has arrived through this one, from a client.
    Arrived(u32),
    /// It leaves through this one, to a client.
    Leaves(u32),
    /// It leaves through one that is not known, to a client.
    Whatever,
}

#[inline(always)]
fn find<'t, F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &mut Packet,
    tables: &'t T,
    through: Through,
    now: KernelNanos,
) -> Result<Established<T::Ref<'t, Flow>>, Unsaid> {
    let guard = match through {
        Through::Arrived(interface) | Through::Leaves(interface) => {
            tables.interface(interface).filter(Interface::has_link_layer).ok_or(Unsaid::Unknown)?
        }
        Through::Whatever => Interface::default(),
    };
    // Before anything that may be taken away is looked at.
    let epoch = tables.epoch();
    let Network { source, destination, protocol, header, length } = network(frame).ok_or(Unsaid::Unknown)?;
    if matches!(through, Through::Arrived(_)) && tables.is_nobody(&SessionKey::new(guard.zone, source)) {
        return Err(Unsaid::Nobody);
    }
    let (ports, progress) = transport(frame, header, protocol, length).ok_or(Unsaid::Unknown)?;
    let [source_port, destination_port] = ports;
    let key = match through {
        Through::Arrived(_) => FlowKey::new(source, destination, ports, guard.zone, protocol),
        Through::Leaves(_) | Through::Whatever => {
            FlowKey::new(destination, source, [destination_port, source_port], guard.zone, protocol)
        }
    };
    let flow = match through {
        Through::Arrived(_) | Through::Leaves(_) => tables.flow_and_state(&key),
        Through::Whatever => tables.flow_in_any_zone(&key),
    };
    let (flow, state) = flow.ok_or(Unsaid::Unknown)?;
    let stamp = flow.stamp.load();
    let (direction, is_from_there) = match through {
        Through::Arrived(interface) => (Direction::ToApp, is_bound(&flow, frame, interface).ok_or(Unsaid::Unknown)?),
        Through::Leaves(_) | Through::Whatever => (Direction::ToClient, true),
    };
    let zone = if matches!(through, Through::Whatever) { flow.zone() } else { guard.zone };
    // A flow that takes the short way is not over.
    if !Epoch::counts(stamp, epoch) && !mutant::is(IgnoreEpoch)
        || KernelNanos(flow.good_until.load()).has_passed(now) && !mutant::is(ShortWayForever)
        || tables.lease_until().has_passed(now) && !mutant::is(ShortWayWithoutLease)
        || !flow.is_fresh_with(0, protocol, now) && !mutant::is(ShortWayIdle)
        || !is_from_there && !mutant::is(ShortWayFromAnywhere)
    {
        return Err(Unsaid::Unknown);
    }
    let is_of_now = stamp == epoch || mutant::is(WayOfAnotherEpoch);
    let is_watched = !tables.watched_until().has_passed(now) || mutant::is(WayUnwatched);
    let way = if is_of_now && is_watched { Kept::from_word(flow.carried(direction).way.load()) } else { Kept::NONE };
    let app = flow.app.load() as u32;
    // The slot may have changed hands since it was found.
    if flow.state.load() != state || flow.stamp.load() != stamp {
        return Err(Unsaid::Unknown);
    }
    packet.guard = Interface { zone, ..guard };
    (packet.source, packet.destination) = (source, destination);
    packet.vlan = Vlan::default();
    packet.length = length as u16;
    packet.protocol = protocol;
    packet.offset = NETWORK as u16;
    packet.part = Part::Whole;
    packet.has_extras = false;
    packet.progress = progress;
    Ok(Established { app, way, flow, stamp, state, epoch: if is_watched { epoch } else { 0 } })
}

impl<R: Deref<Target = Flow>> Established<R> {
    /// That a packet passes.
    pub fn judgement(&self) -> Judgement {
        let token = self.flow.token.load();
        Judgement { verdict: Verdict::Forward, token, app: self.app, opened: false, answer: Answering::Never }
    }

    /// What a packet that passes leaves in its flow.
    #[inline(always)]
    pub fn pass(&self, packet: &Packet, direction: Direction, now: KernelNanos) {
        let (flow, carried) = (&self.flow, self.flow.carried(direction));
        if flow.last_seen.load() < now.0 {
            // Once a tick is as often as the time changes.
            flow.last_seen.store(now.0);
        }
        super::flow::progress(carried, packet);
        // Not atomic: an atomic addition waits for its cache line, and lets no later packet begin before. Network cards
        // give all packets of a connection to one CPU; where they do not, one of two counts of the same instant is lost.
        carried.packets.store(carried.packets.load().wrapping_add(1));
        carried.bytes.store(carried.bytes.load().wrapping_add(packet.length.into()));
    }

    /// Has the flow remember its way, which was asked for after this was found: unless nobody watches the routes, somebody
    /// else writes it now, or its slot has changed hands. Of the other way it knows only what is of this epoch, too.
    #[inline(always)]
    pub fn keep(&self, way: Kept, direction: Direction) {
        let Self { flow, stamp, state, epoch, .. } = self;
        if way.is_none() || !Epoch::counts(*stamp, *epoch) || !flow.stamp.swap_if(*stamp, Flow::HELD) {
            return;
        }
        // While it is held, its slot cannot change hands.
        if flow.state.load() != *state && !mutant::is(KeepWayInAnySlot) {
            flow.stamp.store(*stamp);
            return;
        }
        if stamp != epoch && !mutant::is(KeepOldWay) {
            let other = match direction {
                Direction::ToApp => &flow.to_client,
                Direction::ToClient => &flow.to_app,
            };
            other.way.store(0);
        }
        flow.carried(direction).way.store(way.word());
        flow.stamp.store(*epoch);
    }
}

/// What is read of the network layer.
struct Network {
    source: Address,
    destination: Address,
    protocol: u8,
    /// Length of its header.
    header: usize,
    /// Length of the packet.
    length: usize,
}

/// Reads the link and the network layer, if there is nothing special about them.
#[inline(always)]
fn network<F: Frame + ?Sized>(frame: &F) -> Option<Network> {
    let [to, _] = frame.half(0)?.to_ne_bytes();
    let is_tagged = frame.removed_tag().is_some() && !mutant::is(ShortWayTagged);
    if is_tagged || to & 1 != 0 && !mutant::is(ShortWayGroup) {
        return None;
    }
    let read = match u16::from_be(frame.half(12)?) {
        Link::IPV4 => ipv4(frame)?,
        Link::IPV6 => ipv6(frame)?,
        _ => return None,
    };
    let available = frame.length().wrapping_sub(NETWORK);
    let is_padding = available <= const { SHORTEST_FRAME - NETWORK };
    if read.length > available || read.length != available && !is_padding && !mutant::is(ShortWayTrailing) {
        return None;
    }
    Some(read)
}

#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F) -> Option<Network> {
    let [version, _, l0, l1, _, _, f0, f1] = frame.double(NETWORK)?.to_ne_bytes();
    let [_, protocol, _, _, s0, s1, s2, s3] = frame.double(const { NETWORK + 8 })?.to_ne_bytes();
    let (source, destination) = (u32::from_ne_bytes([s0, s1, s2, s3]), frame.word(const { NETWORK + 16 })?);
    let fragment = u16::from_be_bytes([f0, f1]);
    if version != PLAIN_IPV4 || fragment & NOT_PLAIN != 0 && !mutant::is(ShortWayFragments) {
        return None;
    }
    let length = u16::from_be_bytes([l0, l1]).into();
    let (source, destination) = (Address::v4_word(source), Address::v4_word(destination));
    Some(Network { source, destination, protocol, header: IPV4, length })
}

#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F) -> Option<Network> {
    let source = [frame.double(const { NETWORK + 8 })?, frame.double(const { NETWORK + 16 })?];
    let destination = [frame.double(const { NETWORK + 24 })?, frame.double(const { NETWORK + 32 })?];
    let (source, destination) = (Address::from_words(source), Address::from_words(destination));
    let [version, _, _, _, l0, l1, protocol, _] = frame.double(NETWORK)?.to_ne_bytes();
    // An IPv4 address in mapped form would be taken for the IPv4 host of that address.
    let is_mapped = (source.is_mapped() || destination.is_mapped()) && !mutant::is(ShortWayMapped);
    let length = usize::from(u16::from_be_bytes([l0, l1])).wrapping_add(IPV6);
    if version >> 4 != 6 || is_mapped || length > 0xffff {
        return None;
    }
    Some(Network { source, destination, protocol, header: IPV6, length })
}

/// Reads the transport layer, if the packet is from the middle of a connection: the ports in memory order, source first,
/// and how far a TCP segment has come.
#[inline(always)]
fn transport<F: Frame + ?Sized>(frame: &F, header: usize, protocol: u8, length: usize) -> Option<([u16; 2], u64)> {
    let at = NETWORK.wrapping_add(header);
    let available = length.checked_sub(header)?;
    let [s0, s1, d0, d1] = frame.word(at)?.to_ne_bytes();
    let ports = [u16::from_ne_bytes([s0, s1]), u16::from_ne_bytes([d0, d1])];
    match protocol {
        Packet::TCP => {
            let [sequence @ .., a0, a1, a2, a3] = frame.double(at.wrapping_add(4))?.to_ne_bytes();
            let [words, flags] = frame.half(at.wrapping_add(12))?.to_ne_bytes();
            let header = usize::from(words >> 4) << 2;
            let edge = mutant::unless(ShortWayEdge, EDGE, Packet::SYN);
            if flags & (MIDDLE | edge) != MIDDLE || header < 20 || header > available {
                return None;
            }
            let after = u32::from_be_bytes(sequence).wrapping_add(available.wrapping_sub(header) as u32);
            Some((ports, u64::from(after) << 32 | u64::from(u32::from_be_bytes([a0, a1, a2, a3]))))
        }
        Packet::UDP => {
            let stated = u16::from_be(frame.half(at.wrapping_add(4))?);
            let is_wrong = usize::from(stated) != available || available < 8;
            if is_wrong && !mutant::is(ShortWayUdpLength) || ports[1] == 0 {
                return None;
            }
            Some((ports, 0))
        }
        _ => None,
    }
}

/// Whether the frame comes from where the flow's session is bound to.
#[inline(always)]
fn is_bound<F: Frame + ?Sized>(flow: &Flow, frame: &F, interface: u32) -> Option<bool> {
    let origin = flow.origin.load();
    let (high, low) = (u16::from_be(frame.half(6)?), u32::from_be(frame.word(8)?));
    let mac = Session::MAC_BOUND | u64::from(high) << 32 | u64::from(low);
    let is_there = flow.app.load() >> Flow::INTERFACE == interface.into();
    Some(is_there && (origin == 0 || origin == mac))
}

/// Writes what a judgement says of a flow, new or old, and lets the flow take the short way from now on, if it can. The
/// caller holds the flow: see [`hold`].
#[inline(always)]
pub(super) fn remember(flow: &Flow, session: &Session, protocol: u8, epoch: u64) {
    let is_short = matches!(protocol, Packet::TCP | Packet::UDP)
        && (!session.is_metered() || mutant::is(ShortWayUnmetered))
        && (flow.app.load() & Flow::BUDGETED == 0 || mutant::is(ShortWayUncounted))
        && (!Flow::is_over(flow.ends()) || mutant::is(ShortWayClosed));
    if !is_short {
        flow.stamp.store(0);
        return;
    }
    let binding = session.binding.load();
    let is_mac_bound = binding & Session::MAC_BOUND != 0;
    flow.origin.store(if is_mac_bound { binding & !Session::METERED } else { 0 });
    flow.app.store(flow.app_word() | session.place.load() << Flow::INTERFACE);
    flow.to_app.way.store(0);
    flow.to_client.way.store(0);
    flow.good_until.store(session.deadline.load().min(flow.deadline.load()));
    flow.stamp.store(epoch);
}

/// Does something with a flow that nobody else may write meanwhile, if it is still that of `key` and `token`. Of two CPUs
/// that want to, one does not: its packet has passed anyway, and the next one is judged again.
#[inline(always)]
pub(super) fn hold(flow: &Flow, key: &FlowKey, token: u64, write: impl FnOnce()) {
    let seen = flow.stamp.load();
    if seen == Flow::HELD || !flow.stamp.swap_if(seen, Flow::HELD) {
        return;
    }
    // While it is held, its slot cannot change hands.
    if flow.has_key(key.words()) && flow.token.load() == token {
        write();
    } else {
        flow.stamp.store(seen);
    }
}
