//! Two readings of the counters, and what happened between them.

use crate::cli::samples::Samples;
use crate::wire::Record;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use time::OffsetDateTime;

/// What the gateway said at a time.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Reading {
    /// On a clock that is not set.
    pub(in crate::cli) at: Duration,
    pub(in crate::cli) wall: OffsetDateTime,
    pub(in crate::cli) samples: Samples,
    /// The latest denials, the newest first; why there are none, if they cannot be asked for.
    pub(in crate::cli) denials: Result<Vec<Record>, String>,
    /// The latest ends of sessions, alike.
    pub(in crate::cli) ends: Result<Vec<Record>, String>,
}

/// What happened between two readings, a second.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct Rates {
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    /// Between the readings.
    pub(super) seconds: f64,
    pub(super) sessions: u64,
    pub(super) flows: u64,
    pub(super) interfaces: Vec<Interface>,
    /// The most bytes first.
    pub(super) apps: Vec<App>,
    /// The most packets first.
    pub(super) drops: Vec<Drop>,
    pub(super) denials: Vec<Record>,
    pub(super) ends: Vec<Record>,
    /// Why there are none of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) records_unknown: Option<String>,
}

/// Packets of a guarded interface, a second.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) forwarded: f64,
    pub(super) to_host: f64,
    pub(super) dropped: f64,
}

/// Bytes of an app, a second.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct App {
    pub(super) name: String,
    pub(super) to_app_bytes: f64,
    pub(super) to_client_bytes: f64,
}

/// Packets dropped for a reason, a second, and in all.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Drop {
    pub(super) reason: String,
    pub(super) rate: f64,
    pub(super) total: u64,
}

impl App {
    pub(super) fn bytes(&self) -> f64 {
        self.to_app_bytes + self.to_client_bytes
    }
}

/// Counters of one name in two readings, by some of their labels.
struct Grown<'r, const N: usize> {
    seconds: f64,
    then: BTreeMap<[&'r str; N], f64>,
    now: BTreeMap<[&'r str; N], f64>,
}

impl<'r, const N: usize> Grown<'r, N> {
    fn between(before: &'r Reading, now: &'r Reading, name: &str, labels: [&str; N]) -> Self {
        let [then, counted] = [before, now].map(|reading| reading.samples.by(name, labels));
        Self { seconds: between(before, now), then, now: counted }
    }

    fn rate(&self, values: [&str; N]) -> f64 {
        let [then, now] = [&self.then, &self.now].map(|counted| counted.get(&values).copied().unwrap_or_default());
        // A counter that has fallen began anew.
        (if now < then { now } else { now - then }) / self.seconds
    }

    /// All values of the first label.
    fn names(&self) -> BTreeSet<&'r str> {
        self.now.keys().filter_map(|values| values.first().copied()).collect()
    }
}

/// In seconds.
fn between(before: &Reading, now: &Reading) -> f64 {
    now.at.saturating_sub(before.at).as_secs_f64().max(0.001)
}

