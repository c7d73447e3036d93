//! Following the kernel: events from the ring buffer, and ten times a second what it has denied and how flows are. On a
//! thread of its own.

use super::Recorder;
use super::flows::{End, Period, Refreshed, TrackedFlow, is_fresh};
use super::line::Record;
use super::names::Names;
use crate::dataplane::{Written, clock};
use aya::maps::{MapData, RingBuf};
use gateway_common::abi::{FlowCopy, FlowEvent, FlowKey, Unrecorded};
use gateway_common::table::denials::Taken;
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

/// Follows the kernel on a thread of its own until `stop` is set. Denials are written at the end of each window, and flows that
/// go on once in each time of update, which is 0 for never.
///
/// # Errors
/// If the thread cannot be started.
pub fn follow(
    recorder: Recorder,
    events: RingBuf<MapData>,
    (window, update): (Duration, Duration),
    stop: Arc<AtomicBool>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let mut follower = Follower {
        recorder,
        events,
        written: Written::default(),
        refresh: Every::new(REFRESH),
        adopt: Every::new(ADOPT),
        window: Every::new(window),
        period: Period(u64::try_from(update.as_nanos()).unwrap_or(u64::MAX)),
    };
    std::thread::Builder::new().name("events".into()).spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            follower.turn();
        }
        follower.drain();
        follower.take_denials();
        follower.recorder.finish();
    })
}

struct Follower {
    recorder: Recorder,
    events: RingBuf<MapData>,
    written: Written,
    refresh: Every,
    adopt: Every,
    window: Every,
    period: Period,
}

/// Why a flow that was not over gave way: it was silent too long, or another began between the same ends, or the table was full.
fn gave_way(key: &FlowKey, copy: &FlowCopy, what: u64) -> &'static str {
    match what {
        _ if !is_fresh(key, copy, clock::boot()) => "idle",
        FlowEvent::REPLACED => "replaced",
        _ => "evicted",
    }
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
            self.take_denials();
            self.recorder.refresh(self.period);
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

    fn take_denials(&mut self) {
        if let Some(monitor) = self.recorder.monitor() {
            self.recorder.denied(&monitor.take_denials(&mut self.written));
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
            let adopted = recorder.flows_mut(|flows| flows.adopt(&some, monitor, now));
            recorder.adopted(adopted);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(item) = self.events.next() {
            self.recorder.take(&item);
        }
    }
}

impl Recorder {
    /// Takes a record of the ring buffer. False if it is none of ours, as from another layout.
    pub fn take(&self, record: &[u8]) -> bool {
        let event = record.try_into().ok().and_then(FlowEvent::from_bytes);
        if let Some(event) = event {
            self.happened(&event);
        }
        event.is_some()
    }

    /// Takes denials that were added up.
    pub fn denied(&self, taken: &[Taken]) {
        let is_refused = |taken: &&Taken| !self.denials_mut(|denials| denials.add(taken));
        let refused: u64 = taken.iter().filter(is_refused).map(|taken| taken.packets).sum();
        self.lost_mut(|lost| lost.denied_packets += refused);
    }

    fn happened(&self, event: &FlowEvent) {
        let (key, flow) = (event.key(), TrackedFlow { copy: event.copy(), interface: event.interface(), told: 0 });
        match event.what {
            FlowEvent::OPENED => self.opened(key, flow),
            what => {
                self.flows_mut(|flows| flows.gave_way(&key, &flow));
                self.flow_ended(&key, &flow, End::of(flow.outcome(gave_way(&key, &flow.copy, what))));
            }
        }
    }

    /// Ends flows whose session has ended: they were not known when it was cut.
    fn end_late(&self, flows: &[(FlowKey, TrackedFlow)]) {
        let Some(monitor) = self.monitor() else { return };
        for (key, flow) in self.flows_mut(|tracker| tracker.take_these(flows, monitor)) {
            self.flow_ended(&key, &flow, End::of("revoked"));
        }
    }

