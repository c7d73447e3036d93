//! Events from the kernel, through the recorder, to lines of the access log.

use gateway_common::abi::{Flow, FlowEvent, FlowKey, Opening};
use gateway_common::{Address, Direction, KernelNanos};
use gateway_userspace::policy::{
    AllowListId, Capacities, Factors, Gateway, Input, SessionToken, Source, User, UserName,
};
use gateway_userspace::record::{AccessLog, FlowEnds, Metrics, Recorder, Sink, TrackedFlow};
use serde_json::Value;
use std::collections::BTreeSet;

const SIZE: usize = size_of::<FlowEvent>();
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
        let event = record.try_into().ok().and_then(FlowEvent::from_bytes);
        assert_eq!(recorder.take(record), event.is_some());
        if let Some(event) = event {
            assert_eq!(written(&event), record, "read and written");
            events.push(event);
        }
    }
    recorder.finish();
    let lines = std::fs::read_to_string(path).unwrap();
    recorded(&events, &lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>());
    tracked(&events, &recorder);
}

/// Every opening has a line of its own, and so has every end that the kernel tells of.
fn recorded(events: &[FlowEvent], lines: &[Value]) {
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == *kind).count();
    let openings = events.iter().filter(|event| event.what == FlowEvent::OPENED).count();
    assert_eq!(of("flow_start"), openings);
    let incomplete = lines.iter().filter(|line| line["incomplete"] == true).count();
    assert_eq!(of("flow_end"), events.len() - openings + incomplete);
    assert_eq!(of("flow_start") + of("flow_end"), lines.len());
    for line in lines {
        assert!(line["time"].is_string(), "{line}");
        let is_known = line["session"] == SessionToken(KNOWN).to_string();
        assert_eq!(line.get("user").is_some(), is_known, "{line}");
    }
}

/// What is open belongs to the session that opened it last, and is taken with it.
fn tracked(events: &[FlowEvent], recorder: &Recorder) {
    let tokens: BTreeSet<u64> = events.iter().map(|event| event.token).collect();
    for token in tokens {
        let is_of = |(_, flow): &(_, TrackedFlow)| flow.copy.token == token;
        let open: BTreeSet<_> = recorder.open_flows(None).filter(is_of).map(|(key, _)| key).collect();
        let own: BTreeSet<_> = recorder.open_flows(Some(SessionToken(token))).map(|(key, _)| key).collect();
        assert_eq!(own, open);
        let mut ends = FlowEnds::default();
        let cut = recorder.cut(SessionToken(token), &mut ends);
        recorder.flows_cut(ends);
        assert_eq!(cut.keys.iter().copied().collect::<BTreeSet<_>>(), open);
        assert!(cut.open <= cut.keys.len() && cut.connections.len() <= cut.open);
        assert!(cut.connections.iter().all(|(key, _)| key.protocol == 6 && open.contains(key)));
    }
    assert!(recorder.open_flow_count() == 0, "a flow of nobody");
}

/// As the kernel program lays it out.
fn written(event: &FlowEvent) -> Vec<u8> {
    let FlowEvent { key, what, token, app, life, last_seen, .. } = *event;
    let FlowEvent { to_app_packets, to_app_bytes, to_client_packets, to_client_bytes, .. } = *event;
    let carried = [to_app_packets, to_app_bytes, to_client_packets, to_client_bytes];
    let words = [&key[..], &[what, token, app, life, last_seen], &carried].concat();
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
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
    let ports = [40_000, 443].map(u16::to_be);
    let key = FlowKey::new(Address::v4([10, 77, 0, 2]), Address::v4([10, 20, 0, 10]), ports, ZONE, 6);
    let of = |token, direction, at| {
        let mut event = FlowEvent::default();
        event.write_opened(&key, &Opening { token, app: 3, interface: 1, direction, length: 60, at });
        event
    };
    let opening = of(KNOWN, Direction::ToApp, 5_000_000_000);
    let by_app = of(8, Direction::ToClient, 6_000_000_000);
    let gone = FlowEvent { what: FlowEvent::GAVE_WAY, to_client_bytes: u64::MAX, ..opening };
    let replaced = FlowEvent { what: FlowEvent::REPLACED, life: opening.life | Flow::RESET, ..gone };
    [vec![opening], vec![opening, gone, gone, replaced], vec![opening, by_app, FlowEvent { token: 9, ..opening }]]
        .iter()
        .map(|events| events.iter().flat_map(written).collect())
        .collect()
}
