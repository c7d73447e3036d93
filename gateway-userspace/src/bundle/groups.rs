//! `groups.toml`: the groups that there are to be. Who is in them is not part of a bundle.

use super::Findings;
use super::finding::Finding;
use crate::config::section::{Section, read_part};
use crate::config::{Place, Places};
use crate::policy::GroupName;
use std::collections::BTreeMap;

/// Groups that there are to be.
#[derive(Default)]
pub(super) struct Groups {
    /// Each with its file and its place.
    known: BTreeMap<GroupName, (String, Place)>,
    /// Whether there is a file that declares groups, so that others are mistakes.
    pub is_declared: bool,
    /// Whether some file could not be understood at all.
    pub has_gap: bool,
}

impl Groups {
    pub(super) fn read(files: &[(&str, &str)], findings: &mut Findings) -> Self {
        let mut groups = Self { is_declared: !files.is_empty(), ..Self::default() };
        for (path, text) in files {
            let (found, errors) = read_part(text, entries);
            groups.has_gap |= found.is_none();
            findings.errors.extend(errors.into_iter().map(|error| Finding::of_config(path, error)));
            let places = Places::of(text);
            for (name, at) in found.unwrap_or_default() {
                groups.declare(name, path, places.at(at), findings);
            }
        }
        groups
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &GroupName> {
        self.known.keys()
    }

    pub(super) fn has(&self, name: &GroupName) -> bool {
        self.known.contains_key(name)
    }

    fn declare(&mut self, name: GroupName, path: &str, place: Place, findings: &mut Findings) {
        if let Some((file, first)) = self.known.get(&name) {
            let hint = format!("remove it; the other one is in line {} of `{file}`", first.line);
            findings.errors.push(Finding::about(path, format!("group `{name}` is there twice"), &hint).at(place));
        } else {
            self.known.insert(name, (path.to_owned(), place));
        }
    }
}

/// The names, and where they stand.
fn entries(root: &mut Section<'_, '_>) -> Vec<(GroupName, usize)> {
    root.sections("group").iter_mut().filter_map(entry).collect()
}

fn entry(section: &mut Section<'_, '_>) -> Option<(GroupName, usize)> {
    let at = section.peek("name").map(|(_, at)| at);
    let value = section.required("name", "name = \"finance\"")?;
    match GroupName::new(value.text("finance")?) {
        Ok(name) => Some((name, at?)),
        Err(error) => {
            value.refuse(error.to_string(), "");
            None
        }
    }
}
