//! Packets, as many as wanted: those that nobody may send, or those of many connections. The kernel itself makes them, in batches as a card would, so that they
//! cost the machine little but what the gateway does about them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::net::if_::if_nametoindex;

use crate::{
    bpf::{Assembly, Condition, Helper, Kind, Map, Operation, Program, Register, Size},
    link,
    netns::Namespace,
    world::{World, at},
};

use Register::{R0, R1, R2, R3, R6, R7};

/// Packets that are made at a time, as a card's driver takes them up.
const BATCH: u32 = 64;
/// Between two turns.
const TURN: Duration = Duration::from_millis(1);
/// Packets in a turn of a volley: with the tens of milliseconds for which the kernel waits at each, half a million a second.
const IN_A_TURN: u32 = 16_384;
/// A flood that has fallen behind makes up for so many turns at most.
const TURNS: u32 = 20;
/// Of the Ethernet, IPv4 and UDP headers, and of the smallest frame.
const HEADERS: i32 = 42;
const SMALLEST: usize = 60;
/// In the frame.
const SOURCE_PORT: i16 = 34;
const DESTINATION_PORT: i16 = 36;

/// Where the packets go.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The gateway's hardware address, as `ip` writes it.
    pub mac: &'static str,
    /// The sender, who needs not exist.
    pub source: Ipv4Addr,
    /// The receiver; its ports are all tried.
    pub destination: Ipv4Addr,
}

/// Whose hardware address a packet of nobody has.
const NOBODY: &str = "02:00:00:00:00:f1";

/// The connections of which a volley's packets are, each in turn: between ports of the client and all ports of the app.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connections {
    /// How many: a power of two.
    pub count: u32,
    /// The packets are the app's, to the client.
    pub is_reply: bool,
}

impl Connections {
    /// More than are ever made.
    const ALL: Self = Self { count: 1 << 30, is_reply: false };
}

/// A flood of UDP packets, each to another port and from another one. Dropping ends it.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Packets of a flood, as many as one asks for.
#[derive(Debug)]
pub struct Volley {
    host: Namespace,
    program: Program,
    frame: Vec<u8>,
}

impl Volley {
    /// From an interface of a host.
    pub fn new(host: &Namespace, link: &str, target: Target) -> Result<Self> {
        Self::of(host, link, target, NOBODY, Connections::ALL)
    }

    /// Those of connections, from whoever has the hardware address `sender`.
    pub fn of(host: &Namespace, link: &str, target: Target, sender: &str, connections: Connections) -> Result<Self> {
        ensure!(connections.count.is_power_of_two(), "{connections:?}");
        let frame = frame(target, sender)?;
        let program = host.enter(|| -> Result<Program> { program(if_nametoindex(link)?, &frame, connections) })??;
        Ok(Self { host: host.clone(), program, frame })
    }

    /// Those of so many connections between the client and an app of a world: what the client sends, and what the app does.
    pub fn of_both_sides(world: &World, count: u32) -> Result<[Self; 2]> {
        let (IpAddr::V4(client), IpAddr::V4(app)) = (at::CLIENT, at::OTHER_APP) else { bail!("not of IPv4") };
        link::meet_xdp(&world.gateway, "apps0")?;
        let request = Target { mac: at::GUARD0_MAC, source: client, destination: app };
        let reply = Target { mac: at::APPS0_MAC, source: app, destination: client };
        Ok([
            Self::of(&world.client, "eth0", request, at::CLIENT_MAC, Connections { count, is_reply: false })?,
            Self::of(&world.app, "eth0", reply, at::APP_MAC, Connections { count, is_reply: true })?,
        ])
    }

    /// Makes so many, and returns when they have been taken up.
    pub fn send(&self, packets: u32) -> Result<()> {
        self.host.enter(|| self.make(packets))?
    }

    /// The same, some at a time: whoever else is on the machine gets on, too.
    pub fn send_in_turns(&self, packets: u32) -> Result<()> {
        self.host.enter(|| {
            let mut left = packets;
            while left > 0 {
                let now = left.min(IN_A_TURN);
                self.make(now)?;
                left -= now;
                thread::sleep(TURN);
            }
            Ok(())
        })?
    }

