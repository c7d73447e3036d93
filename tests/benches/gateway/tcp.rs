//! Connections of real stacks: iperf3 through the gateway and along the same path without any program, in turn.
//!
//! Native XDP takes segmentation offload away from who sends towards a virtual cable, which real cards do not know. So
//! all paths are measured as they are, and with offloads off, where segments are of the same size on all. And a cable
//! copies what a connection sends before a native program sees it, because the sender keeps it until it is acknowledged:
//! how much that takes, the path with a program that lets everything pass says.

use crate::measure::driver::constant;
use crate::measure::options::Options;
use crate::measure::progress::Progress;
use crate::measure::row::Row;
use anyhow::{Context as _, Result, ensure};
use gateway_tests::bpf::{Attachment, Hook, Kind};
use gateway_tests::world::at;
use gateway_tests::{Gate, Process, World, link, wait_until};
use serde_json::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// The app's port that users of the demonstration are granted.
const PORT: &str = "8080";
/// Taken from everybody, where they are off; what a gateway receives stays in segments, too.
const OFFLOADS: [&str; 2] = ["tso", "gso"];
const DIRECT: &str = "no program";
const PASSES: &str = "XDP that passes everything";
const IN_XDP: &str = "Portcullis, forwarding in XDP";
const BY_KERNEL: &str = "Portcullis, kernel forwarding";

/// What a program says of a packet that goes on.
const XDP_PASS: i32 = 2;

/// A measurement.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    streams: &'static str,
    is_download: bool,
    has_offloads: bool,
}

/// As they are first: switching is done once.
const CASES: [Case; 6] = [
    Case { name: "1 stream to the app, offloads as they are", streams: "1", is_download: false, has_offloads: true },
    Case { name: "1 stream to the client, offloads as they are", streams: "1", is_download: true, has_offloads: true },
    Case { name: "1 stream to the app, offloads off", streams: "1", is_download: false, has_offloads: false },
    Case { name: "1 stream to the client, offloads off", streams: "1", is_download: true, has_offloads: false },
    Case { name: "64 streams to the app, offloads off", streams: "64", is_download: false, has_offloads: false },
    Case { name: "64 streams to the client, offloads off", streams: "64", is_download: true, has_offloads: false },
];

/// All paths, all cases.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let progress = Progress::new();
    progress.say("tcp: setting up");
    let (direct, passing) = (World::able_to_forward_in_xdp()?, World::able_to_forward_in_xdp()?);
    let _programs = pass_everything(&passing)?;
    let gates = [
        Gate::inside(World::able_to_forward_in_xdp()?, |config| config)?,
        Gate::inside(World::able_to_forward_in_xdp()?, in_xdp)?,
    ];
    for gate in &gates {
        gate.login(&gate.world.client, at::GUARD0, "alice")?;
    }
    let [by_kernel, in_xdp] = &gates;
    let paths = [(DIRECT, &direct), (PASSES, &passing), (BY_KERNEL, &by_kernel.world), (IN_XDP, &in_xdp.world)];
    let _servers: Vec<Process> = paths.iter().map(|(_, world)| serve(world)).collect::<Result<_>>()?;
    let mut rows = Vec::new();
    for has_offloads in [true, false] {
        if !has_offloads {
            paths.iter().try_for_each(|(_, world)| switch_off(world))?;
        }
        let cases: Vec<Case> = CASES.into_iter().filter(|case| case.has_offloads == has_offloads).collect();
        let mut rates = vec![paths.map(|_| Vec::new()); cases.len()];
        for round in 1..=options.rounds {
            progress.say(&format!("tcp: round {round} of {}, offloads {has_offloads}", options.rounds));
            for (case, rates) in cases.iter().zip(&mut rates) {
                for ((name, world), rates) in paths.iter().zip(rates) {
                    rates.push(transfer(world, case).with_context(|| format!("{}, {name}", case.name))?);
                }
            }
        }
        for (case, rates) in cases.iter().zip(rates) {
            let [direct, passing, ..] = rates.clone();
            for ((name, _), rates) in paths.iter().zip(rates) {
                let row = Row::new(case.name, "throughput", "Gbit/s", rates).of(name);
                rows.push(match *name {
                    DIRECT => row,
                    PASSES => row.against(DIRECT, &direct),
                    _ => row.against(DIRECT, &direct).against(PASSES, &passing),
                });
            }
        }
    }
    for gate in &gates {
        let drops = gate.drops()?;
        let named = drops.iter().filter(|((_, reason), packets)| **packets > 0 && reason != "ip_extension");
        ensure!(named.clone().count() == 0, "the gateway has dropped {:?}", named.collect::<Vec<_>>());
    }
    Ok(rows)
}

/// The demonstration with forwarding in XDP.
fn in_xdp(config: String) -> String {
    config.replace("name = \"guard0\"", "name = \"guard0\"\nforward = \"xdp\"")
        + "\n[forwarding]\napp_interfaces = [\"apps0\"]\n"
}

/// On both ends of the path, as the gateway that forwards in XDP has programs on both.
fn pass_everything(world: &World) -> Result<Vec<Attachment>> {
    let program = constant(Kind::Xdp, XDP_PASS)?;
    ["guard0", "apps0"].map(|name| world.gateway.enter(|| program.attach(name, Hook::Xdp))?).into_iter().collect()
}

/// iperf3 on the apps' host.
fn serve(world: &World) -> Result<Process> {
    let mut command = world.app.command("iperf3")?;
    command.args(["--server", "--bind", &at::APP.to_string(), "--port", PORT, "--forceflush"]);
    let server = Process::spawn(command, &world.scratch().join("iperf3.log"))?;
    wait_until("iperf3 to listen", SOON, || server.output().contains("Server listening").then_some(()))?;
    Ok(server)
}

/// Segments as they are on the wire, on every end of every cable of the path.
fn switch_off(world: &World) -> Result<()> {
    for (host, name) in
        [(&world.client, "eth0"), (&world.gateway, "guard0"), (&world.gateway, "apps0"), (&world.app, "eth0")]
    {
        link::offload(host, name, &OFFLOADS, false)?;
    }
    ["guard0", "apps0"].iter().try_for_each(|name| link::offload(&world.gateway, name, &["gro"], false))
}

/// What arrives in a second, in Gbit/s.
fn transfer(world: &World, case: &Case) -> Result<f64> {
    let mut command = world.client.command("iperf3")?;
    command.args(["--json", "--client", &at::APP.to_string(), "--port", PORT, "--time", "1"]);
    command.args(["--connect-timeout", "5000", "--parallel", case.streams]);
    command.args(case.is_download.then_some("--reverse"));
    let output = command.output()?;
    let told: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    let rate = told["end"]["sum_received"]["bits_per_second"].as_f64();
    Ok(rate.with_context(|| format!("iperf3: {}", told["error"]))? / 1e9)
}
