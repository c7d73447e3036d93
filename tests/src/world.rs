//! The place: two clients, each behind a guarded interface of the gateway, and a host with apps.
//!
//! ```text
//! client  10.77.0.2 fd77::2 ── guard0 10.77.0.1 fd77::1 ┐
//!                                                       ├ gateway ─ apps0 10.20.0.1  ── app 10.20.0.10 and .11
//! client2 10.78.0.2 fd78::2 ── guard1 10.78.0.1 fd78::1 ┘                 fd20::1           fd20::10 and ::11
//! ```
//!
//! On each link the gateway is also fe80::1 and the other end fe80::2: a router asks for the
//! neighbours of those it forwards for from its link-local address.

use std::{
    path::{Path, PathBuf},
    sync::Once,
};

use anyhow::{Context as _, Result};

use crate::{
    link::{self, End},
    netns::{self, Namespace},
    scratch::{self, Scratch},
};

/// The addresses and names of the world.
pub mod at {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    const fn v4(b: u8, d: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, b, 0, d))
    }

    const fn v6(a: u16, h: u16) -> IpAddr {
        IpAddr::V6(Ipv6Addr::new(a, 0, 0, 0, 0, 0, 0, h))
    }

    /// The client on `guard0`.
    pub const CLIENT: IpAddr = v4(77, 2);
    /// The client on `guard0`, IPv6.
    pub const CLIENT6: IpAddr = v6(0xfd77, 2);
    /// The MAC address of the client.
    pub const CLIENT_MAC: &str = "02:77:00:00:00:02";
    /// The client on `guard1`.
    pub const CLIENT2: IpAddr = v4(78, 2);
    /// The client on `guard1`, IPv6.
    pub const CLIENT2_6: IpAddr = v6(0xfd78, 2);
    /// The MAC address of the second client.
    pub const CLIENT2_MAC: &str = "02:78:00:00:00:02";
    /// The gateway, as the client sees it.
    pub const GUARD0: IpAddr = v4(77, 1);
    /// The gateway, as the client sees it, IPv6.
    pub const GUARD0_6: IpAddr = v6(0xfd77, 1);
    /// The MAC address of `guard0`.
    pub const GUARD0_MAC: &str = "02:77:00:00:00:01";
    /// The gateway, as the second client sees it.
    pub const GUARD1: IpAddr = v4(78, 1);
    /// The gateway, as the second client sees it, IPv6.
    pub const GUARD1_6: IpAddr = v6(0xfd78, 1);
    /// The MAC address of `guard1`.
    pub const GUARD1_MAC: &str = "02:78:00:00:00:01";
    /// The MAC address of `apps0`.
    pub const APPS0_MAC: &str = "02:20:00:00:00:01";
    /// The MAC address of the apps' host.
    pub const APP_MAC: &str = "02:20:00:00:00:10";
    /// The gateway, as the apps see it.
    pub const APPS0: IpAddr = v4(20, 1);
    /// The gateway, as the apps see it, IPv6.
    pub const APPS0_6: IpAddr = v6(0xfd20, 1);
    /// The host with the apps.
    pub const APP: IpAddr = v4(20, 10);
    /// The host with the apps, IPv6.
    pub const APP6: IpAddr = v6(0xfd20, 0x10);
    /// Its second address, for another app.
    pub const OTHER_APP: IpAddr = v4(20, 11);
    /// Its second address, for another app, IPv6.
    pub const OTHER_APP6: IpAddr = v6(0xfd20, 0x11);
}

/// Four hosts, their links, and a scratch directory. Dropping removes all of it.
#[derive(Debug)]
pub struct World {
    /// A person's machine, on `guard0`; its own interface is `eth0`, as on all hosts.
    pub client: Namespace,
    /// Another one, on `guard1`.
    pub client2: Namespace,
    /// The gateway, with `guard0`, `guard1` and `apps0`.
    pub gateway: Namespace,
    /// The host with the apps.
    pub app: Namespace,
    scratch: Scratch,
}

