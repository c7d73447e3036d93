//! What must be so after every frame, recomputed from the plain lists.

use super::seen::{self, Packet, Seen};
use super::world::{
    GRANTS, GUARDS, Guard, Live, MANAGEMENT, OWN, QUARANTINE, REFUSAL, RESET_MARK, RULES, Rule, SECOND, SERVICES, Way,
    World, address,
};
use gateway_common::abi::{FlowKey, Interface};
use gateway_common::packet::Tag;
use gateway_common::{Address, Answering, DropReason, Judgement, Verdict};
use gateway_userspace::policy::SessionToken;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A frame, and what became of it.
pub struct Passing<'p> {
    pub way: Way,
    pub interface: u32,
    pub frame: &'p [u8],
    pub removed: Option<Tag>,
    pub mark: u32,
    pub judgement: Judgement,
}

/// A flow that a forwarded packet has opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Opened {
    token: u64,
    is_by_app: bool,
}

/// A first fragment that was forwarded, and what was of its packet.
struct Fragments {
    until: u64,
    protocol: u8,
    ports: (u16, u16),
    detail: u8,
    parts: Vec<(usize, usize)>,
}

/// What was seen so far.
#[derive(Default)]
pub struct Watch {
    pub forwarded: usize,
    flows: BTreeMap<FlowKey, Opened>,
    fragments: BTreeMap<(u32, Way, IpAddr, IpAddr, u8, u32), Fragments>,
    /// Bytes of sessions with apps, without ICMP errors.
    bytes: BTreeMap<(u64, u32), u64>,
    quarantined: BTreeMap<u64, u64>,
    /// Tokens of sessions that are over: by the administrator, or by a trip-wire.
    over: BTreeSet<u64>,
}

/// Where a frame is: the interface, the zone of its VLAN, and the sender's hardware address.
struct Here<'h> {
    guard: &'h Guard,
    zone: u32,
    mac: Option<[u8; 6]>,
}

impl Watch {
    pub fn changed(&mut self, over: Option<u64>) {
        self.over.extend(over);
    }

    /// Looks at a frame that was judged.
    pub fn passed(&mut self, passing: &Passing<'_>, world: &World) {
        let Passing { way, judgement, .. } = passing;
        let before: Vec<FlowKey> = self.flows.keys().copied().collect();
        match judgement.verdict {
            Verdict::Drop(reason) => self.dropped(passing, reason, world),
            Verdict::ToHost => self.host(passing),
            Verdict::Forward => self.forward(passing, world),
        }
        if judgement.verdict != Verdict::Forward {
            assert!(!judgement.opened, "{:?} and opened a flow", judgement.verdict);
            assert_eq!(world.plane.flow_keys(), before, "{:?} has left or taken a flow", judgement.verdict);
        }
        assert_eq!(world.plane.flow_keys(), self.flows.keys().copied().collect::<Vec<_>>(), "{way:?}");
    }

    fn dropped(&mut self, passing: &Passing<'_>, reason: DropReason, world: &World) {
        let Passing { way, judgement, .. } = passing;
        let guard = GUARDS.iter().find(|guard| guard.index == passing.interface);
        assert_eq!(guard.is_none(), reason == DropReason::InterfaceUnknown);
        let acts = guard.is_some_and(|guard| guard.flags & Interface::OBSERVE == 0);
        if reason == DropReason::TripWire && *way == Way::In && acts {
            self.over.insert(judgement.token);
        }
        if reason == DropReason::ScanDetected && acts {
            self.quarantined.insert(judgement.token, world.now().0 + QUARANTINE);
        }
        if judgement.answer != Answering::Never {
            assert!(*way == Way::In && reason.is_answered(), "an answer to {reason:?} {way:?}");
            let live = world.sessions.iter().flatten().find(|live| live.token == judgement.token);
            let said = live.map(|live| (live.entry.allow_list.0, judgement.app));
            let is_refused = reason == DropReason::NoGrant && said == Some(REFUSAL);
            assert_eq!(judgement.answer == Answering::Always, is_refused, "{said:?} {reason:?}");
            let (here, seen) = self.look(passing);
            let Seen::Packet(packet) = seen else { panic!("an answer to address resolution") };
            let slot = world.plane.session_slot(SessionToken(judgement.token)).expect("an answer to nobody");
            let is_there = world.sessions.iter().flatten().any(|live| live.token == judgement.token);
            assert!(is_there || self.over.contains(&judgement.token));
            assert_eq!(slot.place.load(), u64::from(here.zone) << 32 | u64::from(here.guard.index));
            assert_eq!(slot.source[0].load(), Address::from(packet.source).words()[0]);
            assert_eq!(slot.source[1].load(), Address::from(packet.source).words()[1]);
        }
    }

