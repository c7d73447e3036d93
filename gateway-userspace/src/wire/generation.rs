//! The generations of policy: what is planned, what was put in force, and who did it.

use super::policy::PolicyIssue;
use crate::policy::{self, HistoryEntry, PolicyError, Reach};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A generation that is remembered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Generation {
    /// Its number.
    pub generation: u64,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: OffsetDateTime,
    /// Who made it.
    pub author: String,
    /// Why, in their words.
    pub message: String,
    /// What they did: `bundle_applied`, `policy_applied`, `app_put`, `app_removed`, `rolled_back`.
    pub action: String,
    /// To what. Of a roll back, the generation that it went back to.
    pub object: String,
    /// Until when it has to be confirmed, or it is undone.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub confirm_until: Option<OffsetDateTime>,
}

/// What has become of a bundle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// The generation in force.
    pub generation: u64,
    /// Whether that is a new one. It is not, if all was in force before.
    pub changed: bool,
    /// Sessions that reach more than before.
    pub sessions_gaining: usize,
    /// Sessions that reach less. What they had open to apps that they lost is cut.
    pub sessions_losing: usize,
    /// Until when it has to be confirmed, or it is undone.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub confirm_until: Option<OffsetDateTime>,
}

/// What a bundle would lead to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The generation in force, for `If-Match`.
    pub generation: u64,
    /// How the bundle differs from it.
    pub changes: Changes,
    /// What looks odd about its policies.
    pub warnings: Vec<PolicyIssue>,
    /// Sessions that would reach more.
    pub sessions_gaining: usize,
    /// Sessions that would reach less.
    pub sessions_losing: usize,
    /// Connections that are open now and would be cut.
    pub flows_cut: usize,
    /// How many people would gain or lose something.
    pub people_concerned: usize,
    /// Who they are, those who lose first; at most a thousand.
    pub people: Vec<PersonPlan>,
}

/// How a bundle differs from what is in force, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// Whether settings change.
    pub settings: bool,
    /// Groups that come.
    pub groups: Vec<String>,
    /// Apps.
    pub apps: ChangedNames,
    /// Policies.
    pub policies: ChangedNames,
}

/// What comes, changes and goes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ChangedNames {
    /// What comes.
    pub added: Vec<String>,
    /// What changes.
    pub changed: Vec<String>,
    /// What goes.
    pub removed: Vec<String>,
}

/// What somebody would gain and lose.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PersonPlan {
    /// Who.
    pub user: String,
    /// Their sessions that are concerned. If there is none, it is what they would reach after a login with two factors.
    pub sessions: usize,
    /// Apps that they would reach.
    pub gained: Vec<String>,
    /// Apps that they would not reach any more.
    pub lost: Vec<String>,
    /// Connections that are open now and would be cut.
    pub flows_cut: usize,
}

impl From<&HistoryEntry> for Generation {
    fn from(entry: &HistoryEntry) -> Self {
        let HistoryEntry { generation, at, author, message, action, object, confirm_until, undo: _ } = entry.clone();
        Self { generation: generation.0, at, author, message, action, object, confirm_until }
    }
}

impl From<&policy::Difference> for Changes {
    fn from(difference: &policy::Difference) -> Self {
        let policy::Difference { settings, groups, apps, policies } = difference;
        let groups = groups.iter().map(ToString::to_string).collect();
        Self { settings: *settings, groups, apps: apps.into(), policies: policies.into() }
    }
}

impl From<&policy::Names> for ChangedNames {
    fn from(names: &policy::Names) -> Self {
        let policy::Names { added, changed, removed } = names.clone();
        Self { added, changed, removed }
    }
}

impl ChangedNames {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { added, changed, removed } = self;
        added.is_empty() && changed.is_empty() && removed.is_empty()
    }
}

impl Plan {
    /// How many people are named.
    const MOST: usize = 1_000;

    /// The shape of a plan. `cut` says how many connections a session has open to apps that it would lose.
    #[must_use]
    pub fn of(
        generation: policy::Generation,
        rehearsal: &policy::Rehearsal,
        cut: impl Fn(&policy::Regranted) -> usize,
    ) -> Self {
        let policy::Rehearsal { difference, warnings, sessions, people } = rehearsal;
        let mut found: BTreeMap<String, PersonPlan> = BTreeMap::new();
        for session in sessions {
            let person = found.entry(session.user.to_string()).or_default();
            person.sessions += 1;
            person.flows_cut += cut(session);
            person.add(session.gained.iter(), session.lost.iter());
        }
        for (user, Reach { gained, lost }) in people {
            found.entry(user.to_string()).or_default().add(gained.iter(), lost.iter());
        }
        let mut people: Vec<_> = found.into_iter().map(|(user, person)| PersonPlan { user, ..person }).collect();
        let (people_concerned, flows_cut) = (people.len(), people.iter().map(|person| person.flows_cut).sum());
        people.sort_by_key(|person| person.lost.is_empty());
        people.truncate(Self::MOST);
        Self {
            generation: generation.0,
            changes: difference.into(),
            warnings: warnings.iter().map(|warning: &PolicyError| warning.into()).collect(),
            sessions_gaining: sessions.iter().filter(|session| !session.gained.is_empty()).count(),
            sessions_losing: sessions.iter().filter(|session| !session.lost.is_empty()).count(),
            flows_cut,
            people_concerned,
            people,
        }
    }
}

impl PersonPlan {
    fn add<'a>(
        &mut self,
        gained: impl Iterator<Item = &'a policy::AppName>,
        lost: impl Iterator<Item = &'a policy::AppName>,
    ) {
        let take = |to: &mut Vec<String>, name: &policy::AppName| {
            if let Err(place) = to.binary_search_by(|known| known.as_str().cmp(name.as_str())) {
                to.insert(place, name.to_string());
            }
        };
        gained.for_each(|name| take(&mut self.gained, name));
        lost.for_each(|name| take(&mut self.lost, name));
    }
}
