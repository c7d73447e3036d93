//! Short scenes of honest, and of nearly honest, traffic.

use super::build::{ethernet, frame, icmp, ip, sctp, tcp, udp, with_head};
use super::world::{CLIENT_MAC, Way, address};
use std::net::IpAddr;

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 17;
const RST: u8 = 4;
const WEB: &str = "10.20.0.10";
const WEB6: &str = "fd20::10";

/// A scene that is being written.
#[derive(Clone, Default)]
struct Scene(Vec<u8>);

impl Scene {
    fn frame(mut self, way: Way, interface: u8, frame: &[u8]) -> Self {
        let length = u8::try_from(frame.len()).unwrap();
        self.0.extend([if way == Way::In { 0 } else { 3 }, interface, 0, length, 0]);
        self.0.extend(frame);
        self
    }

    /// A packet from the client, on an interface with a link layer.
    fn client(self, interface: u8, packet: &[u8]) -> Self {
        self.frame(Way::In, interface, &frame(Way::In, &[], packet))
    }

    /// A packet to the client.
    fn app(self, interface: u8, packet: &[u8]) -> Self {
        self.frame(Way::Out, interface, &frame(Way::Out, &[], packet))
    }

    /// A packet of the daemon's own to the client.
    fn marked(mut self, interface: u8, packet: &[u8]) -> Self {
        let frame = frame(Way::Out, &[], packet);
        self.0.extend([3, interface, 3, u8::try_from(frame.len()).unwrap(), 0]);
        self.0.extend(frame);
        self
    }

    fn wait(mut self, step: u8) -> Self {
        self.0.extend([6, step]);
        self
    }

    /// What, where, and app set and allow-list.
    fn change(mut self, what: u8, place: u8, policy: u8) -> Self {
        self.0.extend([7, what, place, policy]);
        if what == 1 {
            self.0.push(0);
        }
        self
    }
}

/// Scenes.
pub fn seeds() -> Vec<Vec<u8>> {
    let groups = [connections(), others(), refusals(), fragments(), errors(), links(), changes()];
    groups.into_iter().flatten().map(|scene| scene.0).collect()
}

fn connections() -> Vec<Scene> {
    let tcp_scene = |interface: u8, client: &str, app: &str, port: u16| {
        let out = |flags| ip(client, app, 6, &tcp(40_000, port, flags));
        let back = |flags| ip(app, client, 6, &tcp(port, 40_000, flags));
        let scene = Scene::default().client(interface, &out(SYN)).app(interface, &back(SYN | ACK));
        let scene = scene.client(interface, &out(ACK)).app(interface, &back(FIN)).client(interface, &out(FIN));
        scene.wait(4).client(interface, &out(SYN)).app(interface, &back(RST))
    };
    vec![
        tcp_scene(1, "10.77.0.2", WEB, 443),
        tcp_scene(1, "fd77::2", WEB6, 443),
        tcp_scene(2, "10.77.0.4", "10.21.0.1", 80),
        tcp_scene(3, "10.77.0.2", "10.21.0.1", 80),
        tcp_scene(1, "10.77.0.2", "10.77.0.1", 443),
    ]
}

fn others() -> Vec<Scene> {
    let web_opens = udp(514, 40_000, 4);
    vec![
        Scene::default()
            .client(1, &ip("10.77.0.2", "10.20.0.9", 17, &udp(40_000, 53, 9)))
            .app(1, &ip("10.20.0.9", "10.77.0.2", 17, &udp(53, 40_000, 30))),
        Scene::default()
            .client(1, &ip("10.77.0.2", WEB, 1, &icmp(8, 0, 0x0001_0001, &[1; 8])))
            .app(1, &ip(WEB, "10.77.0.2", 1, &icmp(0, 0, 0x0001_0001, &[1; 8]))),
        Scene::default()
            .client(1, &ip("fd77::2", WEB6, 58, &icmp(128, 0, 0x0001_0001, &[1; 8])))
            .app(1, &ip(WEB6, "fd77::2", 58, &icmp(129, 0, 0x0001_0001, &[1; 8]))),
        Scene::default()
            .app(1, &ip(WEB, "10.77.0.2", 17, &web_opens))
            .client(1, &ip("10.77.0.2", WEB, 17, &udp(40_000, 514, 4))),
        Scene::default()
            .app(1, &ip(WEB, "10.77.0.2", 1, &icmp(8, 0, 7, &[])))
            .client(1, &ip("10.77.0.2", WEB, 1, &icmp(0, 0, 7, &[]))),
        Scene::default()
            .client(1, &ip("10.77.0.2", "10.20.0.9", 132, &sctp(40_000, 2_905, 1)))
            .app(1, &ip("10.20.0.9", "10.77.0.2", 132, &sctp(2_905, 40_000, 2)))
            .client(1, &ip("10.77.0.2", "10.20.0.9", 132, &sctp(40_000, 2_905, 6))),
        Scene::default()
            .app(1, &ip("10.20.0.9", "10.77.0.2", 47, &[0; 8]))
            .client(1, &ip("10.77.0.2", "10.20.0.9", 47, &[0; 8])),
        Scene::default()
            .app(2, &ip("fd21::1", "fd77::4", 17, &udp(9, 514, 150)))
            .client(2, &ip("fd77::4", "fd21::1", 17, &udp(514, 9, 150))),
    ]
}

