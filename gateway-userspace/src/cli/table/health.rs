//! Whether apps answer, in words.

use super::Value;
use crate::cli::sentence::span;
use crate::wire::{AddressHealth, App, AppHealth, HealthCheck, TimedHealthCheck};
use time::OffsetDateTime;

/// `up`, `down for 5 min`, `2 of 3 up`.
pub(super) fn app(found: &AppHealth, now: OffsetDateTime) -> Value {
    let AppHealth { state, since, addresses } = found;
    match (&state[..], since) {
        ("partly", _) => {
            let up = addresses.iter().filter(|address| address.state == "up").count();
            Value::Odd(format!("{up} of {} up", addresses.len()))
        }
        ("down", Some(since)) => Value::Odd(format!("down for {}", span(now - *since))),
        ("down", None) => Value::Odd(state.clone()),
        _ => state.into(),
    }
}

/// How an app is tried, and what was found at each address; nothing if it has no check.
pub(super) fn fields(app: &App, now: OffsetDateTime) -> Vec<(&'static str, Value)> {
    let Some(check) = &app.health else { return Vec::new() };
    let mut fields = vec![("health check", tried(check).into())];
    let addresses = app.health_state.iter().flat_map(|found| &found.addresses);
    fields.extend(addresses.map(|found| ("at", address(found, now))));
    fields
}

fn tried(check: &HealthCheck) -> String {
    match check {
        HealthCheck::Check(check) => check.clone(),
        HealthCheck::Timed(TimedHealthCheck { check, every, timeout, failures }) => {
            let every = every.iter().map(|every| format!("every {every}"));
            let timeout = timeout.iter().map(|timeout| format!("within {timeout}"));
            let failures = failures.iter().map(|failures| format!("down after {failures} failures"));
            let times: Vec<String> = every.chain(timeout).chain(failures).collect();
            if times.is_empty() { check.clone() } else { format!("{check} ({})", times.join(", ")) }
        }
    }
}

fn address(found: &AddressHealth, now: OffsetDateTime) -> Value {
    let AddressHealth { address, state, since, tried_at: _, answered_ms, error, detail } = found;
    let since = since.map(|since| format!(" for {}", span(now - since))).unwrap_or_default();
    let took = answered_ms.filter(|_| state == "up").map(|took| format!(", in {took} ms")).unwrap_or_default();
    let why = match (error, detail) {
        (Some(error), Some(detail)) => format!(": {error} ({detail})"),
        (Some(error), None) => format!(": {error}"),
        (None, _) => String::new(),
    };
    let text = format!("{address} {state}{since}{took}{why}");
    if error.is_some() { Value::Odd(text) } else { text.into() }
}
