//! The law and the oracle agree: on the host over a million frames, and in the kernel.

use super::oracle_tables::{Connection, Guard, Oracle, Service};
use super::oracle_world::{Deadlines, World};
use super::scene::{Scene, Way};
use gateway_common::abi::{Interface, ServiceKey};
use gateway_common::{Address, DropReason, Judgement, KernelNanos, Packet, Tables as _, Verdict, law};
use gateway_userspace::dataplane::monitor::InterfaceCounters;
use gateway_userspace::dataplane::{DataPlane as _, MemoryDataPlane, Monitor, clock};
use gateway_userspace::policy::{Capacities, Plan, Step};
use std::collections::BTreeMap;

const WORLDS: u64 = 100;
const FRAMES_IN_A_WORLD: usize = 10_000;
const FRAMES_IN_THE_KERNEL: usize = 20_000;
const SECOND: u64 = 1_000_000_000;
/// Interfaces: index, zone, whether there is a link layer.
const GUARDS: [(u32, u32, bool); 4] = [(1, 1, true), (2, 1, true), (3, 2, true), (4, 2, false)];

fn oracle(guards: &[(u32, u32, bool)], most_flows: usize) -> Oracle {
    let own = ["10.77.0.1", "fd77::1"].map(|address| address.parse().unwrap());
    let service = |address, port, is_open| Service { address, protocol: 6, port, is_open };
    Oracle {
        guards: guards
            .iter()
            .map(|(index, zone, has_link)| Guard { index: *index, zone: *zone, has_link: *has_link })
            .collect(),
        services: own.into_iter().flat_map(|own| [service(own, 443, true), service(own, 22, false)]).collect(),
        own: own.to_vec(),
        management: vec!["10.77.9.0/24".parse().unwrap()],
        most_flows,
        ..Oracle::default()
    }
}

fn twin(flows: usize) -> MemoryDataPlane {
    let capacities = Capacities { sessions: 64, flows, app_prefixes: 256, app_ports: 1024, grants: 256, apps: 64 };
    let mut twin = MemoryDataPlane::new(capacities);
    for (index, zone, has_link) in GUARDS {
        let flags = if has_link { Interface::LINK_LAYER } else { 0 };
        twin.interfaces.insert(index, Interface { zone, slot: index, flags, reserved: 0 });
    }
    for own in ["10.77.0.1", "fd77::1"] {
        let own = Address::from(own.parse::<std::net::IpAddr>().unwrap());
        twin.services.insert(ServiceKey::own(own), ServiceKey::OWN_ADDRESS);
        twin.services.insert(ServiceKey::new(own, Packet::TCP, 443), ServiceKey::OPEN);
        twin.services.insert(ServiceKey::new(own, Packet::TCP, 22), ServiceKey::MANAGEMENT);
    }
    twin.management = vec!["10.77.9.0/24".parse().unwrap()];
    twin
}

/// What verdicts came up, by code, and how many flows were opened.
type Seen = BTreeMap<u32, u64>;
/// In [`Seen`], the flows that were opened.
const OPENED: u32 = u32::MAX;

fn live_through(seed: u64) -> Seen {
    let mut world = World::new(seed, 2, Deadlines::Near);
    let flows = if world.dice.one_in(4) { 12 } else { 200 };
    let (mut twin, mut oracle) = (twin(flows), oracle(&GUARDS, flows));
    let mut now = KernelNanos(50_000 * SECOND);
    let apply = |steps: Vec<Step>, now: KernelNanos, twin: &mut MemoryDataPlane, oracle: &mut Oracle| {
        steps.iter().for_each(|step| oracle.follow(step, now.0));
        twin.clock = now;
        twin.apply(&Plan { steps }).unwrap();
    };
    apply(world.begin(now), now, &mut twin, &mut oracle);
    let frames = world.frames(600);
    let mut seen = Seen::new();
    for turn in 0..FRAMES_IN_A_WORLD {
        if world.dice.one_in(4) {
            let steps = [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 10, 60];
            let rare = [60, 240, 300, 7_439, 7_440];
            now = now
                .after(if world.dice.one_in(400) { world.dice.pick(&rare) } else { world.dice.pick(&steps) } * SECOND);
        }
        if world.dice.one_in(30) {
            apply(world.change(now), now, &mut twin, &mut oracle);
        }
        if world.dice.one_in(500) {
            let keys: Vec<_> = oracle.flows.extract_if(.., |_| world.dice.one_in(2)).map(|flow| flow.key()).collect();
            twin.forget_flows(&keys);
        }
        let (way, usual, honest) = &frames[world.dice.below(frames.len())];
        let mut interface = *usual;
        let mut frame = honest.clone();
        if world.dice.one_in(3) {
            world.bend(&mut frame);
        }
        if world.dice.one_in(20) {
            interface = 1 + world.dice.below(5) as u32;
        }
        twin.clock = now;
        let mut packet = Packet::default();
        let law = match way {
            Way::In => law::ingress(&frame[..], &mut packet, &twin, interface, now),
            Way::Out => law::egress(&frame[..], &mut packet, &twin, interface, now),
        };
        let own = oracle.judge(*way, interface, &frame, now.0);
        if law != own {
            complain(seed, turn, *way, interface, &frame, law, own);
        }
        *seen.entry(own.verdict.code()).or_default() += 1;
        *seen.entry(OPENED).or_default() += u64::from(own.opened);
    }
    assert_eq!(twin.flow_keys().len(), oracle.flows.len(), "seed {seed}");
    for flow in &oracle.flows {
        assert_eq!(as_numbers(flow), in_the_plane(&twin, flow), "seed {seed}: {flow:?}");
    }
    seen
}

