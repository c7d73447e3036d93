//! Forwarding in XDP: what is permitted goes past the network stack, and everything else is as it was.
//!
//! The network stack counts what it forwards: what has arrived without being counted there was forwarded in XDP.

use anyhow::{Context as _, Result, ensure};
use aya::maps::MapData;
use gateway_common::abi::{Epoch, Flow, map};
use gateway_common::forward::Kept;
use gateway_common::table::flows::read;
use gateway_common::{Address, KernelNanos};
use gateway_tests::{
    Gate, Namespace, Outcome, UdpEcho, World, gate, link, ping, tcp_connect, udp_exchange, wait_until, world::at,
};
use gateway_userspace::dataplane::clock;
use gateway_userspace::dataplane::mapped::{MadeOfWords, Mapped};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::restart::reconfigure;
use crate::scene::{Apps, BRIEFLY, FAMILIES, Family, PORT, SOON, V4, V6, goes_on, is_kept_out, on, reaches, stream};

const UDP: u16 = 5353;
/// Five seconds until it is asked, five that it has to be heard of otherwise, three questions of a second each.
const LATER: Duration = Duration::from_secs(40);
const FORWARDING: &str = "\n[forwarding]\napp_interfaces = [\"apps0\"]\n";

/// The demonstration with forwarding in XDP on both interfaces.
pub fn in_xdp(config: String) -> String {
    let config = on("guard0", "forward = \"xdp\"")(config);
    on("guard1", "forward = \"xdp\"")(config) + FORWARDING
}

/// How many packets the network stack of the gateway forwards while something happens.
fn by_the_stack(gate: &Gate, happens: impl FnOnce() -> Result<()>) -> Result<u64> {
    let before = link::forwarded(&gate.world.gateway)?;
    happens()?;
    Ok(link::forwarded(&gate.world.gateway)? - before)
}

/// alice may reach crm by TCP, UDP and ICMP.
fn permit_names(gate: &Gate) -> Result<()> {
    let services = [format!("{PORT}/tcp"), format!("{UDP}/udp"), "icmp".into()];
    gate.api.put("/v1/apps/crm", &json!({ "prefixes": [V4.crm, V6.crm], "services": services }))?.ok().map(drop)
}

/// TCP, UDP and ICMP come and go.
fn everything_passes(host: &Namespace, family: Family) -> Result<()> {
    reaches(host, family.crm());
    assert_eq!(udp_exchange(host, SocketAddr::new(family.crm, UDP), b"who", SOON)?, Outcome::Answered);
    assert_eq!(ping(host, family.crm, SOON)?, Outcome::Answered);
    Ok(())
}

fn works_in(xdp: &str) -> Result<()> {
    let gate = Gate::inside(World::able_to_forward_in_xdp()?, |config| {
        in_xdp(config).replace("forward = \"xdp\"", &format!("xdp = \"{xdp}\"\nforward = \"xdp\""))
            + &format!("xdp = \"{xdp}\"\n")
    })?;
    permit_names(&gate)?;
    let client = &gate.world.client;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        let _names = UdpEcho::start(&gate.world.app, SocketAddr::new(family.crm, UDP))?;
        family.alice(&gate)?;
        // Both ends are not known as neighbours before.
        everything_passes(client, family)?;
        let before = gate.drops()?;
        let stack = by_the_stack(&gate, || everything_passes(client, family))?;
        assert_eq!((stack, gate.reasons_since(&before)?), (0, vec![]), "{xdp} {}", family.crm);
        is_kept_out(client, family.vault());
        assert_eq!(gate.reasons_since(&before)?, ["guard0/no_grant"]);
    }
    Ok(())
}

#[test]
fn tcp_udp_and_icmp_pass_in_the_driver_and_the_network_stack_sees_none_of_it() -> Result<()> {
    works_in("native")
}

#[test]
fn tcp_udp_and_icmp_pass_in_generic_xdp_and_the_network_stack_sees_none_of_it() -> Result<()> {
    works_in("generic")
}

#[test]
fn a_next_hop_that_is_not_known_is_found_by_the_network_stack_and_then_redirected_to() -> Result<()> {
    let gate = Gate::inside(World::able_to_forward_in_xdp()?, in_xdp)?;
    let (client, gateway) = (&gate.world.client, &gate.world.gateway);
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        reaches(client, family.crm());
        gateway.ip(&["neigh flush dev apps0"])?;
        let first = by_the_stack(&gate, || {
            reaches(client, family.crm());
            Ok(())
        })?;
        assert!((1..=3).contains(&first), "{first} packets until the next hop was known");
        let then = by_the_stack(&gate, || {
            reaches(client, family.crm());
            Ok(())
        })?;
        assert_eq!(then, 0);
    }
    Ok(())
}

