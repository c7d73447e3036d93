//! What the programs report to the daemon as it happens, and what they could not report.

use super::{Flow, FlowCopy, FlowKey};
use crate::Direction;

/// Length of the window in which events are counted, in nanoseconds: a tenth of a second.
pub const EVENT_WINDOW: u64 = 100_000_000;

/// One CPU's budget of events. Index 0 counts flow openings, index 1 answers to denials.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct EventGate {
    /// Start of the window on the boot clock.
    pub window: u64,
    /// Events emitted in the window.
    pub emitted: u64,
    /// Events that were not emitted, since load: over budget, or the ring buffer was full.
    pub lost: u64,
}

/// What one CPU has counted and could tell nobody of, since load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Unrecorded {
    /// Flows that gave way while the ring buffer was full.
    pub flows: u64,
    /// What they had carried to the app: packets.
    pub to_app_packets: u64,
    /// Bytes of them.
    pub to_app_bytes: u64,
    /// What they had carried to the client: packets.
    pub to_client_packets: u64,
    /// Bytes of them.
    pub to_client_bytes: u64,
    /// Packets that were denied while there was no room for another kind of denial.
    pub denied_packets: u64,
}

impl Unrecorded {
    /// Adds what another has counted.
    pub fn add(&mut self, more: &Self) {
        let Self { flows, to_app_packets, to_app_bytes, to_client_packets, to_client_bytes, denied_packets } = self;
        for (own, more) in [
            (flows, more.flows),
            (to_app_packets, more.to_app_packets),
            (to_app_bytes, more.to_app_bytes),
            (to_client_packets, more.to_client_packets),
            (to_client_bytes, more.to_client_bytes),
            (denied_packets, more.denied_packets),
        ] {
            *own = own.wrapping_add(more);
        }
    }
}

/// A flow that has begun, or had to give way: its words, as they are in its slot ([`Flow`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct FlowEvent {
    /// The words of its [`FlowKey`].
    pub key: [u64; 6],
    /// [`FlowEvent::OPENED`], [`FlowEvent::GAVE_WAY`] or [`FlowEvent::REPLACED`].
    pub what: u64,
    /// The session's token.
    pub token: u64,
    /// The app, flags, and the interface.
    pub app: u64,
    /// When it was opened, who opened it, and which ends were seen.
    pub life: u64,
    /// When it last carried a packet, on the boot clock.
    pub last_seen: u64,
    /// What it carried to the app: packets.
    pub to_app_packets: u64,
    /// Bytes of them.
    pub to_app_bytes: u64,
    /// What it carried to the client: packets.
    pub to_client_packets: u64,
    /// Bytes of them.
    pub to_client_bytes: u64,
}

/// A packet that has opened a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The session's token.
    pub token: u64,
    /// The app's number.
    pub app: u32,
    /// The index of the interface.
    pub interface: u32,
    /// Its way: from whoever opened the flow.
    pub direction: Direction,
    /// Its length.
    pub length: u16,
    /// When, on the boot clock.
    pub at: u64,
}

impl FlowEvent {
    /// `what` of a flow that has begun.
    pub const OPENED: u64 = 1;
    /// `what` of a flow whose slot is another's now.
    pub const GAVE_WAY: u64 = 2;
    /// `what` of a flow that has begun anew between the same ends.
    pub const REPLACED: u64 = 3;

    /// Writes all of a flow that has begun. Word by word, because the programs have no stack for two of these.
    #[inline(always)]
    pub fn write_opened(&mut self, key: &FlowKey, opening: &Opening) {
        let Opening { token, app, interface, direction, length, at } = *opening;
        let is_by_app = matches!(direction, Direction::ToClient);
        let (to_app, to_client) = if is_by_app { (0, 1) } else { (1, 0) };
        for (own, word) in self.key.iter_mut().zip(key.words()) {
            *own = *word;
        }
        self.what = Self::OPENED;
        self.token = token;
        self.app = u64::from(app) | u64::from(interface) << Flow::INTERFACE;
        self.life = at.wrapping_mul(Flow::ENDS) | if is_by_app { Flow::BY_APP } else { 0 };
        self.last_seen = at;
        self.to_app_packets = to_app;
        self.to_app_bytes = to_app.wrapping_mul(length.into());
        self.to_client_packets = to_client;
        self.to_client_bytes = to_client.wrapping_mul(length.into());
    }

