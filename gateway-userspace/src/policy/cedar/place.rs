//! From Cedar's diagnostics to lines, columns, messages and hints.

use super::{PolicyError, PolicyFile, PolicyWarning, Rule};
use cedar_policy::{ParseErrors, PolicyId, ValidationMode, Validator};
use miette::Diagnostic;

/// A remark at a byte offset of a file's text.
pub(super) fn at(
    file: &PolicyFile,
    offset: usize,
    policy: Option<String>,
    message: String,
    hint: Option<String>,
) -> PolicyError {
    let before = file.text.get(..offset).unwrap_or(&file.text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.chars().rev().take_while(|c| *c != '\n').count().saturating_add(1);
    PolicyError { file: file.known(), line, column, policy, message, hint }
}

/// A remark about all of it.
pub(super) fn whole(message: String) -> PolicyError {
    PolicyError { file: None, line: 1, column: 1, policy: None, message, hint: None }
}

/// What the parser found.
pub(super) fn syntax(file: &PolicyFile, errors: &ParseErrors) -> Vec<PolicyError> {
    let mut found: Vec<_> = errors.iter().map(|error| of_diagnostic(file, error, None, 0)).collect();
    found.sort();
    found.dedup();
    found
}

/// Checks the policies of a file against the schema. Errors are added to `errors`, warnings are returned.
pub(super) fn validated(
    file: &PolicyFile,
    parsed: &cedar_policy::PolicySet,
    validator: &Validator,
    rules: &[Rule],
    errors: &mut Vec<PolicyError>,
) -> Vec<PolicyWarning> {
    let result = validator.validate(parsed, ValidationMode::Strict);
    let place = |id: &PolicyId, diagnostic: &dyn Diagnostic| {
        let rule = rules.iter().find(|rule| rule.policy.id() == id);
        let name = rule.map_or_else(|| id.to_string(), |rule| rule.name.clone());
        let mut found = of_diagnostic(file, diagnostic, Some(name.clone()), rule.map_or(0, |rule| rule.span.start));
        // Cedar names policies by number; people know them by their `@id`.
        found.message = found.message.replacen(&format!("for policy `{id}`, "), "", 1);
        found
    };
    errors.extend(result.validation_errors().map(|error| place(error.policy_id(), error)));
    result.validation_warnings().map(|warning| place(warning.policy_id(), warning)).collect()
}

fn of_diagnostic(
    file: &PolicyFile,
    diagnostic: &dyn Diagnostic,
    policy: Option<String>,
    fallback: usize,
) -> PolicyError {
    let label = diagnostic.labels().and_then(|mut labels| labels.next());
    let offset = label.as_ref().map_or(fallback, miette::LabeledSpan::offset);
    let help = diagnostic.help().map(|help| help.to_string());
    let hint = help.or_else(|| label.as_ref().and_then(|label| label.label().map(str::to_owned)));
    at(file, offset, policy, diagnostic.to_string(), hint)
}