fn refusals() -> Vec<Scene> {
    let denied = Scene::default()
        .client(2, &ip("10.77.0.4", "10.20.0.11", 6, &tcp(40_000, 22, SYN)))
        .client(2, &ip("10.77.0.4", "10.20.0.11", 6, &tcp(40_000, 22, ACK)))
        .client(2, &ip("10.77.0.4", "10.20.0.200", 47, &[1, 2, 3]))
        .client(2, &ip("10.77.0.4", "10.9.0.1", 17, &udp(40_000, 53, 8)))
        .client(2, &ip("fd77::4", "fd99::1", 6, &tcp(40_000, 22, SYN)))
        .client(2, &ip("fd77::4", "fd99::1", 17, &udp(40_000, 53, 8)))
        .client(2, &ip("fd77::4", "fd99::1", 58, &icmp(128, 0, 1, &[])));
    let trap = Scene::default()
        .client(2, &ip("10.77.0.4", "10.20.0.12", 6, &tcp(40_000, 1, SYN)))
        .client(2, &ip("10.77.0.4", WEB, 6, &tcp(40_000, 443, SYN)));
    let mut scan = Scene::default();
    for host in 1..8 {
        scan = scan.client(3, &ip("10.77.0.2", &format!("10.20.0.{host}"), 17, &udp(40_000, 53, 0)));
    }
    let mut flood = Scene::default();
    for port in 1..12 {
        flood = flood.client(2, &ip("fd77::4", WEB6, 6, &tcp(port, 443, SYN)));
        flood = flood.client(2, &ip("fd77::4", "fd77::1", 6, &tcp(port, 443, SYN)));
    }
    let mut spent = Scene::default();
    for _ in 0..20 {
        spent = spent.client(2, &ip("10.77.0.4", "10.21.0.1", 6, &[tcp(40_000, 80, ACK), vec![7; 200]].concat()));
    }
    vec![denied, trap, scan, flood, spent]
}

fn fragments() -> Vec<Scene> {
    let v4 = |part: u16, payload: &[u8]| with_head("10.77.0.2", "10.20.0.9", 17, &[], part, payload);
    let v6 = |place: u16, payload: &[u8]| {
        let header = [&[17, 0][..], &place.to_be_bytes(), &[0, 0, 0, 9]].concat();
        with_head("fd77::2", "fd20::9", 44, &header, 0, payload)
    };
    let datagram = udp(40_000, 53, 40);
    let (first, rest) = datagram.split_at(24);
    let whole4 = [v4(0x2000, first), v4(3 | 0x2000, &rest[..16]), v4(5, &rest[16..])];
    let whole6 = [v6(1, first), v6(24 | 1, &rest[..16]), v6(40, &rest[16..])];
    let [a, b, c] = &whole4;
    vec![
        Scene::default().client(3, a).client(3, b).client(3, c),
        Scene::default().client(3, a).client(3, c).client(3, b).client(3, b),
        whole6.iter().fold(Scene::default(), |scene, packet| scene.client(3, packet)),
        Scene::default().client(3, &v6(0, &datagram)),
    ]
}

fn errors() -> Vec<Scene> {
    let sent = ip("10.77.0.2", WEB, 6, &tcp(40_000, 443, SYN));
    let back = ip(WEB, "10.77.0.2", 6, &tcp(443, 40_000, SYN | ACK));
    let sent6 = ip("fd77::2", WEB6, 6, &tcp(40_000, 443, SYN));
    let back6 = ip(WEB6, "fd77::2", 6, &tcp(443, 40_000, SYN | ACK));
    vec![
        Scene::default()
            .client(1, &sent)
            .app(1, &ip("10.20.0.1", "10.77.0.2", 1, &icmp(3, 4, 1_400, &sent)))
            .client(1, &ip("10.77.0.2", WEB, 1, &icmp(3, 3, 0, &back))),
        Scene::default()
            .client(1, &sent6)
            .app(1, &ip("fd20::1", "fd77::2", 58, &icmp(2, 0, 1_400, &sent6)))
            .client(1, &ip("fd77::2", WEB6, 58, &icmp(1, 4, 0, &back6))),
        Scene::default().client(2, &ip("10.77.0.4", WEB, 1, &icmp(11, 0, 0, &back))),
    ]
}

