//! The corpus on a wire behind the real daemon: what the configuration, apps, policies and logins make of the tables is
//! judged alike.
//!
//! Left out is what the daemon cannot be brought to in a moment: cases in which something is done, VLANs, the session of
//! another interface, and grants that have lapsed.

use super::cast::Act;
use super::hosts::Hosts;
use super::plane::{Counted, forget_packets};
use super::read::{Case, Turn, World, corpus};
use super::wire::{Gateway, Wire};
use anyhow::{Context as _, Result, bail, ensure};
use gateway_common::{DropReason, Verdict};
use gateway_tests::world::at;
use gateway_tests::{Gate, Namespace, link};
use gateway_userspace::dataplane::Monitor;
use serde_json::json;
use std::net::IpAddr;
use std::path::PathBuf;

/// Everybody who is in the group may reach what has the label.
const POLICY: &str = r#"permit (principal in Group::"corpus", action == Action::"connect", resource)
when { resource.labels.contains("granted") };"#;
/// The guarded interface in the configuration.
const GUARD: &str = "name = \"guard0\"\n";
/// Reasons for which the daemon writes no grant, or that change a session.
const LEFT_OUT: [DropReason; 5] = [
    DropReason::GrantExpired,
    DropReason::ReauthRequired,
    DropReason::LeaseExpired,
    DropReason::TripWire,
    DropReason::BudgetTableFull,
];
/// carol's addresses.
const CAROL: [&[u8]; 2] = [&[10, 77, 0, 4], &[0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]];

#[test]
fn each_case_comes_out_as_expected_behind_the_daemon_with_native_xdp() -> Result<()> {
    run("native")
}

#[test]
fn each_case_comes_out_as_expected_behind_the_daemon_with_generic_xdp() -> Result<()> {
    run("generic")
}

fn run(xdp: &'static str) -> Result<()> {
    let gate = Gate::with(|config| configured(&config, xdp))?;
    let config = std::fs::read_to_string(gate.daemon.config())?;
    make_apps(&gate)?;
    log_in(&gate)?;
    let world = &gate.world;
    let hosts = Hosts::new([&world.client, &world.gateway, &world.app])?;
    let mut cases = corpus();
    cases.retain(is_for_the_daemon);
    ensure!(cases.len() > 700, "only {} cases are left", cases.len());
    // The daemon is restarted for each world.
    cases.sort_by_key(|case| case.world);
    let pins = pins(&gate)?;
    let index = world.gateway.enter(|| nix::net::if_::if_nametoindex("guard0"))??;
    let monitor = Monitor::open(&pins)?;
    let guarded = Guarded { gate, config, world: World::Default, pins, index, monitor };
    Wire::new(hosts, guarded).run_all(&cases)
}

fn is_for_the_daemon(case: &Case) -> bool {
    let is_left_out = |turn: &Turn| match turn {
        Turn::Act(_) => true,
        Turn::Packet(sent) => {
            let is_about_carol = CAROL.iter().any(|carol| sent.frame.windows(carol.len()).any(|part| part == *carol));
            is_about_carol || matches!(sent.expected, Verdict::Drop(reason) if LEFT_OUT.contains(&reason))
        }
    };
    case.world != World::Vlans && !case.turns.iter().any(is_left_out)
}

/// The configuration of the demonstration, and beside it what the corpus needs. Settings of the interface come later.
fn configured(config: &str, xdp: &str) -> String {
    let guard = format!("{GUARD}xdp = \"{xdp}\"\n");
    let management = "management = [\"127.0.0.0/8\", \"::1/128\", \"10.77.9.0/24\"]\n";
    let ssh = "[[service]]\nname = \"ssh\"\nprotocol = \"tcp\"\nport = 22\naccess = \"management\"\n\
               addresses = [\"10.77.0.1\", \"fd77::1\"]\n";
    let limits = "[limits]\nservice_packets_per_second = 0\n";
    let config = config.replace(GUARD, &guard).replace("[api]\n", &format!("[api]\n{management}"));
    format!("{config}\n{ssh}\n{limits}")
}

