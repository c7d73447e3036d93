//! Where fragments are tracked, honest ones arrive whole and the tricks that are played with them do not; where options
//! and extension headers are admitted, only the harmless ones are.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, Namespace, Scapy, UdpEcho, client::receive};

use crate::crafted::{alice, is_dropped};
use crate::scene::{FAMILIES, SOON, on};

const PORT: u16 = 5353;
/// Just too large for one packet of 1,500 bytes, and as large as datagrams may be, nearly.
const SIZES: [usize; 4] = [1_473, 4_000, 20_000, 60_000];

#[test]
fn datagrams_larger_than_a_packet_arrive_whole_in_both_directions() -> Result<()> {
    for xdp in ["native", "generic"] {
        let gate = Gate::with(on("guard0", &format!("xdp = \"{xdp}\"\nfragments = \"track\"")))?;
        let _scapy = alice(&gate)?;
        for family in FAMILIES {
            let to = SocketAddr::new(family.crm, PORT);
            let echo = UdpEcho::start(&gate.world.app, to)?;
            let before = gate.drops()?;
            for size in SIZES {
                comes_back(&gate.world.client, to, size).with_context(|| format!("{xdp}, {to}, {size} bytes"))?;
            }
            assert_eq!(echo.counters().received.load(Ordering::Relaxed), SIZES.iter().sum::<usize>() as u64);
            assert_eq!(gate.reasons_since(&before)?, [""; 0]);
        }
    }
    Ok(())
}

/// A datagram is echoed as it was.
pub fn comes_back(host: &Namespace, to: SocketAddr, size: usize) -> Result<()> {
    comes_back_within(host, to, size, SOON)
}

