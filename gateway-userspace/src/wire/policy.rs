//! The policies, and what is wrong with them.

use super::problem::FieldError;
use crate::policy::{Generation, PolicyError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The policies in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// The number of the policy state in force; also the `ETag`.
    pub generation: u64,
    /// Cedar.
    pub text: String,
    /// What looks odd.
    #[serde(default)]
    pub warnings: Vec<PolicyIssue>,
}

/// Policies to be checked, or to be put in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyPut {
    /// Cedar.
    pub text: String,
}

/// What was found in policies that are not in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyCheck {
    /// Whether they could be put in force.
    pub valid: bool,
    /// Why not.
    pub errors: Vec<PolicyIssue>,
    /// What looks odd.
    pub warnings: Vec<PolicyIssue>,
}

/// Something wrong, or odd, at a place in the text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyIssue {
    /// Name of the file, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Name of the policy, if it is inside one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What.
    pub message: String,
    /// What may have been meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Policy {
    /// The shape of the policies in force.
    #[must_use]
    pub fn of(generation: Generation, text: &str, warnings: &[PolicyError]) -> Self {
        let warnings = warnings.iter().map(PolicyIssue::from).collect();
        Self { generation: generation.0, text: text.to_owned(), warnings }
    }
}

impl PolicyCheck {
    /// The shape of a check's result.
    #[must_use]
    pub fn of(result: &Result<Vec<PolicyError>, Vec<PolicyError>>) -> Self {
        let issues = |found: &[PolicyError]| found.iter().map(PolicyIssue::from).collect();
        match result {
            Ok(warnings) => Self { valid: true, errors: Vec::new(), warnings: issues(warnings) },
            Err(errors) => Self { valid: false, errors: issues(errors), warnings: Vec::new() },
        }
    }
}

impl From<&PolicyError> for PolicyIssue {
    fn from(error: &PolicyError) -> Self {
        let PolicyError { file, line, column, policy, message, hint } = error.clone();
        Self { file, line, column, policy, message, hint }
    }
}

impl From<&PolicyError> for FieldError {
    fn from(error: &PolicyError) -> Self {
        let PolicyError { file, line, column, policy, message, hint } = error.clone();
        let message = policy.map_or(message.clone(), |policy| format!("policy `{policy}`: {message}"));
        Self {
            field: Some(file.unwrap_or_else(|| "text".to_owned())),
            line: Some(line),
            column: Some(column),
            message,
            hint,
        }
    }
}
