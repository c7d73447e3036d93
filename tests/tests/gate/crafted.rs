//! Frames that no kernel sends, written by scapy, from a host with a session: each moves the one counter that the law
//! names, and nothing else.

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, Scapy, link, wait_until, world::at};
use serde_json::json;

use crate::scene::{FAMILIES, SOON, V4, V6, on};

/// What each of these is, is said by its line in the list of steps of `docs/law.md`.
const DROPPED: &[(&str, &[&str])] = &[
    ("truncated", &["bytes(E/I/S)[:20]", "bytes(E/I/S)[:33]", "bytes(E/J/S)[:53]", "bytes(E/Dot1Q(vlan=10)/I/S)[:15]"]),
    (
        "vlan_unknown",
        &[
            "E/Dot1Q(vlan=7)/I/S",
            "E/Dot1Q(vlan=4095)/J/S",
            "E/Dot1AD(vlan=7)/I/S",
            "E/Dot1AD(vlan=7)/Dot1Q(vlan=8)/I/S",
            "E/Dot1Q(vlan=7)/Dot1Q(vlan=8)/J/S",
            "E/Dot1Q(vlan=0)/Dot1Q(vlan=7)/I/S",
            "E/Dot1Q(vlan=7)/ARP(hwsrc=MAC, psrc='10.77.0.2', pdst='10.77.0.1')",
        ],
    ),
    (
        "arp_malformed",
        &[
            "E/ARP(hwlen=5, hwsrc=MAC, psrc='10.77.0.2', pdst='10.77.0.1')",
            "E/ARP(plen=16, hwsrc=MAC, psrc='10.77.0.2', pdst='10.77.0.1')",
            "E/ARP(hwtype=6, hwsrc=MAC, psrc='10.77.0.2', pdst='10.77.0.1')",
            "E/ARP(ptype=0x86dd, hwsrc=MAC, psrc='10.77.0.2', pdst='10.77.0.1')",
            "E/ARP(op=3, hwsrc=MAC, psrc='10.77.0.2', pdst='10.77.0.1')",
            "E/ARP(hwsrc='00:00:00:00:00:00', psrc='10.77.0.2', pdst='10.77.0.1')",
            "E/ARP(hwsrc='ff:ff:ff:ff:ff:ff', psrc='10.77.0.2', pdst='10.77.0.1')",
            "E/ARP(hwsrc=MAC, psrc='127.0.0.1', pdst='10.77.0.1')",
            "E/ARP(hwsrc=MAC, psrc='224.0.0.1', pdst='10.77.0.1')",
            "E/ARP(op=2, hwsrc=MAC, psrc='0.0.0.0', pdst='10.77.0.1')",
            "bytes(E/ARP(hwsrc=MAC, psrc='10.77.0.2', pdst='10.77.0.1'))[:41]",
        ],
    ),
    (
        "not_ip",
        &[
            "E/Dot1Q(vlan=0)/Dot1Q(vlan=0)/Dot1Q(vlan=0)/I/S",
            "Ether(src=MAC, dst=GATE, type=0x88cc)/Raw(b'x' * 50)",
            "Dot3(src=MAC, dst='01:80:c2:00:00:00')/LLC()/STP()",
        ],
    ),
    (
        "ip_malformed",
        &[
            "E/IP(src=A, dst=B, len=10)/S",
            "E/IP(src=A, dst=B, len=2000)/S",
            "E/IP(src=A, dst=B, ihl=4)/S",
            "E/IP(src=A, dst=B, ihl=15, len=50)/S",
            "E/IP(src=A, dst=B, version=6)/S",
            "E/IP(src=A, dst=B, flags='evil')/S",
            "E/IPv6(src=A6, dst=B6, plen=2000)/S",
            "E/IPv6(src=A6, dst=B6, version=4)/S",
            "Ether(src=MAC, dst=GATE, type=0x86dd)/IP(src=A, dst=B)/S/Raw(b'x' * 40)",
            "Ether(src=MAC, dst=GATE, type=0x0800)/IPv6(src=A6, dst=B6)/S",
        ],
    ),
    (
        "trailing_bytes",
        &["E/IP(src=A, dst=B, len=40)/S/Raw(b'x' * 100)", "E/IPv6(src=A6, dst=B6, plen=20)/S/Raw(b'x')"],
    ),
    (
        "ip_options",
        &[
            "E/IP(src=A, dst=B, options=[IPOption_RR()])/S",
            "E/IP(src=A, dst=B, options=[IPOption_LSRR(routers=[B])])/S",
            "E/IP(src=A, dst=B, options=[IPOption_Router_Alert()])/S",
            "E/IP(src=A, dst=B, options=[IPOption_NOP()])/S",
        ],
    ),
    (
        "ip_extension",
        &[
            "E/J/IPv6ExtHdrHopByHop(options=[RouterAlert()])/S",
            "E/J/IPv6ExtHdrHopByHop(options=[Jumbo()])/S",
            "E/J/IPv6ExtHdrDestOpt(options=[PadN(optdata=b'1234')])/S",
            "E/J/IPv6ExtHdrRouting(addresses=[B6])/S",
            "E/J/AH()/S",
            "E/IPv6(src=A6, dst=B6, nh=59)/Raw(b'x' * 20)",
            "E/IPv6(src=A6, dst=B6, nh=135)/Raw(b'x' * 20)",
            "E/IPv6(src=A6, dst=B6, nh=139)/Raw(b'x' * 20)",
            "E/IPv6(src=A6, dst=B6, nh=140)/Raw(b'x' * 20)",
        ],
    ),
    (
        "fragment",
        &[
            "E/IP(src=A, dst=B, flags='MF')/U",
            "E/IP(src=A, dst=B, frag=3)/U",
            "E/J/IPv6ExtHdrFragment(m=1)/U",
            "E/J/IPv6ExtHdrFragment(offset=3)/U",
            "E/J/IPv6ExtHdrFragment()/U",
        ],
    ),
    (
        "source_invalid",
        &[
            "E/IP(src='0.0.0.0', dst=B)/S",
            "E/IP(src='127.0.0.1', dst=B)/S",
            "E/IP(src='169.254.1.1', dst=B)/S",
            "E/IP(src='224.0.0.1', dst=B)/S",
            "E/IP(src='255.255.255.255', dst=B)/S",
            "E/IP(src=B, dst=B)/S",
            "E/IP(src='10.77.0.1', dst='10.77.0.1')/TCP(sport=443, dport=443)",
            "E/IP(src='10.78.0.1', dst='10.77.0.1')/TCP(dport=443)",
            "E/IPv6(src='::', dst=B6)/S",
            "E/IPv6(src='::1', dst=B6)/S",
            "E/IPv6(src='fe80::2', dst=B6)/S",
            "E/IPv6(src='ff02::1', dst=B6)/S",
            "E/IPv6(src='::ffff:10.77.0.2', dst=B6)/S",
            "E/IPv6(src='fd78::1', dst='fd77::1')/TCP(dport=443)",
            "Ether(src=MAC, dst='ff:ff:ff:ff:ff:ff')/IP(src='0.0.0.0', dst='255.255.255.255')/UDP(sport=68, dport=67)/BOOTP()",
        ],
    ),
    (
        "destination_invalid",
        &[
            "E/IP(src=A, dst='0.0.0.0')/S",
            "E/IP(src=A, dst='127.0.0.1')/S",
            "E/IP(src=A, dst='224.0.0.5')/S",
            "E/IP(src=A, dst='255.255.255.255')/S",
            "E/IPv6(src=A6, dst='::')/S",
            "E/IPv6(src=A6, dst='::1')/S",
            "E/IPv6(src=A6, dst='ff02::1')/S",
            "E/IPv6(src=A6, dst='::ffff:10.20.0.10')/S",
        ],
    ),
    (
        "protocol_unsupported",
        &[
            "E/IP(src=A, dst=B, proto=0)/Raw(b'x' * 20)",
            "E/IP(src=A, dst=B, proto=58)/ICMPv6EchoRequest()",
            "E/IP(src=A, dst=B, proto=255)/Raw(b'x' * 20)",
            "E/IPv6(src=A6, dst=B6, nh=1)/ICMP()",
            "E/IPv6(src=A6, dst=B6, nh=255)/Raw(b'x' * 20)",
        ],
    ),
    (
        "transport_malformed",
        &[
            "E/I/UDP(sport=4000, dport=5353, len=4)",
            "E/I/UDP(sport=4000, dport=5353, len=100)/b'x'",
            "E/J/UDP(sport=4000, dport=5353, len=8)/b'xxxx'",
            "E/I/UDP(sport=4000, dport=0)/b'x'",
            "E/IP(src=A, dst=B, proto=17)/Raw(b'xxxx')",
            "E/I/TCP(sport=4000, dport=8080, dataofs=4)",
            "E/J/TCP(sport=4000, dport=8080, dataofs=15)",
            "E/I/TCP(sport=0, dport=8080)",
            "E/J/TCP(sport=4000, dport=0)",
            "E/IP(src=A, dst=B, proto=6)/Raw(b'x' * 19)",
            "E/IP(src=A, dst=B, proto=132)/Raw(b'x' * 15)",
            "E/I/ICMP(type=8, code=1)",
            "E/J/ICMPv6EchoRequest(code=1)",
            "E/IP(src=A, dst=B, proto=1)/Raw(b'\\x08')",
            // Errors: about a packet of somebody else, with an MTU that no link has, with too little of the packet.
            "E/I/ICMP(type=3, code=1)/IP(src='10.20.0.11', dst=A)/UDP(sport=5353, dport=4000)",
            "E/I/ICMP(type=3, code=4, nexthopmtu=20)/IP(src=B, dst=A)/UDP(sport=5353, dport=4000)",
            "E/J/ICMPv6PacketTooBig(mtu=1000)/IPv6(src=B6, dst=A6)/UDP(sport=5353, dport=4000)",
            "E/I/ICMP(type=3, code=1)/IP(src=B, dst=A)/Raw(b'xxxx')",
            "E/J/ICMPv6DestUnreach()/IP(src=B, dst=A)/UDP(sport=5353, dport=4000)",
        ],
    ),
    (
        "tcp_flags",
        &[
            "E/I/TCP(sport=4000, dport=8080, flags='')",
            "E/I/TCP(sport=4000, dport=8080, flags='SF')",
            "E/I/TCP(sport=4000, dport=8080, flags='SR')",
            "E/I/TCP(sport=4000, dport=8080, flags='RFA')",
            "E/J/TCP(sport=4000, dport=8080, flags='F')",
            "E/J/TCP(sport=4000, dport=8080, flags='FPU')",
        ],
    ),
    (
        "icmp_type",
        &[
            "E/I/ICMP(type=5, code=1, gw=A)/IP(src=B, dst=A)/UDP(sport=5353, dport=4000)",
            "E/I/ICMP(type=13)",
            "E/I/ICMP(type=10)",
            "E/I/ICMP(type=0, id=77)",
            "E/J/ICMPv6EchoReply(id=77)",
            "E/J/ICMPv6MLQuery()",
            "E/J/ICMPv6NIQueryNOOP()",
        ],
    ),
    (
        "link_multicast",
        &[
            "Ether(src=MAC, dst='ff:ff:ff:ff:ff:ff')/I/S",
            "Ether(src=MAC, dst='01:00:5e:00:00:01')/I/U",
            "Ether(src=MAC, dst='33:33:00:00:00:01')/J/S",
        ],
    ),
    (
        "icmp_unrelated",
        &[
            "E/I/ICMP(type=3, code=1)/IP(src=B, dst=A)/UDP(sport=5353, dport=4999)",
            "E/I/ICMP(type=3, code=4, nexthopmtu=576)/IP(src=B, dst=A)/TCP(sport=8080, dport=4999)",
            "E/J/ICMPv6PacketTooBig(mtu=1280)/IPv6(src=B6, dst=A6)/TCP(sport=8080, dport=4999)",
            "E/J/ICMPv6TimeExceeded()/IPv6(src=B6, dst=A6)/UDP(sport=5353, dport=4999)",
        ],
    ),
    (
        "neighbour_invalid",
        &[
            "E/IPv6(src='fe80::2', dst='ff02::1', hlim=255)/ICMPv6ND_RA()/ICMPv6NDOptPrefixInfo(prefix='fd99::')",
            "E/IPv6(src='fe80::2', dst=A6, hlim=255)/ICMPv6ND_Redirect(tgt='fe80::2', dst=B6)",
            "E/IPv6(src=A6, dst='fd77::1', hlim=64)/ICMPv6ND_NS(tgt='fd77::1')",
            "E/IPv6(src=A6, dst='fd77::1', hlim=255)/ICMPv6ND_NS(tgt='fd77::1', code=1)",
            "E/IPv6(src=A6, dst='fd77::1', hlim=255)/ICMPv6ND_NS(tgt='ff02::1')",
            "E/IPv6(src='::', dst='ff02::1', hlim=255)/ICMPv6ND_NS(tgt='fd77::9')/ICMPv6NDOptSrcLLAddr(lladdr=MAC)",
            "E/IPv6(src=A6, dst='fd77::1', hlim=255)/ICMPv6ND_NS(tgt='fd77::1')/Raw(b'\\x01\\0\\0\\0\\0\\0\\0\\0')",
            "E/IPv6(src=A6, dst='fd77::1', hlim=255)/ICMPv6ND_NS(tgt='fd77::1')/Raw(b'\\x01\\x09\\0\\0\\0\\0\\0\\0')",
            "E/IPv6(src=A6, dst='fd77::1', hlim=255)/ICMPv6ND_NA(tgt=A6)/ICMPv6NDOptDstLLAddr(lladdr='ff:ff:ff:ff:ff:ff')",
            "E/IPv6(src=A6, dst='fd77::1', hlim=255, nh=58)/Raw(b'\\x88' + b'\\0' * 19)",
        ],
    ),
    (
        "neighbour_spoofed",
        &[
            // The gateway's addresses; then the address of a session, by another hardware address.
            "E/ARP(op=2, hwsrc=MAC, psrc='10.77.0.1', pdst='10.77.0.1')",
            "E/ARP(op=1, hwsrc=MAC, psrc='10.20.0.1', pdst='10.77.0.1')",
            "Ether(src=EVIL, dst=GATE)/ARP(op=2, hwsrc=EVIL, psrc=A, pdst='10.77.0.1')",
            "E/ARP(op=1, hwsrc=EVIL, psrc=A, pdst='10.77.0.1')",
            "E/IPv6(src=A6, dst='fd77::1', hlim=255)/ICMPv6ND_NA(tgt='fd77::1')/ICMPv6NDOptDstLLAddr(lladdr=MAC)",
            "E/IPv6(src='fd77::99', dst='fd77::1', hlim=255)/ICMPv6ND_NA(tgt=A6)/ICMPv6NDOptDstLLAddr(lladdr=EVIL)",
            "E/IPv6(src=A6, dst='fd77::1', hlim=255)/ICMPv6ND_NS(tgt='fd77::1')/ICMPv6NDOptSrcLLAddr(lladdr=EVIL)",
            "E/IPv6(src=A6, dst='ff02::2', hlim=255)/ICMPv6ND_RS()/ICMPv6NDOptSrcLLAddr(lladdr=EVIL)",
        ],
    ),
    (
        "own_address",
        &[
            "E/IP(src=A, dst='10.77.0.1')/TCP(dport=22)",
            "E/IP(src=A, dst='10.77.0.1')/UDP(dport=443)/b'x'",
            "E/IP(src=A, dst='10.77.0.1')/ICMP()",
            "E/IP(src=A, dst='10.20.0.1')/TCP(dport=443)",
            "E/IPv6(src=A6, dst='fd77::1')/ICMPv6EchoRequest()",
            "E/IPv6(src=A6, dst='fd20::1')/TCP(dport=443)",
            "E/IPv6(src=A6, dst='fd77::1')/TCP(dport=8443)",
        ],
    ),
    (
        "no_session",
        &[
            "E/IP(src='10.77.0.99', dst=B)/S",
            "E/IP(src='10.78.0.2', dst=B)/S",
            "E/IP(src='10.77.0.1', dst=B)/S",
            "E/IPv6(src='fd77::99', dst=B6)/U",
            "E/IP(src='10.77.0.99', dst=B)/ICMP(type=3, code=1)/IP(src=B, dst='10.77.0.99')/UDP(sport=5353, dport=4000)",
        ],
    ),
    ("source_spoofed", &["Ether(src=EVIL, dst=GATE)/I/S", "Ether(src=EVIL, dst=GATE)/J/U"]),
    (
        "app_unknown",
        &[
            "E/I/TCP(dport=9)",
            "E/J/UDP(dport=9)/b'x'",
            "E/IP(src=A, dst='192.0.2.1')/S",
            "E/IP(src=A, dst=B, proto=47)/Raw(b'x' * 20)",
        ],
    ),
    ("no_grant", &["E/IP(src=A, dst='10.20.0.11')/S", "E/IPv6(src=A6, dst='fd20::11')/S"]),
];