    /// The same for a thread that is in the host's namespace.
    fn make(&self, packets: u32) -> Result<()> {
        self.program.send(&self.frame, packets, BATCH)
    }
}

impl Flood {
    /// From an interface of a host, so many packets a second, or as many as the machine makes.
    pub fn start(host: &Namespace, link: &str, target: Target, per_second: u32) -> Result<Self> {
        let volley = Volley::new(host, link, target)?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let flow = move || volley.host.enter(|| flow(&volley, per_second, &stopped, &count))?;
        Ok(Self { stop, sent, thread: Some(thread::spawn(flow)) })
    }

    /// Packets so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it. Whether it could be made all the time.
    pub fn end(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().context("it has ended")?.join();
        ended.ok().context("the flood has panicked")??;
        Ok(self.sent())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // How it ended is told by `end`.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn flow(volley: &Volley, per_second: u32, stop: &AtomicBool, sent: &AtomicU64) -> Result<()> {
    let began = Instant::now();
    let at_most = (per_second / 1_000).max(1) * TURNS;
    while !stop.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
        let behind = due.saturating_sub(sent.load(Ordering::Relaxed));
        let now = u32::try_from(behind).unwrap_or(u32::MAX).min(at_most);
        if now > 0 {
            volley.make(now)?;
            sent.fetch_add(now.into(), Ordering::Relaxed);
        }
        thread::sleep(TURN);
    }
    Ok(())
}

/// Gives the packet other ports, by a counter, and sends it out of the interface of this number. Its headers are written, too:
/// the kernel uses its memory again, and whoever forwarded it has changed it.
fn program(interface: u32, frame: &[u8], Connections { count, is_reply }: Connections) -> Result<Program> {
    let (app, client) = if is_reply { (SOURCE_PORT, DESTINATION_PORT) } else { (DESTINATION_PORT, SOURCE_PORT) };
    let cursor = Map::array(8, 1)?;
    let mut code = Assembly::new();
    code.with(Operation::Set, R6, R1).map_value(R7, &cursor)?;
    code.load(Size::Double, R3, R7, 0).number(Operation::Add, R3, 1).store(Size::Double, R7, 0, R3);
    code.number(Operation::And, R3, i32::try_from(count - 1)?);
    code.load(Size::Word, R1, R6, 0).load(Size::Word, R2, R6, 4);
    code.with(Operation::Set, R0, R1).number(Operation::Add, R0, HEADERS);
    code.jump_if_both(Condition::Greater, R0, R2, "out");
    for (at, halves) in (0..SOURCE_PORT).step_by(2).zip(frame.chunks(2)) {
        let half = i32::from(u16::from_ne_bytes(halves.try_into()?));
        code.number(Operation::Set, R0, half).store(Size::Half, R1, at, R0);
    }
    code.store(Size::Half, R1, app, R3).number(Operation::ShiftRight, R3, 16);
    code.number(Operation::Or, R3, 1 << 15).store(Size::Half, R1, client, R3);
    code.number(Operation::Set, R1, i32::try_from(interface)?).number(Operation::Set, R2, 0);
    code.call(Helper::Redirect).exit();
    code.label("out").exit_with(0);
    Program::assembled(Kind::Xdp, &code)
}

/// An Ethernet frame with an empty UDP datagram over IPv4, which needs no checksum of its own (RFC 768).
fn frame(Target { mac, source, destination }: Target, sender: &str) -> Result<Vec<u8>> {
    let octets = |mac: &str| mac.split(':').map(|octet| u8::from_str_radix(octet, 16)).collect::<Result<Vec<_>, _>>();
    let mut frame = [&octets(mac)?[..], &octets(sender)?, &[0x08, 0x00]].concat();
    let mut header = [0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0].to_vec();
    header.extend(source.octets());
    header.extend(destination.octets());
    // RFC 791: the one's complement of the sum of all words.
    let sum: u32 = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !(folded as u16 + (folded >> 16) as u16);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    frame.extend(header);
    frame.extend([0, 0, 0, 0, 0, 8, 0, 0]);
    frame.resize(SMALLEST, 0);
    Ok(frame)
}
