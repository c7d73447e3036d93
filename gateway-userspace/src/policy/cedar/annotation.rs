//! What stands before a policy: its name, how old an authentication it accepts, until when it is in force, what is told and
//! recorded of what it determines, and what people note of it.

use super::time::Expiry;
use super::warning::nearest;
use super::{PolicyError, PolicyFile, Rule, place, who_in_scope};
use crate::policy::model::Logging;
use cedar_policy::{Effect, Policy};
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

const ID: &str = "id";
const REAUTHENTICATE: &str = "reauthenticate";
const EXPIRES: &str = "expires";
const REJECT: &str = "reject";
const LOG: &str = "log";
/// All that there are. The last four are for people, and mean nothing here.
const KNOWN: [&str; 9] = [ID, REAUTHENTICATE, EXPIRES, REJECT, LOG, "name", "owner", "ticket", "description"];

/// The policies of a file in the order of its text, with names and spans. Finds templates, and ages that are none.
pub(super) fn rules(
    number: usize,
    file: &PolicyFile,
    parsed: &cedar_policy::PolicySet,
    errors: &mut Vec<PolicyError>,
) -> Vec<Rule> {
    for template in parsed.templates() {
        let at = file.text.find(template.to_cedar().as_str()).unwrap_or(0);
        let message = String::from("templates are not supported: write a policy without `?principal` and `?resource`");
        errors.push(place::at(file, at, None, message, None));
    }
    let mut policies: Vec<&Policy> = parsed.policies().collect();
    policies.sort_by_key(|policy| order(policy));
    let mut rules = Vec::with_capacity(policies.len());
    let mut from = 0;
    for policy in policies {
        let span = span(&file.text, policy, from);
        from = span.end;
        rules.push(rule((number, file), policy, span, errors));
    }
    rules
}

/// Finds names that are given twice.
pub(super) fn refuse_twins(files: &[PolicyFile], rules: &[Rule], errors: &mut Vec<PolicyError>) {
    let mut names = HashSet::new();
    for rule in rules {
        let Some(file) = files.get(rule.file).filter(|_| !names.insert(rule.name.as_str())) else { continue };
        let message = format!("two policies are named `{}`", rule.name);
        let hint = Some(String::from("give each policy its own `@id`"));
        errors.push(place::at(file, spot(&file.text, &rule.span, ID), Some(rule.name.clone()), message, hint));
    }
}

fn rule(
    (number, file): (usize, &PolicyFile),
    policy: &Policy,
    span: Range<usize>,
    errors: &mut Vec<PolicyError>,
) -> Rule {
    let named = policy.annotation(ID).map(str::to_owned);
    let name = named.unwrap_or_else(|| format!("{}{}", file.prefix(), policy.id()));
    let mut wrong = |key: &str, message: String, hint: Option<&str>| {
        let at = spot(&file.text, &span, key);
        errors.push(place::at(file, at, Some(name.clone()), message, hint.map(str::to_owned)));
    };
    if name.trim().is_empty() {
        wrong(ID, String::from("the name of a policy is empty"), None);
    }
    for unknown in policy.annotations().map(|(key, _)| key).filter(|key| !KNOWN.contains(key)) {
        let near = nearest(unknown, &BTreeSet::from(KNOWN)).map(|near| format!("did you mean `@{near}`?"));
        let all = || format!("there are {}", KNOWN.map(|key| format!("`@{key}`")).join(", "));
        wrong(unknown, format!("`@{unknown}` is not an annotation"), Some(&near.unwrap_or_else(all)));
    }
    let until = policy.annotation(EXPIRES);
    let expires = until.and_then(Expiry::parse);
    if let (Some(until), None) = (until, expires) {
        let hint = Some("write the last day, like `2026-12-31`, or a moment, like `2026-12-31T18:00:00+01:00`");
        wrong(EXPIRES, format!("`{until}` is neither a day nor a moment"), hint);
    }
    let given = policy.annotation(REAUTHENTICATE);
    let reauthenticate = given.and_then(age);
    if let (Some(given), None) = (given, reauthenticate) {
        let hint = Some("write a whole number and `s`, `m`, `h` or `d`, like `8h`");
        wrong(REAUTHENTICATE, format!("`{given}` is not an age"), hint);
    }
    if given.is_some() && policy.effect() == Effect::Forbid {
        wrong(REAUTHENTICATE, String::from("`@reauthenticate` has a meaning on `permit` only"), None);
    }
    let reject = policy.annotation(REJECT);
    if policy.effect() == Effect::Permit && reject.is_some() {
        let hint = Some("whoever a policy permits something is not denied by it; write it before the `forbid`");
        wrong(REJECT, String::from("`@reject` has a meaning on `forbid` only"), hint);
    } else if let Some(value) = reject.filter(|value| !value.is_empty()) {
        let hint = Some("write `@reject` alone, or nothing");
        wrong(REJECT, format!("`@reject` takes no value, and here is `{value}`"), hint);
    }
    let word = policy.annotation(LOG);
    let log = word.and_then(logging);
    if let (Some(word), None) = (word, log) {
        let all = Logging::ALL.map(|log| format!("`@log(\"{}\")`", log.label())).join(", ");
        wrong(LOG, format!("`{word}` is not what `@log` knows"), Some(&format!("there are {all}")));
    }
    let (policy, who, reject) = (policy.clone(), who_in_scope(policy), reject.is_some());
    Rule { policy, name, file: number, span, who, reauthenticate, expires, reject, log }
}

/// The parser numbers policies in the order of the text.
fn order(policy: &Policy) -> usize {
    policy.id().to_string().trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

fn span(text: &str, policy: &Policy, from: usize) -> Range<usize> {
    let own = policy.to_cedar().unwrap_or_default();
    let start = text.get(from..).and_then(|rest| rest.find(&own)).map_or(from, |at| at.saturating_add(from));
    start..start.saturating_add(own.len()).min(text.len())
}

/// Where the annotation `key` of a policy stands, or else its beginning.
pub(super) fn spot(text: &str, span: &Range<usize>, key: &str) -> usize {
    let offset = text.get(span.clone()).and_then(|own| own.find(&format!("@{key}"))).unwrap_or(0);
    span.start.saturating_add(offset)
}

fn logging(word: &str) -> Option<Logging> {
    Logging::ALL.into_iter().find(|log| log.label() == word)
}

/// `90s`, `30m`, `8h` or `7d` in nanoseconds; not zero.
fn age(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let count = digits.parse::<u64>().ok().filter(|count| plain && *count > 0)?;
    count.checked_mul(seconds)?.checked_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_are_whole_numbers_with_a_unit() {
        let second = 1_000_000_000;
        for (text, nanos) in [("90s", 90), ("30m", 1_800), ("8h", 28_800), ("7d", 604_800)] {
            assert_eq!(age(text), Some(nanos * second), "{text}");
        }
        for text in ["", "h", "8", "8 h", "0h", "-1h", "+1h", "8H", "1.5h", "99999999999999d", "8µ"] {
            assert_eq!(age(text), None, "{text}");
        }
    }
}
