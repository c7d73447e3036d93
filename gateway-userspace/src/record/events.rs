//! Following the kernel: events from the ring buffer, and a look at the flows now and then. On a thread of its own.

use super::Recorder;
use super::flows::TrackedFlow;
use super::kind::Kind;
use super::line::Record;
use super::metrics::LostBy;
use crate::dataplane::{Guarding, clock};
use aya::maps::{MapData, RingBuf};
use gateway_common::abi::{Event, Flow, FlowCopy, FlowKey};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often counters of flows are read, and ended flows found: those of a tenth of all flows, but of no more than so
/// many. A hundred thousand have their turn each second, a million every twelve.
const REFRESH: Duration = Duration::from_millis(100);
const REFRESHED: usize = 8_192;
/// How many flows are looked at while the core waits for its turn.
const AT_ONCE: usize = 512;
/// How often the whole table is read, for flows whose opening was not reported; more seldom, if reading it takes more
/// than a twentieth of that.
const ADOPT: Duration = Duration::from_secs(10);
const ADOPTION_SHARE: u32 = 20;
/// The longest wait for events.
const WAIT: u16 = 100;

/// Follows the kernel on a thread of its own until `stop` is set. Denials are written at the end of each window.
///
/// # Errors
/// If the thread cannot be started.
pub fn follow(
    recorder: Recorder,
    events: RingBuf<MapData>,
    window: Duration,
    guarding: Guarding,
    stop: Arc<AtomicBool>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let mut follower = Follower {
        recorder,
        events,
        guarding,
        refresh: Every::new(REFRESH),
        adopt: Every::new(ADOPT),
        window: Every::new(window),
    };
    std::thread::Builder::new().name("events".into()).spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            follower.turn();
        }
        follower.drain();
        follower.recorder.finish();
    })
}

struct Follower {
    recorder: Recorder,
    events: RingBuf<MapData>,
    guarding: Guarding,
    refresh: Every,
    adopt: Every,
    window: Every,
}

/// Something to do again and again.
struct Every {
    period: Duration,
    next: Instant,
}

impl Every {
    fn new(period: Duration) -> Self {
        Self { period, next: Instant::now() }
    }

    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.next;
        if due {
            self.next = now + self.period;
        }
        due
    }
}

impl Follower {
    fn turn(&mut self) {
        let mut fds = [PollFd::new(self.events.as_fd(), PollFlags::POLLIN)];
        // An interrupted wait is a short one; the events are looked at in any case.
        let _ = poll(&mut fds, PollTimeout::from(WAIT));
        self.drain();
        if self.refresh.is_due() {
            self.recorder.refresh();
        }
        if self.adopt.is_due() {
            let began = Instant::now();
            self.adopt_flows();
            self.adopt.next = Instant::now() + ADOPT.max(began.elapsed() * ADOPTION_SHARE);
        }
        if self.window.is_due() {
            self.recorder.end_window();
        }
    }

    /// Between one part of the table and the next, events are read: their buffer is small.
    fn adopt_flows(&mut self) {
        let recorder = self.recorder.clone();
        let Some(monitor) = recorder.monitor() else { return };
        let now = clock::boot();
        let (mut flows, mut some) = (monitor.flows(), Vec::with_capacity(AT_ONCE));
        loop {
            some.clear();
            some.extend(flows.by_ref().take(AT_ONCE));
            if some.is_empty() {
                break;
            }
            recorder.flows_mut(|flows| flows.adopt(&some, now));
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(item) = self.events.next() {
            self.recorder.take(&item, |interface| self.guarding.zone(interface));
        }
    }
}

/// The event in a record of the ring buffer; `None` if it has another length, as from another layout.
fn event(bytes: &[u8]) -> Option<Event> {
    let bytes: &[u8; size_of::<Event>()] = bytes.try_into().ok()?;
    Some(Event::from_bytes(bytes))
}

/// The flow that an opening tells of: by a packet from the client, or from the app.
fn beginning(event: &Event, zone: u32) -> (FlowKey, TrackedFlow) {
    let from = (event.source, event.source_port.to_be_bytes());
    let to = (event.destination, event.destination_port.to_be_bytes());
    let is_by_app = event.direction != 0;
    let ((client, client_port), (app, app_port)) = if is_by_app { (to, from) } else { (from, to) };
    let key = FlowKey { client, app, client_port, app_port, zone, protocol: event.protocol, reserved: [0; 7] };
    let (ends, length) = (if is_by_app { Flow::BY_APP } else { 0 }, u64::from(event.length));
    let copy = FlowCopy {
        token: event.token,
        app: event.app.into(),
        ends,
        opened_at: event.at,
        last_seen: event.at,
        to_app_packets: u64::from(!is_by_app),
        to_app_bytes: if is_by_app { 0 } else { length },
        to_client_packets: u64::from(is_by_app),
        to_client_bytes: if is_by_app { length } else { 0 },
        ..FlowCopy::default()
    };
    (key, TrackedFlow { copy, interface: event.interface })
}

impl Recorder {
    /// Takes a record of the ring buffer; `zone` tells the zone of an interface. False if it is no event.
    pub fn take(&self, record: &[u8], zone: impl FnOnce(u32) -> u32) -> bool {
        let Some(event) = event(record) else { return false };
        self.happened(&event, zone(event.interface));
        true
    }

