//! Transfers by iperf3 and curl: everything arrives as it was, and nothing is dropped, whatever the MTU and the
//! offloads, in the driver and in the network stack.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, HttpServer, Namespace, Process, TcpEcho, World, link, tcp_open, wait_until};
use serde_json::{Value, json};

use crate::forward;
use crate::scene::{FAMILIES, Family, SOON, V4, V6, on};

/// For each direction of iperf3.
const BYTES: u64 = 8_000_000;
const DOWNLOAD: u64 = 2_000_000;
const ECHOED: usize = 1_000_000;
const DATAGRAMS: u64 = 200;
const DATAGRAMS_PER_SECOND: u64 = 400;
/// For a transfer of a second at most.
const TRANSFER: Duration = Duration::from_secs(20);
const IPERF: u16 = 5201;
const ECHO: u16 = 7;

#[test]
fn transfers_lose_nothing_with_packets_of_1500_bytes_in_the_driver() -> Result<()> {
    lose_nothing("native", 1_500)
}

#[test]
fn transfers_lose_nothing_with_packets_of_9000_bytes_in_the_driver() -> Result<()> {
    lose_nothing("native", 9_000)
}

#[test]
fn transfers_lose_nothing_with_packets_of_1500_bytes_in_the_network_stack() -> Result<()> {
    lose_nothing("generic", 1_500)
}

#[test]
fn transfers_lose_nothing_with_packets_of_9000_bytes_in_the_network_stack() -> Result<()> {
    lose_nothing("generic", 9_000)
}

#[test]
fn transfers_lose_nothing_with_packets_of_1500_bytes_forwarded_in_xdp() -> Result<()> {
    lose_nothing_in_xdp(1_500)
}

#[test]
fn transfers_lose_nothing_with_packets_of_9000_bytes_forwarded_in_xdp() -> Result<()> {
    lose_nothing_in_xdp(9_000)
}

/// Past the network stack there are no offloads.
fn lose_nothing_in_xdp(mtu: u32) -> Result<()> {
    let gate = Gate::inside(wide(World::able_to_forward_in_xdp()?, mtu)?, forward::in_xdp)?;
    permit(&gate)?;
    for family in FAMILIES {
        family.alice(&gate)?;
        let server = IperfServer::start(&gate, family)?;
        let before = gate.drops()?;
        let stack = link::forwarded(&gate.world.gateway)?;
        transfer(&gate, family, mtu).with_context(|| format!("{mtu}, {}\n{}", family.crm, server.output()))?;
        assert_eq!(gate.reasons_since(&before)?, [""; 0], "{}", family.crm);
        let stack = link::forwarded(&gate.world.gateway)? - stack;
        ensure!(stack < 20, "{stack} packets of {mtu} bytes went through the network stack");
    }
    Ok(())
}

fn wide(world: World, mtu: u32) -> Result<World> {
    let links = [(&world.gateway, "guard0"), (&world.gateway, "apps0"), (&world.client, "eth0"), (&world.app, "eth0")];
    for (host, name) in links {
        link::mtu(host, name, mtu)?;
    }
    Ok(world)
}

fn permit(gate: &Gate) -> Result<()> {
    let services = ["5201/tcp", "5201/udp", "8080/tcp", "7/tcp", "icmp"];
    gate.api.put("/v1/apps/crm", &json!({ "prefixes": [V4.crm, V6.crm], "services": services }))?.ok().map(drop)
}

fn lose_nothing(xdp: &str, mtu: u32) -> Result<()> {
    let gate = Gate::inside(wide(World::new()?, mtu)?, on("guard0", &format!("xdp = \"{xdp}\"")))?;
    let status = gate.api.get("/v1/status")?.ok()?;
    ensure!(status["interfaces"][0]["xdp"] == json!(xdp), "{status}");
    permit(&gate)?;
    for family in FAMILIES {
        family.alice(&gate)?;
        let server = IperfServer::start(&gate, family)?;
        for offloads in [true, false] {
            offload(&gate.world, offloads)?;
            let before = gate.drops()?;
            let transferred = transfer(&gate, family, mtu);
            transferred
                .with_context(|| format!("{xdp}, {mtu}, offloads {offloads}, {}\n{}", family.crm, server.output()))?;
            assert_eq!(gate.reasons_since(&before)?, [""; 0], "offloads {offloads}, {}", family.crm);
        }
    }
    Ok(())
}

