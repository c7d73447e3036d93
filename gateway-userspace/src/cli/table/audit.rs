//! Entries of the audit trail: who, what, and everything else in a few words.

use super::rows::joined;
use super::{Listed, Shown, Value};
use crate::cli::sentence::moment;
use crate::wire::{AuditEntry, AuditFlaw, AuditHead};
use serde_json::Value as Json;
use time::OffsetDateTime;

/// Characters of a summary. All of it is in the JSON.
const LONGEST: usize = 160;

impl Listed for AuditEntry {
    const HEADER: &'static [&'static str] = &["entry", "when", "type", "by", "user", "what"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let Self { seq, time, kind, fields, prev: _, hash: _ } = self;
        let known = |name: &str| fields.get(name).and_then(Json::as_str).unwrap_or("-").to_owned();
        let rest = fields.iter().filter(|(name, _)| !matches!(name.as_str(), "by" | "user"));
        let what = rest.map(|(name, value)| format!("{name}={}", brief(value))).collect::<Vec<_>>().join(" ");
        let what = match what.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", what.get(..end).unwrap_or_default()),
            None => what,
        };
        let is_odd = matches!(
            kind.as_str(),
            "chain_broken" | "break_found" | "unfinished_line" | "entries_lost" | "login_failed" | "admin_refused"
        );
        let kind = if is_odd { Value::Odd(kind.clone()) } else { kind.into() };
        vec![seq.into(), moment(*time).into(), kind, known("by").into(), known("user").into(), what.into()]
    }
}

fn brief(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(brief).collect::<Vec<_>>().join(","),
        Json::Object(fields) => match fields.get("app") {
            Some(app) => brief(app),
            None => fields.iter().map(|(name, value)| format!("{name}:{}", brief(value))).collect::<Vec<_>>().join(","),
        },
        other => other.to_string(),
    }
}

impl Shown for AuditHead {
    fn fields(&self, _: OffsetDateTime) -> Vec<(&'static str, Value)> {
        let Self { head, time, intact, flaws, waiting, lost } = self;
        let flaw = |AuditFlaw { file, line, flaw, means: _ }: &AuditFlaw| format!("{file}:{line} {flaw}");
        let odd_above_0 = |count: u64| if count == 0 { 0.into() } else { Value::Odd(count.to_string()) };
        let state = match intact {
            true => "nothing was found broken".into(),
            false => Value::Odd(format!("broken at {}", joined(flaws.iter().map(flaw)))),
        };
        vec![
            ("head", head.as_deref().unwrap_or("-").into()),
            ("written", time.map_or_else(|| "-".to_owned(), moment).into()),
            ("state", state),
            ("waiting", waiting.into()),
            ("lost", odd_above_0(*lost)),
        ]
    }
}
