//! Capturing denied packets for somebody who looks for a reason: as they were, with why, whose and by which policies.
//!
//! There is one capture at a time. It has a thread of its own, which ends with the capture: when its time or its count is over,
//! when nobody reads any more, or when the daemon stops. What the reader is too slow for is lost, and counted.

use super::Recorder;
use super::interfaces::interface;
use crate::core::Actor;
use crate::dataplane::capture::{Pace, Tap, Wanted};
use crate::dataplane::clock::WallClock;
use crate::dataplane::{Guarding, clock};
use crate::policy::{SessionToken, UserName};
use crate::wire::pcapng::{self, Link, Tally, Verdict};
use bytes::Bytes;
use gateway_common::abi::{CaptureGate, CaptureHead, CaptureOrder, DenialKey};
use gateway_common::{Direction, DropReason, KernelNanos};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The longest wait for packets, in milliseconds: so often the kernel is told that somebody still captures.
const WAIT: u16 = 100;
/// Packets that are taken before the clock is looked at again.
const AT_ONCE: usize = 256;
/// Packets that wait for their reader: 4 MiB of the longest ones.
const WAITING: usize = 256;
/// How often it is told what was lost so far. Connections that are silent for longer than half a minute are closed.
const TELL: Duration = Duration::from_secs(1);
/// How long the last numbers may take to be read.
const LAST_NUMBERS: Duration = Duration::from_secs(5);
/// How long the reader may be full when an interface has to be told of: less than the kernel waits for a word that somebody
/// still captures.
const FOR_INTERFACE: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });
const _: () = assert!(FOR_INTERFACE.as_millis() < Duration::from_nanos(CaptureOrder::LEASE).as_millis());
/// How many times as many packets the kernel hands over where only the daemon knows which of them are wanted.
const SIFTED: u32 = 10;
/// XDP's actions.
const XDP: [u64; 3] = [1, 2, 3];
/// Traffic control's: dropped, and no opinion.
const TC_DROP: u64 = 2;
const TC_PASS: u64 = u64::MAX;
/// What interface a packet is told to be of that came by one which is not configured.
const NOT_CONFIGURED: u32 = 0;

/// What somebody wants to see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// On this interface.
    pub interface: Option<String>,
    /// Denied for one of these reasons; for any, if there is none.
    pub reasons: Vec<DropReason>,
    /// Of this user.
    pub user: Option<UserName>,
    /// Of this session.
    pub session: Option<SessionToken>,
    /// From or to a client in this prefix.
    pub client: Option<IpNet>,
    /// So many packets.
    pub count: Option<u64>,
    /// For so long.
    pub time: Duration,
    /// So many a second.
    pub rate: u32,
    /// So many bytes of each.
    pub length: u32,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, reasons, user, session, client, count, time, rate, length } = self;
        let mut words = vec![format!("for={}s rate={rate}/s snaplen={length}", time.as_secs())];
        words.extend(interface.as_ref().map(|interface| format!("interface={interface}")));
        let reasons: Vec<_> = reasons.iter().map(|reason| reason.label()).collect();
        words.extend((!reasons.is_empty()).then(|| format!("reason={}", reasons.join(","))));
        words.extend(user.as_ref().map(|user| format!("user={user}")));
        words.extend(session.as_ref().map(|session| format!("session={session}")));
        words.extend(client.as_ref().map(|client| format!("client={client}")));
        words.extend(count.map(|count| format!("count={count}")));
        f.write_str(&words.join(" "))
    }
}

