//! Events from the kernel, through the recorder, to lines of the access log.

use gateway_common::abi::Event;
use gateway_common::{Address, KernelNanos};
use gateway_userspace::policy::{
    AllowListId, Capacities, Factors, Gateway, Input, SessionToken, Source, User, UserName,
};
use gateway_userspace::record::{AccessLog, Metrics, Recorder, Sink, TrackedFlow};
use serde_json::Value;
use std::collections::BTreeSet;

const SIZE: usize = size_of::<Event>();
/// The token of the one session whose name is known.
const KNOWN: u64 = 7;
const ZONE: u32 = 9;

pub fn run(input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.jsonl");
    let recorder = Recorder::new(Metrics::new().unwrap(), AccessLog::start(Sink::File(path.clone())).unwrap(), None);
    recorder.knows(&gateway());
    let mut events = Vec::new();
    for record in input.chunks(SIZE).take(64) {
        assert_eq!(recorder.take(record, |interface| interface % 4), record.len() == SIZE);
        let Ok(bytes) = record.try_into() else { continue };
        let event = Event::from_bytes(bytes);
        assert_eq!(written(&event), bytes, "read and written");
        events.push(event);
    }
    recorder.finish();
    let lines = std::fs::read_to_string(path).unwrap();
    recorded(&events, &lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>());
    tracked(&events, &recorder);
}

/// Every opening has a line of its own, and every denial is in the number of one.
fn recorded(events: &[Event], lines: &[Value]) {
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == *kind).collect::<Vec<_>>();
    let openings = events.iter().filter(|event| event.what == Event::OPENED).count();
    assert_eq!(of("flow_start").len(), openings);
    let packets: u64 = of("denied").iter().map(|line| line["packets"].as_u64().unwrap()).sum();
    assert_eq!(packets, (events.len() - openings) as u64);
    assert_eq!(of("flow_start").len() + of("flow_end").len() + of("denied").len(), lines.len());
    for line in lines {
        assert!(line["time"].is_string(), "{line}");
        let is_known = line["session"] == SessionToken(KNOWN).to_string();
        assert_eq!(line.get("user").is_some(), is_known, "{line}");
    }
}

/// What is open belongs to the session that opened it last, and is taken with it.
fn tracked(events: &[Event], recorder: &Recorder) {
    let tokens: BTreeSet<u64> = events.iter().map(|event| event.token).collect();
    for token in tokens {
        let is_of = |(_, flow): &(_, TrackedFlow)| flow.copy.token == token;
        let open: BTreeSet<_> = recorder.open_flows(None).filter(is_of).map(|(key, _)| key).collect();
        let own: BTreeSet<_> = recorder.open_flows(Some(SessionToken(token))).map(|(key, _)| key).collect();
        assert_eq!(own, open);
        assert!(token != KNOWN || open.iter().all(|key| key.zone == ZONE), "the zone is that of the session");
        let cut = recorder.cut(SessionToken(token));
        assert_eq!(cut.keys.iter().copied().collect::<BTreeSet<_>>(), open);
        assert!(cut.open <= cut.keys.len() && cut.connections.len() <= cut.open);
        assert!(cut.connections.iter().all(|(key, _)| key.protocol == 6 && open.contains(key)));
    }
    assert!(recorder.open_flow_count() == 0, "a flow of nobody");
}

/// As the kernel program lays it out.
fn written(event: &Event) -> Vec<u8> {
    let Event {
        at,
        token,
        source,
        destination,
        interface,
        app,
        source_port,
        destination_port,
        length,
        protocol,
        what,
        mac,
        direction,
        flags,
    } = *event;
    let mut bytes = [at.to_ne_bytes(), token.to_ne_bytes()].concat();
    bytes.extend([source.0, destination.0].concat());
    bytes.extend([interface.to_ne_bytes(), app.to_ne_bytes()].concat());
    bytes.extend([source_port.to_ne_bytes(), destination_port.to_ne_bytes(), length.to_ne_bytes()].concat());
    bytes.extend([protocol, what]);
    bytes.extend(mac);
    bytes.extend([direction, flags]);
    bytes
}

fn gateway() -> Gateway {
    let mut gateway = Gateway::new(Capacities::default());
    let user = UserName::new("ada").unwrap();
    let ada = User::new(user.clone());
    let source = Source {
        address: [10, 77, 0, 2].into(),
        zone: ZONE,
        zone_name: "office".into(),
        interface: 1,
        interface_name: "lo".into(),
        country: Default::default(),
        mac: None,
    };
    let (token, proof, deadline) = (SessionToken(KNOWN), Factors::default().into(), KernelNanos::NEVER);
    for input in [Input::PutUser(ada), Input::Login { token, user, source, proof, deadline }] {
        gateway.handle(input, KernelNanos(1)).unwrap();
    }
    assert_eq!(gateway.session(token).unwrap().allow_list, AllowListId(0));
    gateway
}

pub fn seeds() -> Vec<Vec<u8>> {
    let opening = Event {
        at: 5_000_000_000,
        token: KNOWN,
        source: Address::v4([10, 77, 0, 2]),
        destination: Address::v4([10, 20, 0, 10]),
        interface: 1,
        app: 3,
        source_port: 40_000,
        destination_port: 443,
        length: 60,
        protocol: 6,
        what: Event::OPENED,
        mac: [2, 0, 0, 0, 0, 2],
        direction: 0,
        flags: 0,
    };
    let denial = Event { what: 33, flags: Event::ANSWERED, ..opening };
    let by_app = Event { direction: 1, token: 8, at: 6_000_000_000, ..opening };
    let observed = Event { what: 30, flags: Event::OBSERVED, at: u64::MAX, ..denial };
    [vec![opening], vec![denial, denial, observed], vec![opening, by_app, Event { token: 9, ..opening }]]
        .iter()
        .map(|events| events.iter().flat_map(written).collect())
        .collect()
}
