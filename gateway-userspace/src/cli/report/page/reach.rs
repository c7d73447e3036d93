//! Who reached what: what nobody used, what was used, and what is not as usual.

use super::cells::{columns, day, names, number, or_unknown, people, some};
use super::{Section, Table};
use crate::cli::output::plain;
use crate::cli::report::figures::{FEW_BYTES, FEW_DENIED, Figures, GrantUse, Use};
use crate::cli::report::odd::{FAR, FEWEST, Odd, SCALE};
use crate::cli::sentence::{bytes, moment};
use crate::wire::Reached;

pub(super) fn unused(figures: &Figures) -> Section {
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
        tables: vec![
            Table {
                caption: "Grants that nobody used in the period",
                head: columns(&["App", "Permitted by", "To whom", "#People", "Last used before"]),
                none: "There is none.",
                ..Table::of(&figures.unused_grants, "grants", grant)
            },
            Table {
                caption: "Grants that only some of the people used",
                head: columns(&["App", "Permitted by", "#People", "#Used by", "Not used by"]),
                none: "There is none.",
                ..Table::of(&figures.partly_used_grants, "grants", partly)
            },
        ],
        ..Section::default()
    }
}

pub(super) fn uses(figures: &Figures) -> Section {
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
        tables: vec![
            Table {
                caption: "Apps, by bytes",
                head: columns(&["App", "#People", "#Connections", "#To the app", "#To clients", "#Packets denied"]),
                none: "No app was reached.",
                ..Table::of(&figures.apps, "apps", row)
            },
            Table {
                caption: "People, by bytes",
                head: columns(&["Person", "#Apps", "#Connections", "#Sent", "#Received", "#Packets denied"]),
                none: "Nobody reached anything.",
                ..Table::of(&figures.people, "people", row)
            },
        ],
        ..Section::default()
    }
}

pub(super) fn oddities(figures: &Figures) -> Section {
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
            ..Table::default()
        },
        Table {
            caption: "Far more bytes than is usual",
            head: columns(&["Person", "#Bytes", "#Median of all"]),
            rows: above(&odd.bytes, bytes),
            none: "Nobody is above the normal range.",
            ..Table::default()
        },
    ];
    match &odd.first_uses {
        Some(uses) => tables.push(Table {
            caption: "Apps that people used for the first time",
            head: columns(&["Person", "App", "First", "#Connections"]),
            none: "Nobody used an app for the first time.",
            ..Table::of(uses, "first uses", first)
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
        tables,
        ..Section::default()
    }
}
