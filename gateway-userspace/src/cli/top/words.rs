//! Rates as rows of text, for the screen and for where there is none.

use super::rates::{App, Drop, Interface, Rates};
use crate::cli::field::{self, port};
use crate::cli::output::plain;
use crate::cli::sentence::{bytes, micros, moment};
use crate::cli::table::endpoint;
use crate::wire::Record;
use serde_json::Value;

/// A table of the screen: its title, its columns, and its rows.
pub(super) struct Rows {
    pub(super) title: &'static str,
    pub(super) head: &'static [&'static str],
    /// Columns that are numbers, by their place.
    pub(super) numbers: &'static [usize],
    pub(super) rows: Vec<Vec<String>>,
    pub(super) none: String,
}

pub(super) fn interfaces(interfaces: &[Interface], spark: impl Fn(&Interface) -> String) -> Rows {
    let row = |one: &Interface| {
        vec![plain(&one.name), count(one.forwarded), count(one.dropped), count(one.to_host), spark(one)]
    };
    Rows {
        title: "Interfaces, packets a second",
        head: &["interface", "forwarded", "dropped", "to host", "forwarded until now"],
        numbers: &[1, 2, 3],
        rows: interfaces.iter().map(row).collect(),
        none: "no interface is guarded".to_owned(),
    }
}

pub(super) fn apps<'a>(apps: impl Iterator<Item = &'a App>) -> Rows {
    let row = |one: &App| vec![plain(&one.name), rate(one.to_app_bytes), rate(one.to_client_bytes)];
    Rows {
        title: "Apps, bytes a second",
        head: &["app", "to the app", "to clients"],
        numbers: &[1, 2],
        rows: apps.map(row).collect(),
        none: "there is no app".to_owned(),
    }
}

pub(super) fn drops<'d>(drops: impl Iterator<Item = &'d Drop>) -> Rows {
    let row = |one: &Drop| vec![plain(&one.reason), count(one.rate), one.total.to_string()];
    Rows {
        title: "Drops, packets a second",
        head: &["reason", "dropped", "in all"],
        numbers: &[1, 2],
        rows: drops.map(row).collect(),
        none: "nothing was dropped".to_owned(),
    }
}

pub(super) fn denials(rates: &Rates) -> Rows {
    let row = |record: &Record| {
        let [who, from, app, to, protocol, reason, packets] =
            ["user", "source", "app", "destination", "protocol", "reason", "packets"].map(|name| text(record, name));
        let to = format!("{}/{protocol}", endpoint(&to, port(record, "port")));
        vec![time(record), who, from, app, to, reason, packets]
    };
    Rows {
        title: "Latest denials",
        head: &["time", "who", "from", "app", "to", "why", "packets"],
        numbers: &[6],
        rows: rates.denials.iter().map(row).collect(),
        none: none(rates),
    }
}

pub(super) fn ends(rates: &Rates) -> Rows {
    let row = |record: &Record| {
        let [who, from, cause, by, cut] = ["user", "source", "cause", "by", "flows_cut"].map(|name| text(record, name));
        let after = record.fields.get("enforced_after_us").and_then(Value::as_f64);
        vec![time(record), who, from, cause, by, after.map_or_else(|| "-".to_owned(), micros), cut]
    };
    Rows {
        title: "Latest ends of sessions",
        head: &["time", "who", "from", "why", "by", "enforced in", "cut"],
        numbers: &[5, 6],
        rows: rates.ends.iter().map(row).collect(),
        none: none(rates),
    }
}

/// Everything once, for where there is no terminal.
pub(in crate::cli) fn words(rates: &Rates) -> String {
    let Rates { at, seconds, sessions, flows, .. } = rates;
    let mut text = format!("{}  sessions {sessions}  flows {flows}  over {seconds:.1} s\n", moment(*at));
    let all = [
        interfaces(&rates.interfaces, |_| String::new()),
        apps(rates.apps.iter()),
        drops(rates.drops.iter()),
        denials(rates),
        ends(rates),
    ];
    for Rows { title, head, numbers, rows, none } in all {
        text.push_str(&format!("\n{title}\n"));
        if rows.is_empty() {
            text.push_str(&format!("  {none}\n"));
            continue;
        }
        let is_shown = |at: usize| rows.iter().any(|row| row.get(at).is_some_and(|cell| !cell.is_empty()));
        let head: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
        let width =
            |at: usize| rows.iter().chain([&head]).filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        for row in [&head].into_iter().chain(&rows) {
            let cell = |(at, cell): (usize, &String)| {
                let gap = " ".repeat(width(at).unwrap_or_default().saturating_sub(cell.chars().count()));
                if numbers.contains(&at) { format!("{gap}{cell}") } else { format!("{cell}{gap}") }
            };
            let cells: Vec<_> = row.iter().enumerate().filter(|(at, _)| is_shown(*at)).map(cell).collect();
            text.push_str(&format!("  {}\n", cells.join("  ").trim_end()));
        }
    }
    text
}

fn none(rates: &Rates) -> String {
    rates.records_unknown.as_deref().map_or_else(|| "none".to_owned(), plain)
}

/// `0`, `2.5`, `1234`
fn count(rate: f64) -> String {
    if rate == 0.0 || rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

fn rate(rate: f64) -> String {
    // Saturates.
    format!("{}/s", bytes(rate.round() as u64))
}

fn text(record: &Record, name: &str) -> String {
    field::text(record, &[name]).map_or_else(|| "-".to_owned(), |text| plain(&text))
}

/// The time of the day.
fn time(record: &Record) -> String {
    let moment = field::time(record).map(moment);
    moment.and_then(|moment| moment.get(11..19).map(str::to_owned)).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::rates::tests::reading;
    use super::*;
    use serde_json::json;

    #[test]
    fn where_a_denied_packet_was_to_go_is_readable_for_ipv6_and_without_a_port() {
        let to = |destination: &str, port: u16, protocol: &str| {
            let fields = json!({ "sequence": 1, "destination": destination, "port": port, "protocol": protocol });
            let mut rates = Rates::between(&reading(10, 1, 1, 1), &reading(12, 1, 1, 1));
            rates.denials = vec![serde_json::from_value(fields).unwrap()];
            denials(&rates).rows[0][4].clone()
        };
        assert_eq!(to("2001:db8::7", 443, "tcp"), "[2001:db8::7]:443/tcp");
        assert_eq!(to("198.51.100.7", 0, "icmp"), "198.51.100.7/icmp");
    }

    #[test]
    fn a_snapshot_in_words_has_every_table_and_obeys_no_name() {
        let text = words(&Rates::between(&reading(10, 100, 20, 1_000), &reading(12, 500, 25, 9_000)));
        for line in [
            "2026-11-21 10:00:12Z  sessions 2  flows 3  over 2.0 s",
            "  interface  forwarded  dropped  to host",
            "  eth1             200      2.5        0",
            "  wiki       0 B/s   16.0 kB/s",
            "  no_grant        2.5      25",
            "  10:00:01  eve\u{fffd}[2J  10.9.0.7  vault  198.51.100.50:443/tcp  no_grant        3",
            "  10:00:02  ada  10.9.0.2  revoked  ops        84 µs    3",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}:\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