    /// To the gateway's own stack goes address resolution, and what is for a service.
    fn host(&self, passing: &Passing<'_>) {
        assert_eq!(passing.way, Way::In, "to the host on the way out");
        let Seen::Packet(packet) = self.look(passing).1 else { return };
        assert!(OWN.map(address).contains(&packet.destination), "{packet:?} is not for the gateway");
        assert!(!OWN.map(address).contains(&packet.source), "{packet:?} says that it is the gateway's");
        let packet = self.whole(passing, packet);
        let is_management = MANAGEMENT.iter().any(|prefix| holds(prefix, packet.source));
        let service = SERVICES.iter().find(|service| (service.0, service.1) == (packet.protocol, packet.ports.1));
        assert!(
            service.is_some_and(|service| service.2 || is_management),
            "{packet:?} is for no service of its source"
        );
    }

    fn forward(&mut self, passing: &Passing<'_>, world: &World) {
        self.forwarded += 1;
        let (here, seen) = self.look(passing);
        let Seen::Packet(packet) = seen else {
            assert_eq!(passing.way, Way::Out, "address resolution of a client goes nowhere");
            return;
        };
        assert_ne!(packet.source, packet.destination);
        let packet = self.whole(passing, packet);
        if passing.way == Way::Out && (is_from_service(passing, &packet) || is_own_reset(passing, &packet)) {
            self.remember(passing, &packet, &here, world);
            return;
        }
        let client = if passing.way == Way::In { packet.source } else { packet.destination };
        let live =
            world.sessions.iter().flatten().find(|live| (live.entry.zone, live.entry.address) == (here.zone, client));
        let live = live.unwrap_or_else(|| panic!("{packet:?} {:?} without a session", passing.way));
        self.may_pass(live, passing, &here, world);
        let app = match &packet.quoted {
            Some(quoted) => self.related(live, passing, quoted, &packet, &here, world),
            None => self.continued(live, passing, &packet, &here, world),
        };
        assert_eq!((passing.judgement.token, passing.judgement.app), (live.token, app), "{packet:?}");
        self.remember(passing, &packet, &here, world);
    }

    /// The session is in force, and a client's packet comes from where it is bound.
    fn may_pass(&self, live: &Live, passing: &Passing<'_>, here: &Here<'_>, world: &World) {
        let now = world.now();
        assert!(!self.over.contains(&live.token), "session {} is over", live.token);
        assert!(live.entry.deadline > now, "session {} has expired", live.token);
        let held = self.quarantined.get(&live.token).copied().unwrap_or_default();
        assert!(held <= now.0, "session {} is in quarantine", live.token);
        if passing.way == Way::In {
            assert_eq!(live.entry.interface, here.guard.index, "session {} is bound elsewhere", live.token);
            let is_other = matches!((here.mac, live.entry.mac), (Some(found), Some(bound)) if found != bound);
            assert!(!is_other, "session {} is bound to another hardware address", live.token);
        }
    }

    /// A packet of a flow, which it may have opened. Returns the app.
    fn continued(
        &mut self,
        live: &Live,
        passing: &Passing<'_>,
        packet: &Packet,
        here: &Here<'_>,
        world: &World,
    ) -> u32 {
        let key = key(passing.way, here.zone, packet);
        if passing.judgement.opened {
            let is_by_app = passing.way == Way::Out;
            assert!(!is_by_app || !OWN.map(address).contains(&packet.source), "the gateway opens nothing");
            assert!(is_by_app || !OWN.map(address).contains(&packet.destination), "a flow to the gateway");
            self.flows.insert(key, Opened { token: live.token, is_by_app });
        }
        let opened = self.flows.get(&key).unwrap_or_else(|| panic!("{packet:?} belongs to no flow"));
        assert_eq!(opened.token, live.token, "{packet:?} belongs to the flow of another session");
        let is_from_opener = (passing.way == Way::Out) == opened.is_by_app;
        let (is_request, is_reply) = packet.echo();
        assert!(!(is_request && !is_from_opener || is_reply && is_from_opener), "{packet:?} {opened:?}");
        let app = entitled(live, &key, opened.is_by_app, world)
            .unwrap_or_else(|| panic!("{packet:?} {:?} without a grant", passing.way));
        if let Some(most) = budget(app) {
            let used = self.bytes.entry((live.token, app)).or_default();
            assert!(*used < most, "{used} bytes of session {} with app {app} were enough", live.token);
            *used += packet.length;
        }
        app
    }