/// What passes, though few send it, and how the app knows it.
const PASSES: &[(&str, &str)] = &[
    ("E/I/S", "p[TCP].sport == 4000"),
    ("E/J/S", "p[IPv6].dst == 'fd20::10' and p[TCP].sport == 4000"),
    ("E/Dot1Q(vlan=0, prio=5)/I/TCP(sport=4001, dport=8080)", "p[TCP].sport == 4001"),
    ("E/Dot1Q(vlan=0)/Dot1Q(vlan=0)/J/TCP(sport=4002, dport=8080)", "p[TCP].sport == 4002"),
    ("Raw(bytes(E/I/TCP(sport=4003, dport=8080)) + b'pad' * 2)", "p[TCP].sport == 4003"),
    ("E/I/UDP(sport=0, dport=5353)/b'x'", "p[UDP].sport == 0"),
    ("E/I/ICMP(type=8, id=9)/b'x'", "p[ICMP].type == 8 and p[ICMP].id == 9"),
    ("E/J/ICMPv6EchoRequest(id=9)/b'x'", "p[ICMPv6EchoRequest].id == 9"),
    ("E/ARP(hwsrc=MAC, psrc='0.0.0.0', pdst='10.77.0.99')", ""),
];

#[test]
fn what_no_honest_host_sends_is_dropped_for_its_reason_by_the_driver() -> Result<()> {
    dropped_for_its_reason("native")
}

