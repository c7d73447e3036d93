//! Decisions, computed once for equal facts.

use super::lists::Grants;
use crate::policy::cedar::{Faults, PolicySet, Subject};
use crate::policy::model::{App, AppId, AppName, Decision, Moment, Permitted, Proof, Session, Standing};
use gateway_common::abi::Grant;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

/// What a subject may reach, in people's terms and in the kernel's.
#[derive(Clone, Debug)]
pub(super) struct Entitlement {
    pub permitted: Arc<Permitted>,
    pub grants: Grants,
    pub faults: Arc<Faults>,
}

/// What decisions depend on, apart from the subject.
#[derive(Clone, Copy)]
pub(super) struct World<'w> {
    pub policy: &'w PolicySet,
    pub apps: &'w BTreeMap<AppName, App>,
    pub app_ids: &'w BTreeMap<AppName, AppId>,
    pub now: &'w Arc<Moment>,
}

/// The decisions so far under one state of policies and apps.
#[derive(Clone, Default)]
pub(super) struct Judge {
    known: HashMap<crate::policy::cedar::Facts, Entitlement>,
}

impl Judge {
    /// Where policies look at the address, hardly two sessions are alike, and remembering them all is of no use.
    const MOST: usize = 4_096;

    pub(super) fn entitle(&mut self, world: World<'_>, subject: &Subject) -> Entitlement {
        let facts = world.policy.facts(subject);
        if let Some(known) = self.known.get(&facts) {
            return known.clone();
        }
        let (permitted, faults) = match world.policy.apps_in_question(subject) {
            Some(names) => world.policy.decide_all(subject, names.into_iter().filter_map(|name| world.apps.get(name))),
            None => world.policy.decide_all(subject, world.apps.values()),
        };
        let granted = |(name, decision): (&AppName, &Decision)| {
            let budget = world.apps.get(name)?.budget;
            Some((*world.app_ids.get(name)?, grant(decision, budget)))
        };
        let refused = |name: &AppName| Some((*world.app_ids.get(name)?, Grant::REFUSAL));
        let refused = permitted.rejected().filter_map(refused);
        let mut grants: Vec<_> = permitted.iter().filter_map(granted).chain(refused).collect();
        grants.sort_by_key(|(app, _)| *app);
        let found = Entitlement { permitted: Arc::new(permitted), grants: Arc::from(grants), faults: Arc::new(faults) };
        if self.known.len() >= Self::MOST {
            self.known.clear();
        }
        self.known.insert(facts, found.clone());
        found
    }
}

/// Says nothing: what is remembered is no part of the state.
impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

/// A session as policies may know it, with what is known of its user.
pub(super) fn subject(session: &Session, user: Standing<'_>, now: &Arc<Moment>) -> Subject {
    Subject {
        user: session.user.clone(),
        groups: user.groups.clone(),
        factors: session.factors,
        assurance: Arc::clone(&session.assurance),
        dated: session.authenticated_at != Proof::UNDATED,
        compliant: user.compliant,
        kind: user.kind,
        attributes: user.attributes.clone(),
        risk: user.risk,
        source: session.source.address,
        zone: session.source.zone_name.clone(),
        country: session.source.country,
        moment: Arc::clone(now),
    }
}

fn grant(decision: &Decision, budget: Option<u64>) -> Grant {
    let max_authentication_age = decision.max_authentication_age.unwrap_or(u64::MAX);
    Grant { max_authentication_age, budget: budget.unwrap_or(u64::MAX), ..Grant::UNLIMITED }
}
