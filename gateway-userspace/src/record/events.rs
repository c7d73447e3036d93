//! Following the kernel: events from the ring buffer, and a look at the flows now and then.

use super::flows::TrackedFlow;
use super::line::Record;
use super::{Recorder, metrics::Metrics};
use crate::dataplane::clock;
use aya::maps::{MapData, RingBuf};
use gateway_common::abi::{Event, FlowCopy, FlowKey};
use std::io;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, interval};

/// How often counters of flows are read, and ended flows found.
const REFRESH: Duration = Duration::from_secs(1);
/// Every how many refreshes the whole table is read, for flows whose opening was not reported.
const ADOPT_EVERY: u32 = 10;
/// Events taken at once, before others get their turn.
const BATCH: usize = 1024;

/// Follows the kernel until the runtime ends. Denials are written at the end of each window.
///
/// # Errors
/// If the ring buffer cannot be watched.
pub async fn follow(recorder: Recorder, events: RingBuf<MapData>, window: Duration, zones: Zones) -> io::Result<()> {
    let mut ring = AsyncFd::with_interest(events, Interest::READABLE)?;
    let mut refresh = interval(REFRESH);
    let mut denials = interval(window);
    let mut rounds = 0;
    loop {
        tokio::select! {
            ready = ring.readable_mut() => {
                let mut ready = ready?;
                if drain(&recorder, ready.get_inner_mut(), &zones) {
                    ready.clear_ready();
                }
                tokio::task::yield_now().await;
            }
            _ = refresh.tick() => {
                recorder.refresh(rounds % ADOPT_EVERY == 0);
                rounds = rounds.wrapping_add(1);
            }
            at = denials.tick() => recorder.end_window(at),
        }
    }
}

/// The zone of each guarded interface, by its number: flows are keyed by zone, events name the interface.
pub type Zones = std::collections::BTreeMap<u32, u32>;

/// Takes events until there are none, or the batch is full. True if there are none.
fn drain(recorder: &Recorder, ring: &mut RingBuf<MapData>, zones: &Zones) -> bool {
    for _ in 0..BATCH {
        let Some(item) = ring.next() else { return true };
        if let Some(event) = event(&item) {
            recorder.happened(&event, zones);
        }
    }
    false
}

/// The event in a record of the ring buffer; `None` if it has another length, as from another layout.
fn event(bytes: &[u8]) -> Option<Event> {
    let bytes: &[u8; size_of::<Event>()] = bytes.try_into().ok()?;
    Some(Event::from_bytes(bytes))
}

impl Recorder {
    fn happened(&self, event: &Event, zones: &Zones) {
        if event.what == Event::OPENED {
            self.opened(event, zones.get(&event.interface).copied().unwrap_or_default());
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

    fn end_window(&self, _at: Instant) {
        let denials = self.denials_mut(super::Denials::drain);
        for (key, denied) in denials {
            self.write(self.names(|names| Record::denied(&key, &denied, names)));
        }
        let kernel = self.monitor().and_then(|monitor| monitor.events_lost().ok()).unwrap_or_default();
        if let Some((kernel, records)) = Metrics::newly_lost(self.metrics(), kernel) {
            self.write(Record::lost(kernel, records));
        }
    }

    /// Writes what is still open, at the end of the daemon: denials of the window so far. Flows stay open.
    pub fn finish(&self) {
        self.end_window(Instant::now());
        self.shared.log.flush();
    }
}