#[test]
fn what_no_honest_host_sends_is_dropped_for_its_reason_by_the_network_stack() -> Result<()> {
    dropped_for_its_reason("generic")
}

fn dropped_for_its_reason(xdp: &str) -> Result<()> {
    let gate = Gate::with(on("guard0", &format!("xdp = \"{xdp}\"")))?;
    let mut scapy = alice(&gate)?;
    let mut app = Scapy::start(&gate.world.app, "eth0")?;
    for (reason, frames) in DROPPED {
        for frame in *frames {
            is_dropped(&gate, &mut scapy, frame, "guard0", reason)?;
        }
    }
    for (frame, arrives) in PASSES {
        let before = gate.drops()?;
        scapy.send(frame)?;
        if !arrives.is_empty() {
            app.hears(arrives, 1).with_context(|| (*frame).to_owned())?;
        }
        assert_eq!(gate.reasons_since(&before)?, [""; 0], "{frame}");
    }
    Ok(())
}

/// What an app sends that nobody asked for.
const UNASKED: &[(&str, &[&str])] = &[
    (
        "no_flow",
        &[
            "E/IP(src=B, dst=A)/TCP(sport=8080, dport=4000)",
            "E/IP(src=B, dst=A)/TCP(sport=8080, dport=4999, flags='R')",
            "E/IP(src=B, dst=A)/UDP(sport=5353, dport=4999)/b'x'",
            "E/IP(src=B, dst=A)/ICMP(type=8)",
            "E/IP(src=B, dst=A)/ICMP(type=0, id=99)",
            "E/IPv6(src=B6, dst=A6)/TCP(sport=8080, dport=4999, flags='SA')",
            "E/IPv6(src='fd20::11', dst=A6)/ICMPv6EchoRequest()",
        ],
    ),
    (
        "icmp_unrelated",
        &[
            "E/IP(src=B, dst=A)/ICMP(type=3, code=1)/IP(src=A, dst=B)/UDP(sport=4999, dport=5353)",
            "E/IP(src='10.20.0.66', dst=A)/ICMP(type=11)/IP(src=A, dst=B)/TCP(sport=4999, dport=8080)",
            "E/IPv6(src=B6, dst=A6)/ICMPv6PacketTooBig(mtu=1280)/IPv6(src=A6, dst=B6)/TCP(sport=4999, dport=8080)",
        ],
    ),
    (
        "transport_malformed",
        &[
            "E/IP(src=B, dst=A)/ICMP(type=3, code=1)/IP(src='10.78.0.2', dst=B)/UDP(sport=4000, dport=5353)",
            "E/IP(src=B, dst=A)/ICMP(type=3, code=4, nexthopmtu=67)/IP(src=A, dst=B)/UDP(sport=4000, dport=5353)",
            "E/IP(src=B, dst=A)/TCP(sport=8080, dport=4000, dataofs=3)",
        ],
    ),
    ("icmp_type", &["E/IP(src=B, dst=A)/ICMP(type=13)", "E/IPv6(src=B6, dst=A6)/ICMPv6NIQueryNOOP()"]),
    ("tcp_flags", &["E/IP(src=B, dst=A)/TCP(sport=8080, dport=4000, flags='SF')"]),
    ("fragment", &["E/IP(src=B, dst=A, flags='MF')/UDP(sport=5353, dport=4000)/b'12345678'"]),
    ("no_session", &["E/IP(src=B, dst='10.77.0.99')/TCP(sport=8080, dport=4000, flags='SA')"]),
];

