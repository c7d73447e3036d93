//! Something wrong, or odd, and where.

use crate::config::{ConfigError, Place};
use crate::policy::{PolicyError, PolicyFile};
use crate::wire;
use std::fmt;

/// Something wrong, or odd, in a bundle.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    /// The path of the file in the bundle, with `/`; `.` for the bundle as a whole.
    pub file: String,
    /// Where in it; `None` if it is about all of it.
    pub place: Option<Place>,
    /// Name of the policy, where it is inside one.
    pub policy: Option<String>,
    /// What.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// The bundle as a whole.
    pub const WHOLE: &'static str = ".";

    /// About a file as a whole.
    pub(super) fn about(file: impl Into<String>, message: impl Into<String>, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { file: file.into(), place: None, policy: None, message: message.into(), hint }
    }

    /// The same, at a place.
    pub(super) fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// What is wrong with a document.
    pub(super) fn of_config(file: &str, error: ConfigError) -> Self {
        let ConfigError { place, key, problem, fix } = error;
        let message = if key.is_empty() { problem } else { format!("{key}: {problem}") };
        Self { place, ..Self::about(file, message, &fix) }
    }
}

impl From<PolicyError> for Finding {
    fn from(error: PolicyError) -> Self {
        let PolicyError { file, line, column, policy, message, hint } = error;
        let file = file.unwrap_or_else(|| PolicyFile::ALONE.to_owned());
        Self { file, place: Some(Place { line, column }), policy, message, hint }
    }
}

impl From<&Finding> for wire::PolicyIssue {
    fn from(finding: &Finding) -> Self {
        let Finding { file, place, policy, message, hint } = finding.clone();
        let Place { line, column } = place.unwrap_or(Place { line: 1, column: 1 });
        Self { file: Some(file), line, column, policy, message, hint }
    }
}

/// `file:line:column: message`, without the hint.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        if let Some(policy) = &self.policy {
            write!(f, " policy `{policy}`:")?;
        }
        write!(f, " {}", self.message)
    }
}