    fn happened(&self, event: &Event, zone: u32) {
        if event.what == Event::OPENED {
            self.opened(event, zone);
        } else if !self.denials_mut(|denials| denials.add(event)) {
            self.metrics().lost(LostBy::Both, Kind::Denied, 1);
        }
    }

    /// `zone` is that of the interface, for a session whose name is not known yet: an interface has several zones if it
    /// carries VLANs.
    fn opened(&self, event: &Event, zone: u32) {
        let zone = self.names(|names| names.session(event.token).map_or(zone, |named| named.zone));
        let (key, flow) = beginning(event, zone);
        self.write_unless_left_out(self.names(|names| Record::flow_start(&key, &flow, names)));
        if let Some(before) = self.flows_mut(|flows| flows.opened(key, flow)) {
            self.flow_ended(&key, &before, "replaced");
        }
    }

    fn refresh(&self) {
        let Some(monitor) = self.monitor() else { return };
        let now = clock::boot();
        let mut left = self.flows_mut(|flows| flows.part(10)).min(REFRESHED);
        while left > 0 {
            let slots = left.min(AT_ONCE);
            left -= slots;
            for (key, flow, outcome) in self.flows_mut(|flows| flows.refresh(monitor, now, slots)) {
                self.flow_ended(&key, &flow, outcome);
            }
        }
    }

    fn end_window(&self) {
        let denials = self.denials_mut(super::Denials::drain);
        for (key, denied) in denials {
            self.write_unless_left_out(self.names(|names| Record::denied(&key, &denied, names)));
        }
        let kernel = self.monitor().and_then(|monitor| monitor.events_lost().ok()).unwrap_or_default();
        if let Some((kernel, records)) = self.metrics().newly_lost(kernel) {
            self.write(Record::lost(kernel, records));
        }
    }

    /// Writes what is still open, at the end of the daemon: denials of the window so far. Flows stay open.
    pub fn finish(&self) {
        self.end_window();
        self.shared.log.flush();
        self.shared.archive.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Actor, Done};
    use crate::policy::gateway::tests::app;
    use crate::policy::{Capacities, Factors, Gateway, Input, SessionToken, Source, User, UserName};
    use crate::record::{AccessLog, Metrics, Sink};
    use gateway_common::{Address, DropReason, KernelNanos};
    use serde_json::{Value, json};
    use std::net::IpAddr;

    const ZONE: u32 = 9;

    fn opening(direction: u8) -> Event {
        let address = |host| Address::from(IpAddr::from([10, 0, 0, host]));
        let (source, destination) = (address(1), address(2));
        let ports = Event { source_port: 1_000, destination_port: 514, protocol: 17, ..Event::default() };
        Event { source, destination, token: 7, app: 3, length: 60, direction, ..ports }
    }

    /// What is written of these events, while ada has session 7.
    fn records(events: &[Event]) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.jsonl");
        let log = AccessLog::start(Sink::File(path.clone())).unwrap();
        let recorder = Recorder::new(Metrics::new().unwrap(), log, None);
        recorder.knows(&gateway());
        events.iter().for_each(|event| recorder.happened(event, 1));
        assert!(recorder.open_flows(None).all(|(key, _)| key.zone == ZONE), "the zone is that of the session");
        recorder.finish();
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn gateway() -> Gateway {
        let mut gateway = Gateway::new(Capacities::default());
        let user = UserName::new("ada").unwrap();
        let ada = User::new(user.clone());
        let source = Source {
            address: [10, 0, 0, 1].into(),
            zone: ZONE,
            zone_name: "voice".into(),
            interface: 1,
            interface_name: "lo".into(),
            country: Default::default(),
            mac: None,
        };
        let (token, proof, deadline) = (SessionToken(7), Factors::default().into(), KernelNanos::NEVER);
        for input in [Input::PutUser(ada), Input::Login { token, user, source, proof, deadline }] {
            gateway.handle(input, KernelNanos(1)).unwrap();
        }
        gateway
    }

    #[test]
    fn a_flow_is_named_from_the_client_s_side_whoever_opened_it() {
        let (key, flow) = beginning(&opening(0), ZONE);
        let ports = |key: &FlowKey| (u16::from_be_bytes(key.client_port), u16::from_be_bytes(key.app_port));
        assert_eq!((key.client.to_string().as_str(), ports(&key), key.zone), ("10.0.0.1", (1_000, 514), ZONE));
        assert_eq!((flow.is_by_app(), flow.copy.to_app_bytes, flow.copy.to_client_packets), (false, 60, 0));
        let (key, flow) = beginning(&opening(1), ZONE);
        assert_eq!((key.client.to_string().as_str(), ports(&key)), ("10.0.0.2", (514, 1_000)));
        assert_eq!((flow.is_by_app(), flow.copy.to_app_packets, flow.copy.to_client_bytes), (true, 0, 60));
        assert!(!Flow::is_over(flow.copy.ends));
    }

