//! What was counted, as a table, as an object, and as checks.

use crate::outside::Markers;
use crate::storm::Event;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What has happened so far, and what must be 0.
#[derive(Default, Debug)]
pub struct Tally {
    /// By kind.
    pub events: BTreeMap<Event, u64>,
    /// SIGKILLs of the daemon, whatever the event.
    pub kills: u64,
    /// Starts of a daemon that took over what the one before had left.
    pub restarts: u64,
    /// Starts that put other programs in the place of those on an interface, by one update of each link.
    pub replacements: u64,
    /// Packets of floods that have ended.
    pub flooded: u64,
    /// Of those who are permitted.
    pub lost_connections: u64,
    /// How often bytes came after a receipt.
    pub forwarded_after_receipt: u64,
    /// Sessions that were ended and are there again.
    pub lost_revocations: u64,
}

impl Tally {
    /// In one line.
    pub fn line(&self, leaks: u64) -> String {
        let Self { kills, restarts, lost_connections, forwarded_after_receipt, lost_revocations, .. } = self;
        let events: u64 = self.events.values().sum();
        let wrong = leaks + lost_connections + forwarded_after_receipt + lost_revocations;
        format!("{events} events, {kills} kills, {restarts} restarts, {wrong} wrong")
    }

    /// All of it.
    pub fn report(&self, minutes: f64, seed: u64, flooded: u64, markers: &Markers) -> Value {
        let (permitted, heard) = markers.permitted();
        let events: serde_json::Map<String, Value> = Event::ALL
            .iter()
            .map(|event| (event.name().to_owned(), json!(self.events.get(event).copied().unwrap_or_default())))
            .collect();
        json!({
            "minutes": minutes, "seed": seed,
            "kills": self.kills, "restarts": self.restarts, "replacements": self.replacements,
            "leaks": markers.leaks(), "lost_connections": self.lost_connections,
            "forwarded_after_receipt": self.forwarded_after_receipt, "lost_revocations": self.lost_revocations,
            "forbidden_markers": markers.forbidden(), "permitted_markers": permitted, "permitted_markers_heard": heard,
            "flood_packets": flooded, "flood_packets_per_second": (flooded as f64 / minutes / 60.0).round(),
            "events": events,
        })
    }
}

/// What must hold of a report.
pub fn checks(report: &Value) -> [(&'static str, bool); 5] {
    let count = |name: &str| report[name].as_u64().unwrap_or(u64::MAX);
    let heard = count("permitted_markers_heard").saturating_mul(10) > count("permitted_markers").saturating_mul(9);
    [
        ("no_marker_of_a_stranger_was_received", count("leaks") == 0 && count("forbidden_markers") > 0),
        ("the_markers_of_those_who_are_permitted_were_received", heard),
        ("no_permitted_connection_was_lost", count("lost_connections") == 0),
        ("nothing_was_forwarded_after_a_receipt", count("forwarded_after_receipt") == 0),
        ("no_acknowledged_revocation_was_lost", count("lost_revocations") == 0),
    ]
}

/// As a table.
pub fn print(report: &Value) {
    for (name, value) in report.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(events) => {
                println!("  {name}");
                events.iter().for_each(|(name, count)| println!("    {name:<28} {count:>12}"));
            }
            None => println!("  {name:<30} {:>12}", value.to_string()),
        }
    }
}