fn complain(seed: u64, turn: usize, way: Way, interface: u32, frame: &[u8], law: Judgement, own: Judgement) {
    panic!("seed {seed}, turn {turn}, {way:?} on {interface}: law {law:?}, oracle {own:?}, frame {frame:02x?}");
}

fn as_numbers(flow: &Connection) -> [u64; 11] {
    let ends = u64::from(flow.client_closed) + 2 * u64::from(flow.app_closed) + 4 * u64::from(flow.reset);
    let policy = u64::from(flow.policy.0) << 32 | u64::from(flow.policy.1);
    let app = u64::from(flow.app_number);
    let [a, b, c, d] = flow.carried;
    [flow.token, policy, flow.deadline, app, ends, flow.opened_at, flow.last_seen, a, b, c, d]
}

fn in_the_plane(twin: &MemoryDataPlane, flow: &Connection) -> [u64; 11] {
    let flow = twin.flow(&flow.key()).expect("the flow that the oracle knows");
    let words = [&flow.policy, &flow.deadline, &flow.app, &flow.ends].map(|word| word.load());
    let t = &flow.traffic;
    let carried =
        [&t.to_app_packets, &t.to_app_bytes, &t.to_client_packets, &t.to_client_bytes].map(|word| word.load());
    let ([policy, deadline, app, ends], [a, b, c, d]) = (words, carried);
    [flow.token, policy, deadline, app, ends, flow.opened_at, flow.last_seen.load(), a, b, c, d]
}

#[test]
fn law_and_oracle_agree_on_a_million_frames_their_flows_and_counters() {
    let seed: u64 = std::env::var("SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let started = std::time::Instant::now();
    let half = |odd: u64| {
        let mut all = Seen::new();
        for world in (0..WORLDS).filter(|world| world % 2 == odd) {
            live_through(seed.wrapping_add(world)).into_iter().for_each(|(code, n)| *all.entry(code).or_default() += n);
        }
        all
    };
    let [mut seen, other] = std::thread::scope(|scope| {
        let halves = [scope.spawn(|| half(0)), scope.spawn(|| half(1))];
        halves.map(|half| half.join().unwrap())
    });
    other.into_iter().for_each(|(code, n)| *seen.entry(code).or_default() += n);
    println!("{} frames in {:?}: {seen:?}", WORLDS * FRAMES_IN_A_WORLD as u64, started.elapsed());
    for reason in DropReason::ALL {
        assert!(seen.contains_key(&Verdict::Drop(*reason).code()), "no frame was dropped as {reason:?}");
    }
    assert!(seen[&Verdict::Forward.code()] > 30_000 && seen[&OPENED] > 10_000, "too few frames were good ones");
}

#[test]
fn kernel_and_oracle_agree_on_verdicts_and_counters_while_tables_change() {
    let seed: u64 = std::env::var("SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let capacities =
        Capacities { sessions: 256, flows: 16_384, app_prefixes: 256, app_ports: 1024, grants: 256, apps: 64 };
    let mut scene = Scene::with(capacities, true);
    let monitor = Monitor::open(scene.kernel.pins()).unwrap();
    let mut oracle = oracle(&GUARDS[..1], capacities.flows);
    let mut world = World::new(seed, 1, Deadlines::Far);
    let change = |steps: Vec<Step>, scene: &mut Scene, oracle: &mut Oracle| {
        steps.iter().for_each(|step| oracle.follow(step, clock::boot().0));
        scene.apply(steps);
    };
    change(world.begin(clock::boot()), &mut scene, &mut oracle);
    let frames = world.frames(600);
    let mut expected = monitor.interface(1).unwrap().unwrap();
    let mut forwarded = 0;
    for turn in 0..FRAMES_IN_THE_KERNEL {
        if world.dice.one_in(100) {
            change(world.change(clock::boot()), &mut scene, &mut oracle);
        }
        let (way, _, honest) = &frames[world.dice.below(frames.len())];
        let mut frame = honest.clone();
        if world.dice.one_in(3) {
            world.bend(&mut frame);
        }
        // The kernel runs no program on less than an Ethernet header, and no classifier on less than the IP header in it.
        if frame.len() <= if *way == Way::In { 14 } else { 54 } {
            continue;
        }
        let verdict = oracle.judge(*way, 1, &frame, clock::boot().0).verdict;
        scene.programs.test_run(*way == Way::In, &frame).unwrap();
        count(&mut expected, verdict);
        forwarded += usize::from(verdict == Verdict::Forward);
        let counted = monitor.interface(1).unwrap().unwrap();
        assert_eq!(counted, expected, "seed {seed}, turn {turn}, {way:?}: {verdict:?} of {frame:02x?}");
    }
    assert!(forwarded > FRAMES_IN_THE_KERNEL / 500, "only {forwarded} were forwarded");
    let mut keys: Vec<_> = oracle.flows.iter().map(Connection::key).collect();
    keys.sort();
    assert_eq!(scene.kernel_flows(), keys);
}

fn count(counters: &mut InterfaceCounters, verdict: Verdict) {
    match verdict {
        Verdict::Forward => counters.forward += 1,
        Verdict::ToHost => counters.to_host += 1,
        Verdict::Drop(reason) => *counters.drops.entry(reason).or_default() += 1,
    }
}
