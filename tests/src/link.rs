//! Links between namespaces, their addresses and routes. MAC addresses are fixed, and IPv6 does
//! nothing that nobody asked for, so that a test can count packets.

use std::fs;

use anyhow::{Context as _, Result};

use crate::netns::Namespace;

/// One end of a virtual cable.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The host it is plugged into.
    pub host: &'a Namespace,
    /// Its name there.
    pub name: &'a str,
    /// Its MAC address.
    pub mac: &'a str,
    /// Its addresses, with prefix length.
    pub addresses: &'a [&'a str],
}

/// Plugs a cable in, sets the addresses and brings both ends up.
pub fn connect(a: End<'_>, b: End<'_>) -> Result<()> {
    quiet_ipv6(a.host)?;
    quiet_ipv6(b.host)?;
    a.host.ip(&[format!(
        "link add name {} address {} type veth peer name {} address {} netns {}",
        a.name,
        a.mac,
        b.name,
        b.mac,
        b.host.name()
    )])?;
    for end in [a, b] {
        let mut lines: Vec<String> = end.addresses.iter().map(|address| add_address(end.name, address)).collect();
        lines.push(format!("link set {} up", end.name));
        end.host.ip(&lines)?;
    }
    Ok(())
}

/// Adds an address, with prefix length; it can be used at once.
pub fn address(host: &Namespace, link: &str, address: &str) -> Result<()> {
    host.ip(&[add_address(link, address)])
}

/// Routes what is for `destination` (a prefix, or `default`) to `via`. The family is that of `via`.
pub fn route(host: &Namespace, destination: &str, via: &str) -> Result<()> {
    let family = if via.contains(':') { "-6 " } else { "" };
    host.run(&format!("ip {family}route replace {destination} via {via}").split_whitespace().collect::<Vec<_>>())?;
    Ok(())
}

/// Names the MAC address of a neighbour, so that no ARP or neighbour discovery happens.
pub fn neighbour(host: &Namespace, link: &str, address: &str, mac: &str) -> Result<()> {
    host.ip(&[format!("neigh replace {address} lladdr {mac} dev {link} nud permanent")])
}

/// Sets the largest packet that a link carries.
pub fn mtu(host: &Namespace, link: &str, bytes: u32) -> Result<()> {
    host.ip(&[format!("link set {link} mtu {bytes}")])
}

/// Changes the MAC address of a link.
pub fn mac(host: &Namespace, link: &str, mac: &str) -> Result<()> {
    host.ip(&[format!("link set {link} address {mac}")])
}

/// Takes a link down or brings it up.
pub fn set_up(host: &Namespace, link: &str, up: bool) -> Result<()> {
    host.ip(&[format!("link set {link} {}", if up { "up" } else { "down" })])
}

/// Switches offloads, named as ethtool does (`tx`, `tso`, `gro`, …). With `tx` off, checksums are
/// complete on the wire; a program that reads or copies packets sees them so.
pub fn offload(host: &Namespace, link: &str, features: &[&str], on: bool) -> Result<()> {
    let mut line = vec!["ethtool", "-K", link];
    line.extend(features.iter().flat_map(|feature| [*feature, if on { "on" } else { "off" }]));
    host.run(&line)?;
    Ok(())
}

/// Makes a host forward packets, of both families.
pub fn forward(host: &Namespace) -> Result<()> {
    host.sysctl("ipv4/ip_forward", "1")?;
    host.sysctl("ipv6/conf/all/forwarding", "1")
}

/// How many packets the network stack of a host has forwarded, of both families. What an XDP program forwards it does not
/// see.
pub fn forwarded(host: &Namespace) -> Result<u64> {
    let read = |name| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    let (v4, v6) = host.enter(|| -> Result<_> { Ok((read("snmp")?, read("snmp6")?)) })??;
    let mut rows = v4.lines().filter_map(|line| line.strip_prefix("Ip: ")).map(str::split_whitespace);
    let (names, values) = rows.next().zip(rows.next()).context("no counters of IPv4")?;
    let v4 = names.zip(values).find(|(name, _)| *name == "ForwDatagrams").context("no ForwDatagrams")?.1;
    let mut v6 = v6.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let v6 = v6.find(|(name, _)| *name == "Ip6OutForwDatagrams").context("no Ip6OutForwDatagrams")?.1;
    Ok(v4.parse::<u64>()? + v6.trim().parse::<u64>()?)
}

/// Lets a link take part in forwarding in XDP at its other end: the host completes its checksums itself, and takes what is
/// redirected to it.
pub fn meet_xdp(host: &Namespace, link: &str) -> Result<()> {
    offload(host, link, &["tx"], false)?;
    offload(host, link, &["gro"], true)
}

/// Leaves tags in the frames that arrive on a link, where an XDP program sees them.
pub fn keep_tags(host: &Namespace, link: &str) -> Result<()> {
    offload(host, link, &["rxvlan", "rx-vlan-stag-hw-parse"], false)
}

/// For links made afterwards: no router solicitation or advertisement, no duplicate detection, no link-local address but
/// the one given (mode 1), and what is to be said about groups is said at once, not within the next seconds.
fn quiet_ipv6(host: &Namespace) -> Result<()> {
    for (key, value) in [
        ("accept_ra", "0"),
        ("accept_dad", "0"),
        ("router_solicitations", "0"),
        ("addr_gen_mode", "1"),
        ("mldv1_unsolicited_report_interval", "1"),
        ("mldv2_unsolicited_report_interval", "1"),
    ] {
        host.sysctl(&format!("ipv6/conf/default/{key}"), value)?;
    }
    Ok(())
}

fn add_address(link: &str, address: &str) -> String {
    let nodad = if address.contains(':') { " nodad" } else { "" };
    format!("address add {address} dev {link}{nodad}")
}
