//! Session slots in memory that the kernel programs read: revoking is a store, not a system call.

use super::filter::Filter;
use super::index::Index;
use super::mapped::Mapped;
use super::{DataPlaneError, Seen};
use crate::policy::table::SessionEntry;
use crate::policy::{SessionLimits, SessionToken, TableSet};
use gateway_common::abi::{self, Epoch, FlowCopy, FlowKey, Session, SessionKey};
use gateway_common::table::{Lines as _, Secrets};
use gateway_common::{Address, KernelNanos, Word};
use hashbrown::HashMap;
use std::cell::Cell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

/// How long the slot of an ended session goes on saying why, before it is cleaned.
const TELL: u64 = 60_000_000_000;
/// How long a slot rests at least before it is reused: no run of a program lasts that long.
const REST: u64 = 1_000_000_000;

/// How many slots are freed at once: a few milliseconds' work.
const MOST_SWEPT: usize = 16_384;

/// How many slots are needed for so many sessions: some more, for those that rest. With all sessions live, a sixteenth of
/// them and 1,024 may end and begin anew in one second.
#[must_use]
pub fn slots_for(sessions: usize) -> u32 {
    let slots = sessions.saturating_add(sessions / 16).saturating_add(1024);
    u32::try_from(slots).unwrap_or(u32::MAX)
}

/// What sessions are kept in.
pub struct SessionTables {
    /// Where a session is.
    pub places: SessionPlaces,
    /// See [`abi::map::SESSION_FILTER`].
    pub filter: Mapped<Word>,
    /// See [`abi::map::EPOCH`].
    pub epoch: Mapped<Epoch>,
}

/// The slots, and what finds them. Clones share one mapping.
#[derive(Clone, Debug)]
pub struct SessionPlaces {
    slots: Arc<Mapped<Session>>,
    index: Arc<Index>,
    secrets: Secrets,
}

impl SessionPlaces {
    /// Those of [`abi::map::SESSIONS`], which [`abi::map::SESSION_INDEX`] leads to.
    #[must_use]
    pub fn new(slots: Mapped<Session>, index: Index, secrets: Secrets) -> Self {
        Self { slots: Arc::new(slots), index: Arc::new(index), secrets }
    }

    /// The slot that the index names for a source, if it is its.
    fn number(&self, key: &SessionKey) -> Option<u32> {
        let is_its = |number| self.slots.get(number).is_some_and(|session| session.belongs_to(key));
        self.index.find(key.hash(&self.secrets), is_its)
    }

    /// Sessions that were ended, by a daemon or by a program.
    pub fn ended_tokens(&self) -> Vec<SessionToken> {
        let ended = self
            .slots
            .iter()
            .map(|(_, session)| session)
            .filter(|session| session.state.load() == Session::REVOKED && session.token() != 0);
        ended.map(|session| SessionToken(session.token())).collect()
    }

    /// A flow is not looked at any more: its session is told when it last carried a packet, unless it knows of a later one,
    /// or its address is another's by now.
    pub fn note(&self, key: &FlowKey, flow: &FlowCopy) {
        let slot = self.number(&SessionKey::new(key.zone, key.client)).and_then(|number| self.slots.get(number));
        let Some(session) = slot.filter(|session| session.token() == flow.token) else { return };
        let known = session.last_forwarded.load();
        if known < flow.last_seen {
            // A program that writes at the same moment writes a later one.
            let _ = session.last_forwarded.swap_if(known, flow.last_seen);
        }
    }
}

/// The slots, and which slot is whose.
pub struct SessionSlots {
    places: SessionPlaces,
    filter: Filter,
    epoch: Mapped<Epoch>,
    /// Its number and its lease, as they were last seen or written.
    seen: Cell<[u64; 2]>,
    /// How many times access was taken away here.
    begun: Cell<u64>,
    /// All other times, when they were last looked at.
    begun_by_programs: Cell<u64>,
    /// Whether sessions that programs have revoked were found then.
    are_some_left: Cell<bool>,
    live: HashMap<SessionToken, u32>,
    /// The first slot that was never used since the tables were taken over.
    fresh: u32,
    /// Used before, and rested long enough.
    free: Vec<u32>,
    /// Ended, oldest first.
    ended: VecDeque<(KernelNanos, u32)>,
}

