//! The report as a page: HTML with its style and its picture in it, and nothing that is loaded. Whatever is a name is shown
//! without what a reader's program could take for a command, and the template escapes it.

use super::figures::{FEW_BYTES, FEW_DENIED, Figures, GrantUse, Names, Use};
use super::odd::{FAR, FEWEST, Odd, SCALE};
use crate::cli::CliError;
use crate::cli::field;
use crate::cli::output::plain;
use crate::cli::sentence::{bytes, micros, moment};
use crate::wire::{DigestDenied, DigestEvent, DigestLatency, Reached, Record};
use askama::Template as _;
use gateway_common::DropReason;
use serde_json::Value;
use time::OffsetDateTime;

#[derive(askama::Template)]
#[template(path = "report.html")]
struct Page {
    period: String,
    about: Vec<(&'static str, String)>,
    tiles: Vec<Tile>,
    findings: Vec<Finding>,
    sections: Vec<Section>,
}

/// A number and what it is.
struct Tile {
    number: String,
    what: &'static str,
}

/// A sentence at the beginning, and where it leads.
struct Finding {
    text: String,
    to: &'static str,
    is_odd: bool,
}

struct Section {
    id: &'static str,
    title: &'static str,
    intro: String,
    notes: Vec<String>,
    bars: Option<Bars>,
    tables: Vec<Table>,
}

struct Table {
    caption: &'static str,
    head: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// What is said where there is no row.
    none: &'static str,
    /// What is left out.
    more: String,
}

struct Column {
    title: &'static str,
    is_number: bool,
}

/// A histogram.
struct Bars {
    title: String,
    desc: String,
    bars: Vec<Bar>,
}

/// A bar, in the units of the picture.
struct Bar {
    x: usize,
    middle: usize,
    y: usize,
    above: usize,
    height: usize,
    label: String,
    count: String,
}

/// The page.
pub(in crate::cli) fn page(figures: &Figures) -> Result<String, CliError> {
    let Figures { since, until, made_at, gateway_version, policy_generation, .. } = figures;
    let page = Page {
        period: format!("{} to {}", day(*since), day(*until)),
        about: vec![
            ("Period", format!("{} to {}", moment(*since), moment(*until))),
            ("Made", moment(*made_at)),
            ("Gateway", format!("Portcullis {}", plain(gateway_version))),
            ("Policy in force", format!("generation {policy_generation}")),
            ("Head of the audit trail", head(figures)),
        ],
        tiles: tiles(figures),
        findings: findings(figures),
        sections: vec![
            unused(figures),
            uses(figures),
            denials(figures),
            revocations(figures),
            logins(figures),
            oddities(figures),
            changes(figures),
            missing(figures),
        ],
    };
    Ok(page.render()?)
}

fn tiles(figures: &Figures) -> Vec<Tile> {
    let totals = &figures.totals;
    let tile = |count: u64, one, many| Tile { number: number(count), what: if count == 1 { one } else { many } };
    let forwarded = totals.to_app_bytes.saturating_add(totals.to_client_bytes);
    vec![
        tile(totals.people as u64, "person who reached something", "people who reached something"),
        tile(totals.apps as u64, "app that was reached", "apps that were reached"),
        tile(totals.connections, "connection", "connections"),
        Tile { number: bytes(forwarded), what: "forwarded, in connections that ended" },
        tile(totals.denied_packets, "packet denied", "packets denied"),
        tile(totals.logins, "login", "logins"),
        tile(totals.failed_logins, "login that failed", "logins that failed"),
        tile(totals.session_ends, "session ended", "sessions ended"),
        tile(totals.changes, "change by an administrator", "changes by administrators"),
    ]
}

fn findings(figures: &Figures) -> Vec<Finding> {
    let finding = |text, to, is_odd| Finding { text, to, is_odd };
    let unused = figures.unused_grants.items.len().saturating_add(figures.unused_grants.more);
    let enforced = &figures.revocations.enforced;
    let mut findings = vec![match unused {
        0 if figures.unrecorded_apps.count == 0 => {
            finding("Every grant was used by somebody.".to_owned(), "unused", false)
        }
        0 => finding("Every grant that leaves records was used by somebody.".to_owned(), "unused", false),
        1 => finding("One grant was used by nobody: it can perhaps go.".to_owned(), "unused", true),
        many => {
            finding(format!("{} grants were used by nobody: they can perhaps go.", number(many as u64)), "unused", true)
        }
    }];
    findings.push(match (enforced.median_us, enforced.p95_us, enforced.worst_us) {
        (Some(median), Some(p95), Some(worst)) => {
            let [median, p95, worst] = [median, p95, worst].map(micros);
            finding(
                format!("Access ended within {median} in the median, {p95} in 95 of 100 cases, {worst} at worst."),
                "revocations",
                false,
            )
        }
        _ => finding("No session ended.".to_owned(), "revocations", false),
    });
    let odd = figures.odd.denied_packets.above.len().saturating_add(figures.odd.bytes.above.len());
    if odd != 0 {
        let who = if odd == 1 { "One number is" } else { "Some numbers are" };
        findings.push(finding(format!("{who} far above what is usual here."), "odd", true));
    }
    let missing = &figures.missing;
    let is_whole = missing.lost_events == 0 && missing.lost_records == 0 && missing.damaged_files == 0;
    findings.push(match (is_whole, missing.begins_late) {
        (true, false) => {
            finding("The records of the period say of none that they are missing.".to_owned(), "missing", false)
        }
        (true, true) => {
            finding("The records do not reach back to the beginning of the period.".to_owned(), "missing", true)
        }
        (false, _) => finding("Records of the period are missing.".to_owned(), "missing", true),
    });
    match &figures.audit {
        Some(head) if head.intact && head.lost == 0 => {
            findings.push(finding(
                "The gateway has found the audit trail intact since it started.".to_owned(),
                "changes",
                false,
            ));
        }
        Some(_) => {
            findings.push(finding("The audit trail is broken, or has lost entries.".to_owned(), "changes", true))
        }
        None => {}
    }
    findings
}

fn unused(figures: &Figures) -> Section {
    let never = if figures.missing.earlier_unknown.is_some() { "not known" } else { "not in the records" };
    let grant = |grant: &GrantUse| {
        vec![
            plain(&grant.app),
            names(&grant.policies),
            some(&grant.unused_by),
            number(grant.permitted as u64),
            grant.last_used.map_or_else(|| never.to_owned(), day),
        ]
    };
    let partly = |grant: &GrantUse| {
        vec![
            plain(&grant.app),
            names(&grant.policies),
            number(grant.permitted as u64),
            number(grant.used as u64),
            some(&grant.unused_by),
        ]
    };
    let idle = &figures.idle_people;
    let mut notes = Vec::new();
    if idle.count != 0 {
        notes.push(format!("{} may reach something and reached nothing: {}.", people(idle.count), some(idle)));
    }
    let unrecorded = &figures.unrecorded_apps;
    if unrecorded.count != 0 {
        notes.push(format!(
            "Policies want no record of connections to {}: whether these were used is not known.",
            some(unrecorded)
        ));
    }
    Section {
        id: "unused",
        title: "Access that nobody used",
        intro: format!(
            "What the policies of generation {} permit, to a login with two factors or to a session that was open when this \
             report was made, compared with the connections of the period. Ask those who own the app whether what nobody used \
             is needed.",
            figures.policy_generation
        ),
        notes,
        bars: None,
        tables: vec![
            Table {
                caption: "Grants that nobody used in the period",
                head: columns(&["App", "Permitted by", "To whom", "#People", "Last used before"]),
                rows: figures.unused_grants.items.iter().map(grant).collect(),
                none: "There is none.",
                more: more(figures.unused_grants.more, "grants"),
            },
            Table {
                caption: "Grants that only some of the people used",
                head: columns(&["App", "Permitted by", "#People", "#Used by", "Not used by"]),
                rows: figures.partly_used_grants.items.iter().map(partly).collect(),
                none: "There is none.",
                more: more(figures.partly_used_grants.more, "grants"),
            },
        ],
    }
}

fn uses(figures: &Figures) -> Section {
    let row = |one: &Use| {
        vec![
            plain(&one.name),
            number(one.others as u64),
            number(one.connections),
            bytes(one.to_app_bytes),
            bytes(one.to_client_bytes),
            number(one.denied),
        ]
    };
    Section {
        id: "uses",
        title: "Who reached what",
        intro: "A connection counts when it began or ended in the period. Bytes are those of connections that ended; packets \
                denied are those to an app that was known."
            .to_owned(),
        notes: Vec::new(),
        bars: None,
        tables: vec![
            Table {
                caption: "Apps, by bytes",
                head: columns(&["App", "#People", "#Connections", "#To the app", "#To clients", "#Packets denied"]),
                rows: figures.apps.items.iter().map(row).collect(),
                none: "No app was reached.",
                more: more(figures.apps.more, "apps"),
            },
            Table {
                caption: "People, by bytes",
                head: columns(&["Person", "#Apps", "#Connections", "#Sent", "#Received", "#Packets denied"]),
                rows: figures.people.items.iter().map(row).collect(),
                none: "Nobody reached anything.",
                more: more(figures.people.more, "people"),
            },
        ],
    }
}

fn denials(figures: &Figures) -> Section {
    let row = |one: &DigestDenied| {
        let policies = if one.policies.is_empty() { "by default".to_owned() } else { names(&one.policies) };
        let policies = if one.reason == DropReason::NoGrant.label() { policies } else { "–".to_owned() };
        let packets = one.packets.saturating_add(one.observed);
        vec![
            or_unknown(one.user.as_deref()),
            or_unknown(one.app.as_deref()),
            plain(&one.reason),
            policies,
            number(packets),
            moment(one.last),
        ]
    };
    let reasons = figures.denials_by_reason.iter().map(|one| {
        let reason = DropReason::ALL.iter().find(|reason| reason.label() == one.reason);
        let help = reason.map_or("", |reason| reason.help());
        vec![plain(&one.reason), number(one.packets), number(one.observed), number(one.people as u64), help.to_owned()]
    });
    Section {
        id: "denials",
        title: "What was denied",
        intro: "Packets that the gateway did not forward, and those that passed all the same because an interface only observes."
            .to_owned(),
        notes: Vec::new(),
        bars: None,
        tables: vec![
            Table {
                caption: "Denials by reason",
                head: columns(&["Reason", "#Dropped", "#Observed", "#People", "What it means"]),
                rows: reasons.collect(),
                none: "Nothing was denied.",
                more: String::new(),
            },
            Table {
                caption: "Denials by person, app and policy",
                head: columns(&["Person", "App", "Reason", "Denied by", "#Packets", "Last"]),
                rows: figures.denials.items.iter().map(row).collect(),
                none: "Nothing was denied.",
                more: more(figures.denials.more, "kinds of denials"),
            },
        ],
    }
}

fn revocations(figures: &Figures) -> Section {
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
        notes: Vec::new(),
        bars: bars(&revocations.enforced),
        tables: vec![
            Table {
                caption: "How long it took",
                head: columns(&["From the request", "#Sessions", "#Median", "#95 of 100", "#Worst"]),
                rows: vec![
                    time("to the end of forwarding", &revocations.enforced),
                    time("to the last packet (0 if that was before)", &revocations.last_packet),
                ],
                none: "",
                more: String::new(),
            },
            Table {
                caption: "Why sessions ended",
                head: columns(&["Cause", "#Sessions"]),
                rows: causes.collect(),
                none: "No session ended.",
                more: String::new(),
            },
            Table {
                caption: "The latest",
                head: columns(&["When", "Person", "Cause", "By", "#Enforced after", "#Last packet", "#Connections cut"]),
                rows: revocations.recent.iter().map(recent).collect(),
                none: "No session ended.",
                more: more(usize::try_from(figures.totals.session_ends).unwrap_or(usize::MAX).saturating_sub(revocations.recent.len()), "sessions"),
            },
        ],
    }
}

