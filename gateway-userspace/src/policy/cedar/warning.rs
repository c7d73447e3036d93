//! Valid policies that are probably not what was meant.

use super::{Faults, PolicySet, PolicyWarning, Rule, id_of_kind, place};
use crate::policy::model::{AppName, GroupName};
use std::collections::BTreeSet;

impl PolicySet {
    /// Names of groups and apps that are not defined, policies that can never apply, and what else looks odd.
    pub fn warnings<'n>(
        &self,
        groups: impl IntoIterator<Item = &'n GroupName>,
        apps: impl IntoIterator<Item = &'n AppName>,
    ) -> Vec<PolicyWarning> {
        let groups: BTreeSet<&str> = groups.into_iter().map(GroupName::as_str).collect();
        let apps: BTreeSet<&str> = apps.into_iter().map(AppName::as_str).collect();
        let mut found = self.remarks.clone();
        for rule in &self.rules {
            found.extend(self.undefined(rule, "Group", &groups));
            found.extend(self.undefined(rule, "App", &apps));
        }
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

    fn undefined(&self, rule: &Rule, kind: &str, known: &BTreeSet<&str>) -> Vec<PolicyWarning> {
        let names: BTreeSet<String> =
            rule.policy.entity_literals().iter().filter_map(|uid| id_of_kind(uid, kind)).collect();
        let unknown = names.into_iter().filter(|name| !known.contains(name.as_str()));
        let Some(file) = self.files.get(rule.file) else { return Vec::new() };
        let own = self.text_of(rule).unwrap_or_default();
        unknown
            .map(|name| {
                let offset = own.find(&format!(r#"{kind}::"{name}""#)).unwrap_or(0);
                let message = format!("{} `{name}` is not defined", kind.to_lowercase());
                let hint = nearest(&name, known).map(|near| format!("did you mean `{near}`?"));
                let at = rule.span.start.saturating_add(offset);
                place::at(file, at, Some(rule.name.clone()), message, hint)
            })
            .collect()
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