impl SessionSlots {
    /// Takes over the sessions in these tables.
    #[must_use]
    pub fn new(tables: SessionTables, now: KernelNanos) -> Self {
        let SessionTables { places, filter, epoch } = tables;
        let used = places.slots.iter().filter(|(_, slot)| slot.state.load() != Session::FREE);
        // Of two slots that were one address's in turn the index names the later one.
        let named = used.filter_map(|(number, slot)| {
            let hash = key(slot).hash(&places.secrets);
            places.index.find(hash, |found| found == number).map(|_| hash)
        });
        let filter = Filter::new(filter, named);
        // All at once: to grow it would move it.
        let live = HashMap::with_capacity(places.slots.count() as usize);
        let mut slots = Self {
            places,
            filter,
            epoch,
            seen: Cell::default(),
            begun: Cell::new(0),
            // Not a number of epochs that there can be: the first time, all slots are looked at.
            begun_by_programs: Cell::new(u64::MAX),
            are_some_left: Cell::new(false),
            live,
            fresh: 0,
            free: Vec::new(),
            ended: VecDeque::new(),
        };
        slots.take_over(now);
        // Whatever was remembered under an earlier daemon is judged again. 0 is no epoch.
        slots.begin_epoch();
        slots.seen.set(slots.epoch.get(0).map_or([0; 2], |epoch| [epoch.number.load(), epoch.lease_until.load()]));
        slots
    }

    /// Where sessions are, for whoever only looks.
    #[must_use]
    pub fn places(&self) -> SessionPlaces {
        self.places.clone()
    }

    fn take_over(&mut self, now: KernelNanos) {
        for number in 0..self.places.slots.count() {
            let Some(session) = self.places.slots.get(number) else { continue };
            match session.state.load() {
                // A slot that was ever used has a token.
                Session::FREE if session.token() == 0 => {}
                Session::FREE => self.free.push(number),
                Session::LIVE => {
                    self.live.insert(SessionToken(session.token()), number);
                }
                _ => self.ended.push_back((now, number)),
            }
            if session.token() != 0 {
                self.fresh = number + 1;
            }
        }
        let is_unused = |number: &u32| self.places.slots.get(*number).is_some_and(|session| session.token() == 0);
        self.free.extend((0..self.fresh).filter(is_unused));
    }

    /// What was remembered of judgements is judged again: to be called after everything that may take access away.
    pub fn begin_epoch(&self) {
        if let Some(epoch) = self.epoch.get(0) {
            epoch.number.add(Epoch::ACCESS);
            self.begun.set(self.begun.get().wrapping_add(1));
        }
    }

    /// Until when the daemon's word counts.
    pub fn lease_until(&self, then: KernelNanos) {
        if let Some(epoch) = self.epoch.get(0) {
            epoch.lease_until.store(then.0);
            self.seen.set([self.seen.get()[0], then.0]);
        }
    }

    /// Makes good what somebody else has written: the lease, which is to be renewed now, and a number of the epoch that was
    /// there before, in which flows may have been judged that nobody may use any more. How many words that were.
    pub fn look_at_epoch(&self) -> usize {
        let Some(epoch) = self.epoch.get(0) else { return 0 };
        let [highest, lease] = self.seen.get();
        let number = epoch.number.load();
        // Programs, and whoever watches the routes, add to it meanwhile.
        let has_fallen = number < highest;
        if has_fallen {
            epoch.number.add(highest.wrapping_sub(number));
            self.begin_epoch();
        }
        self.seen.set([epoch.number.load(), lease]);
        usize::from(has_fallen) + usize::from(epoch.lease_until.load() != lease)
    }

    /// Whether a program has begun an epoch since this was last asked: it has taken access away.
    fn have_programs_acted(&self) -> bool {
        let number = self.epoch.get(0).map_or(0, |epoch| epoch.number.load()) / Epoch::ACCESS;
        let begun = number.wrapping_sub(self.begun.get());
        self.begun_by_programs.replace(begun) != begun
    }

    fn slot(&self, number: u32) -> Option<&Session> {
        self.places.slots.get(number)
    }

