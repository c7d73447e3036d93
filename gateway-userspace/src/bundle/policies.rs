//! The policies of a bundle: parsed, and their names compared with what is declared.

use super::Findings;
use super::apps::Apps;
use super::finding::Finding;
use super::groups::Groups;
use crate::policy::{GroupName, PolicyError, PolicyFile, PolicySet};
use std::collections::{BTreeMap, BTreeSet};

/// Groups that a warning names at most.
const NAMED: usize = 10;

/// What became of the files of policies.
pub(super) struct Parsed {
    /// All of them, or one by one those that are right by themselves.
    sets: Vec<PolicySet>,
    errors: Vec<PolicyError>,
}

/// Those files whose names can be names.
pub(super) fn files(texts: &[(&str, &str)], findings: &mut Findings) -> Vec<PolicyFile> {
    let mut files = Vec::with_capacity(texts.len());
    for (path, text) in texts {
        match PolicyFile::checked_name(path) {
            Ok(name) => files.push(PolicyFile { name, text: (*text).to_owned() }),
            Err(error) => findings.errors.push(Finding::about(*path, error.to_string(), "")),
        }
    }
    files
}

pub(super) fn parse(files: Vec<PolicyFile>) -> Parsed {
    match PolicySet::parse_files(files.clone()) {
        Ok(set) => Parsed { sets: vec![set], errors: Vec::new() },
        Err(errors) => {
            // What the good ones name is looked at all the same.
            let broken: BTreeSet<&str> =
                errors.iter().map(|error| error.file.as_deref().unwrap_or(PolicyFile::ALONE)).collect();
            let good = files.iter().filter(|file| !broken.contains(file.name.as_str()));
            let sets = good.filter_map(|file| PolicySet::parse_files(vec![file.clone()]).ok()).collect();
            Parsed { sets, errors }
        }
    }
}

/// What is wrong and what looks odd with policies whose apps and groups are not known.
///
/// # Errors
/// All that is wrong.
pub fn alone(text: &str) -> Result<Vec<Finding>, Vec<Finding>> {
    let set = PolicySet::parse(text).map_err(|errors| errors.into_iter().map(Finding::from).collect::<Vec<_>>())?;
    let remarks = set.warnings([], []).into_iter().map(Finding::from);
    Ok(remarks.filter(|remark| Undefined::of(remark).is_none()).collect())
}

/// A name in a policy that is not declared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Undefined {
    App,
    Group,
}

impl Undefined {
    fn of(remark: &Finding) -> Option<Self> {
        let rest = remark.message.strip_suffix("` is not defined")?;
        match rest.split_once(" `")?.0 {
            "app" => Some(Self::App),
            "group" => Some(Self::Group),
            _ => None,
        }
    }
}

impl Parsed {
    /// The policies, if nothing is wrong with any of them.
    pub(super) fn complete(&self) -> Option<&PolicySet> {
        self.sets.first().filter(|_| self.errors.is_empty())
    }

    pub(super) fn into_complete(self) -> Option<PolicySet> {
        let is_whole = self.errors.is_empty();
        self.sets.into_iter().next().filter(|_| is_whole)
    }

    /// Reports what is wrong with the policies. An app that is not declared is an error, a group only where groups are.
    pub(super) fn check_names(&self, groups: &Groups, apps: &Apps, is_whole: bool, findings: &mut Findings) {
        findings.errors.extend(self.errors.iter().cloned().map(Finding::from));
        let are_apps_known = is_whole && !apps.has_gap;
        let are_groups_known = is_whole && !groups.has_gap && groups.is_declared;
        let supposed = if are_groups_known { BTreeSet::new() } else { self.named_groups() };
        for set in &self.sets {
            let known = groups.names().chain(&supposed);
            for remark in set.warnings(known, apps.names()).into_iter().map(Finding::from) {
                match Undefined::of(&remark) {
                    Some(Undefined::App) if !are_apps_known => {}
                    Some(Undefined::App) => findings.errors.push(declared_in(remark, "apps.toml")),
                    Some(Undefined::Group) if are_groups_known => {
                        findings.errors.push(declared_in(remark, "groups.toml"));
                    }
                    Some(Undefined::Group) | None => findings.warnings.push(remark),
                }
            }
        }
        if !groups.is_declared && is_whole && !supposed.is_empty() {
            findings.warnings.push(undeclared(&supposed));
        }
    }

    /// The groups that policies name, if these can be names of groups. Where none is declared, they are what there is.
    fn named_groups(&self) -> BTreeSet<GroupName> {
        let files: BTreeMap<&str, &str> = self
            .sets
            .iter()
            .flat_map(|set| set.files().iter())
            .map(|file| (file.name.as_str(), file.text.as_str()))
            .collect();
        let literals = files.values().flat_map(|text| text.split(r#"Group::""#).skip(1));
        let names: BTreeSet<&str> = literals.filter_map(|rest| rest.split_once('"').map(|(name, _)| name)).collect();
        // As it is written: policies do not fold names.
        names.into_iter().filter_map(|name| GroupName::new(name).ok().filter(|group| group.as_str() == name)).collect()
    }
}

fn declared_in(remark: Finding, file: &str) -> Finding {
    let hint = remark.hint.unwrap_or_else(|| format!("declare it in `{file}`"));
    Finding { hint: Some(hint), ..remark }
}

fn undeclared(groups: &BTreeSet<GroupName>) -> Finding {
    let names: Vec<String> = groups.iter().take(NAMED).map(|group| format!("`{group}`")).collect();
    let more = groups.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let message = format!("no group is declared, so that a misspelt one is not found: {}{more}", names.join(", "));
    Finding::about(Finding::WHOLE, message, "write `[[group]]` with `name = \"…\"` for each of them to `groups.toml`")
}
