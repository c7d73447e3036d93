//! The health check of an app: a text, or a table.

use crate::config::value::Value;
use crate::wire::{HealthCheck, TimedHealthCheck};
use std::collections::BTreeMap;

const EXAMPLE: &str = "443/tcp";

/// What the value says; its places are kept under the names that errors use.
pub(super) fn read<'r, 't>(value: Value<'r, 't>, places: &mut BTreeMap<String, Value<'r, 't>>) -> Option<HealthCheck> {
    match value.kind() {
        "a string" => {
            let text = value.text(EXAMPLE)?.to_owned();
            places.insert("health".to_owned(), value);
            Some(HealthCheck::Check(text))
        }
        "a table" => timed(value, places).map(HealthCheck::Timed),
        other => {
            value.refuse(
                format!("is {other} and should be a string or a table"),
                format!("write it like `\"{EXAMPLE}\"`"),
            );
            None
        }
    }
}

fn timed<'r, 't>(value: Value<'r, 't>, places: &mut BTreeMap<String, Value<'r, 't>>) -> Option<TimedHealthCheck> {
    let mut section = value.into_section("write a table");
    let check = section.required("check", "check = \"443/tcp\"");
    let (every, timeout) = (section.value("every"), section.value("timeout"));
    let failures = section.value("failures");
    drop(section);
    let mut text = |value: Option<Value<'r, 't>>, key: &str, example: &str| {
        let value = value?;
        let text = value.text(example).map(str::to_owned);
        places.insert(format!("health.{key}"), value);
        text
    };
    let check = text(check, "check", EXAMPLE);
    let (every, timeout) = (text(every, "every", "30 s"), text(timeout, "timeout", "5 s"));
    let failures = failures.and_then(|value| {
        let number = value.integer(0..=i64::MAX.unsigned_abs());
        places.insert("health.failures".to_owned(), value);
        number
    });
    Some(TimedHealthCheck { check: check?, every, timeout, failures })
}
