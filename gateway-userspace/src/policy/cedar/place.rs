//! From Cedar's diagnostics to lines, columns, messages and hints.

use super::{PolicyError, PolicyWarning, Rule};
use cedar_policy::{ParseErrors, PolicyId, Schema, ValidationMode, Validator};
use miette::Diagnostic;

/// A remark at a byte offset of the text.
pub(super) fn at(
    text: &str,
    offset: usize,
    policy: Option<String>,
    message: String,
    hint: Option<String>,
) -> PolicyError {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.chars().rev().take_while(|c| *c != '\n').count().saturating_add(1);
    PolicyError { line, column, policy, message, hint }
}

/// A remark about the text as a whole.
pub(super) fn whole(message: String) -> PolicyError {
    PolicyError { line: 1, column: 1, policy: None, message, hint: None }
}

/// What the parser found.
pub(super) fn syntax(text: &str, errors: &ParseErrors) -> Vec<PolicyError> {
    let mut found: Vec<_> = errors.iter().map(|error| of_diagnostic(text, error, None, 0)).collect();
    found.sort();
    found.dedup();
    found
}

/// Checks the policies against the schema. Errors are added to `errors`, warnings are returned.
pub(super) fn validated<'r>(
    text: &str,
    parsed: &cedar_policy::PolicySet,
    schema: &Schema,
    rule_of: impl Fn(&PolicyId) -> Option<&'r Rule>,
    errors: &mut Vec<PolicyError>,
) -> Vec<PolicyWarning> {
    let result = Validator::new(schema.clone()).validate(parsed, ValidationMode::Strict);
    let place = |id: &PolicyId, diagnostic: &dyn Diagnostic| {
        let rule = rule_of(id);
        let name = rule.map_or_else(|| id.to_string(), |rule| rule.name.clone());
        let mut found = of_diagnostic(text, diagnostic, Some(name.clone()), rule.map_or(0, |rule| rule.span.start));
        // Cedar names policies by number; people know them by their `@id`.
        found.message = found.message.replacen(&format!("for policy `{id}`, "), "", 1);
        found
    };
    errors.extend(result.validation_errors().map(|error| place(error.policy_id(), error)));
    result.validation_warnings().map(|warning| place(warning.policy_id(), warning)).collect()
}

fn of_diagnostic(text: &str, diagnostic: &dyn Diagnostic, policy: Option<String>, fallback: usize) -> PolicyError {
    let label = diagnostic.labels().and_then(|mut labels| labels.next());
    let offset = label.as_ref().map_or(fallback, miette::LabeledSpan::offset);
    let help = diagnostic.help().map(|help| help.to_string());
    let hint = help.or_else(|| label.as_ref().and_then(|label| label.label().map(str::to_owned)));
    at(text, offset, policy, diagnostic.to_string(), hint)
}