    /// An ICMP error about a packet that went the other way. Returns the app.
    fn related(
        &self,
        live: &Live,
        passing: &Passing<'_>,
        quoted: &Packet,
        error: &Packet,
        here: &Here<'_>,
        world: &World,
    ) -> u32 {
        assert!(!passing.judgement.opened && error.fragment.is_none() && !quoted.is_later(), "{error:?}");
        let other = if passing.way == Way::In { Way::Out } else { Way::In };
        // The one that the error goes to has sent what it quotes; a client complains of what came to it.
        assert_eq!(quoted.source, error.destination, "{error:?}");
        assert!(passing.way == Way::Out || quoted.destination == error.source, "{error:?}");
        let key = key(other, here.zone, quoted);
        let opened = self.flows.get(&key).unwrap_or_else(|| panic!("{error:?} quotes no flow"));
        assert_eq!(opened.token, live.token, "{error:?} quotes the flow of another session");
        entitled(live, &key, opened.is_by_app, world).unwrap_or_else(|| panic!("{error:?} without a grant"))
    }

    /// Where the frame is, and what is in it. What was not dropped can be read.
    fn look<'s>(&self, passing: &Passing<'_>) -> (Here<'s>, Seen) {
        let Passing { interface, frame, removed, judgement, .. } = passing;
        let guard = GUARDS.iter().find(|guard| guard.index == *interface);
        let guard = guard.unwrap_or_else(|| panic!("{:?} on interface {interface}", judgement.verdict));
        if guard.flags & Interface::LINK_LAYER == 0 {
            let ethertype = if frame[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
            let seen = seen::read(ethertype, frame).unwrap_or_else(|| panic!("{:?} of noise", judgement.verdict));
            return (Here { guard, zone: guard.zone, mac: None }, seen);
        }
        let (vlan, ethertype, rest) =
            seen::tags(frame, *removed).unwrap_or_else(|| panic!("{:?} of noise", judgement.verdict));
        let zone = match vlan {
            (0, 0) => guard.zone,
            (outer, inner) => {
                let found = guard.vlans.iter().find(|found| (found.0, found.1) == (outer, inner));
                found.unwrap_or_else(|| panic!("{:?} in VLAN {vlan:?}", judgement.verdict)).2
            }
        };
        let seen = seen::read(ethertype, rest).unwrap_or_else(|| panic!("{:?} of noise", judgement.verdict));
        if let Seen::Packet(packet) = &seen {
            assert_eq!(frame[0] & 1, 0, "{:?} of a frame to a group: {packet:?}", judgement.verdict);
            let is_admitted = guard.flags & (Interface::ADMIT_OPTIONS | Interface::ADMIT_EXTENSIONS) != 0;
            // One fragment that is all of its packet comes where fragments are tracked.
            let is_tracked = guard.flags & Interface::TRACK_FRAGMENTS != 0;
            assert!(!packet.has_extras || is_admitted || is_tracked, "{packet:?} with options");
            assert!(packet.fragment.is_none() || is_tracked, "{packet:?} in fragments");
        }
        (Here { guard, zone, mac: frame[6..12].try_into().ok() }, seen)
    }

    /// With what the first fragment said, if this is a later one.
    fn whole(&self, passing: &Passing<'_>, mut packet: Packet) -> Packet {
        let Some(fragment) = packet.fragment.filter(|fragment| fragment.start > 0) else { return packet };
        let here = self.look(passing).0;
        let known = self.fragments.get(&name(passing.way, here.zone, &packet, fragment.identification));
        let known = known.unwrap_or_else(|| panic!("{packet:?} without its first fragment"));
        let overlaps = |(start, end): &(usize, usize)| fragment.start < *end && *start < fragment.end;
        assert!(!known.parts.iter().any(overlaps), "{packet:?} overlaps {:?}", known.parts);
        (packet.protocol, packet.ports, packet.detail) = (known.protocol, known.ports, known.detail);
        packet
    }

    fn remember(&mut self, passing: &Passing<'_>, packet: &Packet, here: &Here<'_>, world: &World) {
        let Some(fragment) = packet.fragment else { return };
        let name = name(passing.way, here.zone, packet, fragment.identification);
        let part = (fragment.start, fragment.end);
        if packet.is_later() {
            let known = self.fragments.get_mut(&name).unwrap();
            assert!(known.until > world.now().0, "{packet:?} comes too late");
            known.parts.push(part);
            return;
        }
        let until = world.now().0 + 5 * SECOND;
        let detail = if matches!(packet.protocol, 1 | 58) { packet.detail } else { 0 };
        let fragments = Fragments { until, protocol: packet.protocol, ports: packet.ports, detail, parts: vec![part] };
        self.fragments.insert(name, fragments);
    }
}

