//! The report as a page: HTML with its style and its picture in it, and nothing that is loaded. Whatever is a name is shown
//! without what a reader's program could take for a command, and the template escapes it.

mod cells;
mod ends;
mod ground;
mod reach;
mod refused;

use super::figures::{Figures, Top};
use crate::cli::CliError;
use crate::cli::output::plain;
use crate::cli::sentence::{bytes, micros, moment};
use askama::Template as _;
use cells::{day, more, number};

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

/// What nothing is said of is empty.
#[derive(Default)]
struct Section {
    id: &'static str,
    title: &'static str,
    intro: String,
    notes: Vec<String>,
    bars: Option<Bars>,
    tables: Vec<Table>,
}

#[derive(Default)]
struct Table {
    caption: &'static str,
    head: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// What is said where there is no row.
    none: &'static str,
    /// What is left out.
    more: String,
}

impl Table {
    /// The rows of a list, of which the rest was left out.
    fn of<T>(top: &Top<T>, what: &str, row: impl Fn(&T) -> Vec<String>) -> Self {
        Self { rows: top.items.iter().map(row).collect(), more: more(top.more, what), ..Self::default() }
    }
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
            ("Head of the audit trail", ground::head(figures)),
        ],
        tiles: tiles(figures),
        findings: findings(figures),
        sections: vec![
            reach::unused(figures),
            reach::uses(figures),
            refused::denials(figures),
            ends::revocations(figures),
            refused::logins(figures),
            reach::oddities(figures),
            ground::changes(figures),
            ground::missing(figures),
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
