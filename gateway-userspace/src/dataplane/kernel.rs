//! The data plane in the kernel: plans become map writes.

use super::load::{self, Loaded};
use super::programs::Programs;
use super::slots::{self, SessionSlots};
use super::{DataPlane, DataPlaneError, EndedSession, clock, ignore_missing, table, translate};
use crate::policy::{AppId, BlockId, Capacities, Plan, SessionToken, Step, TableSet};
use aya::maps::MapError;
use gateway_common::abi::{FlowKey, SessionKey, map};
use gateway_common::{Address, KernelNanos};
use std::path::Path;

/// Maps in the kernel.
pub struct KernelDataPlane {
    loaded: Loaded,
    slots: SessionSlots,
    capacities: Capacities,
}

impl KernelDataPlane {
    /// Loads programs and opens maps; nothing is attached yet.
    ///
    /// # Errors
    /// See [`load::load`].
    pub fn open(
        folder: &Path,
        capacities: Capacities,
        events_per_window: u32,
    ) -> Result<(Self, Programs), DataPlaneError> {
        let (mut loaded, programs) = load::load(folder, &capacities, events_per_window)?;
        load::carry_flows(folder, &mut loaded);
        let count = slots::slots_for(capacities.sessions);
        let slots = SessionSlots::open(loaded.sessions.fd(), count, clock::boot())
            .map_err(|errno| DataPlaneError::Pins { path: loaded.pins.join(map::SESSIONS), source: errno.into() })?;
        Ok((Self { loaded, slots, capacities }, programs))
    }

    /// Where the maps are pinned, for [`super::Monitor`].
    #[must_use]
    pub fn pins(&self) -> &Path {
        &self.loaded.pins
    }

    /// Sessions that an earlier daemon ended, perhaps without being able to store it.
    #[must_use]
    pub fn ended_tokens(&self) -> Vec<SessionToken> {
        self.slots.ended_tokens()
    }

    fn step(&mut self, step: &Step, ended: &mut Vec<EndedSession>) -> Result<(), DataPlaneError> {
        let full = |table_name, capacity| move |error| refused_write(table_name, capacity, error);
        match step {
            Step::EndSession(token) => ended.extend(self.end(*token)),
            Step::PutApp(key, AppId(app)) => {
                self.loaded.apps.insert(key, app, 0).map_err(full("app_ports", self.capacities.app_ports))?
            }
            Step::PutAppPrefix(app_set, prefix, BlockId(block)) => self
                .loaded
                .app_prefixes
                .insert(&translate::app_prefix(*app_set, prefix), block, 0)
                .map_err(full("app_prefixes", self.capacities.app_prefixes))?,
            Step::PutGrant(key, grant) => {
                self.loaded.grants.insert(key, grant, 0).map_err(full("grants", self.capacities.grants))?;
            }
            Step::OpenSession(token, entry) => {
                let (slot, before) = self.slots.open_session(*token, entry, clock::boot())?;
                let key = SessionKey::new(entry.zone, Address::from(entry.address));
                if let Some(before) = before.filter(|before| *before != key) {
                    self.forget_key(slot, &before);
                }
                let pointed = self.loaded.session_index.insert(key, slot, 0);
                pointed.map_err(full("sessions", self.capacities.sessions))?;
            }
            Step::UpdateSession(token, entry) => {
                let session = self.slots.of(*token).ok_or(DataPlaneError::UnknownSession(*token))?;
                slots::update(session, entry);
            }
            Step::RemoveGrant(key) => {
                ignore_missing(self.loaded.grants.remove(key)).map_err(table(map::GRANTS))?;
            }
            Step::RemoveAppPrefix(app_set, prefix) => {
                let key = translate::app_prefix(*app_set, prefix);
                ignore_missing(self.loaded.app_prefixes.remove(&key)).map_err(table(map::APP_PREFIXES))?;
            }
            Step::RemoveApp(key) => ignore_missing(self.loaded.apps.remove(key)).map_err(table(map::APPS))?,
        }
        Ok(())
    }

    /// Removes the index entry of an ended session, unless the key leads to another slot by now.
    fn forget_key(&mut self, slot: u32, key: &SessionKey) {
        let is_ours = self.loaded.session_index.get(key, 0).is_ok_and(|found| found == slot);
        if is_ours && let Err(error) = ignore_missing(self.loaded.session_index.remove(key)) {
            tracing::warn!(%error, "the index entry of an ended session could not be removed");
        }
    }

    fn end(&mut self, token: SessionToken) -> Option<EndedSession> {
        let session = self.slots.end_session(token, clock::boot())?;
        let enforced_at = clock::boot();
        // A run that had read the state just before may still be forwarding its packet: it is over within microseconds,
        // and this load comes after the system calls of reading the clock.
        let last_forwarded = Some(KernelNanos(session.last_forwarded.load())).filter(|at| at.0 != 0);
        Some(EndedSession { token, enforced_at, last_forwarded })
    }
}

impl DataPlane for KernelDataPlane {
    fn apply(&mut self, plan: &Plan) -> Result<Vec<EndedSession>, DataPlaneError> {
        let mut ended = Vec::new();
        for step in &plan.steps {
            self.step(step, &mut ended)?;
        }
        Ok(ended)
    }

    fn actual(&self) -> Result<TableSet, DataPlaneError> {
        let mut tables = TableSet::default();
        for entry in self.loaded.app_prefixes.iter() {
            let (key, block) = entry.map_err(table(map::APP_PREFIXES))?;
            if let Some(place) = translate::from_app_prefix(&key) {
                tables.app_prefixes.insert(place, BlockId(block));
            }
        }
        for entry in self.loaded.apps.iter() {
            let (key, app) = entry.map_err(table(map::APPS))?;
            tables.apps.insert(key, AppId(app));
        }
        for entry in self.loaded.grants.iter() {
            let (key, grant) = entry.map_err(table(map::GRANTS))?;
            tables.grants.insert(key, grant);
        }
        self.slots.read_into(&mut tables);
        Ok(tables)
    }

    fn capacities(&self) -> Capacities {
        self.capacities
    }

    fn now(&self) -> KernelNanos {
        clock::boot()
    }

    fn forget_flows(&mut self, flows: &[FlowKey]) {
        for key in flows {
            if let Err(error) = ignore_missing(self.loaded.flows.remove(key)) {
                tracing::debug!(%error, "a flow could not be removed; it will age out");
            }
        }
    }

    fn sweep(&mut self) {
        for (slot, key) in self.slots.sweep(clock::boot()) {
            self.forget_key(slot, &key);
        }
    }
}

/// A hash that is full answers E2BIG, a trie ENOSPC.
fn refused_write(table: &'static str, capacity: usize, source: MapError) -> DataPlaneError {
    match &source {
        MapError::SyscallError(error)
            if matches!(error.io_error.raw_os_error(), Some(nix::libc::E2BIG | nix::libc::ENOSPC)) =>
        {
            DataPlaneError::Full { table, capacity }
        }
        _ => DataPlaneError::Table { table, source },
    }
}
