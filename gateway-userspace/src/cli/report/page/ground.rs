//! What the report stands on: what administrators changed, the audit trail, and what is not known.

use super::cells::{columns, number, text, time_of};
use super::{Section, Table};
use crate::cli::output::plain;
use crate::cli::report::figures::Figures;
use crate::cli::sentence::moment;
use crate::wire::Record;

pub(super) fn changes(figures: &Figures) -> Section {
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
        tables: vec![Table {
            caption: "Changes, the latest first",
            head: columns(&["When", "By", "From", "What", "Of what", "#Generation"]),
            none: "Nothing was changed.",
            ..Table::of(&figures.changes, "changes", row)
        }],
        ..Section::default()
    }
}

pub(super) fn missing(figures: &Figures) -> Section {
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
        ..Section::default()
    }
}

pub(super) fn head(figures: &Figures) -> String {
    match (&figures.audit, &figures.audit_unknown) {
        (Some(head), _) => head.head.as_deref().map_or_else(|| "there is no entry yet".to_owned(), plain),
        (None, Some(_)) => "not known: the API token lacks the scope `audit:read`".to_owned(),
        (None, None) => "not known".to_owned(),
    }
}
