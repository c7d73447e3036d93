//! What a packet costs in the programs themselves, by `BPF_PROG_TEST_RUN`, beside a program that does nothing.
//!
//! Run by `cargo xtask bench`. The same packet again and again, so everything it needs is in the cache: this is the work
//! of the law, without what memory adds. Figures are ratios to the floor of the same run; nanoseconds drift.

#[path = "../tests/kernel/fate.rs"]
mod fate;
#[path = "../tests/kernel/frames.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod frames;
#[path = "../tests/kernel/ground.rs"]
mod ground;
#[path = "../tests/kernel/scene.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod scene;
#[path = "../tests/kernel/usual.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod usual;

use anyhow::Result;
use frames::{ACK, CLIENT_MAC, GATEWAY_MAC, Inside, SYN, frame};
use gateway_common::{DropReason, Verdict};
use gateway_tests::bpf;
use gateway_userspace::dataplane::Program;
use scene::{Scene, Way};
use serde_json::json;

/// Runs of a program in one measurement.
const REPEAT: u32 = 200_000;
/// Measurements, of which the median counts.
const ROUNDS: usize = 9;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments.iter().position(|argument| argument == "--json").and_then(|place| arguments.get(place + 1));
    let null = null_program()?;
    let mut scene = Scene::usual();
    let cases = cases(&mut scene);
    let mut rows = Vec::new();
    // All cases in turn, then all again: what the machine does meanwhile hits them alike.
    let mut nanos = vec![Vec::new(); cases.len() + 1];
    for _ in 0..ROUNDS {
        nanos[0].push(null.time_run(&cases[0].2, REPEAT)?.as_nanos() as f64);
        for (place, (_, program, frame)) in cases.iter().enumerate() {
            let took = scene.programs.time_run(*program, frame, REPEAT)?;
            nanos[place + 1].push(took.as_nanos() as f64);
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let floor = median(nanos.remove(0));
    println!("{:<44} {:>10} {:>10}", "packet, everything in the cache", "ns", "× floor");
    println!("{:<44} {floor:>10.0} {:>10.1}", "a program that does nothing", 1.0);
    for ((name, ..), values) in cases.iter().zip(nanos) {
        let nanos = median(values);
        println!("{name:<44} {nanos:>10.0} {:>10.1}", nanos / floor);
        rows.push(json!({ "suite": "programs", "case": name, "metric": "cost", "unit": "x", "value": nanos / floor, "nanoseconds": nanos, "floor": floor }));
    }
    for (program, instructions) in scene.programs.verified_instructions()? {
        println!("{program}: {instructions} instructions looked at by the verifier");
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_string_pretty(&rows)? + "\n")?;
    }
    Ok(())
}

/// Packets, each of which was judged once as it should be.
fn cases(scene: &mut Scene) -> Vec<(&'static str, Program, Vec<u8>)> {
    let tcp = |flags| frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, flags), 0);
    let tcp6 = |flags| frame(CLIENT_MAC, "fd77::2", "fd20::10", Inside::Tcp(40_000, 443, flags), 0);
    let reply = frame(GATEWAY_MAC, "10.20.0.10", "10.77.0.2", Inside::Tcp(443, 40_000, ACK), 0);
    let stranger = frame(CLIENT_MAC, "10.77.0.3", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0);
    let vault = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, SYN), 0);
    let udp = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Udp(40_000, 53), 18);
    scene.forwards(&tcp(SYN));
    scene.forwards(&tcp6(SYN));
    scene.forwards(&udp);
    assert_eq!(scene.judge(Way::Out, &reply), Verdict::Forward);
    scene.drops(&stranger, DropReason::NoSession);
    scene.drops(&vault, DropReason::NoGrant);
    vec![
        ("TCP over IPv4 in an open connection", Program::Ingress, tcp(ACK)),
        ("TCP over IPv6 in an open connection", Program::Ingress, tcp6(ACK)),
        ("UDP over IPv4 in an open flow", Program::Ingress, udp),
        ("TCP over IPv4 to the client", Program::Egress, reply),
        ("dropped, from nobody", Program::Ingress, stranger),
        ("dropped, not granted", Program::Ingress, vault),
    ]
}

/// An XDP program that passes everything at once.
fn null_program() -> Result<bpf::Program> {
    // r0 = XDP_PASS; exit.
    bpf::Program::load(bpf::Kind::Xdp, &[(0xb7, 0, 2), (0x95, 0, 0)])
}