/// Large segments and datagrams are cut and put together in the kernel, or not; where the driver runs the program, the
/// other end of its link does not offer that, whatever is asked for.
fn offload(world: &World, offloads: bool) -> Result<()> {
    for (host, name) in
        [(&world.gateway, "guard0"), (&world.gateway, "apps0"), (&world.client, "eth0"), (&world.app, "eth0")]
    {
        link::offload(host, name, &["tx", "gro", "gso", "tso"], offloads)?;
    }
    Ok(())
}

fn transfer(gate: &Gate, family: Family, mtu: u32) -> Result<()> {
    let client = &gate.world.client;
    for direction in ["", "--reverse"] {
        let told = iperf(gate, family, &["--bytes", &BYTES.to_string()], direction)?;
        // What was on its way when the sender had sent enough, iperf3's receiver does not wait for.
        let [sent, received] = ["sum_sent", "sum_received"].map(|sum| told["end"][sum]["bytes"].as_u64());
        ensure!(sent >= Some(BYTES) && received > Some(BYTES / 10), "{direction} {sent:?} sent, {received:?} received");

        let size = u64::from(mtu) - 100;
        let [bytes, rate, size] = [DATAGRAMS * size, DATAGRAMS_PER_SECOND * size * 8, size].map(|n| n.to_string());
        let datagrams = ["--udp", "--bitrate", &rate, "--length", &size, "--bytes", &bytes];
        let sum = &iperf(gate, family, &datagrams, direction)?["end"]["sum"];
        ensure!(sum["lost_packets"] == json!(0) && sum["packets"].as_u64() >= Some(DATAGRAMS), "{direction} {sum}");
    }
    let _server = HttpServer::start(&gate.world.app, family.crm(), "crm")?;
    let url = format!("http://{}/bytes/{DOWNLOAD}", family.crm());
    let curl = ["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*", &url];
    let body = client.run(&curl)?;
    ensure!(body.len() as u64 == DOWNLOAD && body.bytes().all(|byte| byte == b'.'), "{} bytes", body.len());
    let echo = TcpEcho::start(&gate.world.app, SocketAddr::new(family.crm, ECHO))?;
    comes_back(client, echo.address()?)
}

/// What iperf3 tells about a transfer from, or to, the client.
fn iperf(gate: &Gate, family: Family, args: &[&str], direction: &str) -> Result<Value> {
    let mut command = gate.world.client.command("iperf3")?;
    command.args(["--json", "--client", &family.crm.to_string(), "--connect-timeout", "5000"]).args(args);
    command.args((!direction.is_empty()).then_some(direction));
    let told = gate.world.scratch().join("iperf3.json");
    let _ = fs::remove_file(&told);
    let mut process = Process::spawn(command, &told)?;
    let status = process.wait(TRANSFER).with_context(|| process.output())?;
    ensure!(status.success(), "{status}: {}", process.output());
    Ok(serde_json::from_str(&process.output())?)
}

/// Numbers that never repeat within a packet, in both directions at once.
pub fn comes_back(host: &Namespace, to: SocketAddr) -> Result<()> {
    let sent: Vec<u8> = (0..ECHOED).map(|n| (n % 251) as u8 ^ (n >> 12) as u8).collect();
    let mut stream = tcp_open(host, to, SOON)?.with_context(|| format!("cannot connect to {to}"))?;
    let mut writer = stream.try_clone()?;
    let mut received = vec![0; ECHOED];
    thread::scope(|scope| {
        let writing = scope.spawn(|| writer.write_all(&sent));
        stream.read_exact(&mut received)?;
        writing.join().map_err(|_| std::io::Error::other("the writer panicked"))?
    })?;
    ensure!(received == sent, "what came back from {to} is not what was sent");
    Ok(())
}

/// iperf3 on the apps' host.
struct IperfServer(Process);

impl IperfServer {
    fn start(gate: &Gate, family: Family) -> Result<Self> {
        let mut command = gate.world.app.command("iperf3")?;
        // The host has two addresses of each family, and iperf3 answers the first datagram from whichever it likes.
        command.args(["--server", "--bind", &family.crm.to_string(), "--port", &IPERF.to_string(), "--forceflush"]);
        let server = Process::spawn(command, &gate.world.scratch().join(format!("iperf3-{}.log", family.crm)))?;
        wait_until("iperf3 to listen", SOON, || server.output().contains("Server listening").then_some(()))?;
        Ok(Self(server))
    }

    fn output(&self) -> String {
        self.0.output()
    }
}
