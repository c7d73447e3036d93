//! Random and bent frames: the loaded programs and the in-memory twin agree on every verdict and every counter.

use super::frames::{
    CLIENT_MAC, ETHERNET, GATEWAY_MAC, Inside, arp, frame, icmp_error, neighbour_message, raw, tagged,
};
use super::scene::{Scene, Way};
use gateway_common::Verdict;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

const FRAMES: usize = 30_000;

#[test]
fn kernel_and_host_agree_on_random_frames() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut scene = Scene::usual();
    let mut forwarded = 0;
    for _ in 0..FRAMES {
        let (way, frame) = draw(&mut random);
        if can_run(way, &frame) && scene.judge(way, &frame) == Verdict::Forward {
            forwarded += 1;
        }
    }
    assert!(forwarded > FRAMES / 100, "only {forwarded} of {FRAMES} frames were good ones");
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
}

/// The kernel runs no program on less than an Ethernet header, and no classifier on less than the IP header in it.
fn can_run(way: Way, frame: &[u8]) -> bool {
    frame.len() > if way == Way::In { ETHERNET } else { ETHERNET + 40 }
}

fn draw(random: &mut StdRng) -> (Way, Vec<u8>) {
    let way = if random.random_bool(0.7) { Way::In } else { Way::Out };
    let mut frame = match random.random_range(0..40) {
        0 => arp(),
        1 => neighbour_message(random.random_range(130..140), random.random_range(253..=255)),
        2 => raw(random.random(), &noise(random)),
        3 => noise(random),
        4 | 5 => error(random, way),
        _ => honest(random, way),
    };
    if frame.len() >= ETHERNET && random.random_bool(0.1) {
        frame = tagged(frame, [0x8100, 0x88a8, 0x9100][random.random_range(0..3)], random.random_range(0..2));
    }
    if random.random_bool(0.3) {
        bend(random, &mut frame);
    }
    (way, frame)
}

/// Where apps are, and where none are, in both families.
pub const APPS: [[&str; 2]; 5] = [
    ["10.20.0.10", "fd20::10"],
    ["10.20.0.11", "fd20::11"],
    ["10.20.0.200", "fd20::200"],
    ["10.77.0.1", "fd77::1"],
    ["8.8.8.8", "ff02::1"],
];

/// A frame between hosts and ports that the tables know, or nearly.
fn honest(random: &mut StdRng, way: Way) -> Vec<u8> {
    const CLIENTS: [[&str; 2]; 4] =
        [["10.77.0.2", "fd77::2"], ["10.77.0.2", "fd77::2"], ["10.77.0.3", "fd77::3"], ["0.0.0.0", "::1"]];
    let family = usize::from(random.random_bool(0.4));
    let client = CLIENTS[random.random_range(0..CLIENTS.len())][family];
    let app = APPS[random.random_range(0..APPS.len())][family];
    let client_port = random.random_range(40_000..40_008);
    let app_port = [22, 53, 443, 443, 443, 8_443, 0][random.random_range(0..7)];
    let payload = random.random_range(0..32);
    let (ports, echo) = match way {
        Way::In => ((client_port, app_port), Inside::Ping(client_port)),
        Way::Out => ((app_port, client_port), Inside::Pong(client_port)),
    };
    let inside = match random.random_range(0..8) {
        0..=3 => Inside::Tcp(ports.0, ports.1, [2, 16, 18, 17, 4, 24, 20, 0][random.random_range(0..8)]),
        4 | 5 => Inside::Udp(ports.0, ports.1),
        6 => echo,
        _ => Inside::Pong(client_port),
    };
    match way {
        Way::In if random.random_bool(0.05) => frame([2, 0, 0, 0, 0, 9], client, app, inside, payload),
        Way::In => frame(CLIENT_MAC, client, app, inside, payload),
        Way::Out => frame(GATEWAY_MAC, app, client, inside, payload),
    }
}

/// An ICMP error about a frame that goes, or nearly goes, the other way.
fn error(random: &mut StdRng, way: Way) -> Vec<u8> {
    let opposite = if way == Way::In { Way::Out } else { Way::In };
    let about = honest(random, opposite);
    let is_v4 = about[12] == 0x08;
    let (mac, from) = match (way, is_v4) {
        (Way::In, true) => (CLIENT_MAC, "10.77.0.2"),
        (Way::In, false) => (CLIENT_MAC, "fd77::2"),
        (Way::Out, true) => (GATEWAY_MAC, "10.20.0.1"),
        (Way::Out, false) => (GATEWAY_MAC, "fd20::1"),
    };
    let rest = [0, 67, 68, 1279, 1280, 1400][random.random_range(0..6)];
    icmp_error(mac, from, &about, random.random_range(0..13), random.random_range(0..6), rest)
}

/// Changes bytes near the headers, or the length.
fn bend(random: &mut StdRng, frame: &mut Vec<u8>) {
    if random.random_bool(0.3) {
        frame.resize(random.random_range(0..frame.len() + 40), 0);
    }
    for _ in 0..random.random_range(0..3) {
        if !frame.is_empty() {
            let place = random.random_range(0..frame.len().min(80));
            frame[place] = random.random();
        }
    }
}

fn noise(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(1..128)];
    random.fill_bytes(&mut bytes);
    bytes
}