/// The same, in a given time.
pub fn comes_back_within(host: &Namespace, to: SocketAddr, size: usize, time: Duration) -> Result<()> {
    let sent: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    let received = host.enter(|| -> Result<Vec<u8>> {
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.set_read_timeout(Some(time))?;
        socket.connect(to)?;
        socket.send(&sent)?;
        let mut buffer = vec![0; 1 << 16];
        let length = receive(&socket, &mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    })??;
    ensure!(received == sent, "{} bytes of {size} came back", received.len());
    Ok(())
}

/// Fragments in the order in which they are sent, and for which reason they are dropped, if they are. F makes a
/// fragment of datagram n, from a byte on, with more behind it or not; H is the header of the datagram.
const TRICKS: &[(&str, &str)] = &[
    // Without a beginning.
    ("F(1, 24, 0, b'x' * 8)", "fragment_stray"),
    // Written over what was judged, and over what was passed on.
    ("F(2, 0, 1, H + b'x' * 16)", ""),
    ("F(2, 8, 1, b'x' * 8)", "fragment_overlap"),
    ("F(2, 16, 0, b'x' * 16)", "fragment_overlap"),
    ("F(2, 24, 1, b'x' * 8)", ""),
    ("F(2, 24, 1, b'x' * 8)", "fragment_overlap"),
    ("F(2, 32, 0, b'x' * 5)", ""),
    // With lengths that no sender cuts at, empty, and beyond what a packet can hold.
    ("F(3, 0, 1, H + b'x' * 3)", "ip_malformed"),
    ("F(3, 0, 1, b'')", "ip_malformed"),
    ("F(3, 24, 0, b'')", "ip_malformed"),
    ("F(3, 65528, 0, b'x' * 100)", "ip_malformed"),
    // With a transport header that is cut through, or that says less than the fragment holds.
    ("F(4, 0, 1, bytes(S)[:8], 6)", "fragment_tiny"),
    ("F(4, 0, 1, bytes(S)[:16], 6)", "fragment_tiny"),
    ("F(4, 8, 0, bytes(S)[8:], 6)", "fragment_stray"),
    ("F(4, 0, 1, struct.pack('!HHHH', 4000, 5353, 16, 0) + b'x' * 8)", "transport_malformed"),
    // A beginning that is not granted, and one that is the gateway's, leave no memory.
    ("F(5, 0, 1, struct.pack('!HHHH', 4000, 9, 1000, 0) + b'x' * 16)", "app_unknown"),
    ("F(5, 24, 0, b'x' * 8)", "fragment_stray"),
    // Out of order, in more pieces than are remembered.
    ("F(6, 0, 1, H + b'x' * 16)", ""),
    ("F(6, 168, 1, b'x' * 8)", ""),
    ("F(6, 136, 1, b'x' * 8)", ""),
    ("F(6, 104, 1, b'x' * 8)", ""),
    ("F(6, 72, 1, b'x' * 8)", ""),
    ("F(6, 40, 1, b'x' * 8)", "fragment_overlap"),
    ("F(6, 144, 1, b'x' * 8)", ""),
    // What can be granted to nobody, and what is no error.
    ("F(7, 0, 1, b'x' * 24, 255)", "protocol_unsupported"),
    ("F(7, 0, 1, ERROR, ICMP_NUMBER)", "transport_malformed"),
];

/// What the app hears from the client.
const CLIENTS: &str = "(IP in p and p[IP].src == '10.77.0.2') or (IPv6 in p and p[IPv6].src == 'fd77::2')";

#[test]
fn tricks_with_fragments_are_dropped_for_their_reason() -> Result<()> {
    let gate = Gate::with(on("guard0", "fragments = \"track\""))?;
    let mut scapy = alice(&gate)?;
    let mut app = Scapy::start(&gate.world.app, "eth0")?;
    scapy.define("H = struct.pack('!HHHH', 4000, 5353, 1000, 0)")?;
    for (fragment, error) in [
        (
            "IP(src=A, dst=B, id=n, proto=protocol, flags='MF' if more else 0, frag=at // 8)",
            "ICMP_NUMBER, ERROR = 1, bytes(ICMP(type=3, code=1)/IP(src=B, dst=A)/UDP(sport=5353, dport=4000))[:32]",
        ),
        (
            "J/IPv6ExtHdrFragment(id=n, m=more, offset=at // 8, nh=protocol)",
            "ICMP_NUMBER, ERROR = 58, b'\\x01' + b'\\0' * 7 + bytes(IPv6(src=B6, dst=A6)/UDP(sport=5353, dport=4000))",
        ),
    ] {
        scapy.define(&format!("F = lambda n, at, more, data, protocol=17: E/{fragment}/Raw(data)"))?;
        scapy.define(error)?;
        app.forget()?;
        let (mut passed, before) = (0, gate.drops()?);
        for (frame, reason) in TRICKS {
            if reason.is_empty() {
                passed += scapy.send(frame)?;
                let arrived = app.hears(CLIENTS, passed);
                arrived.with_context(|| format!("{frame}; dropped: {:?}", gate.reasons_since(&before)))?;
            } else {
                is_dropped(&gate, &mut scapy, frame, "guard0", reason)?;
            }
        }
    }
    Ok(())
}

#[test]
fn only_harmless_options_and_extension_headers_are_admitted() -> Result<()> {
    let gate = Gate::with(on("guard0", "ip_options = \"admit\"\nip_extensions = \"admit\""))?;
    let mut scapy = alice(&gate)?;
    let mut app = Scapy::start(&gate.world.app, "eth0")?;
    for (port, harmless) in (4100..).zip([
        "IP(src=A, dst=B, options=[IPOption_Router_Alert()])",
        "IP(src=A, dst=B, options=[IPOption_NOP(), IPOption_NOP(), IPOption_EOL()])",
        "J/IPv6ExtHdrHopByHop(options=[RouterAlert()])",
        "J/IPv6ExtHdrDestOpt(options=[PadN(optdata=b'\\0\\0\\0\\0')])",
        "J/IPv6ExtHdrHopByHop(options=[PadN(optdata=b'\\0\\0\\0\\0')])/IPv6ExtHdrDestOpt(options=[PadN(optdata=b'\\0\\0\\0\\0')])",
    ]) {
        scapy.send(&format!("E/{harmless}/TCP(sport={port}, dport=8080)"))?;
        app.hears(&format!("p[TCP].sport == {port}"), 1).context(harmless)?;
    }
    for (reason, harmful) in [
        ("ip_options", "IP(src=A, dst=B, options=[IPOption_RR()])"),
        ("ip_options", "IP(src=A, dst=B, options=[IPOption_LSRR(routers=[B])])"),
        ("ip_options", "IP(src=A, dst=B, options=[IPOption_SSRR(routers=[B])])"),
        ("ip_options", "IP(src=A, dst=B, options=[IPOption_Timestamp()])"),
        ("ip_options", "IP(src=A, dst=B, options=[IPOption_NOP()] * 12)"),
        ("ip_options", "IP(src=A, dst=B, options=b'\\x94\\x28\\0\\0')"),
        ("ip_extension", "J/IPv6ExtHdrHopByHop(options=[Jumbo()])"),
        ("ip_extension", "J/IPv6ExtHdrDestOpt()/IPv6ExtHdrHopByHop()"),
        ("ip_extension", "J/IPv6ExtHdrDestOpt()/IPv6ExtHdrDestOpt()/IPv6ExtHdrDestOpt()"),
        ("ip_extension", "J/IPv6ExtHdrDestOpt(options=[HAO()])"),
        ("ip_extension", "J/IPv6ExtHdrDestOpt(options=[PadN(optdata=b'x' * 60)])"),
        ("ip_extension", "J/IPv6ExtHdrDestOpt(options=[Pad1()] * 6)"),
        ("ip_extension", "J/IPv6ExtHdrRouting(addresses=[B6])"),
        ("ip_extension", "J/IPv6ExtHdrDestOpt(len=20)"),
        ("ip_extension", "J/AH()"),
        ("fragment", "J/IPv6ExtHdrDestOpt()/IPv6ExtHdrFragment()"),
    ] {
        is_dropped(&gate, &mut scapy, &format!("E/{harmful}/S"), "guard0", reason)?;
    }
    Ok(())
}
