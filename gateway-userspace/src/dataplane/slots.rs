//! Session slots in memory that the kernel programs read: revoking is one store, not a system call.
//!
//! The only unsafe code of the daemon lives here.

use super::DataPlaneError;
use crate::policy::table::SessionEntry;
use crate::policy::{SessionLimits, SessionToken, TableSet};
use gateway_common::abi::{self, Session, SessionKey};
use gateway_common::{Address, KernelNanos};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

/// How long the slot of an ended session goes on saying why, before it is cleaned.
const TELL: u64 = 60_000_000_000;
/// How long a slot rests at least before it is reused: no run of a program lasts that long.
const REST: u64 = 1_000_000_000;

/// How many slots are needed for so many sessions: some more, for those that rest.
#[must_use]
pub fn slots_for(sessions: usize) -> u32 {
    let slots = sessions.saturating_add(sessions / 4).saturating_add(1024);
    u32::try_from(slots).unwrap_or(u32::MAX)
}

/// The array of slots, mapped into memory, and which slot is whose.
pub struct SessionSlots {
    base: NonNull<Session>,
    count: u32,
    live: HashMap<SessionToken, u32>,
    /// Never used since the map was opened, or rested long enough.
    free: Vec<u32>,
    /// Ended, oldest first.
    ended: VecDeque<(KernelNanos, u32)>,
}

// SAFETY: the mapping belongs to this value alone, and it is made of words that may be written from anywhere.
unsafe impl Send for SessionSlots {}

impl SessionSlots {
    /// Maps the array map behind `fd` and takes over the sessions in it.
    ///
    /// # Errors
    /// If the kernel refuses to map it.
    pub fn open(fd: impl AsFd, count: u32, now: KernelNanos) -> nix::Result<Self> {
        let bytes = count as usize * size_of::<Session>();
        let length = NonZeroUsize::new(bytes).ok_or(nix::errno::Errno::EINVAL)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice; nothing else is there. The map behind `fd` is
        // an array of `count` values of `Session`'s size: the size is checked by the loader, the stride is the value's
        // size because that is a multiple of 8.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, fd, 0) }?.cast::<Session>();
        let mut slots = Self { base, count, live: HashMap::new(), free: Vec::new(), ended: VecDeque::new() };
        slots.take_over(now);
        Ok(slots)
    }

    fn take_over(&mut self, now: KernelNanos) {
        for slot in (0..self.count).rev() {
            let Some(session) = self.slot(slot) else { continue };
            match session.state.load() {
                Session::FREE => self.free.push(slot),
                Session::LIVE => {
                    let token = SessionToken(session.token());
                    self.live.insert(token, slot);
                }
                _ => self.ended.push_back((now, slot)),
            }
        }
    }

    fn slot(&self, slot: u32) -> Option<&Session> {
        if slot >= self.count {
            return None;
        }
        // SAFETY: within the mapping (checked above), which lives as long as `self`; aligned, because a mapping begins
        // at a page and a `Session` is 128 bytes; every field that changes is a `Word`.
        Some(unsafe { self.base.add(slot as usize).as_ref() })
    }

    /// The slot of a live session.
    #[must_use]
    pub fn of(&self, token: SessionToken) -> Option<&Session> {
        self.slot(*self.live.get(&token)?)
    }

    /// Fills a slot and makes it live. The caller points the index at it, and removes the entry under which the slot was
    /// known before, if it is an ended session's that had to give way.
    ///
    /// # Errors
    /// If no slot is free and none has rested long enough.
    pub fn open_session(
        &mut self,
        token: SessionToken,
        entry: &SessionEntry,
        now: KernelNanos,
    ) -> Result<(u32, Option<SessionKey>), DataPlaneError> {
        let (slot, before) =
            self.take_free(now).ok_or(DataPlaneError::Full { table: "sessions", capacity: self.count as usize })?;
        if let Some(session) = self.slot(slot) {
            fill(session, token, entry);
            session.state.store(Session::LIVE);
        }
        self.live.insert(token, slot);
        Ok((slot, before))
    }

    fn take_free(&mut self, now: KernelNanos) -> Option<(u32, Option<SessionKey>)> {
        if let Some(slot) = self.free.pop() {
            return Some((slot, None));
        }
        let (ended_at, _) = *self.ended.front()?;
        if now.since(ended_at) < REST {
            return None;
        }
        let (_, slot) = self.ended.pop_front()?;
        Some((slot, self.slot(slot).map(key)))
    }

    /// Ends a session: the store after which the kernel forwards nothing for it. Returns its slot and its key.
    pub fn end_session(&mut self, token: SessionToken, now: KernelNanos) -> Option<&Session> {
        let slot = self.live.remove(&token)?;
        self.ended.push_back((now, slot));
        let session = self.slot(slot)?;
        let is_over = KernelNanos(session.deadline.load()).has_passed(now);
        session.state.store(if is_over { Session::EXPIRED } else { Session::REVOKED });
        Some(session)
    }

