//! Valid policies that are probably not what was meant.

use super::{Faults, PolicySet, PolicyWarning, Rule, id_of_kind, place};
use crate::policy::model::{AppName, GroupName};
use std::collections::{BTreeMap, BTreeSet};

/// For how many unknown names the gateway looks for one that may have been meant: each of them is compared with all there are.
const MOST_HINTS: usize = 100;

/// Names that are defined, and what may have been meant by others.
struct Names<'n> {
    kind: &'static str,
    known: BTreeSet<&'n str>,
    hints: BTreeMap<String, Option<&'n str>>,
}

impl PolicySet {
    /// How many warnings the gateway tells.
    pub const MOST_WARNINGS: usize = 1_000;

    /// Names of groups and apps that are not defined, policies that can never apply, and what else looks odd: so many at
    /// most.
    pub fn warnings<'n>(
        &self,
        groups: impl IntoIterator<Item = &'n GroupName>,
        apps: impl IntoIterator<Item = &'n AppName>,
        most: usize,
    ) -> Vec<PolicyWarning> {
        let mut groups = Names::new("Group", groups.into_iter().map(GroupName::as_str));
        let mut apps = Names::new("App", apps.into_iter().map(AppName::as_str));
        let mut found = self.remarks.clone();
        for rule in &self.rules {
            if found.len() >= most {
                break;
            }
            found.extend(self.undefined(rule, &mut groups));
            found.extend(self.undefined(rule, &mut apps));
        }
        found.truncate(most);
        found.sort();
        found.dedup();
        found
    }

    /// The policies that could not be evaluated.
    pub(in crate::policy) fn faulty(&self, faults: &Faults) -> Vec<PolicyWarning> {
        let told = |rule: &Rule| {
            let (file, fault) = (self.files.get(rule.file)?, faults.get(&rule.name)?);
            let message = format!("it could not be evaluated, and whoever it concerned was denied: {fault}");
            Some(place::at(file, rule.span.start, Some(rule.name.clone()), message, None))
        };
        if faults.is_empty() { Vec::new() } else { self.rules.iter().filter_map(told).collect() }
    }

    fn undefined(&self, rule: &Rule, names: &mut Names<'_>) -> Vec<PolicyWarning> {
        let kind = names.kind;
        let used: BTreeSet<String> =
            rule.policy.entity_literals().iter().filter_map(|uid| id_of_kind(uid, kind)).collect();
        let unknown = used.into_iter().filter(|name| !names.known.contains(name.as_str())).collect::<Vec<_>>();
        let Some(file) = self.files.get(rule.file) else { return Vec::new() };
        let own = self.text_of(rule).unwrap_or_default();
        let warning = |name: String| {
            let offset = own.find(&format!(r#"{kind}::"{name}""#)).unwrap_or(0);
            let message = format!("{} `{name}` is not defined", kind.to_lowercase());
            let hint = names.hint(name).map(|near| format!("did you mean `{near}`?"));
            let at = rule.span.start.saturating_add(offset);
            place::at(file, at, Some(rule.name.clone()), message, hint)
        };
        unknown.into_iter().map(warning).collect()
    }
}

impl<'n> Names<'n> {
    fn new(kind: &'static str, known: impl Iterator<Item = &'n str>) -> Self {
        Self { kind, known: known.collect(), hints: BTreeMap::new() }
    }

    fn hint(&mut self, name: String) -> Option<&'n str> {
        let Self { known, hints, .. } = self;
        let is_too_much = hints.len() >= MOST_HINTS;
        *hints.entry(name).or_insert_with_key(|name| if is_too_much { None } else { nearest(name, known) })
    }
}

/// The known name that differs by other capitals, or by at most a third of the letters.
pub(super) fn nearest<'n>(name: &str, known: &BTreeSet<&'n str>) -> Option<&'n str> {
    let folded = name.to_lowercase();
    let reach = folded.chars().count().div_ceil(3).min(3);
    let near = known.iter().map(|other| (distance(&folded, other), *other));
    near.filter(|(distance, _)| *distance <= reach).min().map(|(_, other)| other)
}

/// How many letters must be changed, added or removed to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut left = at.saturating_add(1);
        let mut next = vec![left];
        for ((other, above_left), above) in to.iter().zip(&row).zip(row.iter().skip(1)) {
            let replaced = above_left.saturating_add(usize::from(*other != letter));
            left = replaced.min(above.saturating_add(1)).min(left.saturating_add(1));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