impl Rates {
    pub(in crate::cli) fn between(before: &Reading, now: &Reading) -> Self {
        let gauge = |name| now.samples.sum(name, &[]).unwrap_or_default() as u64;
        let packets = Grown::between(before, now, "portcullis_packets_total", ["interface", "verdict"]);
        let interface = |name: &str| Interface {
            name: name.to_owned(),
            forwarded: packets.rate([name, "forward"]),
            to_host: packets.rate([name, "to_host"]),
            dropped: packets.rate([name, "drop"]),
        };
        let bytes = Grown::between(before, now, "portcullis_app_bytes_total", ["app", "direction"]);
        let app = |name: &str| App {
            name: name.to_owned(),
            to_app_bytes: bytes.rate([name, "to_app"]),
            to_client_bytes: bytes.rate([name, "to_client"]),
        };
        let dropped = Grown::between(before, now, "portcullis_drops_total", ["reason"]);
        let drop = |([reason], total): (&[&str; 1], &f64)| Drop {
            reason: (*reason).to_owned(),
            rate: dropped.rate([reason]),
            // Saturates.
            total: *total as u64,
        };
        let mut apps: Vec<_> = bytes.names().into_iter().map(app).collect();
        apps.sort_by(|one, other| other.bytes().total_cmp(&one.bytes()));
        let mut drops: Vec<_> = dropped.now.iter().filter(|(_, total)| **total != 0.0).map(drop).collect();
        drops.sort_by(|one, other| other.rate.total_cmp(&one.rate).then_with(|| other.total.cmp(&one.total)));
        let unknown = [&now.denials, &now.ends].into_iter().find_map(|records| records.as_ref().err());
        Self {
            at: now.wall,
            seconds: between(before, now),
            sessions: gauge("portcullis_sessions"),
            flows: gauge("portcullis_flows"),
            interfaces: packets.names().into_iter().map(interface).collect(),
            apps,
            drops,
            denials: now.denials.clone().unwrap_or_default(),
            ends: now.ends.clone().unwrap_or_default(),
            records_unknown: unknown.cloned(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What a gateway says, when these packets and bytes have passed.
    pub(in crate::cli::top) fn reading(seconds: u64, forwarded: u64, dropped: u64, bytes: u64) -> Reading {
        let text = format!(
            "portcullis_sessions 2\nportcullis_flows 3\n\
             portcullis_packets_total{{interface=\"eth1\",verdict=\"forward\"}} {forwarded}\n\
             portcullis_packets_total{{interface=\"eth1\",verdict=\"drop\"}} {dropped}\n\
             portcullis_packets_total{{interface=\"eth2\",verdict=\"to_host\"}} 7\n\
             portcullis_drops_total{{interface=\"eth1\",reason=\"no_grant\"}} {dropped}\n\
             portcullis_drops_total{{interface=\"eth2\",reason=\"no_grant\"}} 0\n\
             portcullis_drops_total{{interface=\"eth1\",reason=\"no_session\"}} 5\n\
             portcullis_drops_total{{interface=\"eth1\",reason=\"spoofed\"}} 0\n\
             portcullis_app_bytes_total{{app=\"crm\",direction=\"to_app\"}} {bytes}\n\
             portcullis_app_bytes_total{{app=\"wiki\",direction=\"to_client\"}} {}\n",
            bytes * 4
        );
        Reading {
            at: Duration::from_secs(seconds),
            wall: OffsetDateTime::from_unix_timestamp(1_795_255_200).unwrap() + Duration::from_secs(seconds),
            samples: Samples::parse(&text),
            denials: Ok(vec![record(
                json!({ "time": "2026-11-21T10:00:01.5Z", "user": "eve\u{1b}[2J", "source": "10.9.0.7", "app": "vault",
                    "destination": "198.51.100.50", "port": 443, "protocol": "tcp", "reason": "no_grant", "packets": 3 }),
            )]),
            ends: Ok(vec![record(json!({ "time": "2026-11-21T10:00:02Z", "user": "ada", "source": "10.9.0.2",
                    "cause": "revoked", "by": "ops", "enforced_after_us": 84.2, "flows_cut": 3 }))]),
        }
    }

    fn record(fields: Value) -> Record {
        serde_json::from_value(json!({ "sequence": 1, "type": "x" }).as_object().map_or(Value::Null, |head| {
            let all = head.iter().chain(fields.as_object().unwrap());
            all.map(|(name, value)| (name.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into()
        }))
        .unwrap()
    }

    #[test]
    fn rates_are_what_came_between_two_readings_a_second() {
        let rates = Rates::between(&reading(10, 100, 20, 1_000), &reading(14, 500, 28, 9_000));
        let [eth1, eth2] = &rates.interfaces[..] else { panic!("{rates:?}") };
        assert_eq!((eth1.name.as_str(), eth1.forwarded, eth1.dropped, eth2.to_host), ("eth1", 100.0, 2.0, 0.0));
        let apps: Vec<_> = rates.apps.iter().map(|app| (app.name.as_str(), app.bytes())).collect();
        assert_eq!(apps, [("wiki", 8_000.0), ("crm", 2_000.0)]);
        let drops: Vec<_> = rates.drops.iter().map(|drop| (drop.reason.as_str(), drop.rate, drop.total)).collect();
        assert_eq!(drops, [("no_grant", 2.0, 28), ("no_session", 0.0, 5)]);
        assert_eq!((rates.sessions, rates.flows, rates.seconds), (2, 3, 4.0));
    }

    #[test]
    fn a_counter_that_began_anew_counts_from_nothing() {
        let rates = Rates::between(&reading(10, 1_000, 20, 0), &reading(12, 50, 20, 0));
        assert_eq!((rates.interfaces[0].forwarded, rates.interfaces[0].dropped), (25.0, 0.0));
    }
}
