//! How access ended, and how fast.

use super::cells::{columns, more, number, text, time_of};
use super::{Bar, Bars, Section, Table};
use crate::cli::output::plain;
use crate::cli::report::figures::Figures;
use crate::cli::sentence::micros;
use crate::wire::{DigestLatency, Record};
use serde_json::Value;

pub(super) fn revocations(figures: &Figures) -> Section {
    let revocations = &figures.revocations;
    let time = |what: &str, latency: &DigestLatency| {
        let us = |us: Option<f64>| us.map_or_else(|| "–".to_owned(), micros);
        vec![
            what.to_owned(),
            number(latency.count as u64),
            us(latency.median_us),
            us(latency.p95_us),
            us(latency.worst_us),
        ]
    };
    let recent = |record: &Record| {
        let us = |name| record.fields.get(name).and_then(Value::as_f64);
        let last = match us("last_packet_after_request_us") {
            None => "none".to_owned(),
            Some(us) if us < 0.0 => format!("{} before", micros(-us)),
            Some(us) => format!("{} after", micros(us)),
        };
        let enforced = us("enforced_after_us").map_or_else(|| "–".to_owned(), micros);
        let words = ["user", "cause", "by"].map(|name| text(record, name));
        let [user, cause, by] = words;
        vec![time_of(record), user, cause, by, enforced, last, text(record, "flows_cut")]
    };
    let causes = revocations.by_cause.iter().map(|(cause, count)| vec![plain(cause), number(*count)]);
    Section {
        id: "revocations",
        title: "How access ended",
        intro: "Every session that ended: from the moment at which the request had been read to the one from which the kernel \
                forwards nothing, and to the last packet that was forwarded."
            .to_owned(),
        bars: bars(&revocations.enforced),
        tables: vec![
            Table {
                caption: "How long it took",
                head: columns(&["From the request", "#Sessions", "#Median", "#95 of 100", "#Worst"]),
                rows: vec![
                    time("to the end of forwarding", &revocations.enforced),
                    time("to the last packet (0 if that was before)", &revocations.last_packet),
                ],
                ..Table::default()
            },
            Table {
                caption: "Why sessions ended",
                head: columns(&["Cause", "#Sessions"]),
                rows: causes.collect(),
                none: "No session ended.",
                ..Table::default()
            },
            Table {
                caption: "The latest",
                head: columns(&["When", "Person", "Cause", "By", "#Enforced after", "#Last packet", "#Connections cut"]),
                rows: revocations.recent.iter().map(recent).collect(),
                none: "No session ended.",
                more: more(usize::try_from(figures.totals.session_ends).unwrap_or(usize::MAX).saturating_sub(revocations.recent.len()), "sessions"),
            },
        ],
        ..Section::default()
    }
}

fn bars(latency: &DigestLatency) -> Option<Bars> {
    /// The height of the highest, the width of each with the gap after it, and where they begin.
    const HEIGHT: usize = 110;
    const STEP: usize = 56;
    const TOP: usize = 20;
    let most = latency.buckets.iter().map(|bucket| bucket.count).max().filter(|most| *most != 0)?;
    let before = [None].into_iter().chain(latency.buckets.iter().map(|bucket| bucket.up_to_us));
    let bars = latency.buckets.iter().zip(before).enumerate().map(|(at, (bucket, before))| {
        let height = bucket.count.saturating_mul(HEIGHT).div_ceil(most);
        let x = at.saturating_mul(STEP);
        let y = TOP.saturating_add(HEIGHT).saturating_sub(height);
        let label = match (bucket.up_to_us, before) {
            (Some(up_to), _) => format!("≤ {}", short(up_to)),
            (None, Some(before)) => format!("> {}", short(before)),
            (None, None) => String::new(),
        };
        let count = if bucket.count == 0 { String::new() } else { number(bucket.count as u64) };
        Bar { x, middle: x.saturating_add(STEP / 2), y, above: y.saturating_sub(5), height, label, count }
    });
    let told = latency.buckets.iter().zip(bars.clone()).filter(|(bucket, _)| bucket.count != 0);
    let told: Vec<_> = told.map(|(_, bar)| format!("{}: {}", bar.label, bar.count)).collect();
    Some(Bars {
        title: "Sessions by how long it took until the kernel forwarded nothing".to_owned(),
        desc: told.join("; "),
        bars: bars.collect(),
    })
}

/// `300 µs`, `3 ms`
fn short(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.0} s", us / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_in_the_unit_that_suits_them() {
        assert_eq!([10.0, 3e3, 1e6].map(short), ["10 µs", "3 ms", "1 s"]);
    }
}
