//! Tags of VLANs: those in the frame are judged by, those that a driver took out of it are not trusted.
//!
//! A veth takes a tag beside the frame from whoever offers it, and its other end has it so: a driver that strips tags is
//! one that hands over just that. Behind the gateway's programs a filter of the network stack copies what it sees to the
//! apps' host, because without a VLAN's interface nobody else would have it.

use anyhow::{Context as _, Result};
use gateway_tests::{Gate, Namespace, Process, Scapy, link, wait_until};

use crate::crafted::{alice, is_dropped};
use crate::scene::{SOON, on};

const SCRIPT: &str = include_str!("../../scripts/tag.py");
/// One in a zone of its own, and two in that of the interface.
const VLANS: &str = "
[[interface.vlan]]
id = \"10\"

[[interface.vlan]]
id = \"20\"
zone = \"guard0\"

[[interface.vlan]]
id = \"100.30\"
zone = \"guard0\"
";

#[test]
fn tags_that_the_driver_took_away_are_not_trusted_in_the_driver() -> Result<()> {
    not_trusted("native")
}

#[test]
fn tags_that_the_driver_took_away_are_not_trusted_in_the_network_stack() -> Result<()> {
    not_trusted("generic")
}

fn not_trusted(xdp: &str) -> Result<()> {
    let gate = Gate::with(on("guard0", &format!("xdp = \"{xdp}\"\n{VLANS}")))?;
    let client = &gate.world.client;
    let mut scapy = alice(&gate)?;
    let mut app = Scapy::start(&gate.world.app, "eth0")?;
    let _tagging = tag_by_mark(&gate, client)?;
    copy_what_arrives(&gate.world.gateway)?;

    // Beside the frame: 802.1Q and 802.1ad, of VLANs that the interface carries and of others.
    app.forget()?;
    for tag in ["7", "10", "20", "0x10007", "0x10064"] {
        mark(&mut scapy, tag)?;
        is_dropped(&gate, &mut scapy, "E/I/TCP(sport=4100, dport=8080)", "guard0", "vlan_unknown")?;
        is_dropped(&gate, &mut scapy, "E/J/TCP(sport=4100, dport=8080)", "guard0", "vlan_unknown")?;
        is_dropped(&gate, &mut scapy, "E/ARP(hwsrc=MAC, psrc=A, pdst='10.77.0.1')", "guard0", "vlan_unknown")?;
    }
    // Beside the frame what the frame has no room for: the frame's own tag is not the outermost.
    mark(&mut scapy, "7")?;
    is_dropped(&gate, &mut scapy, "E/Dot1Q(vlan=20)/I/TCP(sport=4100, dport=8080)", "guard0", "vlan_unknown")?;
    // Nor is it if both are the same.
    mark(&mut scapy, "20")?;
    is_dropped(&gate, &mut scapy, "E/Dot1Q(vlan=20)/I/TCP(sport=4100, dport=8080)", "guard0", "vlan_unknown")?;
    // A priority is no VLAN.
    mark(&mut scapy, "0x6000")?;
    let before = gate.drops()?;
    scapy.send("E/I/TCP(sport=4101, dport=8080)")?;
    app.hears("IP in p and not Dot1Q in p and p[TCP].sport == 4101 and p[IP].ttl == 63", 1)?;
    assert_eq!(app.show("TCP in p and p[TCP].sport == 4100")?, "");
    assert_eq!(gate.reasons_since(&before)?, [""; 0]);

    // The same tags in the frame, because the driver does not insert them: judged in their zone, and handed on.
    link::offload(client, "eth0", &["tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"], false)?;
    mark(&mut scapy, "7")?;
    is_dropped(&gate, &mut scapy, "E/I/S", "guard0", "vlan_unknown")?;
    mark(&mut scapy, "10")?;
    is_dropped(&gate, &mut scapy, "E/I/S", "guard0", "no_session")?;
    mark(&mut scapy, "20")?;
    is_dropped(&gate, &mut scapy, "E/IP(src=A, dst='10.20.0.11')/S", "guard0", "no_grant")?;
    // The same tag twice is another VLAN, wherever the outer one is.
    is_dropped(&gate, &mut scapy, "E/Dot1Q(vlan=20)/I/TCP(sport=4105, dport=8080)", "guard0", "vlan_unknown")?;
    let before = gate.drops()?;
    scapy.send("E/I/TCP(sport=4102, dport=8080)")?;
    app.hears("p[Dot1Q].vlan == 20 and p[TCP].sport == 4102", 1)?;
    mark(&mut scapy, "0")?;
    for (frame, copied) in [
        ("E/Dot1Q(vlan=20)/J/TCP(sport=4103, dport=8080)", "p[Dot1Q].vlan == 20 and p[TCP].sport == 4103"),
        (
            "E/Dot1Q(vlan=0)/Dot1Q(vlan=20)/I/TCP(sport=4104, dport=8080)",
            "p[Dot1Q].vlan == 0 and p[Dot1Q:2].vlan == 20 and p[TCP].sport == 4104",
        ),
        (
            "E/Dot1AD(vlan=100)/Dot1Q(vlan=30)/I/TCP(sport=4105, dport=8080)",
            "p[Dot1Q].vlan == 30 and p[TCP].sport == 4105",
        ),
        (
            "E/Dot1Q(vlan=10)/ARP(hwsrc=MAC, psrc='10.88.0.2', pdst='10.88.0.1')",
            "p[Dot1Q].vlan == 10 and p[ARP].op == 1",
        ),
    ] {
        scapy.send(frame)?;
        app.hears(copied, 1).with_context(|| frame.to_owned())?;
    }
    assert_eq!(gate.reasons_since(&before)?, [""; 0]);
    Ok(())
}

/// What scapy sends from now on carries this mark.
fn mark(scapy: &mut Scapy, mark: &str) -> Result<()> {
    scapy.define(&format!("sender.setsockopt(socket.SOL_SOCKET, 36, {mark})"))
}

/// A host's link tags what carries a mark.
fn tag_by_mark(gate: &Gate, host: &Namespace) -> Result<Process> {
    let mut command = host.command("/usr/bin/python3")?;
    command.args(["-c", SCRIPT, "eth0"]);
    let process = Process::spawn(command, &gate.world.scratch().join("tag.log"))?;
    let attached = wait_until("tags", SOON, || process.output().contains("attached").then_some(()));
    attached.with_context(|| process.output())?;
    Ok(process)
}

/// What passes the programs on guard0 is copied, as it is, to the host of the apps.
fn copy_what_arrives(gateway: &Namespace) -> Result<()> {
    gateway.run(&["tc", "qdisc", "add", "dev", "guard0", "clsact"])?;
    let filter =
        "tc filter add dev guard0 ingress protocol all u32 match u32 0 0 action mirred egress mirror dev apps0";
    gateway.run(&filter.split_whitespace().collect::<Vec<_>>()).map(drop)
}