    fn adopted(&self, flows: Vec<(FlowKey, TrackedFlow)>) {
        let is_over = |(_, flow): &(FlowKey, TrackedFlow)| self.names(|names| names.is_over(flow.copy.token));
        let over: Vec<_> = flows.into_iter().filter(is_over).collect();
        if !over.is_empty() {
            self.end_late(&over);
        }
    }

    fn opened(&self, key: FlowKey, flow: TrackedFlow) {
        let look = |names: &Names| (Record::flow_start(&key, &flow, names), names.is_over(flow.copy.token));
        let (record, is_over) = self.names(look);
        self.write_or_count(record, &Unrecorded::default());
        if let Some(before) = self.flows_mut(|flows| flows.opened(key, flow)) {
            self.flow_ended(&key, &before, End { outcome: "replaced", is_incomplete: true });
        }
        if is_over {
            self.end_late(&[(key, flow)]);
        }
    }

    fn refresh(&self, period: Period) {
        let Some(monitor) = self.monitor() else { return };
        let now = clock::boot();
        for (key, flow) in self.flows_mut(super::FlowTracker::given_up) {
            self.flow_ended(&key, &flow, End { outcome: "evicted", is_incomplete: true });
        }
        let mut left = self.flows_mut(|flows| flows.part(10)).min(REFRESHED);
        while left > 0 {
            let slots = left.min(AT_ONCE);
            left -= slots;
            let Refreshed { over, going } = self.flows_mut(|flows| flows.refresh(monitor, now, slots, period));
            over.iter().for_each(|(key, flow, outcome)| self.flow_ended(key, flow, End::of(outcome)));
            going.iter().for_each(|(key, flow)| self.flow_goes_on(key, flow));
        }
    }