    #[test]
    fn an_opening_tells_who_opened() {
        let found = records(&[opening(0), opening(1)]);
        assert_eq!((&found[0]["opened_by"], &found[1]["opened_by"]), (&json!("client"), &json!("app")));
        assert_eq!((&found[1]["client"], &found[1]["client_port"]), (&json!("10.0.0.2"), &json!(514)));
        assert_eq!((&found[0]["type"], &found[0]["user"]), (&json!("flow_start"), &json!("ada")));
    }

    fn counted(metrics: &Metrics, name: &str) -> f64 {
        let families = metrics.registry().gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum()
    }

    /// What is written of one opening and one denial of each app, and how many records are left out.
    fn records_under(policies: &str) -> (Vec<Value>, f64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.jsonl");
        let metrics = Metrics::new().unwrap();
        let log = AccessLog::start(Sink::File(path.clone())).unwrap();
        let recorder = Recorder::new(metrics.clone(), log, None);
        let mut gateway = gateway();
        for (name, net) in [("crm", "10.0.0.2/32"), ("vault", "10.0.0.3/32")] {
            gateway.handle(Input::PutApp(app(name, net)), KernelNanos(1)).unwrap();
        }
        recorder.knows(&gateway);
        // As the core does it: what was decided otherwise becomes known, though nobody gains or loses an app.
        let input = Input::put_policy(policies, None).unwrap();
        let changed = gateway.handle(input.clone(), KernelNanos(1)).unwrap();
        let (regranted, redecided) = (Arc::new(changed.regranted), changed.redecided);
        let done = Done { regranted, redecided, ..Done::default() };
        let actor = Actor { name: "admin".into(), address: None };
        recorder.changed(&actor, &gateway, &input, &done);
        let ids = gateway.app_ids();
        for id in ids.values() {
            recorder.happened(&Event { app: id.0, ..opening(0) }, 1);
            recorder.happened(&Event { app: id.0, what: DropReason::NoGrant as u8, ..opening(0) }, 1);
        }
        recorder.finish();
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let is_meant = |line: &Value| line["type"] == "flow_start" || line["type"] == "denied";
        (lines.filter(is_meant).collect(), counted(&metrics, "portcullis_records_left_out_total"))
    }

    #[test]
    fn denials_name_the_forbids_and_policies_leave_records_out_or_have_them_looked_at() {
        let said =
            |line: &Value| (line["type"].clone(), line["app"].clone(), line["policies"].clone(), line["alert"].clone());
        let forbid = "@id(\"shut\") @log(\"alert\") forbid (principal, action, resource == App::\"vault\");";
        let (found, left_out) = records_under(forbid);
        let (none, shut) = (json!([]), json!(["shut"]));
        let expected = [
            (json!("flow_start"), json!("crm"), none.clone(), Value::Null),
            (json!("flow_start"), json!("vault"), none.clone(), Value::Null),
            (json!("denied"), json!("crm"), none.clone(), Value::Null),
            (json!("denied"), json!("vault"), shut, json!(true)),
        ];
        let mut found: Vec<_> = found.iter().map(said).collect();
        found.sort_by_key(|(kind, app, ..)| (kind != "flow_start", app.to_string()));
        assert_eq!((&found[..], left_out), (&expected[..], 0.0));
        let off = format!("@log(\"off\") permit (principal, action, resource); {}", forbid.replace("alert", "off"));
        let (found, left_out) = records_under(&off);
        // A denial of `crm` was not determined by the permit, nor a connection to `vault` by the forbid.
        let found: Vec<_> = found.iter().map(|line| (line["type"].clone(), line["app"].clone())).collect();
        assert_eq!((found.len(), left_out), (2, 2.0), "{found:?}");
        assert!(
            found.contains(&(json!("flow_start"), json!("vault"))) && found.contains(&(json!("denied"), json!("crm")))
        );
    }

    #[test]
    fn a_session_that_scans_is_recorded_with_its_user_and_what_was_only_observed_says_so() {
        let scan = Event { what: DropReason::ScanDetected as u8, flags: Event::ANSWERED, ..opening(0) };
        let found = records(&[scan, Event { flags: Event::OBSERVED, ..scan }]);
        assert_eq!((&found[0]["reason"], &found[0]["user"]), (&json!("scan_detected"), &json!("ada")));
        assert_eq!((&found[0]["answered"], found[0].get("observed")), (&json!(1), None));
        assert_eq!((found[1].get("answered"), &found[1]["observed"]), (None, &json!(true)));
    }
}
