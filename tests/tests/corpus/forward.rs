//! The same packets, forwarded by the network stack and forwarded in XDP: verdicts, counters and whatever arrives anywhere
//! are the same, byte for byte.
//!
//! What the corpus puts on `guard0` itself comes from the apps' host here, so that it has to be forwarded. To the corpus
//! come packets at the end of their lives, with wrong checksums, with padding, with answers, and with random bytes.

use super::bench::{moved, nothing_of};
use super::cast::Act;
use super::hosts::{self, Hosts, Tap, without_link_layer};
use super::plane::{Counted, Plane};
use super::read::{Case, Turn, Way, World, corpus};
use super::wire::sentinels;
use anyhow::{Result, ensure};
use gateway_common::Verdict;
use gateway_tests::{Namespace, link};
use gateway_userspace::dataplane::attach::XdpChoice;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Duration;

/// How long nothing may have happened before the next packet.
const QUIET: Duration = Duration::from_millis(1);
/// Frames with random bytes.
const RANDOM: usize = 600;
const ETHERNET: usize = 14;
const APPS0_MAC: [u8; 6] = [2, 0x20, 0, 0, 0, 1];
const APP_MAC: [u8; 6] = [2, 0x20, 0, 0, 0, 0x10];
/// The shortest frame on a wire, without its checksum.
const SHORTEST: usize = 60;

/// What happens on the wire.
#[derive(Clone)]
enum Event {
    Begin(World),
    Act(Act),
    Sent(Way, Vec<u8>),
}

/// What came of an event: which counters moved, and what arrived at the client and at the apps' host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Outcome {
    counters: String,
    at_the_client: Vec<String>,
    at_the_app: Vec<String>,
}

#[test]
fn native_xdp_forwards_as_the_network_stack_does() -> Result<()> {
    compare(XdpChoice::Native)
}

#[test]
fn generic_xdp_forwards_as_the_network_stack_does() -> Result<()> {
    compare(XdpChoice::Generic)
}

fn compare(mode: XdpChoice) -> Result<()> {
    let cases = corpus();
    let events: Vec<(String, Event)> = cases.iter().flat_map(events).chain(more(&cases)).collect();
    let (by_the_stack, all) = run(mode, false, &events)?;
    let (in_xdp, rest) = run(mode, true, &events)?;
    let arrived = |outcomes: &[Outcome]| outcomes.iter().map(|it| it.at_the_client.len() + it.at_the_app.len()).sum();
    let arrived: usize = arrived(&by_the_stack);
    println!("{} events, {arrived} frames arrived; the stack forwarded {all}, and beside XDP {rest}", events.len());
    let pairs = events.iter().zip(by_the_stack.iter().zip(&in_xdp)).enumerate();
    let others = pairs.filter(|(_, (_, (stack, xdp)))| stack != xdp);
    let problems: Vec<String> = others
        .map(|(n, ((name, event), (stack, xdp)))| format!("{n}: {name}: {}\n  {stack:?}\n  {xdp:?}", shown(event)))
        .collect();
    nothing_of(&problems);
    ensure!(rest * 4 < all, "{rest} of {all} packets went through the network stack");
    Ok(())
}