    fn end_window(&self) {
        let denials = self.denials_mut(super::Denials::drain);
        for (key, denied) in denials {
            let gap = Unrecorded { denied_packets: denied.packets, ..Unrecorded::default() };
            self.write_or_count(self.names(|names| Record::denied(&key, &denied, names)), &gap);
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
    use crate::record::{AccessLog, Gaps, Metrics, Sink};
    use gateway_common::abi::{DenialKey, Flow, Opening};
    use gateway_common::{Address, Direction, DropReason, KernelNanos};
    use serde_json::{Value, json};
    use std::net::IpAddr;
    use std::path::Path;

    const ZONE: u32 = 9;

    fn address(host: u8) -> Address {
        Address::from(IpAddr::from([10, 0, 0, host]))
    }

    fn opening(direction: Direction) -> FlowEvent {
        let key = FlowKey::new(address(1), address(2), [1_000, 514].map(u16::to_be), ZONE, 17);
        let mut event = FlowEvent::default();
        let opening = Opening { token: 7, app: 3, interface: 1, direction, length: 60, at: clock::boot().0 };
        event.write_opened(&key, &opening);
        event
    }

    /// The same flow, when it has carried something and gave way.
    fn gone(what: u64) -> FlowEvent {
        FlowEvent { what, to_app_packets: 5, to_app_bytes: 500, ..opening(Direction::ToApp) }
    }

    fn denial(reason: DropReason) -> Taken {
        let key =
            DenialKey { source: address(1), destination: address(2), port: 514, token: 7, ..DenialKey::default() };
        let key = DenialKey { interface: 1, app: 3, protocol: 17, reason: reason as u8, ..key };
        Taken { key, packets: 1, answered: 0, first: 1, last: 1 }
    }

    fn recorder(folder: &Path) -> Recorder {
        let log = AccessLog::start(Sink::File(folder.join("access.jsonl"))).unwrap();
        let recorder = Recorder::new(Metrics::new().unwrap(), log, None);
        recorder.knows(&gateway());
        recorder
    }

    fn lines(folder: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(folder.join("access.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What is written of these events and denials, while ada has session 7.
    fn records(events: &[FlowEvent], denials: &[Taken]) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let recorder = recorder(folder.path());
        events.iter().for_each(|event| recorder.happened(event));
        recorder.denied(denials);
        recorder.finish();
        lines(folder.path())
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
    fn an_opening_tells_who_opened() {
        let found = records(&[opening(Direction::ToApp), opening(Direction::ToClient)], &[]);
        assert_eq!((&found[0]["opened_by"], &found[1]["opened_by"]), (&json!("client"), &json!("app")));
        for line in &found[..2] {
            assert_eq!((&line["client"], &line["client_port"]), (&json!("10.0.0.1"), &json!(1_000)));
        }
        assert_eq!((&found[0]["type"], &found[0]["user"]), (&json!("flow_start"), &json!("ada")));
    }

    #[test]
    fn a_flow_that_gave_way_ends_with_what_it_had_carried_and_is_no_longer_open() {
        let long_ago = FlowEvent { last_seen: 0, ..gone(FlowEvent::GAVE_WAY) };
        let both = Flow::CLIENT_FIN | Flow::APP_FIN;
        let closed = FlowEvent { life: gone(FlowEvent::GAVE_WAY).life | both, ..gone(FlowEvent::GAVE_WAY) };
        for (end, outcome) in [
            (gone(FlowEvent::GAVE_WAY), "evicted"),
            (gone(FlowEvent::REPLACED), "replaced"),
            (long_ago, "idle"),
            (closed, "closed"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let recorder = recorder(folder.path());
            // Its opening may have been reported or not.
            recorder.happened(&FlowEvent { what: FlowEvent::OPENED, ..end });
            assert_eq!(recorder.open_flow_count(), 1);
            recorder.happened(&end);
            assert_eq!(recorder.open_flow_count(), 0);
            recorder.happened(&end);
            recorder.finish();
            let found = lines(folder.path());
            assert_eq!(found.len(), 3);
            for line in &found[1..] {
                assert_eq!((&line["outcome"], line.get("incomplete")), (&json!(outcome), None));
                assert_eq!((&line["to_app_packets"], &line["to_app_bytes"]), (&json!(5), &json!(500)));
            }
            assert_eq!(recorder.gaps(), Gaps::default());
        }
    }

    #[test]
    fn a_flow_of_whose_end_the_kernel_could_not_tell_is_recorded_as_incomplete() {
        let later = FlowEvent { life: (1 + clock::boot().0) * Flow::ENDS, ..opening(Direction::ToApp) };
        let found = records(&[opening(Direction::ToApp), later], &[]);
        let ends: Vec<_> = found.iter().filter(|line| line["type"] == "flow_end").collect();
        let [end] = ends[..] else { panic!("{found:?}") };
        assert_eq!((&end["outcome"], &end["incomplete"]), (&json!("replaced"), &json!(true)));
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
            let key = *FlowKey { client_port: [0, id.0 as u8], ..opening(Direction::ToApp).key() }.words();
            recorder.happened(&FlowEvent { key, app: id.0.into(), ..opening(Direction::ToApp) });
            let denial = denial(DropReason::NoGrant);
            recorder.denied(&[Taken { key: DenialKey { app: id.0, ..denial.key }, packets: 4, ..denial }]);
        }
        recorder.finish();
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let is_meant = |line: &Value| line["type"] == "flow_start" || line["type"] == "denied";
        let left_out = counted(&metrics, "portcullis_records_left_out_total");
        assert_eq!(recorder.gaps().left_out.denied_packets, if left_out == 0.0 { 0 } else { 4 });
        (lines.filter(is_meant).collect(), left_out)
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
        let scan = denial(DropReason::ScanDetected);
        let observed = Taken { key: DenialKey { flags: DenialKey::OBSERVED, ..scan.key }, first: 2, ..scan };
        let found = records(&[], &[Taken { answered: 1, ..scan }, observed]);
        assert_eq!((&found[0]["reason"], &found[0]["user"]), (&json!("scan_detected"), &json!("ada")));
        assert_eq!((&found[0]["answered"], found[0].get("observed")), (&json!(1), None));
        assert_eq!((found[1].get("answered"), &found[1]["observed"]), (None, &json!(true)));
    }
}