/// Nobody says so: the network stack would find out, because it asks those that it sends to.
#[test]
fn a_next_hop_whose_hardware_address_has_changed_without_a_word_is_found_again() -> Result<()> {
    let gate = Gate::inside(World::able_to_forward_in_xdp()?, in_xdp)?;
    let (client, app) = (&gate.world.client, &gate.world.app);
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    reaches(client, V4.crm());
    link::mac(app, "eth0", "02:20:00:00:00:99")?;
    link::neighbour(app, "eth0", "10.20.0.1", "02:20:00:00:00:01")?;
    gate.world.gateway.ip(&["neigh replace 10.20.0.10 lladdr 02:20:00:00:00:10 dev apps0 nud stale"])?;
    let is_reached = || (tcp_connect(client, V4.crm(), BRIEFLY).ok()? == Outcome::Connected).then_some(());
    ensure!(is_reached().is_none());
    wait_until("the app to be found again", LATER, is_reached)
}

/// The tables that the daemon has pinned.
pub fn pins(gate: &Gate) -> Result<PathBuf> {
    let folder = gate.world.bpffs().join("portcullis");
    let mut entries = std::fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
    let is_layout = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("abi"));
    entries.find(is_layout).with_context(|| format!("no tables in {}", folder.display()))
}

/// A pinned table of words, in memory.
pub fn mapped<T: MadeOfWords>(gate: &Gate, name: &str) -> Result<Mapped<T>> {
    let map = MapData::from_pin(pins(gate)?.join(name))?;
    Ok(Mapped::open(map.fd(), map.info()?.max_entries())?)
}

/// The ways that flows of the app remember: to it, and from it.
fn ways(gate: &Gate, app: IpAddr) -> Result<Vec<[Kept; 2]>> {
    let flows: Mapped<Flow> = mapped(gate, map::FLOWS)?;
    let live = flows.iter().filter_map(|(_, slot)| read(slot).map(|(key, _)| (key, slot)));
    let to_app = live.filter(|(key, _)| key.app == Address::from(app));
    Ok(to_app.map(|(_, flow)| [&flow.to_app, &flow.to_client].map(|side| Kept::from_word(side.way.load()))).collect())
}

/// The app has another network card.
fn replace_card(gate: &Gate, family: Family, mac: &str) -> Result<()> {
    let gateway = |address: IpAddr| if address.is_ipv4() { "10.20.0.1" } else { "fd20::1" };
    link::mac(&gate.world.app, "eth0", mac)?;
    link::neighbour(&gate.world.app, "eth0", gateway(family.crm), "02:20:00:00:00:01")?;
    gate.world.gateway.ip(&[format!("neigh replace {} lladdr {mac} dev apps0 nud reachable", family.crm)]).map(drop)
}

#[test]
fn flows_remember_their_ways_and_go_another_one_as_soon_as_there_is_one() -> Result<()> {
    let gate = Gate::inside(World::able_to_forward_in_xdp()?, in_xdp)?;
    for (family, mac) in FAMILIES.into_iter().zip(["02:20:00:00:00:98", "02:20:00:00:00:99"]) {
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        let going = stream(&gate.world.client, family.crm())?;
        let are_known = || {
            let ways = ways(&gate, family.crm).ok()?;
            ways.iter().flatten().all(|way| !way.is_none()).then_some(ways)
        };
        let before = wait_until("both ways to be known", SOON, are_known)?;
        ensure!(!before.is_empty());
        assert_eq!(by_the_stack(&gate, || goes_on(&going))?, 0);
        replace_card(&gate, family, mac)?;
        goes_on(&going)?;
        let last = mac.rsplit(':').next().and_then(|last| u8::from_str_radix(last, 16).ok());
        wait_until("the new card to be remembered", SOON, || {
            let ways = ways(&gate, family.crm).ok()?;
            ways.iter().all(|[to_app, _]| matches!(to_app.to(), [.., found] if Some(found) == last)).then_some(())
        })?;
        drop(going);
    }
    Ok(())
}

