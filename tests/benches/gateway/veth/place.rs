//! Where contenders stand: each in a namespace of its own, between two cables whose other ends lie side by side.
//!
//! ```text
//! outside                 contender                   outside
//! g0 ─────────── guard0 10.255.255.254 ─ apps0 172.16.0.1 ─────────── s0
//! ```
//!
//! Packets are made at `g0` and counted where `s0` throws them away. Nobody speaks but the generator: IPv6 is off, and
//! the app's server is a permanent neighbour.

use crate::frames::{CLIENT_MAC, GATEWAY_MAC};
use crate::measure::driver::constant;
use crate::measure::plane::APP;
use anyhow::{Context as _, Result};
use gateway_tests::Namespace;
use gateway_tests::bpf::{Attachment, Hook, Kind};
use gateway_tests::link::{self, End};
use nix::net::if_::if_nametoindex;

const APPS_MAC: [u8; 6] = [2, 0, 0, 0, 0, 3];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 4];
/// Behind which all clients are, so that there is one neighbour and not a million.
const CLIENTS_ROUTER: &str = "10.255.255.253";
const XDP_DROP: i32 = 1;
/// Columns of `/proc/net/dev` behind the name: packets received and sent.
const RECEIVED: usize = 1;
const SENT: usize = 9;

/// The other ends of all cables.
pub struct Outside(pub Namespace);

/// A contender's place.
pub struct Place {
    /// Where it stands.
    pub gateway: Namespace,
    /// The number of `guard0`.
    pub guard: u32,
    /// The number of the cable's end where packets are made.
    pub generator: u32,
    number: usize,
    _sink: Attachment,
}

/// What has come through so far.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// Packets that the contender took up.
    pub taken: u64,
    /// Packets that came out on the other side.
    pub delivered: u64,
}

impl Outside {
    /// Without cables.
    pub fn new() -> Result<Self> {
        let namespace = Namespace::new("outside")?;
        silence(&namespace)?;
        Ok(Self(namespace))
    }
}

impl Place {
    /// With its cables; it forwards.
    pub fn new(outside: &Outside, number: usize) -> Result<Self> {
        let gateway = Namespace::new("contender")?;
        silence(&gateway)?;
        let (near, far) = (format!("g{number}"), format!("s{number}"));
        let [guard, apps, client, server] = [GATEWAY_MAC, APPS_MAC, CLIENT_MAC, SERVER_MAC].map(written);
        for (inside, mac, addresses, name, other) in [
            ("guard0", &guard, &["10.255.255.254/30"], &near, &client),
            ("apps0", &apps, &["172.16.0.1/12"], &far, &server),
        ] {
            link::connect(
                End { host: &gateway, name: inside, mac, addresses },
                End { host: &outside.0, name, mac: other, addresses: &[] },
            )?;
        }
        link::neighbour(&gateway, "apps0", &APP.to_string(), &server)?;
        link::neighbour(&gateway, "guard0", CLIENTS_ROUTER, &client)?;
        link::route(&gateway, "10.0.0.0/8", CLIENTS_ROUTER)?;
        for interface in ["guard0", "apps0"] {
            // Whoever forwards in XDP has to see the tags of VLANs in the frames.
            link::offload(&gateway, interface, &["rxvlan", "rx-vlan-stag-hw-parse"], false)?;
        }
        link::forward(&gateway)?;
        let guard = gateway.enter(|| if_nametoindex("guard0"))??;
        let (generator, sink) = outside.0.enter(|| -> Result<_> {
            let sink = constant(Kind::Xdp, XDP_DROP)?.attach(&far, Hook::Xdp)?;
            Ok((if_nametoindex(&*near)?, sink))
        })??;
        Ok(Self { gateway, guard, generator, number, _sink: sink })
    }

    /// Makes an interface of it that carries no XDP program take packets that were redirected to it, in the way that is
    /// the quickest for the kernel.
    pub fn poll(&self, interface: &str) -> Result<()> {
        link::offload(&self.gateway, interface, &["gro"], true)
    }

    /// What has come through. To be asked from outside.
    pub fn passed(&self) -> Result<Passed> {
        let counters = std::fs::read_to_string("/proc/thread-self/net/dev")?;
        let counter = |name: String, column: usize| {
            let mut lines = counters.lines().filter_map(|line| line.trim().split_once(':'));
            let found = lines.find_map(|(found, columns)| (found == name).then_some(columns));
            let value = found.and_then(|columns| columns.split_whitespace().nth(column)?.parse().ok());
            value.with_context(|| format!("no counters of {name}"))
        };
        let number = self.number;
        Ok(Passed { taken: counter(format!("g{number}"), SENT)?, delivered: counter(format!("s{number}"), RECEIVED)? })
    }

    /// The number of the cable's end on the side of the apps. To be asked from outside.
    pub fn far(&self) -> Result<u32> {
        Ok(if_nametoindex(&*format!("s{}", self.number))?)
    }

    /// The hardware address of the contender on the side of the apps.
    pub const APPS_MAC: [u8; 6] = APPS_MAC;
}

/// A neighbour that nobody expects would move the work to another CPU.
fn silence(namespace: &Namespace) -> Result<()> {
    namespace.sysctl("ipv6/conf/all/disable_ipv6", "1")?;
    namespace.sysctl("ipv6/conf/default/disable_ipv6", "1")
}

fn written(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