#[test]
fn what_nobody_asked_an_app_for_does_not_reach_the_client() -> Result<()> {
    let gate = Gate::open()?;
    let mut client = alice(&gate)?;
    let mut app = Scapy::start(&gate.world.app, "eth0")?;
    names(&mut app, "02:20:00:00:00:10", "02:20:00:00:00:01")?;
    // Known neighbours, so that the gateway asks for nobody; among them the address without a session.
    link::neighbour(&gate.world.gateway, "guard0", "10.77.0.99", "02:77:00:00:00:99")?;
    client.forget()?;
    for (reason, frames) in UNASKED {
        for frame in *frames {
            is_dropped(&gate, &mut app, frame, "guard0", reason)?;
        }
    }
    // An error about what she did send arrives, and nothing that came before it did.
    client.send("E/I/U")?;
    app.hears("p[UDP].sport == 4000", 1)?;
    app.send("E/IP(src=B, dst=A)/ICMP(type=3, code=1)/IP(src=A, dst=B)/UDP(sport=4000, dport=5353)")?;
    client.hears("p[IP].src == B and p[ICMP].type == 3", 1)?;
    let arrived = "p.src == GATE and (IP in p or IPv6 in p) and not (ICMP in p and p[ICMP].type == 3)";
    assert_eq!(client.show(arrived)?, "");
    Ok(())
}