    /// Writes all of a flow whose slot is being given to another one: with its own key, if it is replaced.
    #[inline(always)]
    pub fn write_gave_way(&mut self, flow: &Flow, is_replaced: bool) {
        for (own, word) in self.key.iter_mut().zip(&flow.key) {
            *own = word.load();
        }
        self.what = if is_replaced { Self::REPLACED } else { Self::GAVE_WAY };
        self.token = flow.token.load();
        self.app = flow.app.load();
        self.life = flow.life.load();
        self.last_seen = flow.last_seen.load();
        self.to_app_packets = flow.to_app.packets.load();
        self.to_app_bytes = flow.to_app.bytes.load();
        self.to_client_packets = flow.to_client.packets.load();
        self.to_client_bytes = flow.to_client.bytes.load();
    }

    /// Which flow.
    #[must_use]
    pub const fn key(&self) -> FlowKey {
        FlowKey::from_words(self.key)
    }

    /// What it says of the flow.
    #[must_use]
    pub fn copy(&self) -> FlowCopy {
        FlowCopy {
            token: self.token,
            app: self.app & ((1 << Flow::INTERFACE) - 1),
            ends: self.life & (Flow::ENDS - 1),
            opened_at: self.life / Flow::ENDS,
            last_seen: self.last_seen,
            to_app_packets: self.to_app_packets,
            to_app_bytes: self.to_app_bytes,
            to_client_packets: self.to_client_packets,
            to_client_bytes: self.to_client_bytes,
            ..FlowCopy::default()
        }
    }

    /// The index of the interface that its client is behind; 0 if that is not known.
    #[must_use]
    pub const fn interface(&self) -> u32 {
        (self.app >> Flow::INTERFACE) as u32
    }

    /// The event in these bytes, as the kernel program laid them out on this machine. `None` if it is no event.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; size_of::<Self>()]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let [a, b, c, d, e, f, what, token, app, life, last_seen, rest @ ..] =
            words.first_chunk::<15>()?.map(u64::from_ne_bytes);
        let [to_app_packets, to_app_bytes, to_client_packets, to_client_bytes] = rest;
        let traffic = Self { to_app_packets, to_app_bytes, to_client_packets, to_client_bytes, ..Self::default() };
        Some(Self { key: [a, b, c, d, e, f], what, token, app, life, last_seen, ..traffic })
            .filter(|event| [Self::OPENED, Self::GAVE_WAY, Self::REPLACED].contains(&event.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> [u8; size_of::<FlowEvent>()] {
        core::array::from_fn(|place| match place {
            48 => FlowEvent::GAVE_WAY.to_ne_bytes()[0],
            49..56 => FlowEvent::GAVE_WAY.to_ne_bytes()[place - 48],
            _ => place as u8,
        })
    }

    #[test]
    fn event_is_read_from_its_own_bytes_field_by_field() {
        let event = FlowEvent::from_bytes(&event()).unwrap();
        assert_eq!((event.key().client.0[0], event.key().protocol, event.what), (0, 40, FlowEvent::GAVE_WAY));
        assert_eq!(event.token.to_ne_bytes(), [56, 57, 58, 59, 60, 61, 62, 63]);
        assert_eq!(event.to_client_bytes.to_ne_bytes(), [112, 113, 114, 115, 116, 117, 118, 119]);
    }

    #[test]
    fn what_is_no_event_is_none() {
        assert_eq!(FlowEvent::from_bytes(&[0; size_of::<FlowEvent>()]), None);
        assert_eq!(FlowEvent::from_bytes(&[9; size_of::<FlowEvent>()]), None);
    }

    #[test]
    fn opening_tells_who_opened_and_where_the_client_is() {
        for (direction, by_app) in [(Direction::ToApp, 0), (Direction::ToClient, Flow::BY_APP)] {
            let mut opened = FlowEvent::default();
            let opening = Opening { token: 7, app: 3, interface: 5, direction, length: 60, at: 1_000 };
            opened.write_opened(&FlowKey::default(), &opening);
            let copy = opened.copy();
            assert_eq!((copy.token, copy.app, opened.interface(), copy.ends), (7, 3, 5, by_app));
            assert_eq!((copy.opened_at, copy.last_seen), (1_000, 1_000));
            let carried = (copy.to_app_packets, copy.to_app_bytes, copy.to_client_packets, copy.to_client_bytes);
            assert_eq!(carried, if by_app == 0 { (1, 60, 0, 0) } else { (0, 0, 1, 60) });
        }
    }
}