fn shown(event: &Event) -> String {
    match event {
        Event::Begin(world) => format!("{world:?}"),
        Event::Act(act) => format!("{act:?}"),
        Event::Sent(way, frame) => format!("{way:?} {}", hex(frame)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn events(case: &Case) -> Vec<(String, Event)> {
    let turns = case.turns.iter().map(|turn| match turn {
        Turn::Act(act) => Event::Act(*act),
        Turn::Packet(sent) => Event::Sent(sent.way, placed(sent.way, sent.frame.clone())),
    });
    let named = |event| (format!("{}: {}", case.place, case.name), event);
    std::iter::once(Event::Begin(case.world)).chain(turns).map(named).collect()
}

/// A frame toward the client comes from the apps' host.
fn placed(way: Way, mut frame: Vec<u8>) -> Vec<u8> {
    if way == Way::Out && frame.len() >= ETHERNET && frame[0] & 1 == 0 {
        frame[..6].copy_from_slice(&APPS0_MAC);
        frame[6..12].copy_from_slice(&APP_MAC);
    }
    frame
}

/// Packets that are forwarded, the answers to them, and what can be made of both.
fn more(cases: &[Case]) -> Vec<(String, Event)> {
    let is_base = |turn: &Turn| match turn {
        Turn::Packet(sent) if sent.way == Way::In && sent.expected == Verdict::Forward => Some(sent.frame.clone()),
        _ => None,
    };
    let bases: Vec<Vec<u8>> = cases
        .iter()
        .filter(|case| !case.is_attack && case.world == World::Default)
        .filter_map(|case| is_base(case.turns.first()?))
        .chain([sentinels(7)[0].frame.clone()])
        .collect();
    let mut events = Vec::new();
    let mut add = |name: &str, event| events.push((name.to_owned(), event));
    for base in &bases {
        add("variants", Event::Begin(World::Default));
        for frame in variants(base) {
            add("a variant", Event::Sent(Way::In, frame));
        }
        for frame in variants(&answer(base)) {
            add("a variant of an answer", Event::Sent(Way::Out, frame));
        }
    }
    let mut random = StdRng::seed_from_u64(0x0f0c);
    for number in 0..RANDOM {
        if number % 50 == 0 {
            add("random", Event::Begin(World::Admitting));
        }
        let base = &bases[random.random_range(0..bases.len())];
        add("before a random answer", Event::Sent(Way::In, base.clone()));
        let (way, mut frame) = if random.random_bool(0.5) { (Way::In, base.clone()) } else { (Way::Out, answer(base)) };
        for _ in 0..random.random_range(1..4) {
            // Behind the hardware addresses, so that most are for the gateway.
            let place = random.random_range(12..frame.len().min(80));
            frame[place] = random.random();
        }
        add("random bytes", Event::Sent(way, frame));
    }
    events
}

/// The same packet at other moments of its life, damaged, and padded; the packet itself comes first and last.
fn variants(frame: &[u8]) -> Vec<Vec<u8>> {
    let is_v4 = frame[12..14] == [8, 0];
    let mut all = vec![frame.to_vec()];
    for ttl in [0, 1, 2, 255] {
        let mut other = frame.to_vec();
        other[if is_v4 { 22 } else { 21 }] = ttl;
        if is_v4 {
            sum(&mut other);
        }
        all.push(other);
    }
    // Where the checksum overflows when it changes, and beside that.
    for wanted in [0xfefe, 0xfeff, 0xff00, 0xff01, 0xfffe, 0, 1_u16] {
        if is_v4 {
            let mut other = frame.to_vec();
            other[18..20].fill(0);
            sum(&mut other);
            let identification = u32::from(u16::from_be_bytes([other[24], other[25]])) + u32::from(!wanted);
            let identification = (identification & 0xffff) + (identification >> 16);
            other[18..20].copy_from_slice(&(identification as u16).to_be_bytes());
            sum(&mut other);
            all.push(other);
        }
    }
    if is_v4 {
        for (place, value) in [(24, 0xff), (15, 0xff), (20, 0x80), (20, 0x20), (21, 1), (20, 0x40)] {
            let mut other = frame.to_vec();
            other[place] ^= value;
            if place != 24 {
                sum(&mut other);
            }
            all.push(other);
        }
    }
    for length in [SHORTEST, 64, 65, 100] {
        if length > frame.len() {
            let mut padded = frame.to_vec();
            padded.resize(length, 0xee);
            all.push(padded);
        }
    }
    let mut elsewhere = frame.to_vec();
    elsewhere[5] ^= 0x40;
    all.push(elsewhere);
    all.push(frame[..frame.len() - 1].to_vec());
    all.push(frame.to_vec());
    all
}

/// The header's checksum as it should be.
fn sum(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let words = frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
}

/// What an app could answer: the same with both ends exchanged.
fn answer(frame: &[u8]) -> Vec<u8> {
    let mut answer = placed(Way::Out, frame.to_vec());
    let (source, length, transport) = if frame[12..14] == [8, 0] { (26, 4, 34) } else { (22, 16, 54) };
    let (a, b) = answer[source..source + 2 * length].split_at_mut(length);
    a.swap_with_slice(b);
    let protocol = frame[if length == 4 { 23 } else { 20 }];
    match protocol {
        1 => answer[transport] = 0,
        58 => answer[transport] = 129,
        _ => {
            let (a, b) = answer[transport..transport + 4].split_at_mut(2);
            a.swap_with_slice(b);
        }
    }
    if protocol == 6 {
        answer[transport + 13] = 0x10;
    }
    answer
}

/// Runs all that happens in a world of its own. Also returns how many packets the network stack has forwarded.
fn run(mode: XdpChoice, forward: bool, events: &[(String, Event)]) -> Result<(Vec<Outcome>, u64)> {
    let namespaces = hosts::connect()?;
    let [client, gateway, app] = &namespaces;
    for host in [client, app] {
        link::meet_xdp(host, "eth0")?;
    }
    for name in ["guard0", "apps0"] {
        link::keep_tags(gateway, name)?;
    }
    let taps = Hosts::new([client, gateway, app])?;
    lead_to_clients(gateway)?;
    let plane = gateway.enter(|| -> Result<Plane> {
        let index = nix::net::if_::if_nametoindex("guard0")?;
        let mut plane = Plane::load("guard0", index, mode);
        if forward {
            plane.forward_to("apps0");
        }
        plane.guard()?;
        Ok(plane)
    })??;
    taps.fall_silent()?;
    let mut course = Course { taps, plane };
    let outcomes = events.iter().map(|(_, event)| course.take(event)).collect::<Result<_>>()?;
    Ok((outcomes, link::forwarded(gateway)?))
}

/// The way to the clients that are there; what the network stack says about errors comes in any case.
fn lead_to_clients(gateway: &Namespace) -> Result<()> {
    let mut lines = Vec::new();
    for host in [2, 3, 4, 9, 200_u16] {
        let mac = format!("02:77:00:00:00:{:02x}", if host == 3 { 3 } else { 2 });
        for address in [format!("10.77.0.{host}"), format!("fd77::{host}")] {
            lines.push(format!("neigh replace {address} lladdr {mac} dev guard0 nud permanent"));
            lines.push(format!("route replace {address} dev guard0"));
        }
    }
    gateway.ip(&lines)?;
    for (key, value) in [("ipv4/icmp_ratelimit", "0"), ("ipv4/icmp_ratemask", "0"), ("ipv6/icmp/ratelimit", "0")] {
        gateway.sysctl(key, value)?;
    }
    Ok(())
}

struct Course {
    taps: Hosts,
    plane: Plane,
}

impl Course {
    fn take(&mut self, event: &Event) -> Result<Outcome> {
        match event {
            Event::Begin(world) => {
                self.plane.begin(*world);
                Ok(Outcome::default())
            }
            Event::Act(act) => {
                self.plane.act(*act);
                Ok(Outcome::default())
            }
            Event::Sent(way, frame) => {
                let before = self.plane.counted();
                match way {
                    Way::In => self.taps.client.send(frame)?,
                    Way::Out => self.taps.app.send(frame)?,
                };
                self.outcome(&before)
            }
        }
    }

    /// Waits until nothing happens any more.
    fn outcome(&self, before: &Counted) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut after = self.plane.counted();
        loop {
            std::thread::sleep(QUIET);
            let arrived = [arrived(&self.taps.client)?, arrived(&self.taps.app)?];
            let now = self.plane.counted();
            if arrived.iter().all(Vec::is_empty) && now == after {
                break;
            }
            after = now;
            let [client, app] = arrived;
            outcome.at_the_client.extend(client);
            outcome.at_the_app.extend(app);
        }
        outcome.counters = format!("{:?}", moved(before, &after));
        outcome.at_the_client.sort();
        outcome.at_the_app.sort();
        Ok(outcome)
    }
}

fn arrived(tap: &Tap) -> Result<Vec<String>> {
    Ok(tap.frames()?.into_iter().map(settled).map(|frame| hex(&frame)).collect())
}

/// Without what the gateway chooses anew for each packet of its own.
fn settled(mut frame: Vec<u8>) -> Vec<u8> {
    let offset = frame.len() - without_link_layer(&frame).len();
    let packet = &mut frame[offset..];
    match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= 20 && matches!(packet[12..16], [10, 77 | 20, 0, 1]) => {
            packet[4..6].fill(0);
            packet[10..12].fill(0);
        }
        Some(6) if packet.len() >= 40 && packet[8] == 0xfd && packet[23] == 1 => packet[1..4].fill(0),
        _ => {}
    }
    frame
}