    /// The slot of a live session.
    #[must_use]
    pub fn of(&self, token: SessionToken) -> Option<&Session> {
        self.slot(*self.live.get(&token)?)
    }

    /// Fills a slot, makes it live and points the index at it, in place of whoever had the address before. The clock is
    /// read if a slot has to be used again.
    ///
    /// # Errors
    /// If no slot is free and none has rested long enough, or the index has no room.
    pub fn open_session(
        &mut self,
        token: SessionToken,
        entry: &SessionEntry,
        clock: impl FnOnce() -> KernelNanos,
    ) -> Result<(), DataPlaneError> {
        let full = DataPlaneError::Full { table: "sessions", capacity: self.places.slots.count() as usize };
        let Some(number) = self.take_free(clock) else { return Err(full) };
        let Some(session) = self.places.slots.get(number) else { return Err(full) };
        fill(session, token, entry);
        session.state.store(Session::LIVE);
        let key = key_of(entry);
        let hash = key.hash(&self.places.secrets);
        let before = self.places.number(&key);
        if before.is_none() {
            self.filter.add(hash);
        }
        if self.places.index.point(hash, before, number).is_err() {
            self.filter.remove(hash);
            session.state.store(Session::FREE);
            self.free.push(number);
            return Err(full);
        }
        self.live.insert(token, number);
        Ok(())
    }

    /// What stands for a session, where packets find it.
    #[must_use]
    pub fn seen(&self, token: SessionToken) -> Seen {
        let Some((number, session)) = self.live.get(&token).and_then(|number| Some((*number, self.slot(*number)?)))
        else {
            return Seen::Nothing;
        };
        let key = key(session);
        let is_found =
            || self.filter.may_hold(key.hash(&self.places.secrets)) && self.places.number(&key) == Some(number);
        match session.state.load() {
            Session::REVOKED if session.token() == token.0 => Seen::Revoked,
            Session::LIVE if session.token() == token.0 && is_found() => Seen::Entry(entry(session)),
            _ => Seen::Nothing,
        }
    }

    /// Writes a session anew, where it is, and has packets find it there.
    ///
    /// # Errors
    /// If it has no slot, and none is free, or the index has no room.
    pub fn mend(
        &mut self,
        token: SessionToken,
        entry: &SessionEntry,
        clock: impl FnOnce() -> KernelNanos,
    ) -> Result<(), DataPlaneError> {
        let Some(number) = self.live.get(&token).copied() else { return self.open_session(token, entry, clock) };
        let full = DataPlaneError::Full { table: "sessions", capacity: self.places.slots.count() as usize };
        let Some(session) = self.places.slots.get(number) else { return Err(full) };
        // Nobody's, while it is neither what it was nor what it will be.
        session.state.store(Session::FREE);
        self.begin_epoch();
        fill(session, token, entry);
        session.state.store(Session::LIVE);
        let hash = key_of(entry).hash(&self.places.secrets);
        self.filter.show(hash);
        match self.places.number(&key_of(entry)) {
            Some(found) if found == number => Ok(()),
            other => self.places.index.point(hash, other, number).map_err(|_| full),
        }
    }

    /// Ends whoever is live in so many slots from this one on and was not opened here.
    pub fn expel_strangers(&mut self, from: u32, most: usize, clock: impl Fn() -> KernelNanos) -> (usize, Option<u32>) {
        let (part, next) = self.places.slots.part(from, most);
        let is_strange = |number: &u32| {
            let session = self.places.slots.get(*number).filter(|session| session.state.load() == Session::LIVE);
            session.is_some_and(|session| self.live.get(&SessionToken(session.token())) != Some(number))
        };
        let strangers: Vec<u32> = part.filter(is_strange).collect();
        for number in &strangers {
            // A slot that is not used gets no other use by this, and one that ended has ended.
            let is_idle = *number >= self.fresh || self.free.contains(number);
            let is_over = self.ended.iter().any(|(_, ended)| ended == number);
            if let Some(session) = self.places.slots.get(*number) {
                session.state.store(if is_idle { Session::FREE } else { Session::REVOKED });
            }
            if !is_idle && !is_over {
                // That of a session whose name was overwritten: it is written anew, in a slot of its own.
                self.live.retain(|_, slot| slot != number);
                self.ended.push_back((clock(), *number));
            }
        }
        if !strangers.is_empty() {
            self.begin_epoch();
        }
        (strangers.len(), next)
    }

