//! Bundles on disk: settings, groups, apps, policies and test cases in a directory, and what is wrong with them.
//!
//! [`read`] walks through the directory; [`load`] is the rest, and pure: texts by their paths become one bundle, or all
//! errors at once, each with its file, its place and a hint. No gateway is asked, so who is in a group and how much the
//! tables of one hold is not known here.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod apps;
mod case;
mod cases;
mod finding;
mod folder;
mod groups;
mod layout;
mod policies;
mod reach;
mod settings;
mod trial;

pub mod template;

pub use case::{Case, Target};
pub use finding::Finding;
pub use policies::alone;
pub use trial::{Mismatch, Trial};

use crate::policy::{self, Moment, Timestamp};
use crate::wire;
use layout::Kind;
use reach::Reach;
use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

/// Texts by their paths in the bundle, with `/`.
pub type Files = BTreeMap<String, String>;

/// A bundle without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is declared. An app that does not say whether it is enabled is.
    pub bundle: policy::Bundle,
    /// The same as a document for the API: an app that does not say whether it is enabled stays as it is.
    pub document: wire::Bundle,
    /// What is to come out, in the order of the files.
    pub cases: Vec<Case>,
    /// What looks odd.
    pub warnings: Vec<Finding>,
    reach: Reach,
}

impl Loaded {
    /// Policies that have expired at a time, or are about to.
    #[must_use]
    pub fn expiring(&self, at: Timestamp) -> Vec<Finding> {
        let policy::Bundle { policy, settings, .. } = &self.bundle;
        policy.expiring(&Moment::new(at, &settings.timezone)).into_iter().map(Finding::from).collect()
    }
}

/// A bundle with errors.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .errors.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n"))]
pub struct BundleErrors {
    /// What is wrong, in the order of the files and of their text; never empty.
    pub errors: Vec<Finding>,
    /// What looks odd.
    pub warnings: Vec<Finding>,
}

/// What was found so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// Reads the bundle in a directory.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn read(directory: &Path) -> Result<Loaded, BundleErrors> {
    Gathered::from(directory).load()
}

/// What is in the directory of a bundle, as far as it can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gathered {
    files: Files,
    findings: Findings,
}

impl Gathered {
    /// Reads a directory, and makes nothing of it yet.
    #[must_use]
    pub fn from(directory: &Path) -> Self {
        let mut findings = Findings::default();
        let files = folder::gather(directory, &mut findings);
        Self { files, findings }
    }

    /// The bundle that it is.
    ///
    /// # Errors
    /// All that is wrong with it, at once, and what could not be read.
    pub fn load(&self) -> Result<Loaded, BundleErrors> {
        digest(&self.files, self.findings.clone())
    }
}

/// Reads a bundle of texts.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn load(files: &Files) -> Result<Loaded, BundleErrors> {
    digest(files, Findings::default())
}

fn digest(files: &Files, mut findings: Findings) -> Result<Loaded, BundleErrors> {
    let sorted = Sorted::of(files, &mut findings);
    // What could not be read may have declared anything.
    let is_whole = findings.errors.is_empty();
    let texts = policies::files(&sorted.policies, &mut findings);
    // The two halves of the work are about as large, and do not need each other.
    let (declared, parsed) = thread::scope(|scope| {
        let parsing = scope.spawn(|| policies::parse(texts));
        let declared = Declared::read(&sorted, &mut findings);
        (declared, parsing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let Declared { settings, groups, apps, reach } = declared;
    parsed.check_names(&groups, &apps, is_whole, &mut findings);
    let names = parsed.complete().map(|policy| policy.names().collect());
    let cases = cases::read(
        &sorted.cases,
        &cases::Known { groups: &groups, apps: &apps, policies: names, timezone: &settings.meant.timezone },
        &mut findings,
    );
    let Findings { mut errors, mut warnings } = findings;
    for list in [&mut errors, &mut warnings] {
        list.sort();
        list.dedup();
    }
    match parsed.into_complete().filter(|_| errors.is_empty()) {
        Some(policy) => {
            let document = document(&settings, &groups, &apps, &policy);
            let bundle = policy::Bundle {
                settings: settings.meant,
                groups: groups.names().cloned().collect(),
                apps: apps.into_models(),
                policy,
            };
            Ok(Loaded { bundle, document, cases, warnings, reach })
        }
        None => Err(BundleErrors { errors, warnings }),
    }
}

fn document(
    settings: &settings::Settings,
    groups: &groups::Groups,
    apps: &apps::Apps,
    policy: &policy::PolicySet,
) -> wire::Bundle {
    let file = |file: &policy::PolicyFile| wire::PolicyFile { name: file.name.clone(), text: file.text.clone() };
    wire::Bundle {
        settings: wire::Settings { timezone: settings.timezone.clone() },
        groups: groups.names().map(ToString::to_string).collect(),
        apps: apps.shapes().collect(),
        policies: policy.files().iter().map(file).collect(),
    }
}

/// The files of a bundle by what they hold: paths and texts.
#[derive(Default)]
struct Sorted<'f> {
    settings: Vec<(&'f str, &'f str)>,
    groups: Vec<(&'f str, &'f str)>,
    apps: Vec<(&'f str, &'f str)>,
    policies: Vec<(&'f str, &'f str)>,
    cases: Vec<(&'f str, &'f str)>,
}

impl<'f> Sorted<'f> {
    fn of(files: &'f Files, findings: &mut Findings) -> Self {
        let mut sorted = Self::default();
        for (path, text) in files {
            let list = match layout::kind(path) {
                Ok(Some(Kind::Settings)) => &mut sorted.settings,
                Ok(Some(Kind::Groups)) => &mut sorted.groups,
                Ok(Some(Kind::Apps)) => &mut sorted.apps,
                Ok(Some(Kind::Policies)) => &mut sorted.policies,
                Ok(Some(Kind::Cases)) => &mut sorted.cases,
                Ok(None) => continue,
                Err(finding) => {
                    findings.errors.push(*finding);
                    continue;
                }
            };
            list.push((path, text));
        }
        sorted
    }
}

/// What is declared beside policies.
struct Declared {
    settings: settings::Settings,
    groups: groups::Groups,
    apps: apps::Apps,
    reach: Reach,
}

impl Declared {
    fn read(sorted: &Sorted<'_>, findings: &mut Findings) -> Self {
        let settings = settings::read(&sorted.settings, findings);
        let groups = groups::Groups::read(&sorted.groups, findings);
        let apps = apps::Apps::read(&sorted.apps, findings);
        let reach = Reach::of(&apps, findings);
        Self { settings, groups, apps, reach }
    }
}

#[cfg(test)]
mod tests;