    /// Frees the slots that have told their reason long enough, and returns them with the key that they were under.
    pub fn sweep(&mut self, now: KernelNanos) -> Vec<(u32, SessionKey)> {
        let mut swept = Vec::new();
        while let Some(&(ended_at, slot)) = self.ended.front()
            && now.since(ended_at) >= TELL
        {
            self.ended.pop_front();
            if let Some(session) = self.slot(slot) {
                swept.push((slot, key(session)));
                session.state.store(Session::FREE);
            }
            self.free.push(slot);
        }
        swept
    }

    /// Sessions that were ended and whose slots still say so: whatever was stored of them is out of date.
    #[must_use]
    pub fn ended_tokens(&self) -> Vec<SessionToken> {
        let sessions = self.ended.iter().filter_map(|(_, slot)| self.slot(*slot));
        sessions.map(|session| SessionToken(session.token())).collect()
    }

    /// Sessions that should be live and that a program has revoked.
    #[must_use]
    pub fn revoked_in_kernel(&self) -> Vec<SessionToken> {
        let is_revoked = |slot| self.slot(slot).is_some_and(|session| session.state.load() == Session::REVOKED);
        self.live.iter().filter(|(_, slot)| is_revoked(**slot)).map(|(token, _)| *token).collect()
    }

    /// The live sessions, as a table.
    pub fn read_into(&self, tables: &mut TableSet) {
        for (token, slot) in &self.live {
            if let Some(session) = self.slot(*slot) {
                tables.sessions.insert(*token, entry(session));
            }
        }
    }
}

impl Drop for SessionSlots {
    fn drop(&mut self) {
        let bytes = self.count as usize * size_of::<Session>();
        // SAFETY: the mapping made in `open`, unmapped once; no reference into it outlives `self`.
        if let Err(error) = unsafe { munmap(self.base.cast(), bytes) } {
            tracing::warn!(%error, "session slots could not be unmapped");
        }
    }
}

/// Writes everything but the state.
fn fill(session: &Session, token: SessionToken, entry: &SessionEntry) {
    let [high, low] = Address::from(entry.address).words();
    let [own_high, own_low] = &session.source;
    own_high.store(high);
    own_low.store(low);
    session.token.store(token.0);
    session.place.store(abi::place(entry.zone, entry.interface));
    session.quarantined_until.store(0);
    session.limits.flows_paid.store(0);
    session.limits.bytes_paid.iter().for_each(|paid| paid.store(0));
    session.limits.window.store(0);
    session.limits.tried.store(0);
    session.last_forwarded.store(0);
    session.dropped.store(0);
    session.traffic.to_app_packets.store(0);
    session.traffic.to_app_bytes.store(0);
    session.traffic.to_client_packets.store(0);
    session.traffic.to_client_bytes.store(0);
    update(session, entry);
}

/// Writes what may change while the session lives. The policy word last: it is what a packet is judged by.
pub fn update(session: &Session, entry: &SessionEntry) {
    let metered = if entry.limits.bytes_per_second == 0 { 0 } else { Session::METERED };
    session.limits.flow_interval.store(entry.limits.flow_interval());
    session.limits.byte_interval.store(entry.limits.byte_interval());
    session.limits.destinations.store(entry.limits.destinations_per_second.into());
    session.binding.store(entry.mac.map_or(0, Session::binding_to) | metered);
    session.authenticated_at.store(entry.authenticated_at.0);
    session.deadline.store(entry.deadline.0);
    session.policy.store(abi::policy_word(entry.app_set.0, entry.allow_list.0));
}

/// The key under which the index knows a slot.
#[must_use]
pub fn key(session: &Session) -> SessionKey {
    let [high, low] = &session.source;
    let source = Address::from_words([high.load(), low.load()]);
    SessionKey::new((session.place.load() >> 32) as u32, source)
}

fn entry(session: &Session) -> SessionEntry {
    let policy = session.policy();
    let binding = session.binding.load();
    let [_, _, mac @ ..] = binding.to_be_bytes();
    SessionEntry {
        address: key(session).source.into(),
        zone: (session.place.load() >> 32) as u32,
        interface: session.place.load() as u32,
        mac: (binding & Session::MAC_BOUND != 0).then_some(mac),
        deadline: KernelNanos(session.deadline.load()),
        authenticated_at: KernelNanos(session.authenticated_at.load()),
        app_set: crate::policy::AppSetId(abi::app_set(policy)),
        allow_list: crate::policy::AllowListId(abi::allow_list(policy)),
        limits: limits(&session.limits),
    }
}

/// The limits that a slot was given.
fn limits(limits: &abi::Limits) -> SessionLimits {
    let destinations = u32::try_from(limits.destinations.load()).unwrap_or(u32::MAX);
    SessionLimits::counted(limits.flow_interval.load(), destinations, limits.byte_interval.load())
}