impl World {
    /// Builds one of which the links can forward in XDP.
    pub fn able_to_forward_in_xdp() -> Result<Self> {
        let world = Self::new()?;
        for host in [&world.client, &world.client2, &world.app] {
            link::meet_xdp(host, "eth0")?;
        }
        for name in ["guard0", "guard1", "apps0"] {
            link::keep_tags(&world.gateway, name)?;
        }
        Ok(world)
    }

    /// Builds it. The gateway forwards everything as long as no program is attached.
    pub fn new() -> Result<Self> {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(|| {
            Self::cleanup_stale();
        });
        let world = Self {
            client: Namespace::new("client")?,
            client2: Namespace::new("client2")?,
            gateway: Namespace::new("gateway")?,
            app: Namespace::new("app")?,
            scratch: Scratch::new()?,
        };
        world.connect().context("cannot connect the hosts of the world")?;
        Ok(world)
    }

    /// Where its files are: configuration, logs, state.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Its own BPF file system, for pins.
    pub fn bpffs(&self) -> PathBuf {
        self.scratch.bpffs()
    }

    /// Its hosts.
    pub fn hosts(&self) -> [&Namespace; 4] {
        [&self.client, &self.client2, &self.gateway, &self.app]
    }

    /// Removes what killed runs left behind, with the processes in it, and names it.
    pub fn cleanup_stale() -> Vec<String> {
        let names = netns::stale();
        names.iter().for_each(|name| netns::remove_stale(name));
        scratch::remove_stale();
        names
    }

    /// Makes `guard0` anew, after it was removed: between the same hosts, with the same addresses, and another number.
    pub fn remake_guard0(&self) -> Result<()> {
        self.connect_client()?;
        link::route(&self.client, "default", &at::GUARD0.to_string())?;
        link::route(&self.client, "default", &at::GUARD0_6.to_string())
    }

    /// The same with `guard1`.
    pub fn remake_guard1(&self) -> Result<()> {
        self.connect_client2()?;
        link::route(&self.client2, "default", &at::GUARD1.to_string())?;
        link::route(&self.client2, "default", &at::GUARD1_6.to_string())
    }

    fn connect_client2(&self) -> Result<()> {
        link::connect(
            self.inside("guard1", at::GUARD1_MAC, &["10.78.0.1/24", "fd78::1/64", "fe80::1/64"]),
            outside(&self.client2, at::CLIENT2_MAC, &["10.78.0.2/24", "fd78::2/64", "fe80::2/64"]),
        )
    }

    fn connect_client(&self) -> Result<()> {
        link::connect(
            self.inside("guard0", at::GUARD0_MAC, &["10.77.0.1/24", "fd77::1/64", "fe80::1/64"]),
            outside(&self.client, at::CLIENT_MAC, &["10.77.0.2/24", "fd77::2/64", "fe80::2/64"]),
        )
    }

    fn connect(&self) -> Result<()> {
        self.connect_client()?;
        self.connect_client2()?;
        let apps = ["10.20.0.10/24", "10.20.0.11/24", "fd20::10/64", "fd20::11/64", "fe80::2/64"];
        link::connect(
            self.inside("apps0", at::APPS0_MAC, &["10.20.0.1/24", "fd20::1/64", "fe80::1/64"]),
            outside(&self.app, at::APP_MAC, &apps),
        )?;
        link::forward(&self.gateway)?;
        for (host, gateway) in [(&self.client, at::GUARD0), (&self.client2, at::GUARD1), (&self.app, at::APPS0)] {
            link::route(host, "default", &gateway.to_string())?;
        }
        for (host, gateway) in [(&self.client, at::GUARD0_6), (&self.client2, at::GUARD1_6), (&self.app, at::APPS0_6)] {
            link::route(host, "default", &gateway.to_string())?;
        }
        Ok(())
    }

    fn inside<'a>(&'a self, name: &'a str, mac: &'a str, addresses: &'a [&'a str]) -> End<'a> {
        End { host: &self.gateway, name, mac, addresses }
    }
}

fn outside<'a>(host: &'a Namespace, mac: &'a str, addresses: &'a [&'a str]) -> End<'a> {
    End { host, name: "eth0", mac, addresses }
}
