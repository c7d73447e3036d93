//! How long flows take the short way, and what they remember of their ways.

use super::client::{APP, CLIENT, INTERFACE, NOW, from_to, plane, udp};
use gateway_common::abi::{AppEntry, AppKey, Flow, Grant, GrantKey};
use gateway_common::forward::Kept;
use gateway_common::law::established::{self, Established, Unsaid};
use gateway_common::{Direction, KernelNanos, Packet, Tables as _, Verdict, law};
use gateway_userspace::dataplane::{DataPlane as _, MemoryDataPlane};
use gateway_userspace::policy::{AppSetId, BlockId, Plan, Step};
use std::sync::Arc;

checks![
    a_flow_remembers_its_way_until_one_may_have_become_another,
    while_nobody_watches_no_way_is_taken_and_none_is_remembered,
    what_may_have_become_another_way_is_not_remembered_beside_one_that_was_asked_for,
    a_way_is_not_remembered_by_the_flow_that_has_taken_the_slot,
    a_way_that_is_remembered_keeps_no_flow_alive_whose_access_was_taken_away,
    a_reply_passes_only_when_it_is_said_to,
    a_connection_that_is_closed_does_not_take_the_short_way,
    a_flow_that_was_silent_too_long_does_not_take_the_short_way,
];

const HERE: Kept = Kept::from_word(0x0007_0605_0403_0201);
const THERE: Kept = Kept::from_word(0x0009_0605_0403_0202);

/// Tables with a session, and an app that it may reach, of which somebody watches the routes.
fn watched() -> MemoryDataPlane {
    let mut plane = plane();
    let app = |protocol| AppKey { block: 1, port: 443_u16.to_be_bytes(), protocol, side: AppKey::SERVICE };
    let steps = vec![
        Step::PutApp(app(Packet::UDP), AppEntry::new(1, false)),
        Step::PutApp(app(Packet::TCP), AppEntry::new(1, false)),
        Step::PutAppPrefix(AppSetId(1), format!("{APP}/32").parse().unwrap(), BlockId(1)),
        Step::PutGrant(GrantKey { allow_list: 1, app: 1 }, Grant::UNLIMITED),
    ];
    plane.apply(&Plan { steps }).unwrap();
    plane.watched_until = KernelNanos::NEVER;
    plane
}

fn request() -> Vec<u8> {
    udp(CLIENT, APP, b"?")
}

fn answer() -> Vec<u8> {
    let mut frame = Vec::new();
    from_to(APP.parse().unwrap(), CLIENT.parse().unwrap()).udp(443, 40_000).write(&mut frame, b"!").unwrap();
    frame
}

fn to_app(plane: &MemoryDataPlane) -> Result<Established<Arc<Flow>>, Unsaid> {
    established::to_app(&request()[..], &mut Packet::default(), plane, INTERFACE, NOW)
}

fn to_client(plane: &MemoryDataPlane) -> Result<Established<Arc<Flow>>, Unsaid> {
    established::to_client(&answer()[..], &mut Packet::default(), plane, INTERFACE, NOW)
}

fn way(found: Result<Established<Arc<Flow>>, Unsaid>) -> Kept {
    found.map(|found| found.way).unwrap()
}

/// The same, where a packet of the client has opened a flow.
fn opened() -> MemoryDataPlane {
    let plane = watched();
    assert_eq!(law::ingress(&request()[..], &mut Packet::default(), &plane, INTERFACE, NOW).verdict, Verdict::Forward);
    plane
}

fn a_flow_remembers_its_way_until_one_may_have_become_another() {
    let plane = opened();
    let found = to_app(&plane).unwrap();
    assert_eq!(found.way, Kept::NONE);
    found.keep(Kept::NONE, Direction::ToApp);
    assert_eq!(way(to_app(&plane)), Kept::NONE);
    found.keep(HERE, Direction::ToApp);
    assert_eq!((way(to_app(&plane)), way(to_client(&plane))), (HERE, Kept::NONE));
    to_client(&plane).unwrap().keep(THERE, Direction::ToClient);
    assert_eq!((way(to_app(&plane)), way(to_client(&plane))), (HERE, THERE));
    plane.ways_have_changed();
    assert_eq!((way(to_app(&plane)), way(to_client(&plane))), (Kept::NONE, Kept::NONE));
    // What was found before was asked for before.
    found.keep(HERE, Direction::ToApp);
    assert_eq!(way(to_app(&plane)), Kept::NONE);
    to_app(&plane).unwrap().keep(THERE, Direction::ToApp);
    assert_eq!(way(to_app(&plane)), THERE);
    // The whole law judges, and nothing is known of the way that a packet takes then.
    plane.begin_epoch();
    assert_eq!(law::ingress(&request()[..], &mut Packet::default(), &plane, INTERFACE, NOW).verdict, Verdict::Forward);
    assert_eq!(way(to_app(&plane)), Kept::NONE);
}

fn while_nobody_watches_no_way_is_taken_and_none_is_remembered() {
    let mut plane = opened();
    to_app(&plane).unwrap().keep(HERE, Direction::ToApp);
    plane.watched_until = NOW;
    let found = to_app(&plane).unwrap();
    assert_eq!(found.way, Kept::NONE);
    found.keep(THERE, Direction::ToApp);
    plane.watched_until = KernelNanos(NOW.0 + 1);
    assert_eq!(way(to_app(&plane)), HERE);
}

