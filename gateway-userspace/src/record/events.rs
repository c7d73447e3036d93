//! Following the kernel: events from the ring buffer, and a look at the flows now and then. On a thread of its own.

use super::Recorder;
use super::flows::TrackedFlow;
use super::line::Record;
use crate::dataplane::{Guarding, clock};
use aya::maps::{MapData, RingBuf};
use gateway_common::abi::{Event, FlowCopy, FlowKey};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often counters of flows are read, and ended flows found.
const REFRESH: Duration = Duration::from_secs(1);
/// How often the whole table is read, for flows whose opening was not reported.
const ADOPT: Duration = Duration::from_secs(10);
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
            self.recorder.refresh(self.adopt.is_due());
        }
        if self.window.is_due() {
            self.recorder.end_window();
        }
    }

    fn drain(&mut self) {
        while let Some(item) = self.events.next() {
            if let Some(event) = event(&item) {
                let zone = self.guarding.zone(event.interface);
                self.recorder.happened(&event, zone);
            }
        }
    }
}

/// The event in a record of the ring buffer; `None` if it has another length, as from another layout.
fn event(bytes: &[u8]) -> Option<Event> {
    let bytes: &[u8; size_of::<Event>()] = bytes.try_into().ok()?;
    Some(Event::from_bytes(bytes))
}

impl Recorder {
    fn happened(&self, event: &Event, zone: u32) {
        if event.what == Event::OPENED {
            self.opened(event, zone);
        } else if !self.denials_mut(|denials| denials.add(event)) {
            self.metrics().record_lost();
        }
    }

    fn opened(&self, event: &Event, zone: u32) {
        let key = FlowKey {
            client: event.source,
            app: event.destination,
            client_port: event.source_port.to_be_bytes(),
            app_port: event.destination_port.to_be_bytes(),
            zone,
            protocol: event.protocol,
            reserved: [0; 7],
        };
        let copy = FlowCopy {
            token: event.token,
            app: event.app.into(),
            opened_at: event.at,
            last_seen: event.at,
            to_app_packets: 1,
            to_app_bytes: event.length.into(),
            ..FlowCopy::default()
        };
        let flow = TrackedFlow { copy, interface: event.interface };
        self.write(self.names(|names| Record::flow_start(&key, &flow, names)));
        if let Some(before) = self.flows_mut(|flows| flows.opened(key, flow)) {
            self.flow_ended(&key, &before, "replaced");
        }
    }

    fn refresh(&self, adopt: bool) {
        let Some(monitor) = self.monitor() else { return };
        let now = clock::boot();
        let over = self.flows_mut(|flows| {
            if adopt {
                flows.adopt(monitor, now);
            }
            flows.refresh(monitor, now)
        });
        for (key, flow, outcome) in over {
            self.flow_ended(&key, &flow, outcome);
        }
    }

    fn end_window(&self) {
        let denials = self.denials_mut(super::Denials::drain);
        for (key, denied) in denials {
            self.write(self.names(|names| Record::denied(&key, &denied, names)));
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
    }
}