fn is_from_service(passing: &Passing<'_>, packet: &Packet) -> bool {
    let is_service = OWN.map(address).contains(&packet.source)
        && SERVICES.iter().any(|service| (service.0, service.1) == (packet.protocol, packet.ports.0));
    is_service && packet.quoted.is_none() && passing.judgement.token == 0
}

/// By these the daemon ends connections of sessions that are over.
fn is_own_reset(passing: &Passing<'_>, packet: &Packet) -> bool {
    let is_reset = packet.protocol == 6 && packet.detail & 4 != 0;
    is_reset && passing.mark == RESET_MARK && passing.judgement.token == 0
}

fn name(way: Way, zone: u32, packet: &Packet, identification: u32) -> (u32, Way, IpAddr, IpAddr, u8, u32) {
    let protocol = if packet.source.is_ipv4() { packet.protocol } else { 0 };
    (zone, way, packet.source, packet.destination, protocol, identification)
}

fn key(way: Way, zone: u32, packet: &Packet) -> FlowKey {
    let (from, to) = ((packet.source, packet.ports.0), (packet.destination, packet.ports.1));
    let ((client, client_port), (app, app_port)) = if way == Way::In { (from, to) } else { (to, from) };
    FlowKey {
        client: client.into(),
        app: app.into(),
        client_port: client_port.to_be_bytes(),
        app_port: app_port.to_be_bytes(),
        zone,
        protocol: packet.protocol,
        reserved: [0; 7],
    }
}

fn holds(prefix: &str, address: IpAddr) -> bool {
    prefix.parse::<IpNet>().unwrap().contains(&address)
}

/// The app that the session has a grant for, now.
fn entitled(live: &Live, key: &FlowKey, is_by_app: bool, world: &World) -> Option<u32> {
    let app = IpAddr::from(key.app);
    let rules = || RULES.iter().filter(|rule| rule.set == live.entry.app_set.0 && holds(rule.prefix, app));
    let length = |rule: &Rule| rule.prefix.parse::<IpNet>().unwrap().prefix_len();
    let longest = rules().map(length).max()?;
    let port = u16::from_be_bytes(if is_by_app { key.client_port } else { key.app_port });
    let at = |port: u16| {
        rules().find(|rule| {
            let what = (rule.protocol, rule.port, rule.is_opens);
            length(rule) == longest && what == (key.protocol, port, is_by_app)
        })
    };
    let rule = at(port).or_else(|| at(0)).filter(|rule| !rule.is_trap)?;
    let (_, _, deadline, age, _) =
        GRANTS.iter().find(|grant| (grant.0, grant.1) == (live.entry.allow_list.0, rule.app))?;
    let now = world.now().0;
    let is_in_time = *deadline == 0 || now < deadline * SECOND;
    let is_recent = *age == 0 || now < live.entry.authenticated_at.0 + age * SECOND;
    (is_in_time && is_recent).then_some(rule.app)
}

/// All grants of an app have the same.
fn budget(app: u32) -> Option<u64> {
    GRANTS.iter().find(|grant| grant.1 == app).map(|grant| grant.4).filter(|budget| *budget != 0)
}
