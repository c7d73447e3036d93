//! The data plane in the kernel: plans become map writes.

use super::capture::Tap;
use super::load::{self, Loaded, PlaneSettings};
use super::programs::Programs;
use super::resets::Resets;
use super::{DataPlane, DataPlaneError, EndedSession, Explainer, Monitor, Seen};
use super::{clock, grants, ignore_missing, slots, table, translate};
use crate::policy::table::SessionEntry;
use crate::policy::{BlockId, Capacities, Plan, SessionToken, Step, TableSet};
use aya::maps::MapError;
use gateway_common::KernelNanos;
use gateway_common::abi::{BudgetKey, FlowCopy, FlowKey, Grant, GrantKey, Session, SessionKey, map};
use std::path::Path;
use std::time::Duration;

/// For how many steps memory is asked at once: more requests than a processor keeps open are not faster.
const AT_ONCE: usize = 16;

/// Maps in the kernel.
pub struct KernelDataPlane {
    loaded: Loaded,
    capacities: Capacities,
    /// How long the daemon's word counts.
    lease: u64,
    resets: Option<Resets>,
}

impl KernelDataPlane {
    /// Loads programs and opens maps; nothing is attached yet.
    ///
    /// # Errors
    /// See [`load::load`].
    pub fn open(
        folder: &Path,
        capacities: Capacities,
        settings: PlaneSettings,
    ) -> Result<(Self, Programs), DataPlaneError> {
        let (loaded, programs) = load::load(folder, &capacities, settings)?;
        load::carry_flows(&loaded);
        let resets = Resets::open(loaded.reset_mark)
            .inspect_err(|error| {
                tracing::warn!(%error, "connections that are cut are not reset: the daemon needs CAP_NET_RAW");
            })
            .ok();
        let mut plane = Self { loaded, capacities, lease: settings.lease, resets };
        if settings.lease > 0 {
            plane.renew_lease();
        }
        Ok((plane, programs))
    }

    /// The daemon's word counts until then, or until it is renewed.
    pub fn lease_until(&self, then: KernelNanos) {
        self.loaded.sessions.lease_until(then);
    }

    /// Where the maps are pinned, for [`super::Monitor`].
    #[must_use]
    pub fn pins(&self) -> &Path {
        &self.loaded.pins
    }

    /// Sessions that an earlier daemon ended, perhaps without being able to store it.
    #[must_use]
    pub fn ended_tokens(&self) -> Vec<SessionToken> {
        let mut ended = self.loaded.sessions.ended_tokens();
        ended.extend(load::ended_elsewhere(&self.loaded.pins));
        ended
    }

    /// A view of what programs count. It shares the mappings of flows and sessions.
    ///
    /// # Errors
    /// If one of the maps is not there.
    pub fn monitor(&self) -> Result<Monitor, DataPlaneError> {
        Monitor::with(&self.loaded.pins, self.loaded.flows.clone(), self.loaded.sessions.places())
    }

    /// Where denied packets can be captured. It is there once.
    pub fn take_tap(&mut self) -> Option<Tap> {
        self.loaded.tap.take()
    }

    /// Who can be asked what would become of a packet, from any thread.
    ///
    /// # Errors
    /// If one of the maps is not there.
    pub fn explainer(&self) -> Result<Explainer, DataPlaneError> {
        Explainer::new(&self.loaded.pins, self.capacities)
    }

    /// How many sources the index leads from to a slot.
    #[must_use]
    pub fn index_entries(&self) -> usize {
        self.loaded.sessions.index_entries()
    }

    /// The slot that holds, or held, the session of a source.
    #[must_use]
    pub fn session_slot(&self, key: &SessionKey) -> Option<&Session> {
        self.loaded.sessions.at(key)
    }

    fn step(&mut self, step: &Step, ended: &mut Vec<EndedSession>) -> Result<(), DataPlaneError> {
        let full = |table_name, capacity| move |error| refused_write(table_name, capacity, error);
        match step {
            Step::EndSession(token) => ended.extend(self.end(*token)),
            Step::PutApp(key, entry) => {
                self.loaded.apps.insert(key, entry, 0).map_err(full("app_ports", self.capacities.app_ports))?
            }
            Step::PutAppPrefix(app_set, prefix, BlockId(block)) => self
                .loaded
                .app_prefixes
                .insert(&translate::app_prefix(*app_set, prefix), block, 0)
                .map_err(full("app_prefixes", self.capacities.app_prefixes))?,
            Step::PutGrant(key, grant) => {
                let capacity = self.capacities.grants;
                let put = self.loaded.grants.put(key, grant, clock::boot);
                put.map_err(|_| DataPlaneError::Full { table: "grants", capacity })?;
            }
            Step::OpenSession(token, entry) => {
                self.loaded.sessions.open_session(*token, entry, clock::boot)?;
            }
            Step::UpdateSession(token, entry) => {
                let session = self.loaded.sessions.of(*token).ok_or(DataPlaneError::UnknownSession(*token))?;
                slots::update(session, entry);
                self.loaded.sessions.begin_epoch();
            }
            Step::RemoveGrant(key) => self.loaded.grants.remove(key, clock::boot()),
            Step::RemoveAppPrefix(app_set, prefix) => {
                let key = translate::app_prefix(*app_set, prefix);
                ignore_missing(self.loaded.app_prefixes.remove(&key)).map_err(table(map::APP_PREFIXES))?;
            }
            Step::RemoveApp(key) => ignore_missing(self.loaded.apps.remove(key)).map_err(table(map::APPS))?,
        }
        Ok(())
    }

