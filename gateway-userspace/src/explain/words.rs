//! Numbers and names in sentences.

use std::time::Duration;

/// `9 hours`, `1 day 2 hours`: the two largest units that are not 0.
pub(super) fn span(span: Duration) -> String {
    let mut left = span.as_secs();
    let mut parts = Vec::new();
    for (unit, seconds) in [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)] {
        let count = left / seconds;
        left %= seconds;
        if count != 0 {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
    }
    parts.truncate(2);
    if parts.is_empty() { String::from("less than a second") } else { parts.join(" ") }
}

/// `a`, `a and b`, `a, b and c`, each in backticks.
pub(super) fn list<T: ToString>(names: &[T]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.to_string())).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// ``policy `a` permits``, ``policies `a` and `b` permit``: the verb without its ending.
pub(super) fn policies(names: &[String], verb: &str) -> String {
    match names {
        [_] => format!("policy {} {verb}s", list(names)),
        names => format!("policies {} {verb}", list(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_lists_are_read_aloud_as_they_stand() {
        for (seconds, expected) in [
            (0, "less than a second"),
            (1, "1 second"),
            (28_800, "8 hours"),
            (93_784, "1 day 2 hours"),
            (3_660, "1 hour 1 minute"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(
            [list(&["a"]), list(&["a", "b"]), list(&["a", "b", "c"])],
            ["`a`", "`a` and `b`", "`a`, `b` and `c`"]
        );
        assert_eq!(policies(&["a".into()], "permit"), "policy `a` permits");
        assert_eq!(policies(&["a".into(), "b".into()], "permit"), "policies `a` and `b` permit");
    }
}
