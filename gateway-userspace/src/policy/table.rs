//! The kernel's tables as values: what should be in them, or what was found in them.

use super::model::{AllowListId, AppSetId, BlockId, SessionLimits, SessionToken};
use super::plan::{Plan, Step};
use gateway_common::KernelNanos;
use gateway_common::abi::{AppEntry, AppKey, Grant, GrantKey};
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Bound;

/// Everything that policy puts into the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TableSet {
    /// Prefixes of each app set, and their blocks.
    pub app_prefixes: BTreeMap<(AppSetId, IpNet), BlockId>,
    /// Ports of the blocks, and their apps.
    pub apps: BTreeMap<AppKey, AppEntry>,
    /// Grants of the allow-lists.
    pub grants: BTreeMap<GrantKey, Grant>,
    /// Sessions. In no order, because there may be very many, and one block of memory is given back as a whole.
    pub sessions: HashMap<SessionToken, SessionEntry>,
}

/// A session as the kernel knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionEntry {
    /// The client's address.
    pub address: IpAddr,
    /// The zone.
    pub zone: u32,
    /// The interface it is bound to.
    pub interface: u32,
    /// The hardware address it is bound to, if any.
    pub mac: Option<[u8; 6]>,
    /// When it ends.
    pub deadline: KernelNanos,
    /// When its user last authenticated.
    pub authenticated_at: KernelNanos,
    /// The app set it is judged by.
    pub app_set: AppSetId,
    /// The allow-list it is judged by.
    pub allow_list: AllowListId,
    /// What it may use in a second.
    pub limits: SessionLimits,
}

impl SessionEntry {
    /// Whether packets of both come from the same place. A session never changes that in place.
    #[must_use]
    pub fn is_bound_like(&self, other: &Self) -> bool {
        self.address == other.address
            && self.zone == other.zone
            && self.interface == other.interface
            && self.mac == other.mac
    }
}

impl TableSet {
    /// Takes a step.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::EndSession(token) => drop(self.sessions.remove(token)),
            Step::PutApp(key, app) => drop(self.apps.insert(*key, *app)),
            Step::PutAppPrefix(set, prefix, block) => drop(self.app_prefixes.insert((*set, *prefix), *block)),
            Step::PutGrant(key, grant) => drop(self.grants.insert(*key, *grant)),
            Step::OpenSession(token, entry) | Step::UpdateSession(token, entry) => {
                self.sessions.insert(*token, entry.clone());
            }
            Step::RemoveGrant(key) => drop(self.grants.remove(key)),
            Step::RemoveAppPrefix(set, prefix) => drop(self.app_prefixes.remove(&(*set, *prefix))),
            Step::RemoveApp(key) => drop(self.apps.remove(key)),
        }
    }

    /// Takes all steps of a plan.
    pub fn apply_all(&mut self, plan: &Plan) {
        plan.steps.iter().for_each(|step| self.apply(step));
    }

    /// Takes all steps of a plan but those of sessions.
    pub fn apply_rules(&mut self, plan: &Plan) {
        let is_rule =
            |step: &&Step| !matches!(step, Step::EndSession(_) | Step::OpenSession(..) | Step::UpdateSession(..));
        plan.steps.iter().filter(is_rule).for_each(|step| self.apply(step));
    }

    /// The same sessions, of which none reaches anything, and nothing else.
    #[must_use]
    pub fn without_rules(&self) -> Self {
        let nothing = |entry: &SessionEntry| SessionEntry {
            app_set: AppSetId::default(),
            allow_list: AllowListId::default(),
            ..entry.clone()
        };
        let sessions = self.sessions.iter().map(|(token, entry)| (*token, nothing(entry)));
        Self { sessions: sessions.collect(), ..Self::default() }
    }

    /// The grants of an allow-list.
    pub fn grants_of(&self, list: AllowListId) -> impl Iterator<Item = (&GrantKey, &Grant)> {
        let key = |app| GrantKey { allow_list: list.0, app };
        self.grants.range(key(0)..=key(u32::MAX))
    }

    /// The grants after this one, in the order of their keys.
    pub fn grants_after(&self, key: Option<GrantKey>) -> impl Iterator<Item = (&GrantKey, &Grant)> {
        let first = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.grants.range((first, Bound::Unbounded))
    }

    /// The ports of a block.
    pub fn ports_of(&self, block: BlockId) -> impl Iterator<Item = (&AppKey, &AppEntry)> {
        let first = AppKey { block: block.0, port: [0; 2], protocol: 0, side: 0 };
        let last = AppKey { block: block.0, port: [u8::MAX; 2], protocol: u8::MAX, side: u8::MAX };
        self.apps.range(first..=last)
    }
}

/// Whether a grant permits all that another one permits. A refusal permits nothing: every grant covers it, and it covers none.
#[must_use]
pub fn covers(grant: &Grant, other: &Grant) -> bool {
    let Grant { deadline, max_authentication_age, budget } = *other;
    grant.deadline >= deadline && grant.max_authentication_age >= max_authentication_age && grant.budget >= budget
}
