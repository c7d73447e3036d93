//! What was refused: packets, and logins.

use super::cells::{columns, names, number, or_unknown};
use super::{Section, Table};
use crate::cli::output::plain;
use crate::cli::report::figures::Figures;
use crate::cli::sentence::moment;
use crate::wire::{DigestDenied, DigestEvent};
use gateway_common::DropReason;

pub(super) fn denials(figures: &Figures) -> Section {
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
        tables: vec![
            Table {
                caption: "Denials by reason",
                head: columns(&["Reason", "#Dropped", "#Observed", "#People", "What it means"]),
                rows: reasons.collect(),
                none: "Nothing was denied.",
                ..Table::default()
            },
            Table {
                caption: "Denials by person, app and policy",
                head: columns(&["Person", "App", "Reason", "Denied by", "#Packets", "Last"]),
                none: "Nothing was denied.",
                ..Table::of(&figures.denials, "kinds of denials", row)
            },
        ],
        ..Section::default()
    }
}

pub(super) fn logins(figures: &Figures) -> Section {
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
        tables: vec![Table {
            caption: "Failed logins, by name and reason",
            head: columns(&["Name", "Why", "#How often", "Last"]),
            none: "No login failed.",
            ..Table::of(&figures.failed_logins, "names and reasons", row)
        }],
        ..Section::default()
    }
}
