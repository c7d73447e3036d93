//! What a bundle would lead to, if it were put in force: who gains and who loses what.

use super::Gateway;
use super::judge::{Judge, World};
use super::moves::only_in;
use super::opinion::Stance;
use crate::policy::bundle::{Bundle, Difference};
use crate::policy::cedar::{PolicySet, PolicyWarning, Subject};
use crate::policy::change::{Input, Refusal, Regranted};
use crate::policy::model::{AppName, Moment, Permitted, User, UserName};
use arcstr::ArcStr;
use gateway_common::KernelNanos;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Where people without a session are assumed to be. How they log in is assumed, too: by two factors, right now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assumed {
    /// Their address.
    pub source: IpAddr,
    /// Name of their zone.
    pub zone: ArcStr,
}

/// What would happen.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// How the bundle differs from what is in force.
    pub difference: Difference,
    /// What looks odd about its policies.
    pub warnings: Vec<PolicyWarning>,
    /// The sessions that would reach more, or less.
    pub sessions: Vec<Regranted>,
    /// The people without a session who would.
    pub people: BTreeMap<UserName, Reach>,
}

/// What somebody gains and loses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    /// Apps that they would reach.
    pub gained: BTreeSet<AppName>,
    /// Apps that they would not reach any more.
    pub lost: BTreeSet<AppName>,
}

impl Gateway {
    /// Finds out what a bundle would lead to. The gateway is a copy, which is given away for it.
    ///
    /// # Errors
    /// If it would be refused.
    pub fn rehearse(mut self, bundle: Bundle, assumed: &Assumed, now: KernelNanos) -> Result<Rehearsal, Refusal> {
        let before = self.bundle();
        let (difference, warnings) = (bundle.since(&before), self.warnings_under(&bundle));
        let input = Input::Apply { bundle: Box::new(bundle.clone()), if_match: None };
        let sessions = self.draft(&input, now)?.regranted().to_vec();
        let absent =
            self.users.values().filter(|user| user.is_active() && self.sessions_of(&user.name).next().is_none());
        let people = self.shifts(&before, &bundle, absent, assumed);
        Ok(Rehearsal { difference, warnings, sessions, people })
    }

    /// What looks odd about the policies of a bundle, with its groups and apps.
    fn warnings_under(&self, bundle: &Bundle) -> Vec<PolicyWarning> {
        let groups: BTreeSet<_> = self.groups.union(&bundle.groups).collect();
        let mut found = bundle.policy.warnings(groups, bundle.apps.keys(), PolicySet::MOST_WARNINGS);
        found.extend(bundle.policy.expiring(&self.now_in(&bundle.settings.timezone)));
        found.sort();
        found
    }

    fn shifts<'g>(
        &'g self,
        before: &'g Bundle,
        after: &'g Bundle,
        people: impl Iterator<Item = &'g User>,
        assumed: &Assumed,
    ) -> BTreeMap<UserName, Reach> {
        let moments = [before, after].map(|bundle| self.now_in(&bundle.settings.timezone));
        let [was, will_be] = &moments;
        let app_ids = &self.app_ids;
        let old_world = World { policy: &before.policy, apps: &before.apps, app_ids, now: was };
        let new_world = World { policy: &after.policy, apps: &after.apps, app_ids, now: will_be };
        let (mut old, mut new, mut known) = (Judge::default(), Judge::default(), HashMap::new());
        let mut found = BTreeMap::new();
        for user in people {
            let old = old.entitle(old_world, &assumed.subject(user, was)).permitted;
            let new = new.entitle(new_world, &assumed.subject(user, will_be)).permitted;
            // Most people are like others. What was compared is kept, so that its address is not another one's.
            let pair = (Arc::as_ptr(&old), Arc::as_ptr(&new));
            let (reach, _, _) = known.entry(pair).or_insert_with(|| (Reach::between(&old, &new), old, new));
            if *reach != Reach::default() {
                found.insert(user.name.clone(), reach.clone());
            }
        }
        found
    }
}

impl Reach {
    fn between(before: &Permitted, after: &Permitted) -> Self {
        Self { gained: only_in(after, before).collect(), lost: only_in(before, after).collect() }
    }
}

impl Assumed {
    /// At this address and in this zone, as far as they are given.
    #[must_use]
    pub fn at(source: Option<IpAddr>, zone: Option<String>) -> Self {
        let source = source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Self { source, zone: zone.unwrap_or_default().into() }
    }

    fn subject(&self, user: &User, now: &Arc<Moment>) -> Subject {
        Stance::assumed(user.name.clone(), user.provider.clone(), self).subject(user, now)
    }
}
