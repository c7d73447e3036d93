//! An app that is behind a router and a narrow link: what lies on the way can be found out by those who may go there.
//!
//! ```text
//! client ── guard0 gateway far0 10.30.0.1 ── 10.30.0.2 router 10.40.0.1 ──(1300 bytes)── 10.40.0.10 far
//!                          fd30::1            fd30::2         fd40::1                   fd40::10
//! ```

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, Namespace, TcpEcho, UdpEcho, World, link, link::End, wait_until};
use serde_json::json;

use crate::scene::{BRIEFLY, FAMILIES, Family, SOON, on};
use crate::{forward, fragments, transfer};

const NARROW: u32 = 1_300;
const TCP: u16 = 8080;
const UDP: u16 = 5353;

/// The world, and behind it a router and a host.
struct Beyond {
    gate: Gate,
    _router: Namespace,
    far: Namespace,
}

impl Beyond {
    /// With these lines for `guard0`; what is permitted is forwarded by the network stack, or in XDP.
    fn open(guard0: &str, in_xdp: bool) -> Result<Self> {
        let world = if in_xdp { World::able_to_forward_in_xdp()? } else { World::new()? };
        let (router, far) = (Namespace::new("router")?, Namespace::new("far")?);
        let end = |host, name, mac, addresses| End { host, name, mac, addresses };
        link::connect(
            end(&world.gateway, "far0", "02:30:00:00:00:01", &["10.30.0.1/24", "fd30::1/64", "fe80::1/64"]),
            end(&router, "eth0", "02:30:00:00:00:02", &["10.30.0.2/24", "fd30::2/64", "fe80::2/64"]),
        )?;
        link::connect(
            end(&router, "eth1", "02:40:00:00:00:01", &["10.40.0.1/24", "fd40::1/64", "fe80::1/64"]),
            end(&far, "eth0", "02:40:00:00:00:10", &["10.40.0.10/24", "fd40::10/64", "fe80::2/64"]),
        )?;
        link::forward(&router)?;
        for (host, to, via) in [
            (&world.gateway, "10.40.0.0/24", "10.30.0.2"),
            (&world.gateway, "fd40::/64", "fd30::2"),
            (&router, "default", "10.30.0.1"),
            (&router, "default", "fd30::1"),
        ] {
            link::route(host, to, via)?;
        }
        // The far host is told to send small packets, and tells nobody: the other end has to find out.
        link::mtu(&router, "eth1", NARROW)?;
        far.ip(&[
            format!("route replace default via 10.40.0.1 mtu {NARROW} advmss 1460"),
            format!("route replace default via fd40::1 mtu {NARROW} advmss 1440"),
        ])?;
        let change = |config: String| {
            let config = on("guard0", guard0)(config);
            if in_xdp { forward::in_xdp(config).replace("\"apps0\"", "\"far0\"") } else { config }
        };
        if in_xdp {
            link::meet_xdp(&router, "eth0")?;
            link::meet_xdp(&far, "eth0")?;
            link::keep_tags(&world.gateway, "far0")?;
        }
        let gate = Gate::inside(world, change)?;
        let services = json!(["8080/tcp", "5353/udp", "33434-33534/udp", "icmp"]);
        gate.api.put("/v1/apps/far", &json!({ "prefixes": ["10.40.0.10", "fd40::10"], "services": services }))?.ok()?;
        gate.put_policy(r#"permit (principal in Group::"finance", action, resource == App::"far");"#)?.ok()?;
        FAMILIES.into_iter().try_for_each(|family| family.alice(&gate).map(drop))?;
        Ok(Self { gate, _router: router, far })
    }
}

/// The router's address on the gateway's side, and the far host's.
fn hops(family: Family) -> [IpAddr; 2] {
    let hops = if family.crm.is_ipv4() { ["10.30.0.2", "10.40.0.10"] } else { ["fd30::2", "fd40::10"] };
    hops.map(|hop| hop.parse().expect("an address"))
}

#[test]
fn traceroute_shows_the_gateway_and_the_way_behind_it_to_those_who_may_go_there() -> Result<()> {
    traceroute_shows_the_way(&Beyond::open("", false)?)
}

#[test]
fn traceroute_shows_the_same_where_packets_are_forwarded_in_xdp() -> Result<()> {
    let beyond = Beyond::open("", true)?;
    traceroute_shows_the_way(&beyond)?;
    ensure!(beyond.gate.daemon.log().contains("forwarding in XDP interface=\"far0\""), "{}", beyond.gate.daemon.log());
    Ok(())
}

fn traceroute_shows_the_way(beyond: &Beyond) -> Result<()> {
    let gate = &beyond.gate;
    for family in FAMILIES {
        let [router, far] = hops(family);
        let _server = TcpEcho::start(&beyond.far, SocketAddr::new(far, TCP))?;
        for probes in ["", "--icmp", "--tcp"] {
            let before = gate.drops()?;
            let seen = traceroute(&gate.world.client, far, probes)?;
            assert_eq!(gate.reasons_since(&before)?, [""; 0], "{probes} {far}: {seen:?}");
            assert_eq!(seen, [family.guard0, router, far].map(|hop| hop.to_string()), "{probes} {far}");
        }
        let before = gate.drops()?;
        let seen = traceroute(&gate.world.client2, far, "")?;
        assert_eq!(
            (seen, gate.reasons_since(&before)?),
            (vec!["*".to_owned(); 4], vec!["guard1/no_session".to_owned()])
        );
    }
    Ok(())
}

/// Who answered at each distance; `*` for nobody.
fn traceroute(host: &Namespace, to: IpAddr, probes: &str) -> Result<Vec<String>> {
    let family = if to.is_ipv4() { "-4" } else { "-6" };
    let to = to.to_string();
    let mut line = vec!["traceroute", family, "-n", "--queries=1", "--wait=1", "--max-hops=4"];
    line.extend((!probes.is_empty()).then_some(probes));
    if probes == "--tcp" {
        line.push("--port=8080");
    }
    line.push(&to);
    let told = host.run(&line)?;
    Ok(told.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect())
}

#[test]
fn the_mtu_of_a_narrow_link_behind_the_gate_is_found_out_and_nothing_is_lost() -> Result<()> {
    the_mtu_is_found_out(&Beyond::open("fragments = \"track\"", false)?)
}

#[test]
fn the_mtu_of_a_narrow_link_is_found_out_where_packets_are_forwarded_in_xdp() -> Result<()> {
    the_mtu_is_found_out(&Beyond::open("fragments = \"track\"", true)?)
}

fn the_mtu_is_found_out(beyond: &Beyond) -> Result<()> {
    let gate = &beyond.gate;
    for family in FAMILIES {
        let [_, far] = hops(family);
        let stream = TcpEcho::start(&beyond.far, SocketAddr::new(far, TCP))?;
        let before = gate.drops()?;
        transfer::comes_back(&gate.world.client, stream.address()?)?;
        let route = gate.world.client.run(&["ip", "route", "get", &far.to_string()])?;
        ensure!(route.contains(&format!("mtu {NARROW}")), "{route}");
        assert_eq!(gate.reasons_since(&before)?, [""; 0]);

        // What was found out holds for datagrams too: they are cut to fit.
        let datagrams = UdpEcho::start(&beyond.far, SocketAddr::new(far, UDP))?;
        for size in [1_290, 1_473, 8_000] {
            fragments::comes_back(&gate.world.client, datagrams.address()?, size)?;
        }
        assert_eq!(gate.reasons_since(&before)?, [""; 0]);

        // Datagrams alone find out as well, by what they lose, also those that are sent in fragments.
        for size in [1_400, 8_000] {
            let family = if far.is_ipv4() { "-4" } else { "-6" };
            gate.world.client.run(&["ip", family, "route", "flush", "cache"])?;
            let to = datagrams.address()?;
            let datagram = || fragments::comes_back_within(&gate.world.client, to, size, BRIEFLY).ok();
            let found = wait_until("a datagram to come back", SOON, datagram);
            found.with_context(|| format!("{size} bytes to {far}; dropped: {:?}", gate.reasons_since(&before)))?;
        }
        // Of the errors about fragments only the one about the first can be told whose it is; it says all there is to say.
        let mut reasons = gate.reasons_since(&before)?;
        reasons.retain(|reason| far.is_ipv4() || reason != "guard0/transport_malformed");
        assert_eq!(reasons, [""; 0]);
    }
    Ok(())
}