#[test]
fn nothing_answers_a_stranger_on_an_interface_that_rejects() -> Result<()> {
    let gate = Gate::with(on("guard1", "on_denial = \"reject\""))?;
    let mut stranger = Scapy::start(&gate.world.client2, "eth0")?;
    names(&mut stranger, at::CLIENT2_MAC, at::GUARD1_MAC)?;
    // Herself, and the session of somebody else.
    family_of_alice(&gate)?;
    stranger.forget()?;
    for [source, app, guard] in [["10.78.0.2", "10.20.0.10", "10.78.0.1"], ["fd78::2", "fd20::10", "fd78::1"]] {
        let ip = if source.contains(':') { "IPv6" } else { "IP" };
        for payload in ["S", "U", "TCP(flags='A')", "SCTP(sport=4000, dport=80)/SCTPChunkInit()", "GRE()/(b'x' * 20)"] {
            let to = |address: &str| format!("E/{ip}(src='{source}', dst='{address}')/{payload}");
            is_dropped(&gate, &mut stranger, &to(app), "guard1", "no_session")?;
            is_dropped(&gate, &mut stranger, &to(guard), "guard1", "own_address")?;
        }
    }
    is_dropped(&gate, &mut stranger, "E/I/S", "guard1", "no_session")?;
    is_dropped(&gate, &mut stranger, "E/J/U", "guard1", "no_session")?;
    // Behind all of them: the portal answers, and nothing else did.
    stranger.send("E/IP(src='10.78.0.2', dst='10.78.0.1')/TCP(sport=4444, dport=443)")?;
    stranger.hears("p[TCP].sport == 443 and p[TCP].flags == 'SA'", 1)?;
    assert_eq!(
        stranger.show("p.src == GATE and (IP in p or IPv6 in p) and not (TCP in p and p[TCP].sport == 443)")?,
        ""
    );
    Ok(())
}