#[test]
fn while_the_daemon_stands_still_every_packet_asks_for_its_way() -> Result<()> {
    let gate = Gate::inside(World::able_to_forward_in_xdp()?, in_xdp)?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&gate.world.client, V4.crm())?;
    gate.daemon.pause()?;
    let epoch: Mapped<Epoch> = mapped(&gate, map::EPOCH)?;
    let is_over = || {
        let until = epoch.get(0)?.watched_until.load();
        KernelNanos(until).has_passed(clock::boot()).then_some(())
    };
    wait_until("nobody to watch the routes", SOON, is_over)?;
    replace_card(&gate, V4, "02:20:00:00:00:98")?;
    assert_eq!(by_the_stack(&gate, || goes_on(&going))?, 0);
    gate.daemon.resume()
}

#[test]
fn an_interface_that_cannot_take_part_is_named_and_its_packets_go_through_the_network_stack() -> Result<()> {
    let world = World::able_to_forward_in_xdp()?;
    link::offload(&world.app, "eth0", &["gro"], false)?;
    link::offload(&world.gateway, "guard0", &["rxvlan"], true)?;
    let gate = Gate::inside(world, in_xdp)?;
    let (client, family) = (&gate.world.client, V4);
    let _apps = Apps::start(&gate.world, family)?;
    family.alice(&gate)?;
    let says = |text: &str| gate.daemon.log().contains(text);
    ensure!(says("packets to this interface go through the network stack"), "{}", gate.daemon.log());
    ensure!(says("packets from this interface go through the network stack"), "{}", gate.daemon.log());
    ensure!(says("`ethtool -K guard0 rxvlan off rx-vlan-stag-hw-parse off`"), "{}", gate.daemon.log());
    let reach = || {
        reaches(client, family.crm());
        Ok(())
    };
    assert!(by_the_stack(&gate, reach)? >= 4);

    // What the log said is done; a second later it has its effect.
    link::meet_xdp(&gate.world.app, "eth0")?;
    link::keep_tags(&gate.world.gateway, "guard0")?;
    wait_until("forwarding in XDP", SOON, || (by_the_stack(&gate, reach).ok()? == 0).then_some(()))?;

    // And if it is undone.
    link::offload(&gate.world.app, "eth0", &["gro"], false)?;
    gate.says_times("packets to this interface go through", 2)?;
    assert!(by_the_stack(&gate, reach)? >= 4);
    Ok(())
}

/// The second client is an app of the first one, and nobody has logged in there: what leaves through `guard1` is judged.
#[test]
fn between_guarded_interfaces_nothing_is_redirected_past_the_second_judgement() -> Result<()> {
    let gate = Gate::inside(World::able_to_forward_in_xdp()?, in_xdp)?;
    gate.api.put("/v1/apps/crm", &json!({ "prefixes": [at::CLIENT2], "services": ["icmp"] }))?.ok()?;
    V4.alice(&gate)?;
    let before = gate.drops()?;
    assert_eq!(ping(&gate.world.client, at::CLIENT2, BRIEFLY)?, Outcome::TimedOut);
    assert_eq!(gate.reasons_since(&before)?, ["guard1/no_session"]);
    Ok(())
}

#[test]
fn interfaces_that_are_made_anew_forward_in_xdp_again() -> Result<()> {
    let gate = Gate::inside(World::able_to_forward_in_xdp()?, in_xdp)?;
    let (gateway, client, app) = (&gate.world.gateway, &gate.world.client, &gate.world.app);
    V4.alice(&gate)?;
    let forwards_again = |name: &str| {
        gate.says_times(&format!("forwarding in XDP interface=\"{name}\""), 2).with_context(|| gate.daemon.log())
    };
    let remake = |name: &str, host: &Namespace, subnet: u8, near: &str, far: &str| -> Result<()> {
        gateway.ip(&[format!("link del {name}")])?;
        host.ip(&[format!(
            "link add name eth0 address {far} type veth peer name {name} address {near} netns {}",
            gateway.name()
        )])?;
        link::meet_xdp(host, "eth0")?;
        link::keep_tags(gateway, name)?;
        let end = if subnet == 20 { 10 } else { 2 };
        host.ip(&[format!("address add 10.{subnet}.0.{end}/24 dev eth0"), "link set eth0 up".into()])?;
        gateway.ip(&[format!("address add 10.{subnet}.0.1/24 dev {name}"), format!("link set {name} up")])?;
        link::route(host, "default", &format!("10.{subnet}.0.1"))
    };
    remake("apps0", app, 20, "02:20:00:00:00:01", "02:20:00:00:00:10")?;
    forwards_again("apps0")?;
    remake("guard0", client, 77, at::GUARD0_MAC, at::CLIENT_MAC)?;
    forwards_again("guard0")?;
    let crm = gateway_tests::HttpServer::start(app, V4.crm(), "crm")?;
    is_kept_out(client, V4.crm());
    V4.alice(&gate)?;
    reaches(client, V4.crm());
    let stack = by_the_stack(&gate, || {
        reaches(client, V4.crm());
        Ok(())
    })?;
    assert_eq!(stack, 0);
    drop(crm);
    Ok(())
}