/// The same with the interface's settings in a world.
fn in_world(config: &str, world: World) -> String {
    let settings = world.settings();
    let mut guard = GUARD.to_owned();
    for (is_set, line) in [
        (settings.track_fragments, "fragments = \"track\"\n"),
        (settings.admit_options, "ip_options = \"admit\"\n"),
        (settings.admit_extensions, "ip_extensions = \"admit\"\n"),
    ] {
        guard.push_str(if is_set { line } else { "" });
    }
    config.replace(GUARD, &guard)
}

fn make_apps(gate: &Gate) -> Result<()> {
    gate.put_policy(POLICY)?.ok()?;
    for app in ["crm", "vault"] {
        gate.api.delete(&format!("/v1/apps/{app}"))?.ok()?;
    }
    for (name, last, services, opens, is_granted) in [
        ("web", 10, &["443/tcp", "icmp"][..], &[][..], true),
        ("vault", 11, &["22/tcp"], &[], false),
        ("signal", 12, &["2905/sctp"], &[], true),
        ("tunnel", 13, &["47/ip"], &[], true),
        ("phone", 14, &["9/udp"], &["5060/udp", "7000/tcp", "2905/sctp", "icmp"], true),
        ("pager", 15, &["9/udp"], &["7000/tcp"], false),
        ("bait", 16, &["23/tcp"], &[], false),
        ("ledger", 19, &["443/tcp"], &[], true),
        ("files", 20, &["*/udp"], &[], true),
        ("shut", 21, &["443/tcp"], &["7000/tcp"], false),
    ] {
        let mut app = json!({
            "prefixes": [format!("10.20.0.{last}"), format!("fd20::{last}")],
            "services": services,
            "opens": opens,
            "trip_wire": name == "bait",
            "labels": if is_granted { &["granted"][..] } else { &[] },
        });
        if name == "ledger" {
            app["budget"] = json!("100 B");
        }
        gate.api.put(&format!("/v1/apps/{name}"), &app)?.ok().with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// alice and bob log in over both families, and whoever sends the packets at the end of each case.
fn log_in(gate: &Gate) -> Result<()> {
    for user in ["alice", "bob"] {
        gate.introduce(user, "corpus")?;
    }
    let client = &gate.world.client;
    gate.login(client, at::GUARD0, "alice")?;
    gate.login(client, at::GUARD0_6, "alice")?;
    from(client, "10.77.0.200", at::GUARD0)?;
    gate.login(client, at::GUARD0, "alice")?;
    link::mac(client, "eth0", "02:77:00:00:00:03")?;
    from(client, "10.77.0.3", at::GUARD0)?;
    gate.login(client, at::GUARD0, "bob")?;
    from(client, "fd77::3", at::GUARD0_6)?;
    gate.login(client, at::GUARD0_6, "bob")?;
    link::mac(client, "eth0", at::CLIENT_MAC)
}

/// The client speaks to the portal with another address.
fn from(client: &Namespace, address: &str, portal: IpAddr) -> Result<()> {
    let length = if portal.is_ipv4() { 32 } else { 128 };
    link::address(client, "eth0", &format!("{address}/{length}"))?;
    client.ip(&[format!("route replace {portal}/{length} dev eth0 src {address}")])
}

/// Where the daemon pins its tables.
fn pins(gate: &Gate) -> Result<PathBuf> {
    let folder = gate.world.bpffs().join("portcullis");
    let mut entries = std::fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
    let is_layout = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("abi"));
    entries.find(is_layout).with_context(|| format!("no tables in {}", folder.display()))
}

/// The daemon, and the tables that it has pinned.
struct Guarded {
    gate: Gate,
    /// Its first configuration file.
    config: String,
    world: World,
    pins: PathBuf,
    index: u32,
    monitor: Monitor,
}

impl Gateway for Guarded {
    fn begin(&mut self, world: World) -> Result<()> {
        if self.world != world {
            std::fs::write(self.gate.daemon.config(), in_world(&self.config, world))?;
            self.gate.daemon.restart()?;
            self.world = world;
        }
        forget_packets(&self.pins);
        Ok(())
    }

    fn act(&mut self, act: Act) -> Result<()> {
        bail!("the daemon is not brought to {act:?} here")
    }

    fn end(&mut self, _: World) {}

    fn counted(&self) -> Counted {
        let interface = self.monitor.interface(self.index).unwrap();
        Counted { interface: interface.unwrap_or_default(), unknown: self.monitor.unknown_interfaces().unwrap() }
    }
}
