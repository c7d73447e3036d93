//! A client, a gateway and the host of the apps, on wires; and what arrives at each of them.
//!
//! ```text
//! client eth0 ── guard0 gateway apps0 ── eth0 app
//! ```
//!
//! No host has an address on these links and nobody answers: counters move for what is sent here only. Whatever the
//! gateway lets pass has a way to the app's host, because all routes but those to the clients lead there.

use anyhow::{Context as _, Result, bail, ensure};
use gateway_tests::link::{self, End};
use gateway_tests::{Namespace, wait_until};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket};
use nix::unistd::Pid;
use std::fmt::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

pub const SOON: Duration = Duration::from_secs(5);
/// How long nothing may have been heard before the first packet.
const SILENCE: Duration = Duration::from_millis(700);
/// The hardware address of the apps' host.
const APP_MAC: &str = "02:20:00:00:00:10";

/// An end of a link: sends frames, and sees those that others send.
pub struct Tap(OwnedFd);

impl Tap {
    /// On a link of a host.
    pub fn open(host: &Namespace, name: &str) -> Result<Self> {
        host.enter(|| {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let tap = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
            let mut links = nix::ifaddrs::getifaddrs()?.filter(|link| link.interface_name == name);
            let address = links.find_map(|link| link.address?.as_link_addr().copied());
            bind(tap.as_raw_fd(), &address.with_context(|| format!("no link {name}"))?)?;
            Ok(Self(tap))
        })?
    }

    /// Sends a frame. False if it was dropped on the way out of this host.
    pub fn send(&self, frame: &[u8]) -> Result<bool> {
        match send(self.0.as_raw_fd(), frame, MsgFlags::empty()) {
            Ok(sent) => {
                ensure!(sent == frame.len(), "{sent} of {} bytes were sent", frame.len());
                Ok(true)
            }
            Err(Errno::ENOBUFS) => Ok(false),
            Err(error) => bail!("the frame could not be sent: {error}"),
        }
    }

    /// What has arrived since the last time, each without the link layer.
    pub fn drain(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.frames()?.iter().map(|frame| without_link_layer(frame).to_vec()).collect())
    }

    /// What has arrived since the last time, each as it was on the wire.
    pub fn frames(&self) -> Result<Vec<Vec<u8>>> {
        let mut arrived = Vec::new();
        let mut buffer = vec![0; 4_096];
        loop {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => arrived.push(buffer[..length].to_vec()),
                Err(Errno::EAGAIN) => return Ok(arrived),
                Err(error) => bail!("cannot read what arrived: {error}"),
            }
        }
    }

    /// Waits for a packet, and returns what came before it.
    pub fn until(&self, what: &str, is_it: impl Fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>> {
        let mut before = Vec::new();
        let came = wait_until(what, SOON, || match self.drain() {
            Err(error) => Some(Err(error)),
            Ok(arrived) => {
                before.extend(arrived);
                before.last().is_some_and(|last| is_it(last)).then_some(Ok(()))
            }
        });
        came.with_context(|| format!("instead came {}", list(&before)))??;
        before.pop();
        Ok(before)
    }
}

/// The taps at the ends.
pub struct Hosts {
    /// At the client.
    pub client: Tap,
    /// At the gateway, on the interface that faces the client.
    pub guard: Tap,
    /// At the host of the apps.
    pub app: Tap,
}

/// What is sent first is then handled first, by whatever part of the network stack.
fn stay_on_one_cpu() -> Result<()> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap_or_default()).context("no CPU")?;
    let mut cpus = CpuSet::new();
    cpus.set(first)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
}

/// Makes the three hosts.
pub fn connect() -> Result<[Namespace; 3]> {
    let hosts = [Namespace::new("client")?, Namespace::new("gateway")?, Namespace::new("app")?];
    let [client, gateway, app] = &hosts;
    let end = |host, name, mac| End { host, name, mac, addresses: &[] };
    link::connect(end(gateway, "guard0", "02:77:00:00:00:01"), end(client, "eth0", "02:77:00:00:00:02"))?;
    link::connect(end(gateway, "apps0", "02:20:00:00:00:01"), end(app, "eth0", APP_MAC))?;
    Ok(hosts)
}