    /// Looks at where a session is, or will be if it has to be opened.
    pub fn anticipate(&self, token: SessionToken, opened_at: Option<&SessionKey>) {
        match opened_at {
            Some(key) => {
                let hash = key.hash(&self.places.secrets);
                self.places.index.anticipate(hash);
                self.filter.anticipate(hash);
                black_box(self.live.contains_key(&token));
            }
            None => {
                black_box(self.of(token).map(|session| session.state.load()));
            }
        }
    }

    fn take_free(&mut self, clock: impl FnOnce() -> KernelNanos) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            return Some(number);
        }
        if self.fresh < self.places.slots.count() {
            self.fresh += 1;
            return Some(self.fresh - 1);
        }
        let (ended_at, _) = *self.ended.front()?;
        if clock().since(ended_at) < REST {
            return None;
        }
        let (_, number) = self.ended.pop_front()?;
        self.forget(number);
        Some(number)
    }

    /// Removes the index entry of a slot, unless its address leads to another slot by now.
    fn forget(&mut self, number: u32) {
        let Some(hash) = self.slot(number).map(|session| key(session).hash(&self.places.secrets)) else { return };
        if self.places.index.forget(hash, number) {
            self.filter.remove(hash);
        }
    }

    /// Ends a session: the store after which the kernel forwards nothing for it. Returns its slot and its key.
    pub fn end_session(&mut self, token: SessionToken, now: KernelNanos) -> Option<&Session> {
        let slot = self.live.remove(&token)?;
        self.ended.push_back((now, slot));
        let session = self.slot(slot)?;
        let is_over = KernelNanos(session.deadline.load()).has_passed(now);
        session.state.store(if is_over { Session::EXPIRED } else { Session::REVOKED });
        self.begin_epoch();
        self.slot(slot)
    }

    /// Frees the slots that have told their reason long enough; how many that are.
    pub fn sweep(&mut self, now: KernelNanos) -> usize {
        let before = self.free.len();
        while let Some(&(ended_at, number)) = self.ended.front()
            && now.since(ended_at) >= TELL
            && self.free.len() - before < MOST_SWEPT
        {
            self.ended.pop_front();
            self.forget(number);
            if let Some(session) = self.slot(number) {
                session.state.store(Session::FREE);
            }
            self.free.push(number);
        }
        self.free.len() - before
    }

    /// The slot that the index names for a source.
    #[must_use]
    pub fn at(&self, key: &SessionKey) -> Option<&Session> {
        self.slot(self.places.number(key)?)
    }

    /// Entries of the index.
    #[must_use]
    pub fn index_entries(&self) -> usize {
        self.places.index.entries()
    }

    /// Sessions that were ended and whose slots still say so: whatever was stored of them is out of date.
    #[must_use]
    pub fn ended_tokens(&self) -> Vec<SessionToken> {
        let sessions = self.ended.iter().filter_map(|(_, slot)| self.slot(*slot));
        sessions.map(|session| SessionToken(session.token())).collect()
    }

    /// Sessions that should be live and that a program has revoked. All slots are looked at only after a program has
    /// taken access away, and then until none of them is left.
    #[must_use]
    pub fn revoked_in_kernel(&self) -> Vec<SessionToken> {
        if !self.have_programs_acted() && !self.are_some_left.get() {
            return Vec::new();
        }
        let is_revoked = |slot| self.slot(slot).is_some_and(|session| session.state.load() == Session::REVOKED);
        let revoked = self.live.iter().filter(|(_, slot)| is_revoked(**slot)).map(|(token, _)| *token);
        let revoked: Vec<SessionToken> = revoked.collect();
        self.are_some_left.set(!revoked.is_empty());
        revoked
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

/// The key under which the index knows a session.
#[must_use]
pub fn key_of(entry: &SessionEntry) -> SessionKey {
    SessionKey::new(entry.zone, Address::from(entry.address))
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