fn logins(figures: &Figures) -> Section {
    let row = |event: &DigestEvent| {
        vec![
            or_unknown(event.user.as_deref()),
            plain(event.what.as_deref().unwrap_or("–")),
            number(event.count),
            moment(event.last),
        ]
    };
    Section {
        id: "logins",
        title: "Logins that failed",
        intro: format!(
            "{} logins succeeded and {} failed. What was typed as a name is here only if it could be one.",
            number(figures.totals.logins),
            number(figures.totals.failed_logins)
        ),
        notes: Vec::new(),
        bars: None,
        tables: vec![Table {
            caption: "Failed logins, by name and reason",
            head: columns(&["Name", "Why", "#How often", "Last"]),
            rows: figures.failed_logins.items.iter().map(row).collect(),
            none: "No login failed.",
            more: more(figures.failed_logins.more, "names and reasons"),
        }],
    }
}

fn oddities(figures: &Figures) -> Section {
    let odd = &figures.odd;
    let above = |odd: &Odd, shown: fn(u64) -> String| {
        odd.above.iter().take(30).map(|(name, value)| vec![plain(name), shown(*value), shown(odd.median)]).collect()
    };
    let range = |what: &str, odd: &Odd, shown: fn(u64) -> String| match odd.usual_up_to {
        Some(most) => format!(
            "{what}: the normal range is up to {}, by the {} people of the period (median {}).",
            shown(most),
            number(odd.people as u64),
            shown(odd.median)
        ),
        None => format!("{what}: fewer than {FEWEST} people are too few to compare."),
    };
    let first = |one: &Reached| {
        let first = one.first.map_or_else(|| "–".to_owned(), moment);
        vec![or_unknown(one.user.as_deref()), or_unknown(one.app.as_deref()), first, number(one.connections)]
    };
    let mut notes = vec![range("Packets denied", &odd.denied_packets, number), range("Bytes", &odd.bytes, bytes)];
    let mut tables = vec![
        Table {
            caption: "Far more denied than is usual",
            head: columns(&["Person", "#Packets denied", "#Median of all"]),
            rows: above(&odd.denied_packets, number),
            none: "Nobody is above the normal range.",
            more: String::new(),
        },
        Table {
            caption: "Far more bytes than is usual",
            head: columns(&["Person", "#Bytes", "#Median of all"]),
            rows: above(&odd.bytes, bytes),
            none: "Nobody is above the normal range.",
            more: String::new(),
        },
    ];
    match &odd.first_uses {
        Some(uses) => tables.push(Table {
            caption: "Apps that people used for the first time",
            head: columns(&["Person", "App", "First", "#Connections"]),
            rows: uses.items.iter().map(first).collect(),
            none: "Nobody used an app for the first time.",
            more: more(uses.more, "first uses"),
        }),
        None => {
            let why = if figures.missing.begins_late {
                "the records do not reach back before the period"
            } else {
                "what was before the period could not be added up"
            };
            notes.push(format!("What people used for the first time is not known: {why}."));
        }
    }
    Section {
        id: "odd",
        title: "What stands out",
        intro: format!(
            "A person stands out whose number is above the median of all people by more than {FAR} × {SCALE} × the median distance \
             from it, is more than twice the median, and is more than {} packets or {}. That is worth a question, and proves \
             nothing.",
            number(FEW_DENIED),
            bytes(FEW_BYTES)
        ),
        notes,
        bars: None,
        tables,
    }
}