impl Hosts {
    /// Makes the hosts mute, and taps their ends. None of them has an address on these links any more.
    pub fn new([client, gateway, app]: [&Namespace; 3]) -> Result<Self> {
        stay_on_one_cpu()?;
        for host in [client, app] {
            host.ip(&["address flush dev eth0", "link set eth0 multicast off"])?;
            host.sysctl("ipv6/conf/eth0/disable_ipv6", "1")?;
        }
        gateway.sysctl("ipv4/conf/all/arp_ignore", "8")?;
        // Its own addresses move to where nobody asks for them. They are never missing.
        gateway.ip(&[
            "address add 10.77.0.1/32 dev lo",
            "address add 10.20.0.1/32 dev lo",
            "address add fd77::1/128 dev lo nodad",
            "address add fd20::1/128 dev lo nodad",
            "address flush dev guard0 scope global",
            "address flush dev apps0 scope global",
            // Whoever forwards IPv6 joins the group of routers and says so, unless the link knows no groups.
            "link set guard0 multicast off",
            "link set apps0 multicast off",
            // Neighbours that it spoke to before are not asked whether they are still there.
            "neigh flush dev guard0",
            "neigh flush dev apps0",
            &format!("neigh replace 10.20.0.254 lladdr {APP_MAC} dev apps0 nud permanent"),
            &format!("neigh replace fd20::fe lladdr {APP_MAC} dev apps0 nud permanent"),
        ])?;
        for route in [
            "-4 route add default via 10.20.0.254 dev apps0 onlink",
            "-4 route add unreachable 10.77.0.0/16",
            "-6 route add default via fd20::fe dev apps0 onlink",
            "-6 route add unreachable fd77::/32",
        ] {
            gateway.run(&[&["ip"][..], &route.split(' ').collect::<Vec<_>>()].concat())?;
        }
        link::forward(gateway)?;
        let hosts = Self {
            client: Tap::open(client, "eth0")?,
            guard: Tap::open(gateway, "guard0")?,
            app: Tap::open(app, "eth0")?,
        };
        hosts.fall_silent()?;
        Ok(hosts)
    }

    /// Waits until nothing has arrived anywhere for a while.
    pub fn fall_silent(&self) -> Result<()> {
        let mut since = Instant::now();
        wait_until("silence on the links", SOON, || {
            let silent =
                [&self.client, &self.guard, &self.app].map(|tap| tap.drain().is_ok_and(|some| some.is_empty()));
            if silent != [true; 3] {
                since = Instant::now();
            }
            (since.elapsed() > SILENCE).then_some(())
        })
    }
}

/// What is behind the addresses, the tags and the EtherType.
pub fn without_link_layer(frame: &[u8]) -> &[u8] {
    let mut at = 12;
    while let Some([0x81, 0] | [0x88, 0xa8]) = frame.get(at..at + 2) {
        at += 4;
    }
    frame.get(at + 2..).unwrap_or_default()
}

pub fn is_in_a_vlan(frame: &[u8]) -> bool {
    let tags = frame[12..].chunks(4).take_while(|tag| matches!(tag, [0x81, 0, ..] | [0x88, 0xa8, ..]));
    tags.filter_map(|tag| tag.get(2..4)).any(|tag| tag[0] & 0x0f != 0 || tag[1] != 0)
}

/// A packet as every host on its way sees it: without padding, and without what a router changes.
pub fn masked(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= 20 => {
            packet[8] = 0;
            packet[10..12].fill(0);
            packet.truncate(u16::from_be_bytes([packet[2], packet[3]]).into());
        }
        Some(6) if packet.len() >= 40 => {
            packet[7] = 0;
            packet.truncate(40 + usize::from(u16::from_be_bytes([packet[4], packet[5]])));
        }
        _ => {}
    }
    packet
}

pub fn list(packets: &[Vec<u8>]) -> String {
    let mut text = format!("{} packets", packets.len());
    for packet in packets {
        text.push(' ');
        packet.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string takes everything"));
    }
    text
}
