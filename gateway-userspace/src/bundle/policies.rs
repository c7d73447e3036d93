//! The policies of a bundle: parsed, and their names compared with what is declared.

use super::Findings;
use super::apps::Apps;
use super::finding::Finding;
use super::groups::Groups;
use crate::policy::{AppName, GroupName, PolicyError, PolicyFile, PolicySet};
use std::collections::BTreeSet;

/// Groups that a warning names at most.
const NAMED: usize = 10;

/// Names that are told one by one: each is compared with all that are declared.
const MOST_UNDEFINED: usize = 100;

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
    let remarks = set.warnings([], [], usize::MAX).into_iter().map(Finding::from);
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
        let more_apps = supposed(self.mentioned("App", AppName::new), |name| apps.has(name), are_apps_known);
        let more_groups = supposed(self.mentioned("Group", GroupName::new), |name| groups.has(name), are_groups_known);
        for set in &self.sets {
            let known = (groups.names().chain(&more_groups), apps.names().chain(&more_apps));
            for remark in set.warnings(known.0, known.1, usize::MAX).into_iter().map(Finding::from) {
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
        if are_apps_known && !more_apps.is_empty() {
            findings.errors.push(untold("apps", more_apps.len()));
        }
        if are_groups_known && !more_groups.is_empty() {
            findings.errors.push(untold("groups", more_groups.len()));
        }
        if !groups.is_declared && is_whole && !more_groups.is_empty() {
            findings.warnings.push(undeclared(&more_groups));
        }
    }

    /// The names that policies mention, if they are written as names are: policies do not fold them.
    fn mentioned<N: Ord + ToString, E>(&self, kind: &str, name: fn(&str) -> Result<N, E>) -> BTreeSet<N> {
        let files = self.sets.iter().flat_map(|set| set.files().iter());
        let names: BTreeSet<&str> = files.flat_map(|file| literals(&file.text, kind)).collect();
        names.into_iter().filter_map(|text| name(text).ok().filter(|name| name.to_string() == text)).collect()
    }
}

/// Names that are not declared and count as if they were: all of them where nobody knows what is declared, otherwise those
/// beyond what can be told one by one.
fn supposed<N: Ord>(mentioned: BTreeSet<N>, is_declared: impl Fn(&N) -> bool, is_known: bool) -> BTreeSet<N> {
    let told = if is_known { MOST_UNDEFINED } else { 0 };
    mentioned.into_iter().filter(|name| !is_declared(name)).skip(told).collect()
}

/// What stands in `Kind::"…"`, comments aside.
fn literals<'t>(text: &'t str, kind: &str) -> Vec<&'t str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['"', '/']) {
        let (before, after) = rest.split_at(at);
        if let Some(comment) = after.strip_prefix("//") {
            rest = comment.find('\n').and_then(|end| comment.get(end..)).unwrap_or_default();
        } else if let Some(string) = after.strip_prefix('"') {
            let (content, behind) = string_end(string);
            let is_kind = before.strip_suffix("::").is_some_and(|before| before.ends_with(kind));
            found.extend(Some(content).filter(|_| is_kind));
            rest = behind;
        } else {
            rest = after.get(1..).unwrap_or_default();
        }
    }
    found
}

/// The content of a string, and what is behind it.
fn string_end(string: &str) -> (&str, &str) {
    let mut is_escaped = false;
    for (at, byte) in string.bytes().enumerate() {
        match byte {
            b'"' if !is_escaped => {
                return (string.get(..at).unwrap_or_default(), string.get(at.saturating_add(1)..).unwrap_or_default());
            }
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    (string, "")
}

fn untold(kind: &str, count: usize) -> Finding {
    let message = format!("{count} more {kind} that policies name are not defined");
    Finding::about(Finding::WHOLE, message, "put right what is told, and check again")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_outside_of_comments_and_other_strings() {
        let text = r#"// App::"old"
            permit (principal in Group::"a", action, resource == App::"b") when { 1/1 == 1 || "App::\"c\" // \\" == "" } // App::"d"
            unless { resource == App::"e\"" || resource == App::"f" || [App::"g"#;
        assert_eq!(literals(text, "App"), ["b", "e\\\"", "f", "g"]);
        assert_eq!(literals(text, "Group"), ["a"]);
    }
}