fn changes(figures: &Figures) -> Section {
    let row = |record: &Record| {
        let [by, from, action, object, generation] =
            ["by", "from", "action", "object", "generation"].map(|name| text(record, name));
        vec![time_of(record), by, from, action, object, generation]
    };
    let mut notes = Vec::new();
    if let Some(head) = &figures.audit {
        if !head.intact {
            notes.push(
                "The gateway has found the audit trail broken since it started: `portcullis audit verify` says where."
                    .to_owned(),
            );
        }
        if head.lost != 0 {
            notes
                .push(format!("{} entries of the audit trail were lost since the gateway started.", number(head.lost)));
        }
    }
    Section {
        id: "changes",
        title: "What administrators changed",
        intro: format!(
            "Every change, with who asked for it. The head of the audit trail, {}, stands for everything before it: `portcullis \
             audit verify --head` tells later whether that is still what was written.",
            head(figures)
        ),
        notes,
        bars: None,
        tables: vec![Table {
            caption: "Changes, the latest first",
            head: columns(&["When", "By", "From", "What", "Of what", "#Generation"]),
            rows: figures.changes.items.iter().map(row).collect(),
            none: "Nothing was changed.",
            more: more(figures.changes.more, "changes"),
        }],
    }
}

fn missing(figures: &Figures) -> Section {
    let missing = &figures.missing;
    let oldest = missing
        .oldest_record
        .map_or_else(|| "there is no record".to_owned(), |at| format!("the oldest is of {}", moment(at)));
    let mut notes = vec![
        if missing.begins_late {
            format!("The records do not reach back to the beginning of the period: {oldest}.")
        } else {
            format!("The records reach back to the beginning of the period: {oldest}.")
        },
        format!(
            "Events that the kernel did not report in the period: {}. Records that were lost: {}. Files of the archive that \
             cannot be read: {}.",
            number(missing.lost_events),
            number(missing.lost_records),
            missing.damaged_files
        ),
    ];
    notes.push(match (missing.unrecorded_lost, missing.unrecorded_left_out, &missing.unrecorded_unknown) {
        (Some(lost), Some(left_out), _) => format!(
            "Packets in no record, counted by the kernel since its tables were made, whatever the period: {} for want of room, {} \
             because policies want no record of them.",
            number(lost),
            number(left_out)
        ),
        (_, _, Some(why)) => format!("How many packets are in no record is not known: {}.", plain(why)),
        _ => "How many packets are in no record is not known: the gateway does not count them.".to_owned(),
    });
    notes.extend(missing.earlier_unknown.as_ref().map(|why| {
        format!(
            "When what nobody used was last used before, and what people used for the first time, is not known, because all that \
             was before the period could not be added up: {}.",
            plain(why)
        )
    }));
    notes.extend(
        figures.audit_unknown.as_ref().map(|why| format!("The head of the audit trail is not known: {}.", plain(why))),
    );
    notes.push("A connection that began and ended while the gateway's daemon did not run has no record.".to_owned());
    Section {
        id: "missing",
        title: "What this report does not know",
        intro: format!("It is made of {} records.", number(figures.totals.records)),
        notes,
        bars: None,
        tables: Vec::new(),
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

fn head(figures: &Figures) -> String {
    match (&figures.audit, &figures.audit_unknown) {
        (Some(head), _) => head.head.as_deref().map_or_else(|| "there is no entry yet".to_owned(), plain),
        (None, Some(_)) => "not known: the API token lacks the scope `audit:read`".to_owned(),
        (None, None) => "not known".to_owned(),
    }
}

/// A title that begins with `#` is one of numbers.
fn columns(titles: &[&'static str]) -> Vec<Column> {
    let column = |title: &&'static str| match title.strip_prefix('#') {
        Some(title) => Column { title, is_number: true },
        None => Column { title, is_number: false },
    };
    titles.iter().map(column).collect()
}

fn more(count: usize, what: &str) -> String {
    if count == 0 { String::new() } else { format!("{} more {what} are left out.", number(count as u64)) }
}

fn people(count: usize) -> String {
    if count == 1 { "One person".to_owned() } else { format!("{} people", number(count as u64)) }
}

fn names(all: &[String]) -> String {
    plain(&all.join(", "))
}

fn some(some: &Names) -> String {
    let shown = names(&some.names);
    match some.count.saturating_sub(some.names.len()) {
        0 => shown,
        more => format!("{shown} and {} more", number(more as u64)),
    }
}

fn or_unknown(text: Option<&str>) -> String {
    text.map_or_else(|| "not known".to_owned(), plain)
}

fn text(record: &Record, name: &str) -> String {
    field::text(record, &[name]).map_or_else(|| "–".to_owned(), |text| plain(&text))
}

/// To the second.
fn time_of(record: &Record) -> String {
    plain(&field::moment(record))
}

fn day(at: OffsetDateTime) -> String {
    moment(at).split(' ').next().unwrap_or_default().to_owned()
}

/// `1 234 567`, with spaces at which no line breaks.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len().saturating_mul(2));
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parted_into_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        assert_eq!([10.0, 3e3, 1e6].map(short), ["10 µs", "3 ms", "1 s"]);
    }
}