/// Why nothing is captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// No programs.
    #[error("there are no programs here that could hand over packets")]
    Nowhere,
    /// One at a time.
    #[error("`{by}` captures, for {seconds} s more at most; try again when they are done")]
    Taken {
        /// Who does.
        by: String,
        /// Until when.
        seconds: u64,
    },
    /// No such interface.
    #[error("interface `{name}` is not guarded; use one of {known}")]
    NoInterface {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No thread.
    #[error("the capture's thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// Where captures begin. Cheap to clone.
#[derive(Clone)]
pub struct Captures(Arc<Inner>);

struct Inner {
    recorder: Recorder,
    guarding: Guarding,
    place: Mutex<Place>,
    is_stopping: AtomicBool,
}

/// The one place for somebody who captures.
enum Place {
    Nowhere,
    Free(Box<Tap>),
    Taken { by: String, until: Instant },
}

impl Captures {
    /// From the programs' side.
    #[must_use]
    pub fn new(recorder: Recorder, guarding: Guarding, tap: Option<Tap>) -> Self {
        let place = Mutex::new(tap.map_or(Place::Nowhere, |tap| Place::Free(Box::new(tap))));
        Self(Arc::new(Inner { recorder, guarding, place, is_stopping: AtomicBool::new(false) }))
    }

    /// Where there are no programs.
    #[must_use]
    pub fn nowhere(recorder: Recorder) -> Self {
        Self::new(recorder, Guarding::default(), None)
    }

    /// Ends what is captured, with the last numbers: the daemon stops.
    pub fn stop(&self) {
        self.0.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Begins to capture. What comes is a pcapng file, in pieces.
    ///
    /// # Errors
    /// If somebody captures already, or there is no such interface.
    pub fn begin(&self, actor: Actor, asked: Asked) -> Result<Receiver<Bytes>, CaptureError> {
        let wanted = self.wanted(&asked)?;
        let mut tap = self.claim(&actor.name, asked.time)?;
        let (sender, receiver) = channel(WAITING);
        // Who captures what is told before the first packet is.
        self.0.recorder.admin(&actor, "capture_began", &asked.to_string());
        tap.begin(&wanted);
        let capture = Capture {
            captures: self.clone(),
            gate: CaptureGate::default(),
            pace: Pace::per_second(asked.rate),
            clock: WallClock::now(),
            sender,
            seen: BTreeMap::new(),
            captured: 0,
            is_cut: false,
            tap: Some(tap),
            actor,
            asked,
        };
        // Dropped, it gives its place back.
        std::thread::Builder::new().name("capture".into()).spawn(move || capture.run())?;
        Ok(receiver)
    }

    fn wanted(&self, asked: &Asked) -> Result<Wanted, CaptureError> {
        let guarded = self.0.guarding.interfaces();
        let number = |name: &String| {
            let known = || guarded.iter().map(|guarded| format!("`{}`", guarded.name)).collect::<Vec<_>>().join(", ");
            let found = guarded.iter().find(|guarded| guarded.name == *name).map(|guarded| guarded.index);
            found.ok_or_else(|| CaptureError::NoInterface { name: name.clone(), known: known() })
        };
        let interface = asked.interface.as_ref().map(number).transpose()?;
        // The kernel knows sessions and no users.
        let rate = if asked.user.is_some() { asked.rate.saturating_mul(SIFTED) } else { asked.rate };
        Ok(Wanted {
            reasons: asked.reasons.clone(),
            interface,
            token: asked.session.map(|SessionToken(token)| token),
            of_sessions: asked.user.is_some(),
            client: asked.client,
            pace: Pace::per_second(rate),
            length: asked.length,
        })
    }

    fn claim(&self, by: &str, time: Duration) -> Result<Box<Tap>, CaptureError> {
        let mut place = self.place();
        let taken = Place::Taken { by: by.to_owned(), until: Instant::now() + time };
        match std::mem::replace(&mut *place, taken) {
            Place::Free(tap) => Ok(tap),
            Place::Nowhere => {
                *place = Place::Nowhere;
                Err(CaptureError::Nowhere)
            }
            Place::Taken { by, until } => {
                let seconds = until.saturating_duration_since(Instant::now()).as_secs().saturating_add(1);
                *place = Place::Taken { by: by.clone(), until };
                Err(CaptureError::Taken { by, seconds })
            }
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One capture.
struct Capture {
    captures: Captures,
    actor: Actor,
    asked: Asked,
    /// Gone when it has been given back.
    tap: Option<Box<Tap>>,
    gate: CaptureGate,
    pace: Pace,
    clock: WallClock,
    sender: Sender<Bytes>,
    /// Interfaces that the reader was told of.
    seen: BTreeMap<u32, Seen>,
    captured: u64,
    /// Whether the reader was not told of an interface: the numbers of all further ones would be others, so nothing more is
    /// sent.
    is_cut: bool,
}

/// An interface in the file.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Its number there.
    number: u32,
    captured: u64,
    over_rate: u64,
    too_slow: u64,
    /// Packets that the kernel has handed over, and that are not the user's.
    unwanted: u64,
}

impl Capture {
    fn run(mut self) {
        self.send(pcapng::section(&format!("packets that Portcullis denied: {}", self.asked)));
        for guarded in self.captures.0.guarding.interfaces() {
            if self.asked.interface.as_ref().is_none_or(|wanted| *wanted == guarded.name) {
                self.seen(guarded.index);
            }
        }
        let end = Instant::now() + self.asked.time;
        let mut tell = Instant::now() + TELL;
        while !self.is_over(end) {
            self.turn(end);
            if Instant::now() >= tell {
                self.tell_losses(Self::send);
                tell = Instant::now() + TELL;
            }
        }
        if let Some(tap) = &self.tap {
            tap.end();
        }
        while !self.has_enough() && self.take_one() {}
        let patience = Instant::now() + LAST_NUMBERS;
        self.tell_losses(|capture, block| capture.send_by(patience, block));
    }

    fn is_over(&self, end: Instant) -> bool {
        self.has_enough()
            || self.is_cut
            || Instant::now() >= end
            || self.sender.is_closed()
            || self.captures.0.is_stopping.load(Ordering::Relaxed)
    }

    fn has_enough(&self) -> bool {
        self.asked.count.is_some_and(|count| self.captured >= count)
    }

    fn turn(&mut self, end: Instant) {
        if let Some(tap) = &self.tap {
            tap.prolong();
            let left = end.saturating_duration_since(Instant::now()).as_millis();
            tap.wait(u16::try_from(left).unwrap_or(WAIT).min(WAIT));
        }
        for _ in 0..AT_ONCE {
            if self.has_enough() || !self.take_one() {
                break;
            }
        }
    }

    /// Takes one packet, if there is one.
    fn take_one(&mut self) -> bool {
        let Some((head, bytes)) = self.tap.as_mut().and_then(|tap| tap.take_next()) else { return false };
        let index = self.index(&head.key);
        let recorder = &self.captures.0.recorder;
        let is_wanted = self.asked.user.as_ref().is_none_or(|user| recorder.is_of(head.key.token, user));
        let is_in_time = is_wanted && self.gate.admits(1, (self.pace.packets, self.pace.window), KernelNanos(head.at));
        let number = self.seen(index).number;
        // Of a flood hardly a packet is wanted: only for those that are, names are looked up and put into words.
        let comment = || self.captures.0.recorder.comment(&head);
        let is_sent = is_in_time && self.send(block(&head, bytes, number, &comment(), &self.clock));
        let seen = self.seen(index);
        match (is_wanted, is_in_time, is_sent) {
            (false, ..) => seen.unwanted += 1,
            (true, false, _) => seen.over_rate += 1,
            (true, true, false) => seen.too_slow += 1,
            (true, true, true) => {
                seen.captured += 1;
                self.captured += 1;
            }
        }
        true
    }

    /// Under which interface a packet is told, by its index.
    fn index(&self, key: &DenialKey) -> u32 {
        let is_unknown = key.reason == DropReason::InterfaceUnknown as u8;
        if is_unknown { NOT_CONFIGURED } else { key.interface }
    }

    /// The interface of a packet, which the reader is told of before.
    fn seen(&mut self, index: u32) -> &mut Seen {
        if !self.seen.contains_key(&index) {
            let guarded = self.captures.0.guarding.interfaces().into_iter().find(|guarded| guarded.index == index);
            let is_raw = guarded.as_ref().is_some_and(|guarded| !guarded.has_link_layer);
            let name = match guarded {
                Some(guarded) => guarded.name,
                None if index == NOT_CONFIGURED => "not configured".to_owned(),
                None => interface(index).to_string(),
            };
            let link = if is_raw { Link::Raw } else { Link::Ethernet };
            let block = pcapng::interface(&name, link, self.asked.length.saturating_add(4));
            if !self.send_by(Instant::now() + FOR_INTERFACE, block) {
                self.is_cut = true;
            }
            let number = u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
            self.seen.insert(index, Seen { number, ..Seen::default() });
        }
        self.seen.entry(index).or_default()
    }

    /// Says what has become of the packets of each interface so far.
    fn tell_losses(&mut self, send: impl Fn(&Self, Vec<u8>) -> bool) {
        let counts = match self.tap.as_ref().map(|tap| tap.counts()) {
            Some(Ok(counts)) => counts,
            Some(Err(error)) => {
                tracing::warn!(%error, "what a capture has lost cannot be read");
                return;
            }
            None => return,
        };
        let at = nanos(self.clock.at(clock::boot()));
        for (index, count) in counts {
            if count.matched == 0 && !self.seen.contains_key(&index) {
                continue;
            }
            let Seen { number, captured, over_rate, too_slow, unwanted } = *self.seen(index);
            let tally = Tally {
                // Of packets that are handed over meanwhile the kernel may have counted more, or the daemon.
                matched: count.matched.saturating_sub(unwanted).max(captured),
                captured,
                over_rate: count.over.saturating_add(over_rate),
                no_room: count.no_room.saturating_add(count.unread),
                too_slow,
            };
            if !send(self, pcapng::statistics(number, at, &tally)) {
                return;
            }
        }
    }

    /// False if the reader has no room for it, is gone, or would misread it.
    fn send(&self, block: Vec<u8>) -> bool {
        !self.is_cut && self.sender.try_send(block.into()).is_ok()
    }

    /// The same, with patience.
    fn send_by(&self, until: Instant, block: Vec<u8>) -> bool {
        if self.is_cut {
            return false;
        }
        let mut block = Bytes::from(block);
        loop {
            block = match self.sender.try_send(block) {
                Ok(()) => return true,
                Err(TrySendError::Full(block)) if Instant::now() < until => block,
                Err(_) => return false,
            };
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let Some(tap) = self.tap.take() else { return };
        tap.end();
        let lost: u64 = self.seen.values().map(|seen| seen.too_slow).sum();
        let packets = if self.captured == 1 { "1 packet" } else { &format!("{} packets", self.captured) };
        let object = if lost == 0 { packets.to_owned() } else { format!("{packets}, {lost} lost by the reader") };
        // Whoever captures next begins after that, also in the records.
        self.captures.0.recorder.admin(&self.actor, "capture_ended", &object);
        *self.captures.place() = Place::Free(tap);
    }
}

impl Recorder {
    /// Whether a session is this user's.
    fn is_of(&self, token: u64, user: &UserName) -> bool {
        self.names(|names| names.session(token).is_some_and(|named| named.user == *user))
    }

    /// What records know of a packet.
    fn comment(&self, head: &CaptureHead) -> String {
        let CaptureHead { key, flags, .. } = head;
        let reason = DropReason::from_number(key.reason);
        let verb = if key.flags & DenialKey::OBSERVED == 0 { "dropped" } else { "would be dropped" };
        let (label, help) = reason.map_or(("unknown", ""), |reason| (reason.label(), reason.help()));
        let mut comment = format!("{verb}: {label} ({})", help.trim_end_matches('.'));
        let direction = if key.direction == Direction::ToApp as u8 { "to_app" } else { "to_client" };
        let _ = write!(comment, " direction={direction}");
        if key.token != 0 {
            let _ = write!(comment, " session={}", SessionToken(key.token));
        }
        self.names(|names| {
            if let Some(named) = names.session(key.token) {
                let _ = write!(comment, " user={} zone={}", named.user, named.zone_name);
            }
            if let Some(app) = names.app(key.app) {
                let _ = write!(comment, " app={app}");
            }
            let forbids = names.forbids(key.token, key.app);
            if reason == Some(DropReason::NoGrant) && !forbids.names().is_empty() {
                let _ = write!(comment, " policies={}", forbids.names().join(","));
            }
        });
        if reason == Some(DropReason::InterfaceUnknown) {
            let _ = write!(comment, " interface={}", interface(key.interface));
        }
        if flags & CaptureHead::ANSWERED != 0 {
            comment.push_str(" answered");
        }
        comment
    }
}

/// A packet as the file has it: a tag that was taken out is where it was.
fn block(head: &CaptureHead, mut bytes: Vec<u8>, interface: u32, comment: &str, clock: &WallClock) -> Vec<u8> {
    /// Where the tag stands: behind the two hardware addresses.
    const TAG: usize = 12;
    let mut length = head.length;
    if head.tag != 0 && bytes.len() >= TAG {
        bytes.splice(TAG..TAG, head.tag.to_be_bytes());
        length = length.saturating_add(4);
    }
    pcapng::packet(&pcapng::Packet {
        interface,
        at: nanos(clock.at(KernelNanos(head.at))),
        length,
        bytes: &bytes,
        comment,
        is_inbound: head.key.direction == Direction::ToApp as u8,
        verdict: verdict(head),
    })
}

fn verdict(head: &CaptureHead) -> Verdict {
    let is_observed = head.key.flags & DenialKey::OBSERVED != 0;
    let is_answered = head.flags & CaptureHead::ANSWERED != 0;
    let [drop, pass, send_back] = XDP;
    match (head.flags & CaptureHead::XDP != 0, is_observed) {
        (true, true) => Verdict::Xdp(pass),
        (true, false) => Verdict::Xdp(if is_answered { send_back } else { drop }),
        (false, true) => Verdict::Tc(TC_PASS),
        (false, false) => Verdict::Tc(TC_DROP),
    }
}

/// Nanoseconds since 1970; 0 before.
fn nanos(at: time::OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp_nanos()).unwrap_or(0)
}

/// The most bytes of a packet that can be captured.
pub const LONGEST: u32 = CaptureOrder::LONGEST;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{AccessLog, Metrics, Sink};

    fn head() -> CaptureHead {
        let key = DenialKey { reason: DropReason::NoSession as u8, ..DenialKey::default() };
        CaptureHead {
            serial: 1,
            at: 5,
            key,
            length: 60,
            captured: 14,
            flags: CaptureHead::XDP,
            ..CaptureHead::default()
        }
    }

    #[test]
    fn a_tag_that_was_taken_out_is_put_back_where_it_was() {
        let (clock, bytes) = (WallClock::now(), (0..14).collect::<Vec<u8>>());
        let plain = block(&head(), bytes.clone(), 0, "", &clock);
        let tagged = block(&CaptureHead { tag: 0x8100_000a, ..head() }, bytes.clone(), 0, "", &clock);
        let [captured, length] = [20, 24].map(|at| [plain[at], tagged[at]]);
        assert_eq!((captured, length), ([14, 18], [60, 64]));
        assert_eq!(plain[28..42], bytes);
        assert_eq!(tagged[28..46], [&bytes[..12], &[0x81, 0, 0, 10], &bytes[12..]].concat());
    }

    #[test]
    fn a_verdict_is_that_of_the_program() {
        let with = |flags, observed| {
            let key = DenialKey { flags: observed, ..head().key };
            verdict(&CaptureHead { flags, key, ..head() })
        };
        assert_eq!(with(CaptureHead::XDP, 0), Verdict::Xdp(1));
        assert_eq!(with(CaptureHead::XDP, DenialKey::OBSERVED), Verdict::Xdp(2));
        assert_eq!(with(CaptureHead::XDP | CaptureHead::ANSWERED, 0), Verdict::Xdp(3));
        assert_eq!((with(0, 0), with(0, DenialKey::OBSERVED)), (Verdict::Tc(2), Verdict::Tc(u64::MAX)));
    }

    fn asked() -> Asked {
        Asked {
            interface: None,
            reasons: Vec::new(),
            user: None,
            session: None,
            client: None,
            count: None,
            time: Duration::from_secs(30),
            rate: 100,
            length: 256,
        }
    }

    #[test]
    fn a_capture_whose_reader_was_not_told_of_an_interface_is_over_and_sends_nothing_more() {
        let log = AccessLog::start(Sink::Nowhere).unwrap();
        let recorder = Recorder::new(Metrics::new().unwrap(), log, None);
        let (sender, mut receiver) = channel(1);
        let mut capture = Capture {
            captures: Captures::nowhere(recorder),
            actor: Actor::local(),
            asked: asked(),
            tap: None,
            gate: CaptureGate::default(),
            pace: Pace::per_second(100),
            clock: WallClock::now(),
            sender,
            seen: BTreeMap::new(),
            captured: 0,
            is_cut: false,
        };
        let end = Instant::now() + Duration::from_secs(30);
        assert_eq!(capture.seen(NOT_CONFIGURED).number, 0);
        assert!(!capture.is_over(end) && !capture.is_cut);
        // The reader has no room for a second one.
        capture.seen(1);
        assert!(capture.is_over(end));
        assert!(receiver.try_recv().is_ok());
        assert!(!capture.send(vec![1]) && !capture.send_by(end, vec![1]));
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn what_was_asked_for_is_told_in_one_line() {
        let asked = Asked {
            interface: Some("eth1".into()),
            reasons: vec![DropReason::NoGrant, DropReason::NoSession],
            user: UserName::new("ada").ok(),
            session: Some(SessionToken(0xab)),
            client: "10.9.0.0/24".parse().ok(),
            count: Some(5),
            ..asked()
        };
        let told = "for=30s rate=100/s snaplen=256 interface=eth1 reason=no_grant,no_session user=ada \
                    session=00000000000000ab client=10.9.0.0/24 count=5";
        assert_eq!(asked.to_string(), told);
    }
}