    /// Looks at what a step is going to need. Done for some steps in a row, their lines of memory come at the same time,
    /// where the steps by themselves would wait for each: with a million sessions that is most of what they take.
    fn anticipate(&self, step: &Step) {
        let Loaded { sessions, grants, .. } = &self.loaded;
        match step {
            Step::OpenSession(token, entry) => sessions.anticipate(*token, Some(&slots::key_of(entry))),
            Step::UpdateSession(token, _) | Step::EndSession(token) => sessions.anticipate(*token, None),
            Step::PutGrant(key, _) | Step::RemoveGrant(key) => grants.anticipate(key),
            Step::PutApp(..) | Step::RemoveApp(_) | Step::PutAppPrefix(..) | Step::RemoveAppPrefix(..) => {}
        }
    }

    /// Removes what was counted for sessions that are no more.
    fn sweep_budgets(&mut self) {
        let is_dead = |key: &BudgetKey| self.loaded.sessions.of(SessionToken(key.token)).is_none();
        let dead: Vec<BudgetKey> = self.loaded.budgets.keys().flatten().filter(is_dead).collect();
        for key in dead {
            if let Err(error) = ignore_missing(self.loaded.budgets.remove(&key)) {
                tracing::debug!(%error, "what an ended session had used of a budget could not be removed");
            }
        }
    }

    fn end(&mut self, token: SessionToken) -> Option<EndedSession> {
        let session = self.loaded.sessions.end_session(token, clock::boot())?;
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
        for steps in plan.steps.chunks(AT_ONCE) {
            // One step alone has nothing to wait for at the same time.
            if steps.len() > 1 {
                steps.iter().for_each(|step| self.anticipate(step));
            }
            for step in steps {
                self.step(step, &mut ended)?;
            }
        }
        Ok(ended)
    }

    fn actual(&self) -> Result<TableSet, DataPlaneError> {
        let mut tables = self.rules()?;
        tables.grants.extend(self.loaded.grants.iter());
        self.loaded.sessions.read_into(&mut tables);
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
            self.loaded.flows.remove(key);
        }
    }

    fn reset_flows(&mut self, flows: &[(FlowKey, FlowCopy)]) {
        for (key, flow) in flows {
            if let Some(resets) = &self.resets {
                resets.send(key, flow);
            }
        }
    }

    fn rest(&mut self) {
        std::thread::sleep(Duration::from_nanos(grants::REST));
    }

    fn sweep(&mut self) {
        if self.loaded.sessions.sweep(clock::boot()) > 0 {
            self.sweep_budgets();
        }
    }

    fn session(&self, token: SessionToken) -> Seen {
        self.loaded.sessions.seen(token)
    }

    fn mend(&mut self, token: SessionToken, entry: &SessionEntry) -> Result<(), DataPlaneError> {
        self.loaded.sessions.mend(token, entry, clock::boot)
    }

    fn expel_strangers(&mut self, from: u32, most: usize) -> (usize, Option<u32>) {
        self.loaded.sessions.expel_strangers(from, most, clock::boot)
    }

    fn grant(&self, key: &GrantKey) -> Option<Grant> {
        self.loaded.grants.get(key)
    }

    fn grants_from(&self, from: u32, most: usize) -> (Vec<GrantKey>, Option<u32>) {
        self.loaded.grants.from(from, most)
    }

    fn rules(&self) -> Result<TableSet, DataPlaneError> {
        let mut tables = TableSet::default();
        for entry in self.loaded.app_prefixes.iter() {
            let (key, block) = entry.map_err(table(map::APP_PREFIXES))?;
            if let Some(place) = translate::from_app_prefix(&key) {
                tables.app_prefixes.insert(place, BlockId(block));
            }
        }
        for entry in self.loaded.apps.iter() {
            let (key, app) = entry.map_err(table(map::APPS))?;
            tables.apps.insert(key, app);
        }
        Ok(tables)
    }

    fn forget_all_flows(&mut self) {
        self.loaded.flows.remove_all();
    }

    fn renew_lease(&mut self) -> usize {
        let found = self.loaded.sessions.look_at_epoch();
        self.lease_until(clock::boot().after(self.lease));
        found
    }

    fn revoked_in_kernel(&self) -> Vec<SessionToken> {
        self.loaded.sessions.revoked_in_kernel()
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