fn links() -> Vec<Scene> {
    let sent = |client: &str| ip(client, WEB, 6, &tcp(40_000, 443, SYN));
    let tagged = |tags: &[(u16, u16)], client: &str, app: &str| {
        frame(Way::In, tags, &ip(client, app, 6, &tcp(40_000, 443, SYN)))
    };
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend(CLIENT_MAC);
    arp.extend([10, 77, 0, 2, 0, 0, 0, 0, 0, 0, 10, 77, 0, 1]);
    let discovery = |kind: u8, target: Option<&str>, option: u8| {
        let mut rest = Vec::new();
        if let Some(IpAddr::V6(target)) = target.map(address) {
            rest.extend(target.octets());
        }
        rest.extend([option, 1]);
        rest.extend(CLIENT_MAC);
        ip("fd77::2", "fd77::1", 58, &icmp(kind, 0, 0, &rest))
    };
    let hop = [17, 0, 5, 2, 0, 0, 1, 0];
    vec![
        Scene::default()
            .frame(Way::In, 1, &tagged(&[(0x8100, 5)], "10.77.0.2", WEB))
            .frame(Way::In, 1, &tagged(&[(0x88a8, 100), (0x8100, 7)], "fd77::2", WEB6))
            .frame(Way::In, 3, &tagged(&[(0x8100, 0), (0x8100, 5)], "fd77::6", WEB6))
            .frame(Way::In, 1, &tagged(&[(0x8100, 6)], "10.77.0.2", WEB)),
        Scene::default().frame(Way::In, 1, &ethernet(Way::In, &[], 0x0806, &arp)),
        Scene::default()
            .client(1, &discovery(135, Some("fd77::1"), 1))
            .client(1, &discovery(136, Some("fd77::2"), 2))
            .client(1, &discovery(133, None, 1))
            .app(1, &discovery(134, None, 1)),
        Scene::default()
            .frame(Way::In, 4, &ip("10.78.0.2", WEB, 6, &tcp(40_000, 443, SYN)))
            .frame(Way::Out, 4, &ip(WEB, "10.78.0.2", 6, &tcp(443, 40_000, SYN | ACK)))
            .frame(Way::In, 4, &ip("fd78::2", WEB6, 6, &tcp(40_000, 443, SYN))),
        Scene::default().client(5, &sent("10.77.0.2")).client(5, &ip("10.77.0.2", "10.20.0.12", 6, &tcp(1, 1, SYN))),
        Scene::default().client(0, &sent("10.77.0.2")).client(7, &sent("10.77.0.2")).client(6, &sent("10.77.0.2")),
        Scene::default()
            .client(3, &with_head("10.77.0.2", "10.20.0.9", 17, &[148, 4, 0, 0], 0, &udp(40_000, 53, 1)))
            .client(3, &with_head("fd77::2", "fd20::9", 0, &hop, 0, &udp(40_000, 53, 1)))
            .client(3, &with_head("fd77::2", "fd20::9", 60, &[17, 0, 1, 4, 0, 0, 0, 0], 0, &udp(40_000, 53, 1))),
    ]
}

fn changes() -> Vec<Scene> {
    let sent = ip("10.77.0.2", WEB, 6, &tcp(40_000, 443, SYN));
    let more = ip("10.77.0.2", WEB, 6, &tcp(40_000, 443, ACK));
    let back = ip(WEB, "10.77.0.2", 6, &tcp(443, 40_000, ACK));
    let open = Scene::default().client(1, &sent).app(1, &back);
    let after = |scene: Scene| scene.client(1, &more).app(1, &back);
    vec![
        after(open.clone().change(0, 0, 0)),
        after(after(open.clone().change(2, 0, 0)).change(2, 0, 2)),
        after(open.clone().change(2, 0, 5).wait(8)),
        after(open.clone().change(1, 0, 2)),
        after(open.clone().change(3, 0, 5).wait(9)),
        after(open.clone().wait(10)),
        open.change(0, 0, 0).marked(1, &ip(WEB, "10.77.0.2", 6, &tcp(443, 40_000, RST))),
    ]
}