fn what_may_have_become_another_way_is_not_remembered_beside_one_that_was_asked_for() {
    for (direction, other) in [(Direction::ToApp, Direction::ToClient), (Direction::ToClient, Direction::ToApp)] {
        let plane = opened();
        let look = |at| if at == Direction::ToApp { to_app(&plane) } else { to_client(&plane) };
        look(other).unwrap().keep(HERE, other);
        plane.ways_have_changed();
        look(direction).unwrap().keep(THERE, direction);
        assert_eq!((way(look(direction)), way(look(other))), (THERE, Kept::NONE));
    }
}

fn a_way_is_not_remembered_by_the_flow_that_has_taken_the_slot() {
    let plane = opened();
    let found = to_app(&plane).unwrap();
    // Another flow was there meanwhile.
    let stamp = found.flow.stamp.load();
    found.flow.state.store(found.flow.state.load() + 16);
    found.keep(HERE, Direction::ToApp);
    assert_eq!((way(to_app(&plane)), found.flow.stamp.load()), (Kept::NONE, stamp));
    // Somebody else writes it.
    let found = to_app(&plane).unwrap();
    found.flow.stamp.store(Flow::HELD);
    found.keep(HERE, Direction::ToApp);
    assert_eq!((found.flow.to_app.way.load(), found.flow.stamp.load()), (0, Flow::HELD));
}

fn a_way_that_is_remembered_keeps_no_flow_alive_whose_access_was_taken_away() {
    let plane = opened();
    let found = to_app(&plane).unwrap();
    plane.begin_epoch();
    found.keep(HERE, Direction::ToApp);
    assert_eq!(to_app(&plane).err(), Some(Unsaid::Unknown));
    // Ways that change again and again have everything judged again, before a number comes twice.
    let plane = opened();
    to_app(&plane).unwrap().keep(HERE, Direction::ToApp);
    for _ in 1..=gateway_common::abi::Epoch::ACCESS {
        plane.ways_have_changed();
        assert_ne!(to_app(&plane).map(|found| found.way).ok(), Some(HERE));
    }
    assert_eq!(to_app(&plane).err(), Some(Unsaid::Unknown));
}

fn a_reply_passes_only_when_it_is_said_to() {
    let plane = opened();
    let frame = answer();
    let reply = || {
        let mut packet = Packet::default();
        let found = established::reply(&frame[..], &mut packet, &plane, NOW);
        found.map(|found| (found, packet))
    };
    assert_eq!(reply().err(), Some(Unsaid::Unknown));
    to_client(&plane).unwrap().keep(THERE, Direction::ToClient);
    let (found, packet) = reply().unwrap();
    let carried = |found: &Established<Arc<Flow>>| found.flow.to_client.packets.load();
    assert_eq!((found.way, carried(&found)), (THERE, 1));
    found.pass(&packet, Direction::ToClient, NOW);
    assert_eq!((carried(&found), found.flow.to_client.bytes.load()), (2, 2 * (frame.len() as u64 - 14)));
}

fn a_connection_that_is_closed_does_not_take_the_short_way() {
    let plane = watched();
    let segment = |is_to_app: bool, is_first: bool, is_last: bool| {
        let (from, to, ports) = if is_to_app { (CLIENT, APP, (40_000, 443)) } else { (APP, CLIENT, (443, 40_000)) };
        let tcp = from_to(from.parse().unwrap(), to.parse().unwrap()).tcp(ports.0, ports.1, 1, 1_024);
        let tcp = if is_first { tcp.syn() } else { tcp.ack(1) };
        let mut frame = Vec::new();
        let tcp = if is_last { tcp.fin() } else { tcp };
        tcp.write(&mut frame, b"").unwrap();
        frame
    };
    let mut packet = Packet::default();
    let mut is_short = |frame: &[u8]| established::to_app(frame, &mut packet, &plane, INTERFACE, NOW).is_ok();
    let judge = |frame: &[u8], is_to_app| {
        let mut packet = Packet::default();
        let verdict = match is_to_app {
            true => law::ingress(frame, &mut packet, &plane, INTERFACE, NOW).verdict,
            false => law::egress(frame, &mut packet, &plane, INTERFACE, NOW).verdict,
        };
        assert_eq!(verdict, Verdict::Forward);
    };
    judge(&segment(true, true, false), true);
    let middle = segment(true, false, false);
    assert!(is_short(&middle));
    judge(&segment(true, false, true), true);
    assert!(is_short(&middle), "half of it is open");
    judge(&segment(false, false, true), false);
    assert!(!is_short(&middle));
    judge(&middle, true);
    assert!(!is_short(&middle));
}

fn a_flow_that_was_silent_too_long_does_not_take_the_short_way() {
    let plane = opened();
    let found = to_app(&plane).unwrap();
    found.flow.last_seen.store(NOW.0 - 300_000_000_000 + 1);
    assert!(to_app(&plane).is_ok());
    found.flow.last_seen.store(NOW.0 - 300_000_000_000);
    assert_eq!(to_app(&plane).err(), Some(Unsaid::Unknown));
}