/// alice's host, with her sessions of both families and names for what it sends.
pub fn alice(gate: &Gate) -> Result<Scapy> {
    family_of_alice(gate)?;
    let mut scapy = Scapy::start(&gate.world.client, "eth0")?;
    names(&mut scapy, at::CLIENT_MAC, at::GUARD0_MAC)?;
    Ok(scapy)
}

/// alice logs in, over both families; her app also takes datagrams.
fn family_of_alice(gate: &Gate) -> Result<()> {
    let app = json!({ "prefixes": [V4.crm, V6.crm], "services": ["5353/udp", "8080/tcp", "icmp"] });
    gate.api.put("/v1/apps/crm", &app)?.ok()?;
    FAMILIES.into_iter().try_for_each(|family| family.alice(gate).map(drop))
}

/// Names for what a host sends: E for its link layer, I and J for packets of alice to her app, S and U for what is in
/// them.
fn names(scapy: &mut Scapy, mac: &str, gateway: &str) -> Result<()> {
    scapy.define(&format!("MAC, GATE, EVIL = '{mac}', '{gateway}', '02:66:00:00:00:66'"))?;
    scapy.define("A, B, A6, B6 = '10.77.0.2', '10.20.0.10', 'fd77::2', 'fd20::10'")?;
    scapy.define("E, I, J = Ether(src=MAC, dst=GATE), IP(src=A, dst=B), IPv6(src=A6, dst=B6)")?;
    scapy.define("S, U = TCP(sport=4000, dport=8080), UDP(sport=4000, dport=5353)/b'0123456789abcdef'")
}

/// All of these frames are, and for this reason alone.
#[track_caller]
pub fn is_dropped(gate: &Gate, scapy: &mut Scapy, frames: &str, interface: &str, reason: &str) -> Result<()> {
    let before = gate.drops()?;
    let sent = scapy.send(frames)?;
    let key = (interface.to_owned(), reason.to_owned());
    let then = before.get(&key).copied().unwrap_or_default();
    let mut since = Vec::new();
    let dropped = wait_until("the drop", SOON, || {
        let now = gate.drops().ok()?;
        since = gate.reasons_since(&before).ok()?;
        let more = now.get(&key).copied().unwrap_or_default() - then;
        (more >= sent || since.iter().any(|label| *label != format!("{interface}/{reason}"))).then_some(more)
    });
    let dropped = dropped.with_context(|| format!("{frames}: {reason}; instead: {since:?}"))?;
    ensure!(dropped >= sent, "{frames}: {dropped} of {sent} as {reason}; dropped: {since:?}");
    Ok(())
}