#[test]
fn a_restart_changes_who_forwards_and_open_streams_go_on() -> Result<()> {
    let mut gate = Gate::inside(World::able_to_forward_in_xdp()?, |config| config)?;
    let client = gate.world.client.clone();
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&client, V4.crm())?;
    let programs = |gate: &Gate| gate.world.gateway.run(&["ip", "link", "show", "apps0"]);
    ensure!(!programs(&gate)?.contains("xdp"));

    reconfigure(&gate, in_xdp)?;
    gate.daemon.restart()?;
    goes_on(&going)?;
    ensure!(programs(&gate)?.contains("pc_replies"), "{}", programs(&gate)?);
    assert_eq!(by_the_stack(&gate, || goes_on(&going))?, 0);

    // The same again: links are taken over.
    gate.daemon.restart()?;
    assert_eq!(by_the_stack(&gate, || goes_on(&going))?, 0);

    reconfigure(&gate, |config| config.replace("forward = \"xdp\"", "").replace(FORWARDING, ""))?;
    gate.daemon.restart()?;
    ensure!(!programs(&gate)?.contains("xdp"), "{}", programs(&gate)?);
    assert!(by_the_stack(&gate, || goes_on(&going))? > 0);
    is_kept_out(&client, V4.vault());
    Ok(())
}

#[test]
fn an_interface_that_faced_apps_can_be_guarded_after_a_restart() -> Result<()> {
    let mut gate = Gate::inside(World::able_to_forward_in_xdp()?, in_xdp)?;
    reconfigure(&gate, |config| {
        let guarded = config.replace("name = \"guard1\"", "name = \"apps0\"");
        guarded.replace(FORWARDING, "\n[forwarding]\napp_interfaces = [\"guard1\"]\n")
    })?;
    gate.daemon.restart()?;
    let programs = |name| gate.world.gateway.run(&["ip", "link", "show", name]);
    ensure!(programs("apps0")?.contains("pc_ingress") && programs("guard1")?.contains("pc_replies"));
    Ok(())
}

#[test]
fn an_interface_that_is_to_face_apps_and_does_not_exist_is_named() -> Result<()> {
    let world = World::able_to_forward_in_xdp()?;
    gate::prepare(&world)?;
    let config = in_xdp(gate::config()).replace("\"apps0\"", "\"apps7\"");
    let (status, told) = gate::run_to_end(&world, &[], &config, &[])?;
    assert_eq!(status.code(), Some(1));
    ensure!(told.contains("interface `apps7` does not exist"), "{told}");
    Ok(())
}

#[test]
fn where_nothing_is_enforced_replies_that_would_be_dropped_pass_and_count_once() -> Result<()> {
    let gate = Gate::inside(World::able_to_forward_in_xdp()?, |config| {
        in_xdp(config).replace("forward = \"xdp\"", "forward = \"xdp\"\nmode = \"observe\"")
    })?;
    let observed = |reason: &str| -> Result<u64> {
        let answer = gate.api.get("/v1/drops")?.ok()?;
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        let found = items.iter().find(|item| item["reason"] == reason && item["interface"] == "guard0");
        Ok(found.and_then(|item| item["observed"].as_u64()).unwrap_or_default())
    };
    // Nobody has logged in. The way to the client, and from it, is known.
    assert_eq!(ping(&gate.world.app, at::CLIENT, SOON)?, Outcome::Answered);
    let before = observed("no_session")?;
    let stack = by_the_stack(&gate, || {
        assert_eq!(ping(&gate.world.app, at::CLIENT, SOON)?, Outcome::Answered);
        Ok(())
    })?;
    // The echo is let through and redirected; its answer is let through by the program, and forwarded by the stack.
    assert_eq!((observed("no_session")? - before, stack), (2, 1));
    Ok(())
}
